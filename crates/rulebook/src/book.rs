//! The checked rulebook: an immutable value. It only exists without errors; `load` makes it.

use crate::graph::Graph;
use crate::reverse_calls::ReverseCalls;
use crate::rule_index::{RuleIndex, RulesOfPattern};
use crate::{
    Action, ActionId, DataRole, Diagnostic, Pivot, ReportDecl, Rule, RuleId, SecretFields, Service,
    ServiceId, Severity, SourceFile, Span, Strangers,
};
use amends_api::{QuestionEffect, QuestionKind};
use rustc_hash::FxHashMap;
use std::collections::BTreeSet;
use std::sync::{Arc, OnceLock};

/// A rulebook file and its imports, parsed and checked.
#[derive(Debug)]
pub struct Rulebook {
    pub(crate) name: String,
    pub(crate) name_span: Span,
    pub(crate) hash: String,
    pub(crate) sources: Vec<SourceFile>,
    pub(crate) settings: Settings,
    pub(crate) strangers: Strangers,
    pub(crate) services: Vec<Service>,
    pub(crate) actions: Vec<Action>,
    pub(crate) reports: Vec<ReportDecl>,
    pub(crate) secrets: SecretFields,
    pub(crate) roles: Roles,
    pub(crate) rules: Vec<Rule>,
    pub(crate) names: Names,
    pub(crate) graph: Graph,
    pub(crate) index: RuleIndex,
    /// Computed on first use.
    pub(crate) reverse_calls: OnceLock<ReverseCalls>,
    /// Computed on first use.
    pub(crate) pivots: OnceLock<Box<[Pivot]>>,
}

/// What the business fields of each service's reports mean, by path.
pub(crate) type Roles = FxHashMap<ServiceId, Vec<(Arc<str>, DataRole)>>;

/// What holds for all cases of a rulebook.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// How long a case must show no sign of life before it is settled as `quiet`; `settle: { quiet: 30s }`.
    pub quiet_ms: u64,
    /// How long a derived report waits for its root before its own rule applies; `cause_wait: 10s`.
    pub cause_wait_ms: u64,
    /// How long a History may be unavailable, though its service is in reach, before a person is asked;
    /// `history_age: 1h`.
    pub history_age_ms: u64,
    /// What each kind of question does to its case, in the order of the kinds; `questions: { dropped: note }`.
    pub questions: [QuestionEffect; QuestionKind::ALL.len()],
}

impl Default for Settings {
    fn default() -> Self {
        let questions = [QuestionEffect::Hold; QuestionKind::ALL.len()];
        Self { quiet_ms: 30_000, cause_wait_ms: 10_000, history_age_ms: 3_600_000, questions }
    }
}

impl Settings {
    /// What a kind of question does to its case.
    #[must_use]
    pub const fn effect_of(&self, kind: QuestionKind) -> QuestionEffect {
        self.questions[kind as usize]
    }
}

/// Names to ids.
#[derive(Debug, Default)]
pub(crate) struct Names {
    pub(crate) services: FxHashMap<Arc<str>, ServiceId>,
    /// By service.
    pub(crate) actions: Vec<FxHashMap<Arc<str>, ActionId>>,
    /// By service, positions in `reports`.
    pub(crate) reports: Vec<FxHashMap<Arc<str>, usize>>,
    pub(crate) tags: FxHashMap<Arc<str>, Vec<ActionId>>,
}

impl Rulebook {
    /// Its name, unique in one supervisor.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where its name stands.
    #[must_use]
    pub const fn name_span(&self) -> Span {
        self.name_span
    }

    /// Hex SHA-256 of the content of all sources; file names don't count.
    #[must_use]
    pub fn hash(&self) -> &str {
        &self.hash
    }

    /// The text that it was read from, root first; [`crate::load_sources`] reads it again.
    #[must_use]
    pub fn sources(&self) -> &[SourceFile] {
        &self.sources
    }

    /// What holds for all cases.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// How names that it does not know are met.
    #[must_use]
    pub fn strangers(&self) -> &Strangers {
        &self.strangers
    }

    /// All services; `ServiceId(n)` is the n-th.
    #[must_use]
    pub fn services(&self) -> &[Service] {
        &self.services
    }

    /// Finds a service by name.
    #[must_use]
    pub fn service(&self, name: &str) -> Option<ServiceId> {
        self.names.services.get(name).copied()
    }

    /// All actions, corrections included; `ActionId(n)` is the n-th.
    #[must_use]
    pub fn actions(&self) -> &[Action] {
        &self.actions
    }

    /// Whether it declares a service that other rulebooks may declare, too.
    #[must_use]
    pub fn shares(&self, service: &str) -> bool {
        self.service(service).is_some_and(|id| self.services[id.0 as usize].shared)
    }

    /// Finds an action by name.
    #[must_use]
    pub fn action(&self, service: &str, action: &str) -> Option<ActionId> {
        let service = self.service(service)?;
        self.names.actions.get(service.0 as usize)?.get(action).copied()
    }

    /// An action of this rulebook.
    ///
    /// # Panics
    /// If the id is of another rulebook and beyond this one's actions.
    #[must_use]
    pub fn get(&self, id: ActionId) -> &Action {
        &self.actions[id.0 as usize]
    }

    /// Who calls `action` directly; one that calls it twice stands there twice.
    #[must_use]
    pub fn callers(&self, action: ActionId) -> &[ActionId] {
        self.graph.callers(action)
    }

    /// Every action after all that it calls.
    #[must_use]
    pub fn callees_first(&self) -> Vec<ActionId> {
        self.graph.callees_first()
    }

    /// Which order compensations have where they go in the reverse order of calls.
    pub(crate) fn reverse_calls(&self) -> &ReverseCalls {
        self.reverse_calls.get_or_init(|| ReverseCalls::of(&self.actions))
    }

    /// Every action whose effect nothing can undo, with what comes before it.
    #[must_use]
    pub fn pivots(&self) -> &[Pivot] {
        self.pivots.get_or_init(|| Pivot::all(&self.actions, &self.graph))
    }

    /// Whether there is such an action.
    pub(crate) fn has(&self, id: ActionId) -> bool {
        (id.0 as usize) < self.actions.len()
    }

    /// Every action's id.
    pub fn action_ids(&self) -> impl Iterator<Item = ActionId> {
        (0u32..).map(ActionId).take(self.actions.len())
    }

    /// The actions with a tag.
    pub fn tagged(&self, tag: &str) -> impl Iterator<Item = ActionId> {
        self.names.tags.get(tag).into_iter().flatten().copied()
    }

    /// All rules: as written, then the implied ones; `RuleId(n)` is the n-th.
    #[must_use]
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// A rule of this rulebook.
    ///
    /// # Panics
    /// If the id is of another rulebook and beyond this one's rules.
    #[must_use]
    pub fn rule(&self, id: RuleId) -> &Rule {
        &self.rules[id.0 as usize]
    }

    /// The business fields that nobody is shown.
    #[must_use]
    pub const fn secrets(&self) -> &SecretFields {
        &self.secrets
    }

    /// What the business fields of a service's reports mean: path and role, in the order of their declaration, each
    /// once.
    #[must_use]
    pub fn roles_of(&self, service: &str) -> &[(Arc<str>, DataRole)] {
        let of_service = |id: ServiceId| self.roles.get(&id).map(Vec::as_slice);
        self.service(service).and_then(of_service).unwrap_or_default()
    }

    /// Whether any business field has a role.
    #[must_use]
    pub fn has_roles(&self) -> bool {
        !self.roles.is_empty()
    }

    /// All declared kinds of report.
    #[must_use]
    pub fn reports(&self) -> &[ReportDecl] {
        &self.reports
    }

    /// Finds a declared kind of report.
    #[must_use]
    pub fn report(&self, service: &str, code: &str) -> Option<&ReportDecl> {
        let service = self.service(service)?;
        let position = *self.names.reports.get(service.0 as usize)?.get(code)?;
        self.reports.get(position)
    }

    /// Positions in [`Self::reports`] of those that a service declares, in no particular order.
    ///
    /// # Panics
    /// If the id is of another rulebook and beyond this one's services.
    pub fn reports_of(&self, service: ServiceId) -> impl ExactSizeIterator<Item = usize> {
        self.names.reports[service.0 as usize].values().copied()
    }

    /// `service/code` of the n-th declared report.
    #[must_use]
    pub fn report_name(&self, n: usize) -> String {
        self.reports.get(n).map_or(String::new(), |r| {
            format!("{}/{}", self.services[r.service.0 as usize].name, r.code)
        })
    }

    /// The rules of every pattern that some rule has, in no particular order; those of `*/*` even if there are none.
    pub fn rules_by_pattern(&self) -> impl Iterator<Item = &RulesOfPattern> {
        self.index.buckets()
    }

    /// The rules of each pattern that covers reports `service/code`, most specific first.
    pub fn rules_covering<'s>(
        &'s self,
        service: &str,
        code: &'s str,
    ) -> impl Iterator<Item = &'s RulesOfPattern> {
        self.index.covering(service, code)
    }

    /// All actions that a saga passing through `action` may have reached: everything reachable from every entry action
    /// (one that nobody calls) from which `action` is reachable. Sorted, includes `action`; computed once.
    #[must_use]
    pub fn saga_reach(&self, action: ActionId) -> &[ActionId] {
        self.graph.saga_reach(action)
    }

    /// Whether somebody calls `action` and goes on whatever comes of it: the call is tolerated, or an event.
    #[must_use]
    pub fn is_detached(&self, action: ActionId) -> bool {
        self.graph.is_detached(action)
    }

    /// Who sends a message to whom that nobody waits for.
    #[must_use]
    pub fn events(&self) -> &[(ActionId, ActionId)] {
        self.graph.events()
    }

    /// What failures of these actions concern, if that is not the whole saga: a failure below a call that is tolerated
    /// or that nobody waits for concerns what lies at and below that call. One failure from outside of all such calls,
    /// or of nobody knows what (none), concerns the whole saga.
    #[must_use]
    pub fn concerned_by(
        &self,
        failing: impl IntoIterator<Item = Option<ActionId>>,
    ) -> Option<BTreeSet<ActionId>> {
        let mut all = BTreeSet::new();
        for action in failing {
            all.extend(self.graph.concerned_by(action?)?);
        }
        (!all.is_empty()).then_some(all)
    }

    /// Transitive callees of `action`, without itself. Sorted; computed once.
    #[must_use]
    pub fn downstream(&self, action: ActionId) -> &[ActionId] {
        self.graph.downstream(action)
    }
}

/// Checks that rulebooks can live in one supervisor: their names differ, and no service belongs to two of them that is
/// not shared. The
/// spans point into [`sources_together`].
#[must_use]
pub fn check_together(books: &[Arc<Rulebook>]) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    let mut names: FxHashMap<&str, Span> = FxHashMap::default();
    let mut services: FxHashMap<&str, (Span, &str, bool)> = FxHashMap::default();
    let mut first_file = 0;
    for book in books {
        let shift = |span: Span| Span { file: span.file + first_file, ..span };
        let at = shift(book.name_span);
        if let Some(first) = names.get(book.name()) {
            found.push(Diagnostic {
                code: crate::codes::DUPLICATE_RULEBOOK,
                severity: Severity::Error,
                message: format!("two rulebooks are named `{}`", book.name()),
                at,
                label: "the same name again".to_owned(),
                related: vec![(*first, "first here".to_owned())],
                help: Some("give each rulebook of a supervisor its own name".to_owned()),
            });
        }
        names.entry(book.name()).or_insert(at);
        for service in book.services() {
            let at = shift(service.span);
            let (first, owner, shared) =
                *services.entry(&service.name).or_insert((at, book.name(), service.shared));
            if first != at && !(shared && service.shared) {
                let help = match shared || service.shared {
                    true => {
                        "both share it, or it belongs to one of them: import one manifest with `shared: true` in both"
                    }
                    false => {
                        "a report is answered by exactly one rulebook: keep the service in one of them; or let both import one manifest that says `shared: true`"
                    }
                };
                found.push(Diagnostic {
                    code: crate::codes::SERVICE_IN_TWO_RULEBOOKS,
                    severity: Severity::Error,
                    message: format!(
                        "service `{}` belongs to two rulebooks, `{owner}` and `{}`",
                        service.name,
                        book.name()
                    ),
                    at,
                    label: "declared again".to_owned(),
                    related: vec![(first, format!("first in `{owner}`"))],
                    help: Some(help.to_owned()),
                });
            }
        }
        first_file += book.sources().len();
    }
    found
}

/// The sources of all the books, one after another: what the spans of [`check_together`] point into.
#[must_use]
pub fn sources_together(books: &[Arc<Rulebook>]) -> Vec<SourceFile> {
    books.iter().flat_map(|b| b.sources().iter().cloned()).collect()
}
