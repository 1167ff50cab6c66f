//! From rulebook text to a checked, immutable [`Rulebook`] that answers two questions: which rule answers this report,
//! and which steps does it ask for in this saga. It reads no files, knows no clock and sends nothing.
//!
//! One stage per file, in this order: [`load`] (files and limits) -> `tree` and `recovery` (YAML with byte spans) -> `read` (tree to
//! declarations and rules, all mistakes at once) -> `overlap` (no two rules of equal rank) -> [`Rulebook`] ->
//! `matching` -> `plan` (the planner, which everybody asks). What is known of a rulebook beyond that stands beside it: `report_place` (where a report comes),
//! `evidence` (who tells of what), `derive` (every failure point and what it needs), `cover` (whether conditions leave
//! anything out), `check` (the rules against all that), `matrix` and `chart` (at a glance), `explain`, `compare`,
//! `format`, `schema`.
//! The language is described in `docs/reference/rulebook.md`, every mistake in
//! `docs/reference/diagnostics.md`.

mod book;
mod chart;
mod check;
mod codes;
mod compare;
mod condition;
mod cover;
mod derive;
mod diagnostic;
mod drawing;
pub mod duration;
mod endpoint;
mod evidence;
mod examples;
mod explain;
mod facts;
mod format;
mod graph;
mod load;
pub mod markup;
mod matching;
mod matrix;
mod mistakes;
mod number;
mod overlap;
mod participant;
mod plan;
mod read;
mod recovery;
mod render;
mod report_place;
mod rule;
mod rule_index;
mod sarif;
mod schema;
mod source;
mod table_test;
mod template;
mod tree;
mod value_set;

pub use book::{Rulebook, Settings, check_together, sources_together};
pub use chart::{Chart, ChartNode};
pub use check::{CheckSettings, StillNeeded, asks_for_all_of, check, check_activation, check_with};
pub use codes::{CODES, CodeInfo, FoundBy, Severity};
pub use compare::{
    Answer, AskingChange, Comparison, PlanChange, Replay, Replayed, ReplayedGroup, compare,
    compare_answers,
};
pub use condition::{Condition, Field, Matcher, Scalar};
pub use derive::{
    Derived, ExplicitPart, FailurePoint, NeededStep, POINTS_LIMIT, SagaState, count_failure_points,
    derive, explicit_rulebook,
};
pub use diagnostic::{Diagnostic, Span, position};
pub use drawing::{Annotate, Note, stylesheet};
pub use duration::length_of_time;
pub use endpoint::{Endpoint, Endpoints, Mapped, RenderedRequest, StatusSet};
pub use examples::Example;
pub use explain::{Explanation, Strangers, explain, strangers};
pub use facts::Facts;
pub use format::format;
pub use load::{Loaded, load, load_sources};
pub use matching::{Considered, FieldCheck};
pub use matrix::{Cell, CellKind, Matrix, Row};
pub use number::Number;
pub use participant::{
    Action, ActionClass, ActionId, Call, ReportDecl, RetryPolicy, Service, ServiceId,
};
pub use plan::{
    CaseFacts, Hold, Known, Plan, PlannedStep, ReportFacts, Reported, Role, SUPERVISOR, Undoing,
    Want, fits, roles,
};
pub use render::render;
pub use report_place::Position;
pub use rule::{
    CodePattern, Demand, GiveUp, Mode, Pattern, Rule, RuleId, Stage, StageDemand, Target,
};
pub use sarif::sarif;
pub use schema::{as_json, manifest_schema, rulebook_schema};
pub use source::{FILE_LIMIT_BYTES, SourceFile};
pub use table_test::{
    Coverage, Expectation, LoadedTests, Suite, TableTest, TestReport, TestResult, junit,
    load_tests, rulebook_path, run_tests,
};
pub use template::{BodyTemplate, PLACEHOLDERS, Template};
