//! What is kept in memory of a case that is only in the store: enough to tell people of it, and to know whether a timer
//! or a place in a queue is still about something. The same of a case in memory is made when it is asked for.

use crate::case::Case;
use crate::service_queue::EffectKey;
use crate::{Partition, Question, RulebookRef, StepRow, StepState};
use amends_api::{CaseState, Cause, Money, QuestionKind, StuckReason};
use amends_protocol::{ActionName, CaseId, Outcome, StepId, Timestamp, Verb};
use amends_rulebook::{Rule, Rulebook};
use message_fingerprint::message_fingerprint;
use std::collections::BTreeSet;
use std::mem::{size_of, size_of_val};
use std::sync::Arc;

pub(crate) mod message_fingerprint;

/// A case in short.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Brief {
    pub(crate) state: CaseState,
    /// That of its saga.
    pub(crate) partition: Partition,
    /// It has not been worked on since the start: what was under way then is not known to be over yet.
    pub(crate) from_start: bool,
    /// The steps and readings here are due earlier than the store knows.
    pub(crate) expedited: bool,
    pub(crate) opened_at: Timestamp,
    /// The shortest objective of the rules that answer its reports, and that rule's label.
    pub(crate) objective: Option<(u64, Arc<str>)>,
    /// The version that it is planned with.
    pub(crate) version: Option<RulebookRef>,
    /// Labels of the rules that answer its reports.
    pub(crate) rules: Box<[Arc<str>]>,
    /// Of a case that no rule answers.
    pub(crate) unmatched: Option<Box<BriefReport>>,
    /// Steps that are not finished.
    pub(crate) steps: Box<[BriefStep]>,
    /// Steps that ended with an outcome: their service, and whether a person decided to go without.
    pub(crate) done: Box<[(Arc<str>, bool)]>,
    /// Histories that have not answered.
    pub(crate) histories: Box<[BriefQuery]>,
    /// What is in doubt.
    pub(crate) questions: Box<[BriefQuestion]>,
    /// Strangers that it knows and that a person has said to ignore.
    pub(crate) ignored: Box<[ActionName]>,
    /// How much it is about.
    pub(crate) amounts: Box<[Money]>,
}

/// An open question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BriefQuestion {
    /// Without its statements.
    pub(crate) question: Question,
    /// As it is put to people.
    pub(crate) sentence: Arc<str>,
    /// When its case changed last.
    pub(crate) since: Timestamp,
}

/// A report that no rule answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BriefReport {
    /// `service/code` of the case's first report.
    pub(crate) report: Arc<str>,
    pub(crate) message: Option<Arc<str>>,
    pub(crate) since: Timestamp,
}

/// A step that is not finished.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BriefStep {
    pub(crate) ordinal: u32,
    pub(crate) tag: u64,
    pub(crate) verb: Verb,
    pub(crate) service: Arc<str>,
    pub(crate) action: Arc<str>,
    pub(crate) standing: Standing,
    pub(crate) was_tried: bool,
    /// Why it is not done, as far as its own tries tell.
    pub(crate) cause: Option<Cause>,
    pub(crate) since: Since,
    /// What the last try brought, without what differs from case to case.
    pub(crate) fingerprint: Option<Arc<str>>,
    /// The same in full, if a person is needed.
    pub(crate) message: Option<Box<str>>,
}

/// Where an unfinished step stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    Waiting,
    Due(Timestamp),
    InFlight,
    /// `looks`: it can be looked at.
    Accepted {
        poll_at: Timestamp,
        until: Timestamp,
        looks: bool,
    },
    Stuck(StuckReason),
}

/// Since when a step stands so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Since {
    /// By the wall clock.
    Wall(Timestamp),
    /// On supervisor time.
    Now(Timestamp),
}

/// A History that has not answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BriefQuery {
    pub(crate) service: Arc<str>,
    pub(crate) due_at: Option<Timestamp>,
    /// By the wall clock; none of what was asked for before this was kept.
    pub(crate) since: Option<Timestamp>,
    pub(crate) in_flight: bool,
    pub(crate) was_tried: bool,
    pub(crate) fingerprint: Option<Arc<str>>,
}

/// What is due for a step when one of its timers fires.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StepDue {
    /// The timer is about something that is over.
    Nothing,
    /// Nobody looks at it while its service is paused, so its patience must not end.
    LaterInPause,
    /// It was accepted, and no outcome came in time.
    PatienceOver,
    /// Its backoff is over.
    Send,
    /// It was accepted; `look`: it is to be looked at now.
    Accepted { look: bool, until: Timestamp },
}

impl Standing {
    /// None if the step is finished.
    pub(crate) fn of(state: &StepState) -> Option<Self> {
        Some(match state {
            StepState::Waiting => Self::Waiting,
            StepState::Due(at) => Self::Due(*at),
            StepState::InFlight => Self::InFlight,
            StepState::Accepted { poll_at, until, location } => {
                Self::Accepted { poll_at: *poll_at, until: *until, looks: location.is_some() }
            }
            StepState::Stuck(reason) => Self::Stuck(*reason),
            StepState::Done(_) | StepState::Superseded | StepState::Shadow => return None,
        })
    }

    /// Why the step is not done yet: `own` as its own tries tell, `kept_back` why its service keeps everything back.
    pub(crate) fn cause(self, own: Option<Cause>, kept_back: Option<Cause>) -> Cause {
        match self {
            Self::Waiting => own.unwrap_or(Cause::Stage),
            Self::Due(_) => kept_back.or(own).unwrap_or(Cause::Queued),
            // While it is tried again, it is still held up by what the last try met.
            Self::InFlight => own.map_or(Cause::Asked, |last| kept_back.unwrap_or(last)),
            Self::Accepted { .. } => Cause::Accepted,
            Self::Stuck(_) => own.unwrap_or(Cause::NoAnswer),
        }
    }

    /// What a timer of the step means at this moment.
    pub(crate) fn due(self, now: Timestamp, paused: bool) -> StepDue {
        match self {
            Self::Accepted { .. } if paused => StepDue::LaterInPause,
            Self::Accepted { until, .. } if until <= now => StepDue::PatienceOver,
            Self::Accepted { poll_at, until, looks } => {
                StepDue::Accepted { look: looks && poll_at <= now, until }
            }
            Self::Due(at) if at <= now => StepDue::Send,
            Self::Due(_) | Self::Waiting | Self::InFlight | Self::Stuck(_) => StepDue::Nothing,
        }
    }
}

impl StepRow {
    /// Why it is not done yet, where its service keeps things back for this cause; none if it has ended.
    #[must_use]
    pub fn cause_while(&self, kept_back: Option<Cause>) -> Option<Cause> {
        Standing::of(&self.state).map(|standing| standing.cause(self.cause(), kept_back))
    }
}

impl Brief {
    /// `share` gives the one copy of a text that many cases have in common.
    pub(crate) fn of(case: &Case, mut share: impl FnMut(Arc<str>) -> Arc<str>) -> Self {
        let row = &case.row;
        let saga = row.saga.as_str();
        let is_unmatched = row.state == CaseState::Unmatched;
        let unmatched = is_unmatched.then(|| {
            Box::new(BriefReport {
                report: share(Arc::clone(&row.report)),
                message: row.message.clone(),
                since: row.updated_at,
            })
        });
        let steps = case.steps.iter().filter_map(|step| BriefStep::of(step, saga, &mut share));
        let steps = steps.collect();
        let ended = |step: &StepRow| match step.state {
            StepState::Done(outcome) => {
                Some((Arc::clone(&step.action.service), outcome == Outcome::Waived))
            }
            _ => None,
        };
        let done = case.steps.iter().filter_map(ended);
        let done = done.map(|(service, waived)| (share(service), waived)).collect();
        let histories =
            row.extra.histories.iter().filter(|query| !query.answered).map(|query| BriefQuery {
                service: share(Arc::clone(&query.service)),
                due_at: query.due_at.map(Timestamp),
                since: query.since.map(Timestamp),
                in_flight: query.in_flight,
                was_tried: query.attempts > 0,
                fingerprint: query
                    .message
                    .as_deref()
                    .map(|text| share(message_fingerprint(text, saga))),
            });
        let histories = histories.collect();
        let questions = case.open_questions().into_iter().map(|question| BriefQuestion {
            sentence: question.sentence().into(),
            question: Question { statements: BTreeSet::new(), ..question },
            since: row.updated_at,
        });
        let questions = questions.collect();
        let strangers = row.extra.strangers.iter().filter(|stranger| stranger.ignored);
        let ignored = strangers.map(|stranger| stranger.action.clone()).collect();
        let labels = case.book.iter().flat_map(|book| answering(case, book));
        let labels: BTreeSet<&str> = labels.map(|rule| rule.index_label.as_str()).collect();
        let rules = labels.into_iter().map(|label| share(label.into())).collect();
        let objective = objective(case).map(|(ms, rule)| (ms, share(rule)));
        let version = row.rulebook.as_ref().map(|version| RulebookRef {
            name: share(Arc::clone(&version.name)),
            hash: share(Arc::clone(&version.hash)),
        });
        Self {
            state: row.state,
            partition: Partition::of(&row.saga),
            from_start: false,
            expedited: false,
            opened_at: row.opened_at,
            objective,
            version,
            rules,
            unmatched,
            steps,
            done,
            histories,
            questions,
            ignored,
            amounts: case.amounts(),
        }
    }

    /// Questions that hold the case by themselves: of a data conflict, its step tells.
    pub(crate) fn held_besides_steps(&self) -> impl Iterator<Item = &BriefQuestion> {
        let held = |asked: &&BriefQuestion| {
            asked.question.holds() && asked.question.kind != QuestionKind::DataConflict
        };
        self.questions.iter().filter(held)
    }

    pub(crate) fn step(&self, id: StepId) -> Option<&BriefStep> {
        self.steps.iter().find(|step| (step.ordinal, step.tag) == (id.ordinal, id.tag))
    }

    pub(crate) fn query(&self, service: &str) -> Option<&BriefQuery> {
        self.histories.iter().find(|query| *query.service == *service)
    }

    /// Whether a key in a service's queue is still to be done. As for a case in memory, a probe does not wait for the
    /// time.
    pub(crate) fn awaits(
        &self,
        key: EffectKey,
        service: &str,
        now: Timestamp,
        probing: bool,
    ) -> bool {
        match key {
            EffectKey::Step(id) => self.step(id).is_some_and(
                |step| matches!(step.standing, Standing::Due(at) if at <= now || probing),
            ),
            EffectKey::Poll(id) => self.step(id).is_some_and(|step| {
                matches!(step.standing, Standing::Accepted { poll_at, looks: true, .. }
                    if poll_at <= now || probing)
            }),
            EffectKey::History(_) => self.query(service).is_some_and(|query| {
                !query.in_flight && (probing || query.due_at.is_none_or(|at| at <= now))
            }),
        }
    }

    /// The service has returned: what a key waits for is due now. True if it was not yet.
    pub(crate) fn expedite(&mut self, key: EffectKey, service: &str, now: Timestamp) -> bool {
        let expedited = match key {
            EffectKey::Step(id) | EffectKey::Poll(id) => {
                let is_it =
                    |step: &&mut BriefStep| (step.ordinal, step.tag) == (id.ordinal, id.tag);
                match self.steps.iter_mut().find(is_it).map(|step| &mut step.standing) {
                    Some(Standing::Due(at)) if matches!(key, EffectKey::Step(_)) => {
                        *at = now;
                        true
                    }
                    Some(Standing::Accepted { poll_at, looks: true, .. })
                        if matches!(key, EffectKey::Poll(_)) =>
                    {
                        *poll_at = now;
                        true
                    }
                    _ => false,
                }
            }
            EffectKey::History(_) => {
                let waits = |query: &&mut BriefQuery| {
                    *query.service == *service && query.due_at.is_some_and(|at| at > now)
                };
                match self.histories.iter_mut().find(waits) {
                    Some(query) => {
                        query.due_at = Some(now);
                        true
                    }
                    None => false,
                }
            }
        };
        self.expedited |= expedited;
        expedited
    }

    /// Bytes that it takes, with its place among the others.
    pub(crate) fn bytes(&self) -> usize {
        /// Its place in the map, and what an allocator adds.
        const PLACE: usize = 64;
        let sentences = self.questions.iter().map(|asked| asked.sentence.len());
        let messages = self.steps.iter().filter_map(|step| step.message.as_deref()).map(str::len);
        let unmatched = self.unmatched.as_deref().map_or(0, |report| {
            size_of::<BriefReport>() + report.message.as_deref().map_or(0, str::len)
        });
        PLACE
            + size_of::<Self>()
            + size_of_val(&*self.steps)
            + size_of_val(&*self.rules)
            + size_of_val(&*self.done)
            + size_of_val(&*self.histories)
            + size_of_val(&*self.questions)
            + size_of_val(&*self.ignored)
            + size_of_val(&*self.amounts)
            + unmatched
            + messages.sum::<usize>()
            + sentences.sum::<usize>()
    }
}

impl BriefStep {
    fn of(
        step: &StepRow,
        saga: &str,
        share: &mut impl FnMut(Arc<str>) -> Arc<str>,
    ) -> Option<Self> {
        let standing = Standing::of(&step.state)?;
        let began = || {
            let counting = step.extra.counting_since;
            counting.map_or(Since::Wall(step.planned_at), |at| Since::Now(Timestamp(at)))
        };
        let since = match standing {
            Standing::Waiting => Since::Wall(step.planned_at),
            Standing::Stuck(_) => Since::Wall(step.updated_at),
            Standing::Due(_) | Standing::InFlight | Standing::Accepted { .. } => began(),
        };
        let cause = step.cause();
        let tells = cause.is_some_and(|cause| cause.is_trouble() && cause != Cause::Approval);
        let held = step.on_hold().map(|hold| hold.scope.to_string());
        let message = held.as_deref().or(step.extra.message.as_deref());
        let is_stuck = matches!(standing, Standing::Stuck(_));
        Some(Self {
            ordinal: step.id.ordinal,
            tag: step.id.tag,
            verb: step.verb,
            service: share(Arc::clone(&step.action.service)),
            action: share(Arc::clone(&step.action.action)),
            standing,
            was_tried: step.attempts > 0,
            cause,
            since,
            fingerprint: message
                .filter(|_| tells)
                .map(|text| share(message_fingerprint(text, saga))),
            message: message.filter(|_| is_stuck).map(Into::into),
        })
    }

    pub(crate) fn id(&self, case: CaseId) -> StepId {
        StepId { case, ordinal: self.ordinal, tag: self.tag, part: None }
    }
}

/// The shortest objective of the rules that answer the case's reports, with its rule's label.
fn objective(case: &Case) -> Option<(u64, Arc<str>)> {
    let book: &Rulebook = case.book.as_deref()?;
    let stated = answering(case, book).filter_map(|rule| Some((rule.objective_ms?, rule)));
    let (ms, rule) = stated.min_by_key(|(ms, _)| *ms)?;
    Some((ms, rule.index_label.as_str().into()))
}

/// The rules that answer the case's reports.
fn answering<'a>(case: &'a Case, book: &'a Rulebook) -> impl Iterator<Item = &'a Rule> {
    let rules = case.reports.iter().filter_map(|report| report.role.for_planner().rule());
    rules.filter_map(|id| book.rules().get(id.0 as usize))
}

/// Texts that many cases have in common, each once.
#[derive(Clone, Debug, Default)]
pub(crate) struct Texts {
    known: BTreeSet<Arc<str>>,
    /// When there are so many, those that nobody uses any more are dropped.
    sweep_at: usize,
}

impl Texts {
    const SWEEP_FROM: usize = 1_000;

    pub(crate) fn share(&mut self, text: Arc<str>) -> Arc<str> {
        if let Some(known) = self.known.get(&text) {
            return Arc::clone(known);
        }
        if self.known.len() >= self.sweep_at.max(Self::SWEEP_FROM) {
            self.known.retain(|text| Arc::strong_count(text) > 1);
            self.sweep_at = self.known.len() * 2;
        }
        self.known.insert(Arc::clone(&text));
        text
    }
}
