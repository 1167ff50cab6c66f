//! What the request of a step is about, where a mapped endpoint names one request or takes fields of a report: which of
//! several. It is chosen once; after a try that may have run it never changes, since the key doesn't either.

use crate::case::Case;
use crate::heard::joined;
use crate::{ReportRow, StepRow, StepState, Subject};
use amends_protocol::{ActionName, HistoryState, Salt, StuckReason, Verb};
use amends_rulebook::{Endpoint, Rulebook};
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;

impl Case {
    /// What the next try of a step is about; none for the participant protocol, which takes everything at once.
    ///
    /// # Errors
    /// Says for people why no choice is right.
    pub(crate) fn subject(
        &self,
        step: &StepRow,
        book: &Rulebook,
    ) -> Result<Option<Subject>, String> {
        let action = book.action(&step.action.service, &step.action.action).map(|id| book.get(id));
        let Some(endpoint) = action.and_then(|action| action.endpoints.get(step.verb)) else {
            return Ok(None);
        };
        if step.memo.may_have_run
            && let Some(subject) = &step.memo.subject
        {
            return Ok(Some(subject.clone()));
        }
        let requests = self.requests_of(&step.action);
        let open = || requests.iter().filter(|(_, state)| state.may_have_effect());
        let several = step.verb == Verb::Compensate && open().count() > 1;
        if several && step.memo.edited.is_none() && is_about_one(endpoint) {
            let names: Vec<_> = open().map(|(id, _)| format!("`{id}`")).collect();
            return Err(format!(
                "{} requests of {} may have taken effect ({}), and one request to this endpoint undoes one of them: undo them by hand and record it, or say `covers: saga` in the rulebook if one is enough",
                names.len(),
                step.action,
                names.join(", "),
            ));
        }
        let request =
            open().next().or_else(|| requests.iter().next()).map(|(id, _)| Arc::clone(id));
        let report = self.report_with_fields(step, endpoint).map_or(0, |row| row.position);
        Ok(Some(Subject { report, request }))
    }

    /// The key that the next try of a mapped request goes out under; none where that is the step's id, as of steps that
    /// were asked for before keys were derived.
    pub(crate) fn key_for(&self, index: usize, about: &Subject, salt: Salt) -> Option<Arc<str>> {
        let step = &self.steps[index];
        let is_asked = step.attempts > 0 && (step.memo.may_have_run || step.memo.key.is_none());
        if is_asked {
            return step.memo.key.clone();
        }
        let request = about.request.as_deref();
        Some(salt.key(&self.row.saga, step.verb, &step.action, request, 0).into())
    }

    /// New evidence or a new report may have brought what a request lacked.
    pub(crate) fn can_be_built_now(&self, index: usize, book: &Rulebook) -> bool {
        let step = &self.steps[index];
        let action = book.action(&step.action.service, &step.action.action).map(|id| book.get(id));
        step.state == StepState::Stuck(StuckReason::Unsendable)
            && action.and_then(|action| action.endpoints.get(step.verb)).is_some_and(|endpoint| {
                let report = self.report_with_fields(step, endpoint);
                report.is_some_and(|row| has_fields(row, endpoint))
                    && self.subject(step, book).is_ok()
            })
    }

    /// Says which requests of an action may still stand though its step is about another one, which was undone or may
    /// have been: they came to be known too late for its key.
    pub(crate) fn note_requests_left(&mut self, book: &Rulebook) {
        let left: Vec<String> = self.steps.iter().filter_map(|s| self.left(s, book)).collect();
        left.into_iter().for_each(|text| self.note(text));
    }

    fn left(&self, step: &StepRow, book: &Rulebook) -> Option<String> {
        let about = step.memo.subject.as_ref()?.request.as_ref()?;
        let asked = step.memo.may_have_run || matches!(step.state, StepState::Done(_));
        let action = book.action(&step.action.service, &step.action.action)?;
        let endpoint = book.get(action).endpoints.get(step.verb)?;
        if !asked || step.verb != Verb::Compensate || !is_about_one(endpoint) {
            return None;
        }
        let requests = self.requests_of(&step.action);
        let open = requests.iter().filter(|(id, state)| *id != about && state.may_have_effect());
        let names: Vec<_> = open.map(|(id, _)| format!("`{id}`")).collect();
        (!names.is_empty()).then(|| {
            let (action, names) = (&step.action, names.join(", "));
            format!(
                "{action}: {names} may still stand; only `{about}` is undone, undo the rest by hand"
            )
        })
    }

    /// The requests of an action with what is known of each.
    pub(crate) fn requests_of(&self, action: &ActionName) -> BTreeMap<Arc<str>, HistoryState> {
        let words = self.heard().best_words(action);
        words.filter_map(|(id, states)| Some((Arc::clone(id), joined(states)?))).collect()
    }

    /// The first report that has all fields of the request: one of the service itself, the one that demands the step,
    /// others; if none has, the one that demands it.
    fn report_with_fields(&self, step: &StepRow, endpoint: &Endpoint) -> Option<&ReportRow> {
        let demands = self.report_for(step);
        let own = self.reports.iter().filter(|row| *row.report.service() == *step.action.service);
        let mut others: Vec<&ReportRow> = self.reports.iter().collect();
        others.sort_by(|a, b| {
            (&a.report.source, &a.report.id).cmp(&(&b.report.source, &b.report.id))
        });
        let mut all = own.chain(demands).chain(others);
        all.find(|row| has_fields(row, endpoint)).or(demands)
    }
}

/// Whether one request to the endpoint can be about one request of the saga only.
fn is_about_one(endpoint: &Endpoint) -> bool {
    let fields = endpoint.placeholders();
    fields.contains(&"requestId")
        || (!endpoint.covers_saga && fields.iter().any(|field| field.starts_with("data.")))
}

fn has_fields(row: &ReportRow, endpoint: &Endpoint) -> bool {
    endpoint.placeholders().into_iter().filter_map(|field| field.strip_prefix("data.")).all(
        |path| {
            let mut keys = path.split('.');
            let first = keys.next().and_then(|key| row.report.data.data.get(key));
            let found = first.and_then(|first| keys.try_fold(first, |value, key| value.get(key)));
            found.is_some_and(|value| *value != Value::Null)
        },
    )
}
