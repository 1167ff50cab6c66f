//! What the kit must know of a participant: a YAML file, read with all its mistakes at once. Opens no file itself; the
//! caller gives the text and fetches the key. The language is described in `docs/reference/conformance.md`.

mod fields;
mod mistakes;
mod read;

pub use fields::parse_duration;

use crate::process::ProcessPlan;
use crate::template::{BodyTemplate, Template};
use amends_protocol::wire::signature::SigningKey;
use amends_rulebook::Diagnostic;
use http::{HeaderName, Method};
use serde_json::Value;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

/// How long to wait for an answer, if nothing is said.
pub(crate) const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// How long to wait for a report, if nothing is said: room for a relay that has just backed off.
pub(crate) const REPORT_TIMEOUT: Duration = Duration::from_secs(30);

/// How long a participant may take to listen, if nothing is said.
pub(crate) const START_TIMEOUT: Duration = Duration::from_secs(30);

/// How long it may take to find what it left behind when it was killed, if nothing is said: more than twice what the
/// service kit takes.
pub(crate) const RECOVERY_TIMEOUT: Duration = Duration::from_secs(90);

/// One participant, as the kit tests it.
#[derive(Clone, Debug)]
pub struct Config {
    /// Its name in the rulebook.
    pub service: String,
    /// Its actions, at least one, in the order written.
    pub(crate) actions: Vec<ActionPlan>,
    /// Those that have no undo: only their fence is looked at.
    pub(crate) fences: Vec<ActionPlan>,
    pub(crate) notices: Vec<NoticePlan>,
    pub(crate) signer: Option<SigningKey>,
    /// How the kit starts the participant; none if somebody else does.
    pub(crate) process: Option<ProcessPlan>,
    /// Where the kit listens as the supervisor.
    pub supervisor: Option<SocketAddr>,
    /// Where the kit listens as the service that the participant calls.
    pub downstream: Option<SocketAddr>,
    /// How long to wait for one answer.
    pub answer_timeout: Duration,
    /// How long to wait for one report.
    pub report_timeout: Duration,
}

/// An action and what the kit may ask it.
#[derive(Clone, Debug)]
pub(crate) struct ActionPlan {
    pub(crate) name: String,
    pub(crate) method: Method,
    pub(crate) path: Template,
    pub(crate) headers: Vec<(HeaderName, Template)>,
    pub(crate) body: BodyTemplate,
    pub(crate) fails_with: Option<FailsWith>,
    pub(crate) refuses_with: Option<BodyTemplate>,
    pub(crate) slow: Option<BodyTemplate>,
    pub(crate) calls: Option<CallPlan>,
    pub(crate) observe: Option<Observe>,
}

/// A request that fails in business.
#[derive(Clone, Debug)]
pub(crate) struct FailsWith {
    pub(crate) body: BodyTemplate,
    pub(crate) code: String,
}

/// A request that makes one call to another service.
#[derive(Clone, Debug)]
pub(crate) struct CallPlan {
    pub(crate) body: BodyTemplate,
    pub(crate) service: String,
    pub(crate) action: String,
    pub(crate) answer: Value,
    /// The body of a request that makes the call twice, one after the other.
    pub(crate) twice: Option<BodyTemplate>,
}

/// A message that the participant may be asked to send.
#[derive(Clone, Debug)]
pub(crate) struct NoticePlan {
    pub(crate) name: String,
    pub(crate) observe: Option<Observe>,
}

/// How an effect is counted from outside.
#[derive(Clone, Debug)]
pub(crate) struct Observe {
    pub(crate) get: Template,
    pub(crate) count: Count,
}

/// What of the observing answer is the count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Count {
    /// 2xx is 1, 404 is 0.
    Status,
    /// What a JSON pointer leads to.
    Pointer(String),
}

/// Where the key for signatures is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeySource {
    /// In the configuration itself.
    Secret(String),
    /// In a variable of the environment.
    Environment(String),
    /// In a file; a relative path starts from the configuration's folder.
    File(String),
}

impl Config {
    /// Reads and checks a configuration. `fetch` gets the key from where it is, or says in a few words why it can't.
    ///
    /// # Errors
    /// Every mistake, sorted by place.
    pub fn read(
        text: &str,
        fetch: &dyn Fn(&KeySource) -> Result<String, String>,
    ) -> Result<Self, Vec<Diagnostic>> {
        read::read(text, fetch)
    }

    /// An action that is not this one.
    pub(crate) fn other_than(
        &self,
        action: &ActionPlan,
        fits: impl Fn(&ActionPlan) -> bool,
    ) -> Option<&ActionPlan> {
        let mut all = self.actions.iter().chain(&self.fences);
        all.find(|other| other.name != action.name && fits(other))
    }

    /// Starts the participant in this folder.
    #[must_use]
    pub fn in_folder(mut self, folder: &Path) -> Self {
        if let Some(process) = &mut self.process {
            process.folder = Some(folder.to_owned());
        }
        self
    }

    /// Waits as long for an answer and for a report.
    #[must_use]
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.answer_timeout = timeout;
        self.report_timeout = timeout;
        self
    }
}

#[cfg(test)]
mod tests;
