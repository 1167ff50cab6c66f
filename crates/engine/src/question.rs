//! What an open question is made of, what a person said about one, and the reading that may resolve one.

use amends_api::sentence::{QuestionFacts, question_sentence};
use amends_api::{QuestionActName, QuestionEffect, QuestionId, QuestionKind};
use amends_protocol::{ActionName, CaseId, Evidence, HistoryState, Outcome, digest};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeSet;
use std::sync::Arc;

/// Something that evidence leaves in doubt.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Question {
    /// What.
    pub kind: QuestionKind,
    /// Whether it keeps its case from settling.
    pub effect: QuestionEffect,
    /// The service that it is about.
    pub service: Arc<str>,
    /// The action that it is about.
    pub action: Option<ActionName>,
    /// On which field of one request its sources don't agree, of a data conflict.
    pub field: Option<DataField>,
    /// What it rests on.
    pub statements: BTreeSet<Statement>,
    /// Who could tell more may be asked once more.
    pub can_ask_again: bool,
}

/// A field of what undoing one request needs.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct DataField {
    /// The request, if one is known.
    pub request: Option<Arc<str>>,
    /// Its path in the data, e.g. `payment.id`.
    pub path: Arc<str>,
}

/// What one says of a request.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Statement {
    /// Who.
    pub by: Arc<str>,
    /// Of which request.
    pub request: Option<Arc<str>>,
    /// What.
    pub says: Said,
}

/// What can be said.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Said {
    /// How a step ended.
    Outcome(Outcome),
    /// How a request stands.
    State(HistoryState),
    /// It told more than was kept.
    More,
    /// Its History could not be read.
    NoHistory,
    /// What a field is, as JSON text.
    Value(Arc<str>),
}

impl Said {
    /// Its word.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Outcome(outcome) => outcome.as_str(),
            Self::State(state) => state.as_str(),
            Self::More => "more",
            Self::NoHistory => "no_history",
            Self::Value(text) => text,
        }
    }

    /// What a field is said to be.
    #[must_use]
    pub fn value(&self) -> Option<Value> {
        match self {
            Self::Value(text) => serde_json::from_str(text).ok(),
            Self::Outcome(_) | Self::State(_) | Self::More | Self::NoHistory => None,
        }
    }
}

impl Statement {
    /// The same statement has the same number.
    pub(crate) fn number(&self) -> u64 {
        digest(&[&self.by, self.request.as_deref().unwrap_or_default(), self.says.as_str()])
    }
}

impl Question {
    /// The number in its id: of what it is about, whatever is said of that.
    pub(crate) fn tag(&self) -> u64 {
        let action = self.action.as_ref().map_or("", |name| &*name.action);
        let about = [self.kind.as_str(), &self.service, action];
        match &self.field {
            None => digest(&about),
            Some(DataField { request, path }) => {
                let request = request.as_deref().unwrap_or_default();
                digest(&[about.as_slice(), &[request, path]].concat())
            }
        }
    }

    /// Its id within a case.
    #[must_use]
    pub fn id(&self, case: CaseId) -> QuestionId {
        QuestionId { case, tag: self.tag() }
    }

    /// The action, else the service.
    #[must_use]
    pub fn about(&self) -> String {
        self.action.as_ref().map_or_else(|| self.service.to_string(), ToString::to_string)
    }

    /// Whether it keeps its case from settling.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.effect == QuestionEffect::Hold
    }

    /// The acts that are possible; the engine takes exactly these.
    #[must_use]
    pub fn may(&self) -> Vec<QuestionActName> {
        let is_possible = |act: &QuestionActName| match act {
            QuestionActName::Accept => true,
            QuestionActName::Record => self.action.is_some(),
            QuestionActName::AskAgain => self.can_ask_again,
            QuestionActName::Choose => self.field.is_some(),
            QuestionActName::Ignore | QuestionActName::Declare => {
                self.kind == QuestionKind::Stranger
            }
        };
        QuestionActName::ALL.iter().copied().filter(is_possible).collect()
    }

    /// In plain words.
    #[must_use]
    pub fn sentence(&self) -> String {
        let against = || self.statements.iter().filter(|s| !matches!(s.says, Said::Outcome(_)));
        let witnesses: BTreeSet<&str> = against().map(|s| &*s.by).collect();
        let requests: BTreeSet<&str> = against().filter_map(|s| s.request.as_deref()).collect();
        question_sentence(&QuestionFacts {
            kind: self.kind,
            service: &self.service,
            action: self.action.as_ref(),
            outcome: self.statements.iter().find_map(|statement| match statement.says {
                Said::Outcome(outcome) => Some(outcome),
                _ => None,
            }),
            witnesses: witnesses.into_iter().collect(),
            requests: requests.into_iter().collect(),
            took_effect: against().any(|s| s.says == Said::State(HistoryState::Succeeded)),
            field: self.field.as_ref().map(|field| &*field.path),
            values: self.values().collect(),
        })
    }

    /// What each says that the field is, as JSON text.
    pub(crate) fn values(&self) -> impl Iterator<Item = (&str, &str)> {
        self.statements.iter().filter_map(|statement| match &statement.says {
            Said::Value(text) => Some((&*statement.by, &**text)),
            _ => None,
        })
    }
}

/// What a person said about a question.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct QuestionAnswer {
    /// The question.
    pub id: QuestionId,
    /// Its kind.
    pub kind: QuestionKind,
    /// What was said.
    pub act: QuestionActName,
    /// How it was ended outside, if that was said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
    /// The value that was chosen, if that was said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<Value>,
    /// The statements that there were, as numbers.
    pub seen: Vec<u64>,
    /// UTC milliseconds.
    pub at: i64,
    /// By whom.
    pub by: Arc<str>,
    /// Why.
    pub reason: Arc<str>,
    /// The question as it was put then.
    pub sentence: String,
}

impl QuestionAnswer {
    /// Whether it answers a question as it stands now. A data conflict is answered by what becomes of its step.
    pub(crate) fn covers(&self, question: &Question) -> bool {
        let has_seen = |statement: &Statement| self.seen.contains(&statement.number());
        question.kind != QuestionKind::DataConflict
            && self.id.tag == question.tag()
            && question.statements.iter().all(has_seen)
    }

    /// The value that was chosen, if it still decides the question: nobody has come with a third one since.
    pub(crate) fn choice(&self, question: &Question) -> Option<&Value> {
        let value = self.value.as_ref().filter(|_| self.id.tag == question.tag())?;
        let is_decided = |statement: &Statement| {
            self.seen.contains(&statement.number())
                || statement.says.value().as_ref() == Some(value)
        };
        question.statements.iter().all(is_decided).then_some(value)
    }
}

/// An action that evidence tells of and the case's rulebook does not know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StrangerRow {
    /// The action.
    pub action: ActionName,
    /// An earlier version of the rulebook declared it: whoever took it out may not have known of this saga.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub declared_before: bool,
    /// A person said that nobody needs to hear of it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub ignored: bool,
}

/// A History that is read once more, because steps of its service had nothing to undo though something is said to
/// stand.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Recheck {
    /// The ordinals of these steps.
    pub after: BTreeSet<u32>,
    /// A reading has been begun after they had ended.
    pub asked: bool,
    /// It has been answered.
    pub read: bool,
    /// The service has Histories.
    pub has_history: bool,
    /// This one tells of a request of the service's own.
    pub knows_saga: bool,
    /// What it tells of the service's own requests.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub own: Vec<Evidence>,
}

impl Recheck {
    /// What was read; none if the service keeps no History.
    pub(crate) fn answered(&mut self, service: &str, told: Option<&[Evidence]>) {
        self.read = self.asked;
        self.has_history = told.is_some();
        let own = told.unwrap_or_default().iter().filter(|entry| entry.service == service);
        self.own = own.cloned().collect();
        self.knows_saga = !self.own.is_empty();
    }

    /// How it says that a request stands now.
    pub(crate) fn word_of(&self, action: &ActionName, request: &str) -> Option<HistoryState> {
        let is_it = |entry: &&Evidence| {
            *entry.action == *action.action && entry.request_id.as_deref() == Some(request)
        };
        self.own.iter().find(is_it).map(|entry| entry.state)
    }
}
