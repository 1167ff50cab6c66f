//! What SQLite and PostgreSQL have in common: the same tables, how their rows read, and what is asked of them for
//! people and at a start. How a commit is made durable is the affair of each.
//!
//! The SQL here is such as both read. Each knows what it has to put in other words; where it can answer for many at
//! once what is written here as a loop, it does.

pub(crate) mod act_list;
pub(crate) mod act_rows;
pub(crate) mod bulks;
pub(crate) mod case_list;
pub(crate) mod chain;
pub(crate) mod codes;
pub(crate) mod counts;
pub(crate) mod credentials;
pub(crate) mod cursor;
mod database;
pub(crate) mod erasures;
pub(crate) mod gathered;
pub(crate) mod key;
pub(crate) mod lookup;
pub(crate) mod marks;
mod members;
pub(crate) mod order;
pub(crate) mod prune;
pub(crate) mod raw;
pub(crate) mod records;
pub(crate) mod rejected;
pub(crate) mod rows;
pub(crate) mod search;
pub(crate) mod settings;
pub(crate) mod step_list;
pub(crate) mod written;

#[cfg(feature = "postgres")]
pub(crate) use database::ReadWanted;
pub(crate) use database::{
    Columns, Dialect, Found, Read, Tables, Value, ValueRef, Wanted, collect, one,
};
