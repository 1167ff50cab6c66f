//! What a failed store, and a refusal of the engine, mean to whoever asked. The only place that turns them into
//! problems.

use amends_engine::Answer;
use amends_protocol::{Problem, ProblemCode};
use amends_store::StoreError;

/// The problem that a caller is told. What a pause mends is `unavailable`.
#[allow(clippy::needless_pass_by_value)] // for `map_err`
pub(crate) fn store_problem(error: StoreError) -> Problem {
    let code = match &error {
        StoreError::BadCursor { .. } => ProblemCode::InvalidFilter,
        StoreError::Exists { .. } => ProblemCode::Conflict,
        StoreError::TooSlow { .. }
        | StoreError::NotHeld { .. }
        | StoreError::Outdated
        | StoreError::NodeInUse { .. }
        | StoreError::ClockOff { .. }
        | StoreError::Unusable { .. }
        | StoreError::Closed => ProblemCode::Unavailable,
        StoreError::Locked { .. }
        | StoreError::Moved { .. }
        | StoreError::NewerSchema { .. }
        | StoreError::OlderSchema { .. }
        | StoreError::ForeignFile { .. }
        | StoreError::Conflict { .. }
        | StoreError::Unstorable { .. }
        | StoreError::OverLimit { .. }
        | StoreError::Corrupt { .. }
        | StoreError::File { .. }
        | StoreError::Database { .. } => ProblemCode::Internal,
    };
    Problem::new(code, error.to_string())
}

/// Why something was refused, for whoever asked for it.
pub(crate) fn refusal(answer: Answer) -> Problem {
    if let Some((code, detail)) = answer.refused() {
        let detail = detail.to_owned();
        let errors = match answer {
            Answer::Dropped { needed, .. } => needed,
            _ => Vec::new(),
        };
        return Problem { errors, ..Problem::new(code, detail) };
    }
    match answer {
        Answer::Unavailable(detail) => Problem::new(ProblemCode::Unavailable, detail),
        _ => Problem::new(ProblemCode::Internal, "the engine gave an answer to another question"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_caller_learns_whether_trying_again_helps() {
        let told = |error: StoreError| store_problem(error);
        let bad = told(StoreError::BadCursor { cursor: "x".to_owned() });
        assert!(
            bad.is(ProblemCode::InvalidFilter) && bad.detail.is_some_and(|d| d.contains("`x`"))
        );
        assert!(told(StoreError::Closed).is(ProblemCode::Unavailable));
        assert!(told(StoreError::TooSlow { seconds: 5 }).is(ProblemCode::Unavailable));
        let lost = StoreError::Corrupt { row: "case `c-1`".to_owned(), what: "gone".to_owned() };
        assert!(told(lost).is(ProblemCode::Internal));
    }
}
