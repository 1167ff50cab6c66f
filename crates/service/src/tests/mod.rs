//! Proofs on the kit's real code: a store in memory whose every statement is a place where others may come in between, and
//! all the orders in which that can happen. Part of no build but the tests'.

mod interleavings;
mod memory;
mod schedule;
