//! What a checker is: it sees what happens, and says in one sentence what is wrong.

use crate::scenario::Scenario;
use crate::services::Services;
use crate::stored::Stored;
use crate::switches::Switches;
use amends_engine::{
    Answer, Effect, Engine, Letter, LetterId, Partition, RuleMinute, Ticket, Write,
};
use amends_node::EffectResult;
use amends_protocol::{CaseId, OutcomeCallback, Report, SagaId, StepId, Timestamp};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

/// Something that a checker can see.
pub enum Seen<'a> {
    /// What follows is of this node, of several.
    At {
        /// Counted from 0, which comes first.
        node: usize,
    },
    /// The node has shown that it lives.
    Beats {
        /// The version of the settings that it says it goes by.
        settings: u64,
    },
    /// Of several nodes: these letters are durable, and those have been taken.
    Letters {
        /// New ones.
        left: &'a [Letter],
        /// Those that are gone with what they have brought.
        taken: &'a [LetterId],
    },
    /// Somebody was told that what was brought is another node's and was left for it.
    Posted {
        /// The name of the letter.
        letter: LetterId,
    },
    /// It is told what has become of a letter.
    LetterAnswered {
        /// Its name.
        letter: LetterId,
    },
    /// A node has read of an inbox.
    InboxRead {
        /// Which process.
        process: u64,
        /// Whose inbox.
        partition: Partition,
        /// It reads from the beginning.
        is_anew: bool,
        /// What it was told.
        told: &'a [LetterId],
        /// It was told that there is no more.
        ended: bool,
        /// All that is there.
        there: &'a BTreeSet<LetterId>,
    },
    /// A node, or all of them, do not reach the store from now on.
    CutOff,
    /// Partitions were given back.
    GivenBack {
        /// Something of theirs was under way.
        is_under_way: bool,
        /// Something of theirs is still in memory.
        is_kept: bool,
    },
    /// What belongs to no saga is about to be changed.
    Sets {
        /// The version that whoever changes it goes by.
        version: u64,
    },
    /// One of several nodes has nothing to do before a moment.
    NodeRests {
        /// Which.
        node: usize,
        /// What is in memory.
        engine: &'a Engine,
        /// The partitions that it holds as the store has it.
        held: &'a BTreeSet<Partition>,
        /// What it goes on to hold although its last commit has told that it is lost.
        kept: Option<Partition>,
        /// The effects that it has under way, by service.
        under_way: &'a BTreeMap<Arc<str>, u32>,
    },
    /// A request is about to go out.
    Writes {
        /// Who holds its partition, of several nodes.
        owner: Option<usize>,
    },
    /// The process starts.
    Started,
    /// The store was read whole, for a new engine.
    Loaded,
    /// These writes are about to become durable; the store is as before them.
    Commit {
        /// In order.
        writes: &'a [Write],
    },
    /// Limited rules and their minutes as nodes count them together, with what becomes durable now.
    Minutes {
        /// Those that are not over.
        minutes: &'a [RuleMinute],
    },
    /// These writes are durable.
    Committed {
        /// In order.
        writes: &'a [Write],
        /// Milliseconds from the beginning, by the true time.
        at: i64,
    },
    /// A case was removed because it was settled long ago.
    Pruned {
        /// Which.
        case: CaseId,
        /// How long it was settled, by the true time.
        settled_for_ms: u64,
        /// How long it was to be kept.
        keep_ms: u64,
    },
    /// The process stops, and goes on later as if nothing had happened.
    Suspended,
    /// A report was acknowledged.
    Acknowledged {
        /// The report.
        report: &'a Report,
        /// The case that it is said to be in.
        case: CaseId,
    },
    /// A report was accepted: it is in a case, or will be.
    Accepted {
        /// The report.
        report: &'a Report,
    },
    /// It was taken that a saga has ended.
    EndTaken {
        /// Which.
        saga: &'a SagaId,
    },
    /// Whoever says that an announced saga has ended was told that nobody knows of it.
    EndRefused {
        /// Which.
        saga: &'a SagaId,
    },
    /// Somebody was answered.
    Replied {
        /// Who.
        ticket: Ticket,
        /// What.
        answer: &'a Answer,
    },
    /// Whoever works on a saga says what became of a letter.
    LetterJudged {
        /// Which.
        letter: LetterId,
        /// What became of it.
        answer: &'a Answer,
    },
    /// Somebody who told the outcome of a step was answered.
    CalledBack {
        /// The step.
        step: StepId,
        /// What was told.
        said: &'a OutcomeCallback,
        /// What was answered.
        answer: &'a Answer,
    },
    /// A request of the supervisor goes out.
    Effect {
        /// Its number.
        number: u64,
        /// The request.
        effect: &'a Effect,
        /// Where to.
        service: &'a Arc<str>,
    },
    /// Its result is handed to the supervisor.
    Result {
        /// The number of the effect.
        number: u64,
        /// Where it went.
        service: &'a Arc<str>,
        /// What was asked.
        effect: &'a Effect,
        /// The result.
        result: &'a EffectResult,
    },
    /// The process dies; what was under way is lost.
    Died,
    /// The supervisor has nothing to do before a moment.
    Rest {
        /// What is in memory.
        engine: &'a Engine,
        /// Milliseconds from the beginning, by the true time.
        at: i64,
        /// That moment, if there is one.
        next: Option<Timestamp>,
    },
    /// Nothing will happen any more.
    End(End<'a>),
}

/// The run at its end.
#[derive(Clone, Copy)]
pub struct End<'a> {
    /// Its plan.
    pub scenario: &'a Scenario,
    /// What is really there.
    pub(crate) services: &'a Services,
    /// What was allowed.
    pub switches: Switches,
}

/// One checker.
pub trait Check {
    /// The word that a violation is filed under.
    fn name(&self) -> &'static str;

    /// Takes note of what happened.
    ///
    /// # Errors
    /// What is wrong.
    fn see(&mut self, now: Timestamp, seen: &Seen<'_>, store: &Stored) -> Result<(), String>;
}

/// A checker's finding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Whose.
    pub checker: &'static str,
    /// Milliseconds from the beginning.
    pub at: i64,
    /// What is wrong.
    pub text: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}] at {:.3} s: {}", self.checker, self.at as f64 / 1_000.0, self.text)
    }
}

/// A finding, for the checkers.
pub(crate) fn when(wrong: bool, text: impl FnOnce() -> String) -> Result<(), String> {
    if wrong { Err(text()) } else { Ok(()) }
}
