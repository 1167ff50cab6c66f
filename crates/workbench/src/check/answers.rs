//! Which rules can answer a kind of report, by what is declared of it: its action and the fields that it carries.

use crate::places::callers;
use amends_rulebook::value_set::Found;
use amends_rulebook::{ActionId, Condition, DataField, Field, ReportDecl, Rule, RuleId, Rulebook};
use serde_json::Value;
use std::sync::Arc;

/// What is known of a kind of report before one comes.
#[derive(Clone, Copy)]
pub(super) struct About<'a> {
    /// The action that fails.
    action: Option<ActionId>,
    /// The business fields that it carries; none if it doesn't say.
    data: Option<&'a [DataField]>,
}

/// What a kind of report holds at a field.
#[derive(Clone, Copy, PartialEq)]
enum Held {
    Anything,
    /// An object with fields of its own, or nothing.
    Object,
    Nothing,
}

impl<'a> About<'a> {
    pub(super) fn of(report: &'a ReportDecl) -> Self {
        Self { action: report.action, data: report.data.as_deref() }
    }

    /// Its fields alone.
    pub(super) fn fields_of(report: &'a ReportDecl) -> Self {
        Self { action: None, data: report.data.as_deref() }
    }

    fn held(&self, path: &[Arc<str>]) -> Held {
        let Some(data) = self.data else {
            return Held::Anything;
        };
        let mut held = Held::Nothing;
        for carried in data {
            let (mut ours, mut theirs) = (path.iter(), carried.path.split('.'));
            loop {
                match (ours.next(), theirs.next()) {
                    (Some(a), Some(b)) if **a == *b => {}
                    (Some(_), Some(_)) => break,
                    // What lies inside a field that is carried may be there.
                    (_, None) => return Held::Anything,
                    (None, Some(_)) => {
                        held = Held::Object;
                        break;
                    }
                }
            }
        }
        held
    }

    /// What a report that says where its saga began, or who called, may say; none if its action is not known.
    fn way(&self, book: &Rulebook, field: &Field) -> Option<Vec<ActionId>> {
        let action = self.action?;
        if *field == Field::Caller {
            return Some(book.callers(action).to_vec());
        }
        let above = callers(book, action).into_iter().chain([action]);
        Some(above.filter(|id| book.callers(*id).is_empty()).collect())
    }

    /// Whether some such report meets the condition.
    pub(super) fn can_meet(&self, book: &Rulebook, condition: &Condition) -> bool {
        let accepts = condition.accepts();
        match &condition.field {
            Field::Action => self.action.is_none_or(|id| names(book, id, condition)),
            Field::Message => true,
            Field::Entry | Field::Caller => {
                let told =
                    |id: &ActionId| accepts.contains(Found::Text(&book.get(*id).name.to_string()));
                accepts.accepts_absent()
                    || self.way(book, &condition.field).is_none_or(|ids| ids.iter().any(told))
            }
            Field::Data(path) => match self.held(path) {
                Held::Anything => true,
                Held::Object => accepts.accepts_absent() || accepts.contains(Found::Nested),
                Held::Nothing => accepts.accepts_absent(),
            },
        }
    }

    /// Whether such a report can hold this; none is nothing.
    pub(super) fn can_hold(&self, book: &Rulebook, field: &Field, value: Option<&Value>) -> bool {
        match field {
            Field::Action => self
                .action
                .is_none_or(|id| value.and_then(Value::as_str) == Some(&*book.get(id).name.action)),
            Field::Message => true,
            Field::Entry | Field::Caller => {
                let named = |id: &ActionId| {
                    value.and_then(Value::as_str) == Some(&*book.get(*id).name.to_string())
                };
                value.is_none() || self.way(book, field).is_none_or(|ids| ids.iter().any(named))
            }
            Field::Data(path) => match self.held(path) {
                Held::Anything => true,
                Held::Object => value.is_none_or(|v| Found::from(v) == Found::Nested),
                Held::Nothing => value.is_none(),
            },
        }
    }

    /// Whether every such report meets the condition.
    fn must_meet(&self, book: &Rulebook, condition: &Condition) -> bool {
        let accepts = condition.accepts();
        match &condition.field {
            Field::Action => self.action.is_some_and(|id| names(book, id, condition)),
            Field::Message | Field::Entry | Field::Caller => false,
            Field::Data(path) => match self.held(path) {
                Held::Anything => false,
                Held::Object => accepts.accepts_absent() && accepts.contains(Found::Nested),
                Held::Nothing => accepts.accepts_absent(),
            },
        }
    }
}

/// Rules that can answer the report, most specific first: of each pattern those with conditions, until one that answers
/// all that are left stops the search. The flag tells whether such a one was found, so that no report stays unanswered.
pub(super) fn answers_to(book: &Rulebook, report: &ReportDecl) -> (Vec<RuleId>, bool) {
    let service = &book.services()[report.service.0 as usize].name;
    search(book, service, &report.code, About::of(report))
}

/// The same for `service/code` of `action`, whose fields are unknown.
pub(crate) fn answers(
    book: &Rulebook,
    service: &str,
    code: &str,
    action: Option<ActionId>,
) -> (Vec<RuleId>, bool) {
    search(book, service, code, About { action, data: None })
}

fn search(book: &Rulebook, service: &str, code: &str, about: About<'_>) -> (Vec<RuleId>, bool) {
    let mut all = Vec::new();
    for bucket in book.rules_covering(service, code) {
        for id in &bucket.conditional {
            let rule = book.rule(*id);
            if rule.when.iter().all(|c| about.can_meet(book, c)) {
                all.push(*id);
            }
            if rule.when.iter().all(|c| about.must_meet(book, c)) {
                // No two rules of one pattern meet, so the others of it answer nothing.
                return (all, true);
            }
        }
        if let Some(rule) = bucket.unconditional.first() {
            all.push(*rule);
            return (all, true);
        }
    }
    (all, false)
}

/// Whether the rule's conditions allow this action.
pub(super) fn can_be_about(book: &Rulebook, rule: &Rule, action: ActionId) -> bool {
    let about = rule.when.iter().filter(|c| c.field == Field::Action);
    about.into_iter().all(|c| names(book, action, c))
}

fn names(book: &Rulebook, action: ActionId, condition: &Condition) -> bool {
    condition.accepts().contains(Found::Text(&book.get(action).name.action))
}
