//! Reads reports out of CloudEvents 1.0 and says what is wrong with them. Knows no route and no supervisor.

mod again;
mod check;
pub(crate) mod envelope;
mod fault;

pub(crate) use again::again;
pub(crate) use fault::Fault;
