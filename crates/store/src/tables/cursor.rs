//! Cursors: where in a list the page before ended.

use crate::{PageRequest, StoreError};

/// Longest part of a foreign cursor that an error message repeats.
const SHOWN_CURSOR: usize = 40;

/// The list that a cursor belongs to; a cursor is this letter and the numbers of the last place, in base 16.
#[derive(Clone, Copy)]
pub(crate) enum List {
    Cases = b'c' as isize,
    Steps = b's' as isize,
    Acts = b'a' as isize,
    Erasures = b'e' as isize,
    Rejected = b'r' as isize,
}

impl List {
    const fn letter(self) -> char {
        self as u8 as char
    }

    /// The place that the page before ended with, if there was one.
    pub(crate) fn read<const N: usize>(
        self,
        page: &PageRequest,
    ) -> Result<Option<[i64; N]>, StoreError> {
        let Some(cursor) = &page.cursor else { return Ok(None) };
        let place = cursor.strip_prefix(self.letter()).and_then(|digits| {
            let numbers: Option<Vec<i64>> = digits.split('.').map(number).collect();
            numbers?.try_into().ok()
        });
        place.map(Some).ok_or_else(|| StoreError::BadCursor {
            cursor: cursor.chars().take(SHOWN_CURSOR).collect(),
        })
    }

    pub(crate) fn write<const N: usize>(self, place: [i64; N]) -> String {
        format!("{}{}", self.letter(), place.map(|number| format!("{number:x}")).join("."))
    }
}

fn number(digits: &str) -> Option<i64> {
    let is_plain = digits.bytes().all(|b| b.is_ascii_hexdigit());
    let number = u64::from_str_radix(digits, 16).ok().filter(|_| is_plain)?;
    Some(number.cast_signed()) // as it was written: a time before 1970 is less than 0
}
