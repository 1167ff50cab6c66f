//! What the request of a step is about, where a mapped endpoint names one request or takes fields: whose fields. It is
//! chosen once; after a try that may have run it never changes, since the key doesn't either.

use crate::case::Case;
use crate::conflict::{Data, Statements, field};
use crate::heard::joined;
use crate::{Question, ReportRow, StepRow, StepState, Subject};
use amends_api::{Cause, StuckReason};
use amends_protocol::{ActionName, HistoryState, Salt};
use amends_rulebook::{Endpoint, Facts, Rulebook};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Why a step can't be asked for.
#[derive(Debug)]
pub(crate) struct Unsendable {
    /// For people.
    pub(crate) why: String,
    /// In a word.
    pub(crate) cause: Cause,
}

impl From<String> for Unsendable {
    fn from(why: String) -> Self {
        Self { why, cause: Cause::Unsendable }
    }
}

/// Sources of a step's fields that count before all others.
enum Rank<'a> {
    /// What was told of its one request.
    Told(Statements<'a>),
    /// Reports of the action's own service.
    Reports(Vec<&'a ReportRow>),
}

impl<'a> Rank<'a> {
    fn told(&self) -> Cow<'_, Statements<'a>> {
        match self {
            Self::Told(told) => Cow::Borrowed(told),
            Self::Reports(rows) => {
                let says = |row: &&'a ReportRow| {
                    let who = format!("{} in report {}", row.report.service(), row.report.id);
                    (who.into(), &row.report.data.data)
                };
                Cow::Owned(rows.iter().map(says).collect())
            }
        }
    }
}

impl Case {
    /// What the next try of a step is about; none for a participant that takes everything at once.
    ///
    /// # Errors
    /// Says for people why no choice is right.
    pub(crate) fn subject(
        &self,
        step: &StepRow,
        book: &Rulebook,
    ) -> Result<Option<Subject>, Unsendable> {
        let Some(endpoint) = endpoint_of(step, book) else {
            return Ok(step.extra.subject.clone());
        };
        if is_fixed(step) {
            return Ok(step.extra.subject.clone());
        }
        let demanding = self.report_for(step).map_or(0, |row| row.position);
        if step.extra.edited.is_some() {
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
    ) -> Result<Option<Subject>, Unsendable> {
        let request = step.request().cloned();
        if request.is_none() && endpoint.names_request() {
            return Err(Unsendable::from(format!(
                "the endpoint names a request of {}, and none is known: record the outcome, or retry when one is",
                step.action
            )));
        }
        let demanding = self.report_for(step).map_or(0, |row| row.position);
        let rank = self.rank(step, endpoint);
        let agreed = self.agreed(step, endpoint, book, &rank.told());
        let agreed = agreed.map_err(|open| to_be_chosen(&open))?;
        let (report, data) = match &rank {
            Rank::Told(_) => (demanding, Some(agreed)),
            Rank::Reports(rows) => match rows.first() {
                // The report itself is the source, but for what a person has put into it.
                Some(own) => {
                    (own.position, Some(agreed).filter(|data| matches!(data, Cow::Owned(_))))
                }
                None if self.is_one_of_several(step) && !endpoint.names_request() => {
                    return Err(Unsendable::from(self.nothing_tells_which(step)));
                }
                None => {
                    let report = self.report_with_fields(step, endpoint, book);
                    (report.map_or(demanding, |row| row.position), None)
                }
            },
        };
        let data = data.map(|data| Arc::new(data.into_owned()));
        Ok(Some(Subject { request, report: Some(report), data }))
    }

    /// The fields of a step of which its sources say different things, and nobody has chosen yet.
    pub(crate) fn undecided(&self, step: &StepRow, book: &Rulebook) -> Vec<Question> {
        let Some(endpoint) = endpoint_of(step, book) else { return Vec::new() };
        let takes_one = endpoint.is_for_one_request() && step.extra.edited.is_none();
        if !takes_one || is_fixed(step) {
            return Vec::new();
        }
        let rank = self.rank(step, endpoint);
        self.agreed(step, endpoint, book, &rank.told()).err().unwrap_or_default()
    }

    /// Whose word counts first for a step's fields: who told of its very request, the own service before callers; else
    /// the own service's reports, those about that request before others. All have all fields.
    fn rank(&self, step: &StepRow, endpoint: &Endpoint) -> Rank<'_> {
        let request = step.request();
        if let Some(request) = request {
            let told = self.heard().data_of(&step.action, request);
            let complete: Vec<_> = told.filter(|(_, data)| has_fields(data, endpoint)).collect();
            if let Some((first, _)) = complete.first() {
                let is_own = |by: &str| *by == *step.action.service;
                let same = complete.iter().filter(|(by, _)| is_own(by) == is_own(first));
                return Rank::Told(same.map(|(by, data)| (Arc::clone(by), *data)).collect());
            }
        }
        let own = self.reports.iter().filter(|row| *row.report.service() == *step.action.service);
        let own = own.filter(|row| has_fields(&row.report.data.data, endpoint));
        let mut own: Vec<&ReportRow> = own.collect();
        own.sort_by_key(|row| (&row.report.source, &row.report.id));
        let is_about = |row: &&&ReportRow| {
            request.is_some_and(|it| row.report.data.request_id.as_deref() == Some(it))
        };
        let about: Vec<&ReportRow> = own.iter().filter(is_about).copied().collect();
        Rank::Reports(match about.is_empty() {
            true if self.is_one_of_several(step) && !endpoint.names_request() => Vec::new(),
            true => own,
            false => about,
        })
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
        let is_asked = step.attempts > 0 && (step.extra.may_have_run || step.extra.key.is_none());
        if is_asked {
            return step.extra.key.clone();
        }
        let request = about.request.as_deref();
        let generation = step.extra.generation;
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
        let generation = step.extra.generation.saturating_add(1);
        let request = step.request().map(|request| &**request);
        let key = salt.key(&self.row.saga, step.verb, &step.action, request, generation);
        let extra = &mut self.step_mut(index).extra;
        extra.generation = generation;
        extra.key = Some(key.into());
        extra.asked = None;
        if let Some(subject) = &mut extra.subject {
            subject.forget_source();
        }
    }

    /// New evidence or a new report has brought what a request lacked. One that was found unsendable as it is stays so
    /// however often it is put together: what has to change then is the rulebook, the configuration or the service.
    pub(crate) fn can_be_built_now(&self, index: usize, book: &Rulebook) -> bool {
        let step = &self.steps[index];
        let is_asked = step.extra.may_have_run && step.extra.asked.is_some();
        if step.state != StepState::Stuck(StuckReason::Unsendable) || is_asked {
            return false;
        }
        let subject = self.subject(step, book).ok().flatten();
        if subject == step.extra.subject {
            return false;
        }
        endpoint_of(step, book).zip(subject).is_some_and(|(endpoint, subject)| {
            self.fields_of(step, &subject).is_some_and(|data| has_fields(data, endpoint))
        })
    }

    /// Where a request takes its fields from.
    pub(crate) fn fields_of<'a>(
        &'a self,
        step: &'a StepRow,
        subject: &'a Subject,
    ) -> Option<&'a Data> {
        let told = step.extra.edited.as_deref().or(subject.data.as_deref());
        let report = || self.reports.get(subject.report? as usize).map(|row| &row.report.data.data);
        told.or_else(report)
    }

    /// Whether what was told of a request says nothing else than what a step has asked for already.
    pub(crate) fn asked_the_same(&self, step: &StepRow, request: &str, book: &Rulebook) -> bool {
        let Some(endpoint) = endpoint_of(step, book) else { return true };
        let subject = step.extra.subject.clone().unwrap_or_default();
        let Some(asked) = self.fields_of(step, &subject) else { return true };
        let mut told = self.heard().data_of(&step.action, request);
        let Some((_, told)) = told.find(|(_, data)| has_fields(data, endpoint)) else {
            return true;
        };
        endpoint.data_fields().all(|path| field(asked, path) == field(told, path))
    }

    /// Whether a service may call an action. Where the rulebook names nobody who does, anybody may.
    pub(crate) fn callers_of(&self, action: &ActionName) -> impl Fn(&str) -> bool + use<> {
        let book = self.book.as_ref();
        let id = book.and_then(|book| book.action(&action.service, &action.action));
        let callers = book.zip(id).map(|(book, id)| {
            let services = book.callers(id).iter().map(|id| &book.get(*id).name.service);
            services.cloned().collect::<Vec<_>>()
        });
        let callers = callers.unwrap_or_default();
        move |by| callers.is_empty() || callers.iter().any(|caller| **caller == *by)
    }

    /// The requests of an action with what is known of each.
    pub(crate) fn requests_of(&self, action: &ActionName) -> BTreeMap<Arc<str>, HistoryState> {
        let words = self.heard().best_words(action, self.callers_of(action));
        words.filter_map(|(id, states)| Some((Arc::clone(id), joined(states)?))).collect()
    }

    /// What is known of one request of an action.
    pub(crate) fn state_of(&self, action: &ActionName, request: &str) -> Option<HistoryState> {
        joined(self.heard().best_word(action, request, self.callers_of(action)))
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

/// For people, until they have chosen.
fn to_be_chosen(open: &[Question]) -> Unsendable {
    let said: Vec<String> = open.iter().map(Question::sentence).collect();
    let why =
        format!("{}: choose the right one (`amends questions`), or edit the step", said.join("; "));
    Unsendable { why, cause: Cause::Question }
}

/// The endpoint that a step is asked for by, if its service has one of its own.
pub(crate) fn endpoint_of<'b>(step: &StepRow, book: &'b Rulebook) -> Option<&'b Endpoint> {
    let action = book.get(book.action(&step.action.service, &step.action.action)?);
    action.endpoints.get(step.verb)
}

/// Whether what a step is about can't change any more: a try of it may have run.
fn is_fixed(step: &StepRow) -> bool {
    let is_chosen = step.extra.subject.as_ref().is_some_and(|subject| subject.report.is_some());
    step.extra.may_have_run && is_chosen
}

pub(crate) fn has_fields(data: &Data, endpoint: &Endpoint) -> bool {
    endpoint.data_fields().all(|path| field(data, path).is_some())
}
