//! What services can do and undo: services, actions, the calls between them, the reports that they send.

use crate::{ActionId, DataField, DataType, Endpoints, Flow, NamedCall, ServiceId, Span};
use amends_protocol::ActionName;
use std::sync::Arc;

/// A participant.
#[derive(Clone, Debug)]
pub struct Service {
    /// As reports name it.
    pub name: Arc<str>,
    /// Where its steps are sent, without a slash at the end. Only a service with nothing to ask for has none.
    pub url: Option<String>,
    /// How many requests may be on their way to it at once; 16 if not said.
    pub concurrency: u32,
    /// Name of a key in the server's configuration, never the secret itself.
    pub signing_key: Option<String>,
    /// How long it remembers a request, and so knows one that comes again; none if it doesn't say.
    pub history_ms: Option<u64>,
    /// Several rulebooks may declare it: its manifest says so.
    pub shared: bool,
    /// Its actions, sorted by name; corrections included.
    pub actions: Vec<ActionId>,
    /// Its name in the source.
    pub span: Span,
}

/// What can be done about an action that happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ActionClass {
    /// It can be undone.
    Compensable,
    /// It is only ever run again, never undone.
    Retriable,
    /// A message: cannot be undone, may be followed by a correcting one.
    Notice,
    /// An effect that nothing undoes or takes back: after it the saga only goes forward.
    Pivot,
    /// No effect worth undoing, said explicitly by `effect: none`.
    Free,
}

impl ActionClass {
    /// `compensable`, `retriable`, `notice`, `pivot` or `free`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Compensable => "compensable",
            Self::Retriable => "retriable",
            Self::Notice => "notice",
            Self::Pivot => "pivot",
            Self::Free => "free",
        }
    }
}

/// One operation of a service that changes something.
#[derive(Clone, Debug)]
pub struct Action {
    /// `service.action`.
    pub name: ActionName,
    /// Whose it is.
    pub service: ServiceId,
    /// What can be done about it.
    pub class: ActionClass,
    /// The operation that undoes it, as the service calls it; for people.
    pub compensation: Option<Arc<str>>,
    /// The notice that this one corrects.
    pub correction_of: Option<ActionId>,
    /// The notice that corrects this one.
    pub correction: Option<ActionId>,
    /// Its failure is answered by running it again, unless a rule says otherwise.
    pub on_failure_retry: bool,
    /// What it does: what it calls in which order, and where its own effect stands.
    pub calls: Flow,
    /// Names of sets that it belongs to.
    pub tags: Vec<Arc<str>>,
    /// How its steps are tried again.
    pub retry: RetryPolicy,
    /// How its steps are asked for; empty means the participant protocol.
    pub endpoints: Endpoints,
    /// Its service bars what comes late of it once it was compensated. A rulebook may say that it does not.
    pub fence: bool,
    /// Its name in the source.
    pub span: Span,
}

impl Action {
    /// Whether its service can be asked for a History for its sake: it changes something, or calls others that may, and
    /// speaks the participant protocol.
    #[must_use]
    pub fn keeps_history(&self) -> bool {
        (self.class != ActionClass::Free || !self.calls.is_empty()) && self.endpoints.is_empty()
    }
}

/// How a step is tried again. Exponential backoff with full jitter, doubling from `first_ms` to `cap_ms`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryPolicy {
    /// Upper end of the first pause.
    pub first_ms: u64,
    /// Upper end of every later pause.
    pub cap_ms: u64,
    /// How long one attempt may take.
    pub timeout_ms: u64,
    /// After how many attempts the step is stuck; none means that only the age counts.
    pub max_attempts: Option<u32>,
    /// At what age the step is stuck; none means that only the attempts count.
    pub max_age_ms: Option<u64>,
    /// How long a service that answered 202 may take.
    pub accepted_ms: u64,
    /// How long a definite answer must come again and again before the step is stuck.
    pub definite_after_ms: u64,
}

impl RetryPolicy {
    /// What holds where the rulebook says nothing.
    pub const DEFAULT: Self = Self {
        first_ms: 200,
        cap_ms: 5 * 60_000,
        timeout_ms: 10_000,
        max_attempts: None,
        max_age_ms: Some(24 * 3_600_000),
        accepted_ms: 3_600_000,
        definite_after_ms: 5 * 60_000,
    };
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// A kind of report that a service says it may send, and where in its work.
#[derive(Clone, Debug)]
pub struct ReportDecl {
    /// The reporting service.
    pub service: ServiceId,
    /// Its code, without the service.
    pub code: Arc<str>,
    /// The action that fails.
    pub action: Option<ActionId>,
    /// It says neither after which calls nor at which: it may come from anywhere in the action's work.
    pub anywhere: bool,
    /// A call that was sent and whose answer never came: whether it took effect is unknown.
    pub sent: Option<ActionId>,
    /// Calls that were made by then; one that was made several times as often.
    pub after: Vec<NamedCall>,
    /// Calls that were not made in this case.
    pub without: Vec<NamedCall>,
    /// Everything below succeeded and stays.
    pub keep: bool,
    /// Business fields that it carries; none if it doesn't say.
    pub data: Option<Vec<DataField>>,
    /// The code in the source.
    pub span: Span,
}

impl ReportDecl {
    /// Whether it says of any field what it holds.
    pub(crate) fn is_typed(&self) -> bool {
        self.data.iter().flatten().any(|field| field.kind.is_some())
    }

    /// What a field of it holds, by its path, if it says so.
    pub(crate) fn type_of(&self, path: &str) -> Option<DataType> {
        self.data.iter().flatten().find(|field| *field.path == *path)?.kind
    }
}

impl Action {
    /// Whether nothing of it takes effect any more once its compensation has been answered: by the participant
    /// protocol, unless the rulebook says that its service puts up no fence.
    #[must_use]
    pub const fn bars(&self) -> bool {
        self.fence && self.endpoints.compensate.is_none()
    }
}
