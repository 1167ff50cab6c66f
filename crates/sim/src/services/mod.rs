//! The services of a run as models of the service kit, in simulated time: what each remembers of every saga, what is
//! really there, and what it answers. The states follow the table in `crates/service/src/history.rs`.
//!
//! INVARIANT: no way leads from a request that was undone or fenced to an effect.

mod forward;
mod mail;
mod model;
mod steps;

pub(crate) use model::{Around, Services, order_id, request_of};
