//! A failure point: where it is, what has happened by then and what it needs; in words, as a code and as data.

use crate::places::{NeededStep, SagaState};
use amends_rulebook::{ActionId, NamedCall, Position, ReportDecl, Rulebook};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// One failure point.
#[derive(Clone, Debug)]
pub struct FailurePoint {
    /// The action that fails.
    pub action: ActionId,
    /// Where.
    pub position: Position,
    /// Optional calls that were made, directly or by others. Sorted.
    pub taken: Vec<ActionId>,
    /// Optional calls that were not made. Sorted.
    pub not_taken: Vec<ActionId>,
    /// What has happened by then.
    pub state: SagaState,
    /// The steps that answer it: one retry of the action if its failure is answered by running it again, else what
    /// undoes the state.
    pub needs: BTreeSet<NeededStep>,
    /// Declared reports that speak of this point, as positions in [`Rulebook::reports`].
    pub reports: Vec<usize>,
    /// The code of a report for this point: unique in its service.
    pub code: String,
}

/// All failure points of a rulebook.
#[derive(Clone, Debug)]
pub struct Derived {
    /// By action, in the order of its work; at most [`POINTS_LIMIT`](super::POINTS_LIMIT).
    pub points: Vec<FailurePoint>,
    /// How many there are. Saturates.
    pub total: u128,
}

impl FailurePoint {
    pub(super) fn long_code(&self, book: &Rulebook) -> String {
        let action = book.get(self.action);
        let dashed = |id: ActionId| {
            let name = &book.get(id).name;
            format!("{}-{}", name.service, name.action)
        };
        let called = |n: usize| action.calls.get(n).map_or(String::new(), |c| dashed(c.action));
        let mut code = match self.position {
            Position::Start if action.calls.is_empty() => format!("{}-failed", action.name.action),
            Position::Start => format!("{}-before-calls", action.name.action),
            Position::Sent(n) => format!("{}-sent-{}", action.name.action, called(n)),
            Position::After(n) => format!("{}-after-{}", action.name.action, called(n)),
        };
        if let Some(time) = self.time(book).filter(|time| *time > 1) {
            code += &format!("-{time}");
        }
        let own = self.called(book);
        for id in self.taken.iter().filter(|id| Some(**id) != own) {
            code += &format!("-with-{}", dashed(*id));
        }
        for id in &self.not_taken {
            code += &format!("-without-{}", dashed(*id));
        }
        code
    }

    /// Where the action fails, for people, e.g. ``after `delivery.request`, with `coupon.redeem` ``.
    #[must_use]
    pub fn in_words(&self, book: &Rulebook) -> String {
        let calls = &book.get(self.action).calls;
        let called =
            |n: usize| calls.get(n).map_or(String::new(), |c| book.get(c.action).name.to_string());
        let time = match self.time(book) {
            Some(time) if time > 1 => format!(" (call {time} of it)"),
            _ => String::new(),
        };
        let mut text = match self.position {
            Position::Start if calls.is_empty() => "in its own work".to_owned(),
            Position::Start => "before any call".to_owned(),
            Position::Sent(n) => format!("sent `{}`{time}, answer unknown", called(n)),
            Position::After(n) => format!("after `{}`{time}", called(n)),
        };
        let names = |ids: &[ActionId]| {
            let all: Vec<_> = ids.iter().map(|id| format!("`{}`", book.get(*id).name)).collect();
            all.join(", ")
        };
        let own = self.called(book);
        let with: Vec<ActionId> =
            self.taken.iter().copied().filter(|id| Some(*id) != own).collect();
        if !with.is_empty() {
            text += &format!(", with {}", names(&with));
        }
        if !self.not_taken.is_empty() {
            text += &format!(", without {}", names(&self.not_taken));
        }
        text
    }

    /// The call that it stands at.
    fn called(&self, book: &Rulebook) -> Option<ActionId> {
        match self.position {
            Position::Start => None,
            Position::Sent(n) | Position::After(n) => {
                book.get(self.action).calls.get(n).map(|c| c.action)
            }
        }
    }

    /// How often the call that it stands at has been made by then.
    pub(crate) fn time(&self, book: &Rulebook) -> Option<usize> {
        let (Position::Sent(n) | Position::After(n)) = self.position else {
            return None;
        };
        if self.called(book).is_some_and(|id| self.not_taken.binary_search(&id).is_ok()) {
            return Some(1); // it was left out before
        }
        Some(book.get(self.action).calls.time_of(n, |_| true))
    }

    /// The report that a service would declare to speak of this point. None where nothing that it could say of its
    /// calls tells the point from another one.
    pub(super) fn declaration(&self, book: &Rulebook) -> Option<ReportDecl> {
        let action = book.get(self.action);
        let at = self.called(book);
        let is_sent = matches!(self.position, Position::Sent(_));
        // An action that is called several times is named as often as it has answered.
        let answered = self.time(book).map_or(0, |times| times - usize::from(is_sent));
        let own = at.into_iter().flat_map(|id| std::iter::repeat_n(id, answered));
        let taken = self.taken.iter().copied().filter(|id| Some(*id) != at);
        let report = ReportDecl {
            service: action.service,
            code: self.code.as_str().into(),
            action: Some(self.action),
            anywhere: false,
            sent: at.filter(|_| is_sent),
            after: own.chain(taken).map(NamedCall::of).collect(),
            without: self.not_taken.iter().copied().map(NamedCall::of).collect(),
            keep: false,
            data: None,
            span: action.span,
        };
        let is_read_so = report.position(book) == Some(self.position);
        (is_read_so && !report.is_contradictory(book)).then_some(report)
    }

    /// Whether any declared report speaks of it.
    #[must_use]
    pub fn is_declared(&self) -> bool {
        !self.reports.is_empty()
    }
}

impl Derived {
    /// Points of which no declared report speaks: they are answered by the rules for whole services, or the default.
    pub fn silent(&self) -> impl Iterator<Item = &FailurePoint> {
        self.points.iter().filter(|p| !p.is_declared())
    }

    /// As data: `points` and `total`; each point with action, place, code, what happened, what is needed, and the
    /// declared reports that speak of it.
    #[must_use]
    pub fn to_json(&self, book: &Rulebook) -> Value {
        let name = |id: &ActionId| book.get(*id).name.to_string();
        let names = |ids: &BTreeSet<ActionId>| ids.iter().map(name).collect::<Vec<_>>();
        let points: Vec<Value> = self
            .points
            .iter()
            .map(|p| {
                let needs: Vec<_> = p
                    .needs
                    .iter()
                    .map(|(verb, id)| json!({ "verb": verb, "action": name(id) }))
                    .collect();
                json!({
                    "action": name(&p.action),
                    "place": p.in_words(book).replace('`', ""),
                    "code": p.code,
                    "happened": names(&p.state.happened),
                    "perhaps": names(&p.state.maybe),
                    "needs": needs,
                    "reports": p.reports.iter().map(|n| book.report_name(*n)).collect::<Vec<_>>(),
                })
            })
            .collect();
        json!({ "points": points, "total": u64::try_from(self.total).unwrap_or(u64::MAX), "silent": self.silent().count() })
    }
}
