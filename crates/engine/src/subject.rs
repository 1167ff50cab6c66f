//! What the request of a step is about, where a mapped endpoint names one request or takes fields: whose fields. It is
//! chosen once; after a try that may have run it never changes, since the key doesn't either.

use crate::case::Case;
use crate::heard::joined;
use crate::{ReportRow, StepRow, StepState, Subject};
use amends_protocol::{ActionName, HistoryState, Salt, StuckReason};
use amends_rulebook::{Endpoint, Facts, Rulebook};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::sync::Arc;

type Data = Map<String, Value>;

impl Case {
    /// What the next try of a step is about; none for a participant that takes everything at once.
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
            return Ok(step.memo.subject.clone());
        };
        let chosen = step.memo.subject.as_ref().filter(|subject| subject.report.is_some());
        if step.memo.may_have_run
            && let Some(subject) = chosen
        {
            return Ok(Some(subject.clone()));
        }
        let demanding = self.report_for(step).map_or(0, |row| row.position);
        if step.memo.edited.is_some() {
            let request = step.request().cloned();
            return Ok(Some(Subject { request, report: Some(demanding), data: None }));
        }
        match endpoint.is_for_one_request() {
            true => self.subject_of_request(step, endpoint, book),
            false => {
                let report = self.report_with_fields(step, endpoint, book);
                let report = Some(report.map_or(0, |row| row.position));
                Ok(Some(Subject { report, ..Subject::default() }))
            }
        }
    }

    fn subject_of_request(
        &self,
        step: &StepRow,
        endpoint: &Endpoint,
        book: &Rulebook,
    ) -> Result<Option<Subject>, String> {
        let request = step.request().cloned();
        if request.is_none() && endpoint.names_request() {
            return Err(format!(
                "the endpoint names a request of {}, and none is known: record the outcome, or retry when one is",
                step.action
            ));
        }
        let demanding = self.report_for(step).map_or(0, |row| row.position);
        if let Some(request) = &request
            && let Some(data) = self.own_data(step, request, endpoint)?
        {
            let (request, data) = (Some(Arc::clone(request)), Some(Arc::new(data.clone())));
            return Ok(Some(Subject { request, report: Some(demanding), data }));
        }
        let report = match self.report_about(step, request.as_deref(), endpoint)? {
            Some(own) => Some(own),
            None if self.is_one_of_several(step) && !endpoint.names_request() => {
                return Err(self.nothing_tells_which(step));
            }
            None => self.report_with_fields(step, endpoint, book),
        };
        let report = Some(report.map_or(demanding, |row| row.position));
        Ok(Some(Subject { request, report, data: None }))
    }

    /// What was told of this one request and has all fields.
    ///
    /// # Errors
    /// Two witnesses of one rank, its own service or callers, name different places for it.
    fn own_data(
        &self,
        step: &StepRow,
        request: &str,
        endpoint: &Endpoint,
    ) -> Result<Option<&Data>, String> {
        let told = self.heard().data_of(&step.action, request);
        let complete: Vec<_> = told.filter(|(_, data)| has_fields(data, endpoint)).collect();
        let is_own = |by: &str| *by == *step.action.service;
        let Some((first, data)) = complete.first() else { return Ok(None) };
        let same_rank = complete.iter().filter(|(by, _)| is_own(by) == is_own(first));
        let same_rank = same_rank.map(|(by, data)| (&***by, *data));
        agree(step, request, endpoint, same_rank)?;
        Ok(Some(data))
    }

    /// A report of the action's own service that has all fields: one about this request before others.
    ///
    /// # Errors
    /// Two of them name different places.
    fn report_about(
        &self,
        step: &StepRow,
        request: Option<&str>,
        endpoint: &Endpoint,
    ) -> Result<Option<&ReportRow>, String> {
        let own = self.reports.iter().filter(|row| *row.report.service() == *step.action.service);
        let own = own.filter(|row| has_fields(&row.report.data.data, endpoint));
        let own: Vec<&ReportRow> = own.collect();
        let is_about = |row: &&&ReportRow| {
            request.is_some() && row.report.data.request_id.as_deref() == request
        };
        let about: Vec<&ReportRow> = own.iter().filter(is_about).copied().collect();
        let rank = match about.is_empty() {
            true if self.is_one_of_several(step) && !endpoint.names_request() => Vec::new(),
            true => own,
            false => about,
        };
        let told = rank.iter().map(|row| (row.report.id.as_str(), &row.report.data.data));
        agree(step, request.unwrap_or("its request"), endpoint, told)?;
        Ok(rank.into_iter().min_by_key(|row| (&row.report.source, &row.report.id)))
    }

    fn is_one_of_several(&self, step: &StepRow) -> bool {
        let rows = self.rows_of_step(step);
        rows.filter(|row| self.steps[*row].request().is_some()).count() > 1
    }

    fn nothing_tells_which(&self, step: &StepRow) -> String {
        let rows = self.rows_of_step(step).filter_map(|row| self.steps[row].request());
        let mut names: Vec<String> = rows.map(|request| format!("`{request}`")).collect();
        names.sort();
        format!(
            "{} requests of {} may have taken effect ({}), and nothing tells the fields of each: edit or record each part, give `data` with the evidence, or say `covers: saga` in the rulebook if one request undoes them all",
            names.len(),
            step.action,
            names.join(", "),
        )
    }

    /// The key that the next try of a mapped request goes out under; none where that is the step's id, as of steps that
    /// were asked for before keys were derived.
    pub(crate) fn key_for(
        &self,
        index: usize,
        about: &Subject,
        book: &Rulebook,
        salt: Salt,
    ) -> Option<Arc<str>> {
        let step = &self.steps[index];
        let action = book.action(&step.action.service, &step.action.action)?;
        book.get(action).endpoints.get(step.verb)?;
        let is_asked = step.attempts > 0 && (step.memo.may_have_run || step.memo.key.is_none());
        if is_asked {
            return step.memo.key.clone();
        }
        let request = about.request.as_deref();
        let generation = step.memo.generation;
        Some(salt.key(&self.row.saga, step.verb, &step.action, request, generation).into())
    }

    /// Whether a step is asked for by an endpoint of the service's own.
    pub(crate) fn is_mapped(&self, step: &StepRow) -> bool {
        let book = self.book.as_deref();
        let action = book.and_then(|book| {
            Some(book.get(book.action(&step.action.service, &step.action.action)?))
        });
        action.is_some_and(|action| action.endpoints.get(step.verb).is_some())
    }

    /// From now on another key, and with it another choice of what is asked.
    pub(crate) fn ask_anew(&mut self, index: usize, salt: Salt) {
        let step = &self.steps[index];
        let generation = step.memo.generation.saturating_add(1);
        let request = step.request().map(|request| &**request);
        let key = salt.key(&self.row.saga, step.verb, &step.action, request, generation);
        let memo = &mut self.step_mut(index).memo;
        memo.generation = generation;
        memo.key = Some(key.into());
        memo.asked = None;
        if let Some(subject) = &mut memo.subject {
            subject.report = None;
            subject.data = None;
        }
    }

    /// New evidence or a new report may have brought what a request lacked.
    pub(crate) fn can_be_built_now(&self, index: usize, book: &Rulebook) -> bool {
        let step = &self.steps[index];
        let is_asked = step.memo.may_have_run && step.memo.asked.is_some();
        if step.state != StepState::Stuck(StuckReason::Unsendable) || is_asked {
            return false;
        }
        let action = book.action(&step.action.service, &step.action.action).map(|id| book.get(id));
        let endpoint = action.and_then(|action| action.endpoints.get(step.verb));
        let subject = self.subject(step, book).ok().flatten();
        endpoint.zip(subject).is_some_and(|(endpoint, subject)| {
            self.fields_of(step, &subject).is_some_and(|data| has_fields(data, endpoint))
        })
    }

    /// Where a request takes its fields from.
    pub(crate) fn fields_of<'a>(
        &'a self,
        step: &'a StepRow,
        subject: &'a Subject,
    ) -> Option<&'a Data> {
        let told = step.memo.edited.as_deref().or(subject.data.as_deref());
        let report = || self.reports.get(subject.report? as usize).map(|row| &row.report.data.data);
        told.or_else(report)
    }

    /// Whether what was told of a request says nothing else than what a step has asked for already.
    pub(crate) fn asked_the_same(&self, step: &StepRow, request: &str, book: &Rulebook) -> bool {
        let action = book.action(&step.action.service, &step.action.action).map(|id| book.get(id));
        let endpoint = action.and_then(|action| action.endpoints.get(step.verb));
        let Some(endpoint) = endpoint else { return true };
        let subject = step.memo.subject.clone().unwrap_or_default();
        let Some(asked) = self.fields_of(step, &subject) else { return true };
        let mut told = self.heard().data_of(&step.action, request);
        let Some((_, told)) = told.find(|(_, data)| has_fields(data, endpoint)) else {
            return true;
        };
        endpoint.data_fields().all(|path| field(asked, path) == field(told, path))
    }

    /// The requests of an action with what is known of each.
    pub(crate) fn requests_of(&self, action: &ActionName) -> BTreeMap<Arc<str>, HistoryState> {
        let words = self.heard().best_words(action);
        words.filter_map(|(id, states)| Some((Arc::clone(id), joined(states)?))).collect()
    }

    /// The first report that has all fields of the request: one of the service itself, the one that demands the step,
    /// others, those nearest by calls first; if none has, the one that demands it.
    fn report_with_fields(
        &self,
        step: &StepRow,
        endpoint: &Endpoint,
        book: &Rulebook,
    ) -> Option<&ReportRow> {
        let demands = self.report_for(step);
        let to = book.action(&step.action.service, &step.action.action);
        let mut others: Vec<&ReportRow> = self.reports.iter().collect();
        others.sort_by_cached_key(|row| {
            let is_own = *row.report.service() == *step.action.service;
            let of_root = demands.is_some_and(|demands| demands.position == row.position);
            let facts = Facts::of(&row.report);
            let distance = to.and_then(|to| Self::call_distance(book, &facts, to));
            let distance = distance.unwrap_or(usize::MAX);
            (!is_own, !of_root, distance, row.report.source.clone(), row.report.id.clone())
        });
        let complete = |row: &&ReportRow| has_fields(&row.report.data.data, endpoint);
        others.into_iter().find(complete).or(demands)
    }
}

/// Whether witnesses of equal standing name the same place: the fields in the path.
///
/// # Errors
/// Names field, values and witnesses.
fn agree<'a>(
    step: &StepRow,
    request: &str,
    endpoint: &Endpoint,
    told: impl Iterator<Item = (&'a str, &'a Data)> + Clone,
) -> Result<(), String> {
    for path in endpoint.path.fields().filter_map(|name| name.strip_prefix("data.")) {
        let mut said = told.clone().map(|(by, data)| (by, field(data, path)));
        let Some((first, value)) = said.next() else { return Ok(()) };
        if let Some((other, another)) = said.find(|(_, another)| *another != value) {
            let [value, another] =
                [value, another].map(|v| v.map_or_else(String::new, Value::to_string));
            return Err(format!(
                "for {request} of {} `{first}` says {path} = {value}, and `{other}` says {another}: edit the step with the right one",
                step.action
            ));
        }
    }
    Ok(())
}

fn field<'a>(data: &'a Data, path: &str) -> Option<&'a Value> {
    let mut keys = path.split('.');
    let first = data.get(keys.next()?)?;
    keys.try_fold(first, |value, key| value.get(key)).filter(|value| **value != Value::Null)
}

fn has_fields(data: &Data, endpoint: &Endpoint) -> bool {
    endpoint.data_fields().all(|path| field(data, path).is_some())
}
