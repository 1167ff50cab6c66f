//! What all nodes know that share a store, at any of them: whoever is asked of open work asks the others of theirs, and
//! adds it up. Nothing of it is kept in the store, and nothing here changes anything.
//!
//! INVARIANT: what is missing is said. A node that does not answer is named with how much it works on.

mod answering;
mod asking;
mod feed;
mod hub;
mod outages;
mod said;
mod summing;
mod watching;
mod work;

pub(crate) use answering::Answering;
pub(crate) use asking::OfAll;
pub(crate) use hub::Hub;
pub(crate) use said::Inquiry;
pub(crate) use watching::{LastEventId, ToldEvent, Watching};
pub(crate) use work::AllWork;
