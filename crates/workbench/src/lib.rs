//! What people's tools know of a rulebook, beyond reading it and planning by it. The command line, the console and the
//! simulation use it; nothing that runs a case does. Pure like the rulebook's crate: text and data in, text and data
//! out.
//!
//! `places` (where failures strike, and what may have happened by then), `derive` (every failure point and what it
//! needs), `evidence` (who tells of what) and `cover` (whether conditions
//! leave anything out) are what [`check`] judges the rules by. [`Matrix`] and [`Chart`] show them at a glance, with
//! `drawing`; [`explain()`] says why a report is answered as it is; [`compare()`] and [`Replay`] tell two rulebooks
//! apart; `table_test` runs people's own examples; [`format()`], [`rulebook_schema`] and [`sarif()`] are for editors.

mod chart;
mod check;
mod compare;
mod cover;
mod derive;
mod drawing;
mod evidence;
mod explain;
mod format;
mod matrix;
mod places;
mod sarif;
mod schema;
mod table_test;

pub use chart::{Chart, ChartCall, ChartNode};
pub use check::{CheckSettings, check, check_with};
pub use compare::{
    AskingChange, Comparison, PlanChange, PlannedAnswer, Replay, Replayed, ReplayedGroup, compare,
    compare_answers,
};
pub use derive::{
    Derived, ExplicitPart, FailurePoint, POINTS_LIMIT, count_failure_points, derive,
    explicit_rulebook,
};
pub use drawing::{Annotate, Note, stylesheet};
pub use evidence::is_silent;
pub use explain::{Explanation, Strangers, explain, strangers};
pub use format::format;
pub use matrix::{Cell, CellKind, Matrix, Row};
pub use places::{NeededStep, Place, SagaState, called_both_ways};
pub use sarif::sarif;
pub use schema::{as_json, manifest_schema, rulebook_schema};
pub use table_test::{
    Coverage, Expectation, LoadedTests, Suite, TableTest, TestReport, TestResult, junit,
    load_tests, rulebook_path, run_tests,
};
