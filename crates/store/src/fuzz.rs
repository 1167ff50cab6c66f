//! The reader of cursors, for those who throw made-up input at it (`crates/fuzz`).

use crate::PageRequest;
use crate::tables::cursor::List;

/// Reads a cursor of whichever list, and writes it again.
#[must_use]
pub fn cursor(text: &str) -> Option<String> {
    let page = PageRequest { cursor: Some(text.to_owned()), ..PageRequest::default() };
    let cases = || Some(List::Cases.write(List::Cases.read::<2>(&page).ok()??));
    let steps = || Some(List::Steps.write(List::Steps.read::<3>(&page).ok()??));
    let acts = || Some(List::Acts.write(List::Acts.read::<1>(&page).ok()??));
    let rejected = || Some(List::Rejected.write(List::Rejected.read::<1>(&page).ok()??));
    cases().or_else(steps).or_else(acts).or_else(rejected)
}
