//! Reads failure events that services publish already, in words of their own, as reports. A bridge says where in such
//! an event a report's parts stand; it guesses nothing, and trusts an event no more than one of ours. Pure.

mod given;
mod mapping;
mod place;
#[cfg(test)]
mod spring;
mod unheard;

pub(crate) use given::read_bridges;
pub use mapping::Bridge;
pub(crate) use mapping::{Bridged, bridges_of};
pub(crate) use place::Foreign;
