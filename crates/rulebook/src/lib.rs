//! From rulebook text to a checked, immutable [`Rulebook`] that answers two questions: which rule answers this report,
//! and which steps does it ask for in this saga. It reads no files, knows no clock and sends nothing.
//!
//! One stage per file, in this order: [`load`] (files and limits) -> `tree` and `recovery` (YAML with byte spans) -> `read` (tree to
//! declarations and rules, all mistakes at once) -> `overlap` (no two rules of equal rank) -> [`Rulebook`] ->
//! `matching` -> `plan`. The language is described in `docs/reference/rulebook.md`, every mistake in
//! `docs/reference/diagnostics.md`.

mod book;
mod codes;
mod condition;
mod diagnostic;
mod duration;
mod endpoint;
mod graph;
mod load;
mod matching;
mod number;
mod overlap;
mod participant;
mod plan;
mod read;
mod recovery;
mod render;
mod rule;
mod rule_index;
mod template;
mod tree;
mod value_set;

pub use book::{Rulebook, Settings, check_together, sources_together};
pub use codes::{CODES, CodeInfo};
pub use condition::{Condition, Field, Matcher, Scalar};
pub use diagnostic::{Diagnostic, Severity, Span, position};
pub use endpoint::{Endpoint, Endpoints, Mapped, RenderedRequest, StatusSet};
pub use load::{FILE_LIMIT_BYTES, Loaded, SourceFile, load, load_sources};
pub use matching::{Considered, Facts, FieldCheck};
pub use number::Number;
pub use participant::{
    Action, ActionClass, ActionId, Call, ReportDecl, RetryPolicy, Service, ServiceId,
};
pub use plan::{Known, PlannedStep, fits};
pub use render::render;
pub use rule::{
    CodePattern, Demand, GiveUp, Mode, Pattern, Rule, RuleId, Stage, StageDemand, Target,
};
pub use template::{BodyTemplate, PLACEHOLDERS, Template};
