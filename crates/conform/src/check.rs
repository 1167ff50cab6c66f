//! What a check is: one promise of the protocol, why it matters, what it needs, and how it is tried.

use crate::config::{ActionPlan, Config};
use crate::context::Attempt;
use crate::finding::Lack;
use std::fmt;

/// The page that all checks are about.
const PAGE: &str = "docs/reference/protocol.md";

/// One promise of the protocol.
pub struct Check {
    /// Its stable name.
    pub id: &'static str,
    /// The promise, in a sentence that is true of a conformant participant.
    pub title: &'static str,
    /// What goes wrong in production without it.
    pub why: &'static str,
    /// The section of the protocol that asks for it.
    pub section: &'static str,
    /// Checks without which this one says nothing.
    pub after: &'static [&'static str],
    /// What of the promise it cannot see, if there is anything.
    pub leaves: Option<&'static str>,
    pub(crate) subject: Subject,
    pub(crate) needs: &'static [Means],
    pub(crate) attempt: Attempt,
}

/// What a check is tried on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Subject {
    /// The participant as a whole.
    Service,
    /// Each action that has the means.
    Action,
    /// Each notice.
    Notice,
    /// Each action without an undo of its own.
    Fence,
}

/// What the configuration must offer for a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Means {
    FailsWith,
    RefusesWith,
    /// A request that others can meet while it runs.
    Running,
    Calls,
    /// A request that makes its call twice.
    Twice,
    /// A second action, with an undo or without.
    OtherAction,
    /// One that has a request that fails in business.
    OtherFails,
    Observe,
    Signing,
    Supervisor,
    /// The participant as a process that the kit starts.
    Process,
}

/// A section of the page that all checks are about.
pub(crate) fn page(section: &str) -> String {
    format!("{PAGE}#{section}")
}

impl Check {
    /// A check of each action.
    pub(crate) const fn of_action(
        id: &'static str,
        title: &'static str,
        why: &'static str,
        section: &'static str,
        attempt: Attempt,
    ) -> Self {
        let (after, needs): (&[&str], &[Means]) = (&[], &[]);
        let (subject, leaves) = (Subject::Action, None);
        Self { id, title, why, section, after, leaves, subject, needs, attempt }
    }

    /// A check of the participant as a whole.
    pub(crate) const fn of_service(
        id: &'static str,
        title: &'static str,
        why: &'static str,
        section: &'static str,
        attempt: Attempt,
    ) -> Self {
        Self { subject: Subject::Service, ..Self::of_action(id, title, why, section, attempt) }
    }

    /// A check of each notice.
    pub(crate) const fn of_notice(
        id: &'static str,
        title: &'static str,
        why: &'static str,
        section: &'static str,
        attempt: Attempt,
    ) -> Self {
        Self { subject: Subject::Notice, ..Self::of_action(id, title, why, section, attempt) }
    }

    /// A check of each action without an undo of its own.
    pub(crate) const fn of_fence(
        id: &'static str,
        title: &'static str,
        why: &'static str,
        section: &'static str,
        attempt: Attempt,
    ) -> Self {
        Self { subject: Subject::Fence, ..Self::of_action(id, title, why, section, attempt) }
    }

    pub(crate) const fn after(self, after: &'static [&'static str]) -> Self {
        Self { after, ..self }
    }

    pub(crate) const fn needs(self, needs: &'static [Means]) -> Self {
        Self { needs, ..self }
    }

    pub(crate) const fn leaves(self, leaves: &'static str) -> Self {
        Self { leaves: Some(leaves), ..self }
    }

    /// The page and section that explain it.
    #[must_use]
    pub fn page(&self) -> String {
        page(self.section)
    }

    /// What this action doesn't offer of what the check needs.
    pub(crate) fn lack(&self, config: &Config, action: &ActionPlan) -> Option<Lack> {
        self.needs.iter().find_map(|means| means.lack(config, action))
    }
}

impl fmt::Debug for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.id)
    }
}

impl Means {
    fn lack(self, config: &Config, action: &ActionPlan) -> Option<Lack> {
        let lack = |there: bool, reason: &str, add| {
            (!there).then(|| Lack { reason: reason.to_owned(), add: Some(add) })
        };
        let calls = action.calls.is_some() && config.downstream.is_some();
        match self {
            Self::FailsWith => lack(
                action.fails_with.is_some(),
                "no request is known that fails in business",
                "fails_with: { body: { … }, code: … }",
            ),
            Self::RefusesWith => lack(
                action.refuses_with.is_some(),
                "no request is known whose compensation is refused",
                "refuses_with: { body: { … } }",
            ),
            Self::Running => lack(
                calls || action.slow.is_some(),
                "no request is known that others can meet while it runs",
                "slow: { body: { … } }",
            ),
            Self::Calls if action.calls.is_some() => lack(
                config.downstream.is_some(),
                "the kit has no address at which the participant can call it",
                "downstream: { listen: \"127.0.0.1:7191\" }",
            ),
            Self::Calls => lack(
                false,
                "no request is known that calls another service",
                "calls: { body: { … }, service: …, action: … }",
            ),
            Self::Twice => lack(
                calls && action.calls.as_ref().is_some_and(|calls| calls.twice.is_some()),
                "no request is known that makes its call twice",
                "calls: { …, twice: { body: { … } } }",
            ),
            Self::OtherAction => lack(
                config.other_than(action, |_| true).is_some(),
                "no second action is known",
                "actions: { …, another: { … } }",
            ),
            Self::OtherFails => lack(
                config.other_than(action, |other| other.fails_with.is_some()).is_some(),
                "no second action is known that can fail in business",
                "actions: { …, another: { …, fails_with: { body: { … }, code: … } } }",
            ),
            Self::Observe => lack(
                action.observe.is_some(),
                "the effect can't be seen from outside",
                "observe: { get: /…?saga={saga}, count: /count }",
            ),
            Self::Signing => lack(
                config.signer.is_some(),
                "no key for signatures is known",
                "signing: { env: … }",
            ),
            Self::Process => lack(
                config.process.is_some(),
                "the kit can't kill the participant and start it again",
                "process: { command: [ … ] }",
            ),
            Self::Supervisor => lack(
                config.supervisor.is_some(),
                "the kit has no address at which the participant can report",
                "supervisor: { listen: \"127.0.0.1:7190\" }",
            ),
        }
    }
}
