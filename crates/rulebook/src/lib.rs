//! From rulebook text to a checked, immutable [`Rulebook`] that answers two questions: which rule answers this report,
//! and which steps does it ask for in this saga. It reads no files, knows no clock and sends nothing.
//!
//! One stage per file, in this order: [`load`] (files and limits) -> [`tree`] and [`recovery`] (YAML with byte spans)
//! -> `read` (tree to declarations and rules, all mistakes at once) -> `overlap` (no two rules of equal rank) ->
//! [`Rulebook`] -> `matching` -> `plan` (the planner, which everybody asks). Beside them stand `report_place` (where a
//! report comes), `activation` (whether a rulebook can take the place of another) and `render` (mistakes for people).
//! All that people's tools know of a rulebook beyond that is in `amends-workbench`, which nothing in the core uses;
//! [`fields`], [`mistakes`] and [`value_set`] are open for its sake. The language is described in
//! `docs/reference/rulebook.md`, every mistake in `docs/reference/diagnostics.md`.

mod activation;
mod answers;
mod book;
mod circles;
pub mod codes;
mod condition;
mod data_field;
mod data_type;
mod diagnostic;
pub mod duration;
mod endpoint;
mod examples;
mod facts;
pub mod fields;
mod flow;
mod graph;
mod ids;
mod load;
mod matcher;
mod matching;
pub mod mistakes;
mod named_call;
mod number;
mod overlap;
mod participant;
mod pivots;
mod plan;
mod read;
pub mod recovery;
mod render;
mod report_place;
mod reverse_calls;
mod rule;
mod rule_index;
pub mod secrets;
mod source;
mod strangers;
mod template;
pub mod tree;
mod unquoted;
pub mod value_set;

pub use activation::{StillNeeded, asks_for_all_of, check_activation};
pub use answers::{AnswerMap, AnswerPattern, Mapped, StatusSet, field_at};
pub use book::{Rulebook, Settings, check_together, sources_together};
pub use codes::{CODES, CodeInfo, FoundBy, Severity};
pub use condition::{Condition, Field};
pub use data_field::{Currency, DataField, DataRole, is_currency};
pub use data_type::DataType;
pub use diagnostic::{Diagnostic, Span, position};
pub use duration::length_of_time;
pub use endpoint::{Endpoint, EndpointPlaces, Endpoints, Poll, RenderedBody, RenderedRequest};
pub use examples::Example;
pub use facts::Facts;
pub use flow::{Call, Coupling, Flow, FlowStep, Times};
pub use ids::{ActionId, ServiceId};
pub use load::{Loaded, load, load_sources};
pub use matcher::{Matcher, Scalar};
pub use matching::{Considered, FieldCheck};
pub use named_call::NamedCall;
pub use number::Number;
pub use participant::{Action, ActionClass, ReportDecl, RetryPolicy, Service};
pub use pivots::Pivot;
pub use plan::{
    CaseFacts, Hold, Known, Plan, PlannedStep, ReportFacts, Reported, Role, SUPERVISOR, Undoing,
    Want, fits, roles,
};
pub use render::{render, render_within};
pub use report_place::Position;
pub use rule::{
    CodePattern, Demand, GiveUp, Mode, Past, Pattern, Rule, RuleId, Stage, StageDemand, Target,
    UndoOrder,
};
pub use rule_index::RulesOfPattern;
pub use secrets::{SecretFields, SecretValues};
pub use source::{FILE_LIMIT_BYTES, LineIndex, SourceFile};
pub use strangers::{StrangerPattern, Strangers};
pub use template::{BodyTemplate, PLACEHOLDERS, Template};
