//! How a report's or step's place becomes one number: `case * 2^20 + position`. Nothing else knows the layout.

use crate::StoreError;
use amends_protocol::CaseId;

/// Bits for the position within a case: a million reports or steps, far above what the engine lets into one case.
pub(crate) const POSITION_BITS: u32 = 20;
pub(crate) const LAST_POSITION: u32 = (1 << POSITION_BITS) - 1;
/// What is left of 63 bits: 8.7 * 10^12 cases, some 28 years at 10,000 a second.
const LAST_CASE: u64 = (1 << (63 - POSITION_BITS)) - 1;

/// In SQL: the case that the step `s` belongs to.
pub(crate) const CASE_OF_STEP: &str = "(s.key >> 20)";
/// In SQL: whether the step `s` belongs to the case `c`, in a form that searches by key.
pub(crate) const STEP_OF_CASE: &str = "s.key BETWEEN (c.id << 20) AND (c.id << 20 | 1048575)";

/// The key of a row of `reports` or `steps`.
pub(crate) fn row_key(case: CaseId, position: u32) -> Result<i64, StoreError> {
    if position > LAST_POSITION {
        let row = format!("row {position} of case `{case}`");
        let limit = u64::from(LAST_POSITION);
        return Err(StoreError::OverLimit { row, case: Some(case), limit });
    }
    Ok((case_number(case)? << POSITION_BITS) | i64::from(position))
}

/// The key of a row of `cases`.
pub(crate) fn case_number(case: CaseId) -> Result<i64, StoreError> {
    if case.0 > LAST_CASE {
        let row = format!("case `{case}`");
        return Err(StoreError::OverLimit { row, case: Some(case), limit: LAST_CASE });
    }
    Ok(case.0.cast_signed())
}

/// The case that a key belongs to.
pub(crate) fn case_of(key: i64) -> CaseId {
    CaseId((key >> POSITION_BITS).cast_unsigned())
}

/// The position that a key stands for.
pub(crate) fn position_of(key: i64) -> u32 {
    u32::try_from(key & i64::from(LAST_POSITION)).unwrap_or(LAST_POSITION)
}

/// First and last key that a case can have. A number that no case can have gives an empty range.
pub(crate) fn key_range(case: CaseId) -> (i64, i64) {
    match case_number(case) {
        Ok(number) => {
            let first = number << POSITION_BITS;
            (first, first | i64::from(LAST_POSITION))
        }
        Err(_) => (0, -1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_tells_case_and_position() {
        for (case, position) in [(1, 0), (17, 3), (LAST_CASE, LAST_POSITION)] {
            let key = row_key(CaseId(case), position).expect("within the limits");
            assert_eq!((case_of(key), position_of(key)), (CaseId(case), position));
            let (first, last) = key_range(CaseId(case));
            assert!((first..=last).contains(&key));
        }
    }

    #[test]
    fn numbers_over_the_limit_are_refused_with_their_name() {
        let error = row_key(CaseId(1), LAST_POSITION + 1).expect_err("too many").to_string();
        assert!(error.contains("case `c-1`") && error.contains("1048575"), "{error}");
        assert!(row_key(CaseId(LAST_CASE + 1), 0).is_err());
        assert_eq!(key_range(CaseId(u64::MAX)), (0, -1));
    }
}
