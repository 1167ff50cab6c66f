//! Turns rows of the store into the resources that people are shown. Pure: it reads no store and no clock, and decides
//! nothing.

mod act;
mod case;
mod erasure;
mod kept_back;
mod question;
mod rejected;
mod rule_hold;
mod sight;
mod step;
#[cfg(test)]
mod tests;
mod veiled;
mod wall;

pub(crate) use act::act;
pub(crate) use case::{case, case_summary, proof};
pub(crate) use erasure::{erasure, erasure_id, listed_erasure};
pub(crate) use kept_back::KeptBack;
pub(crate) use question::{found_question, question, stranger};
pub(crate) use rejected::{rejected, rejected_detail, rejected_message};
pub(crate) use rule_hold::rule_hold;
pub(crate) use sight::{Sight, bare_bulk, bare_groups, bare_overview, bare_services};
pub(crate) use step::{listed_step, step};
pub(crate) use veiled::Veiled;
pub(crate) use wall::OnTheWall;

use amends_api::Page;
use amends_store::RowPage;

/// A page of a list, each of its rows made into a resource.
pub(crate) fn page<R, T>(rows: RowPage<R>, view: impl FnMut(R) -> T) -> Page<T> {
    let RowPage { items, next, searched_until } = rows.map(view);
    Page { items, next, searched_until }
}
