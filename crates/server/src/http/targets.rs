//! Which steps (or cases) are meant: the one answer for console, API and CLI, for a preview and for the run.
//!
//! A filter means what the list of the same filter shows, as far as the act is possible there (`may`). One that names
//! neither a state nor an outcome nor a group means what usually waits for this act, see [`usual_states`]. An id means
//! this very step or case, whatever its state; the engine then says why an act on it is not possible.

use super::access::within_cases;
use super::cases::active_for;
use super::filters::{case_filter, question_filter, step_filter};
use super::query::Query;
use super::secrets::{cases_as_seen, may_search, may_search_steps, steps_as_seen};
use super::{ApiError, App};
use crate::access::Caller;
use crate::bulk::{Found, MOST_TARGETS, Targets};
use crate::clock::{Clock, SystemClock};
use amends_api::access::{Right, Within};
use amends_api::{BulkActName, CaseActName, CaseState, QuestionId, StepActName, StepStateName};
use amends_engine::{CaseBooks, CaseRow, FoundQuestion, FoundQuestions, QuestionFilter, StepRow};
use amends_protocol::{CaseId, StepId};
use amends_store::{
    CaseFilter, CaseOrder, ListedCase, ListedStep, PAGE_LIMIT, PageRequest, RowPage, StepFilter,
    Store, StoreError,
};
use futures_util::future::try_join_all;
use std::collections::{BTreeMap, BTreeSet};

/// Most rows that are looked at for them: a filter of ended steps may find a million of which none can be acted on.
const LOOKED_AT: usize = 20 * MOST_TARGETS;

/// Ids that the store is asked for at once: each page of an answer looks at all of them.
const NAMED_AT_ONCE: usize = 500;

/// Questions that are looked for at once: where nodes share the work, each is asked of all of them.
const ASKED_AT_ONCE: usize = 16;

/// What is to be done to each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TargetAct {
    /// To steps.
    Step(StepActName),
    /// To cases.
    Replan,
    /// To open questions.
    Accept,
}

impl From<BulkActName> for TargetAct {
    fn from(act: BulkActName) -> Self {
        match act {
            BulkActName::Retry => Self::Step(StepActName::Retry),
            BulkActName::Waive => Self::Step(StepActName::Waive),
            BulkActName::Approve => Self::Step(StepActName::Approve),
            BulkActName::Replan => Self::Replan,
            BulkActName::Accept => Self::Accept,
        }
    }
}

/// What an operator points at.
#[derive(Clone, Debug)]
pub(crate) enum Selection {
    /// These steps.
    Steps(Vec<StepId>),
    /// These cases.
    Cases(Vec<CaseId>),
    /// These questions.
    Questions(Vec<QuestionId>),
    /// What this filter finds: of steps (the names of `GET /v1/steps`), of cases (of `GET /v1/cases`) for an act on
    /// cases, or of questions (of `GET /v1/questions`) for an act on those.
    Filter(Vec<(String, String)>),
    /// The cases that this filter finds (the names of `GET /v1/cases`), or their steps for an act on steps.
    OfCases(Vec<(String, String)>),
}

impl Selection {
    /// These ids, or the filter; one of them has to be given, and never an empty filter.
    pub(crate) fn or_filter(
        self,
        filter: Option<BTreeMap<String, String>>,
    ) -> Result<Self, ApiError> {
        let ids = match &self {
            Self::Steps(ids) => ids.len(),
            Self::Cases(ids) => ids.len(),
            Self::Questions(ids) => ids.len(),
            Self::Filter(_) | Self::OfCases(_) => 0,
        };
        let wrong = |text: &str| Err(ApiError::invalid(text));
        match filter {
            None if ids == 0 => wrong("give `ids` or a `filter`"),
            None if ids > MOST_TARGETS => Err(ApiError::invalid(format!(
                "there are {ids} ids; at most {MOST_TARGETS} are taken at once"
            ))),
            None => Ok(self),
            Some(_) if ids > 0 => wrong("`ids` and `filter` exclude each other; give one of them"),
            Some(filter) if filter.is_empty() => {
                wrong("`filter` is empty and would mean everything; narrow it")
            }
            Some(filter) => Ok(Self::Filter(filter.into_iter().collect())),
        }
    }
}

/// The states that a filter means when it names none: a person's decision in place of a service's answer is for what
/// needs a person; trying again is also for what waits for its next try.
const fn usual_states(act: StepActName) -> &'static [StepStateName] {
    match act {
        StepActName::Retry | StepActName::Edit => &[StepStateName::Stuck, StepStateName::Due],
        StepActName::Approve | StepActName::Waive | StepActName::Record => &[StepStateName::Stuck],
    }
}

/// The same of cases: a settled one is at its end, and there may be a million of them.
const USUAL_CASES: [CaseState; 3] = [CaseState::Open, CaseState::Stuck, CaseState::Unmatched];

/// That somebody may act on every target: for who may only for some rulebooks, the case of each is looked up.
pub(crate) async fn may_act_on<S: Store>(
    app: &App<S>,
    caller: &Caller,
    targets: &Targets,
) -> Result<(), ApiError> {
    within(app, caller, Right::Act, targets).await
}

/// The same of a bulk act that has been made.
pub(crate) async fn within_bulk<S: Store>(
    app: &App<S>,
    caller: &Caller,
    right: Right<'_>,
    number: u64,
) -> Result<(), ApiError> {
    if caller.may(right, Within::Everywhere) {
        return Ok(());
    }
    let targets = app.bulks.targets(&app.supervisor, number).await?;
    within(app, caller, right, &targets).await
}

async fn within<S: Store>(
    app: &App<S>,
    caller: &Caller,
    right: Right<'_>,
    targets: &Targets,
) -> Result<(), ApiError> {
    if caller.may(right, Within::Everywhere) {
        return Ok(());
    }
    let cases: BTreeSet<CaseId> = match targets {
        Targets::Steps(ids) => ids.iter().map(|id| id.case).collect(),
        Targets::Cases(ids) => ids.iter().copied().collect(),
        Targets::Questions(ids) => ids.iter().map(|id| id.case).collect(),
    };
    within_cases(app, caller, right, cases.into_iter().collect()).await
}

/// Looks up what is meant, oldest case first, as whoever acts sees it. At most 10,000; `more` says that there are
/// others. A filter finds what whoever asks may act on, and nothing by what they may not see.
pub(crate) async fn resolve_targets<S: Store>(
    app: &App<S>,
    caller: &Caller,
    act: TargetAct,
    selection: Selection,
) -> Result<Found, ApiError> {
    match (act, selection) {
        (TargetAct::Step(_), Selection::Steps(ids)) => steps_by_id(app, caller, ids).await,
        (TargetAct::Step(act), Selection::Filter(pairs)) => {
            steps_meant(app, caller, act, pairs).await
        }
        (TargetAct::Step(act), Selection::OfCases(pairs)) => {
            let (filter, group) = cases_meant(caller, pairs)?;
            steps_of_cases(app, caller, act, filter, group).await
        }
        (TargetAct::Replan, Selection::Cases(ids)) => cases_by_id(app, caller, ids).await,
        (TargetAct::Replan, Selection::Filter(pairs) | Selection::OfCases(pairs)) => {
            let (mut filter, group) = cases_meant(caller, pairs)?;
            let mut more = false;
            if let Some(group) = group {
                let members = app.supervisor.members(group).await?;
                filter.members = Some(members.cases);
                more = members.more;
            }
            let active = app.supervisor.active_books();
            let is_possible = |case: &CaseRow| {
                let name = case.rulebook.as_ref().map(|r| &*r.name);
                let entry = case.extra.entry.as_deref();
                let active = active_for(name, &case.report, entry, &active);
                let books = CaseBooks { active: active.as_deref(), ..CaseBooks::default() };
                case.may(&[], books).contains(&CaseActName::Replan)
            };
            cases(app, caller, filter, more, is_possible).await
        }
        (TargetAct::Accept, Selection::Questions(ids)) => questions_by_id(app, ids).await,
        (TargetAct::Accept, Selection::Filter(pairs) | Selection::OfCases(pairs)) => {
            let mut query = Query::from_pairs(pairs);
            let mut filter = question_filter(&mut query)?;
            filter.rulebooks = caller.narrowed(Right::Act, filter.rulebooks)?;
            query.finish()?;
            questions(app, filter).await
        }
        (TargetAct::Step(_), Selection::Cases(_) | Selection::Questions(_)) => {
            Err(ApiError::invalid("`ids`: this act is for steps; give ids of steps"))
        }
        (TargetAct::Replan, Selection::Steps(_) | Selection::Questions(_)) => {
            Err(ApiError::invalid("`ids`: this act is for cases; give ids of cases"))
        }
        (TargetAct::Accept, Selection::Steps(_) | Selection::Cases(_)) => {
            Err(ApiError::invalid("`ids`: this act is for questions; give ids of questions"))
        }
    }
}

/// The steps that a filter means.
async fn steps_meant<S: Store>(
    app: &App<S>,
    caller: &Caller,
    act: StepActName,
    pairs: Vec<(String, String)>,
) -> Result<Found, ApiError> {
    let mut query = Query::from_pairs(pairs);
    let mut filter = step_filter(&mut query)?;
    filter.rulebooks = caller.narrowed(Right::Act, filter.rulebooks)?;
    may_search_steps(caller, &filter)?;
    let group = query.group()?;
    query.finish()?;
    let mut more = false;
    match group {
        Some(group) => {
            let members = app.supervisor.members(group).await?;
            filter.members = Some(members.steps);
            more = members.more;
        }
        None if filter.state.is_empty() && filter.outcome.is_none() => {
            filter.state = usual_states(act).to_vec();
        }
        None => {}
    }
    steps(app, caller, act, filter, more).await
}

/// Whoever has waited longest first. The engine says of one that is over why nothing was changed.
async fn questions_by_id<S: Store>(
    app: &App<S>,
    mut ids: Vec<QuestionId>,
) -> Result<Found, ApiError> {
    ids.sort_unstable();
    ids.dedup();
    let mut asked = Vec::new();
    for some in ids.chunks(ASKED_AT_ONCE) {
        let found = try_join_all(some.iter().map(|id| open_question(app, *id))).await?;
        asked.extend(found.into_iter().flatten());
    }
    Ok(Found { questions: asked, ..Found::of(Targets::Questions(ids)) })
}

/// A question, if it is open.
async fn open_question<S: Store>(
    app: &App<S>,
    id: QuestionId,
) -> Result<Option<FoundQuestion>, ApiError> {
    let filter = QuestionFilter { case: Some(id.case), ..QuestionFilter::default() };
    let open = app.supervisor.questions(filter, MOST_TARGETS).await?.whole()?.questions;
    Ok(open.into_iter().find(|found| found.id == id))
}

async fn questions<S: Store>(app: &App<S>, filter: QuestionFilter) -> Result<Found, ApiError> {
    let FoundQuestions { mut questions, more } =
        app.supervisor.questions(filter, MOST_TARGETS).await?.whole()?;
    questions.sort_unstable_by_key(|found| found.id);
    let ids = questions.iter().map(|found| found.id).collect();
    Ok(Found { questions, more, ..Found::of(Targets::Questions(ids)) })
}

fn cases_meant(
    caller: &Caller,
    pairs: Vec<(String, String)>,
) -> Result<(CaseFilter, Option<String>), ApiError> {
    let mut query = Query::from_pairs(pairs);
    let mut filter = case_filter(&mut query, SystemClock.now())?;
    filter.rulebooks = caller.narrowed(Right::Act, filter.rulebooks)?;
    may_search(caller, &filter)?;
    let group = query.group()?;
    query.finish()?;
    if filter.state.is_empty() {
        filter.state = USUAL_CASES.to_vec();
    }
    Ok((filter, group))
}

/// The steps of the cases that are listed; of those of a group, the ones that belong to it.
async fn steps_of_cases<S: Store>(
    app: &App<S>,
    caller: &Caller,
    act: StepActName,
    mut filter: CaseFilter,
    group: Option<String>,
) -> Result<Found, ApiError> {
    let (mut of_group, mut more) = (None, false);
    if let Some(group) = group {
        let members = app.supervisor.members(group).await?;
        filter.members = Some(members.cases);
        of_group = Some(members.steps).filter(|steps| !steps.is_empty());
        more = members.more;
    }
    let found = cases(app, caller, filter, more, |_| true).await?;
    let ids: BTreeSet<CaseId> = found.cases.iter().map(|case| case.id).collect();
    if let Some(mut members) = of_group {
        members.retain(|(_, step)| ids.contains(&step.case));
        let filter = StepFilter { members: Some(members), ..StepFilter::default() };
        return steps(app, caller, act, filter, found.more).await;
    }
    let (mut of_cases, mut more) = (Vec::new(), found.more);
    for some in ids.into_iter().collect::<Vec<_>>().chunks(NAMED_AT_ONCE) {
        let state = usual_states(act).to_vec();
        let filter = StepFilter { cases: Some(some.to_vec()), state, ..StepFilter::default() };
        let mut of_some = steps(app, caller, act, filter, false).await?;
        of_cases.append(&mut of_some.steps);
        more |= of_some.more || of_cases.len() > MOST_TARGETS;
        of_cases.truncate(MOST_TARGETS);
    }
    let targets = Targets::Steps(of_cases.iter().map(|step| step.id).collect());
    Ok(Found { steps: of_cases, more, ..Found::of(targets) })
}

async fn steps_by_id<S: Store>(
    app: &App<S>,
    caller: &Caller,
    mut ids: Vec<StepId>,
) -> Result<Found, ApiError> {
    ids.sort_unstable();
    ids.dedup();
    let mut steps = Vec::with_capacity(ids.len());
    for some in ids.chunks(NAMED_AT_ONCE) {
        let filter = StepFilter { ids: Some(some.to_vec()), ..StepFilter::default() };
        steps.append(&mut step_rows(app, caller, filter, |_| true).await?.0);
    }
    Ok(Found { steps, ..Found::of(Targets::Steps(ids)) })
}

/// Whoever has waited longest first.
async fn cases_by_id<S: Store>(
    app: &App<S>,
    caller: &Caller,
    mut ids: Vec<CaseId>,
) -> Result<Found, ApiError> {
    ids.sort_unstable();
    ids.dedup();
    let mut found = Vec::with_capacity(ids.len());
    for some in ids.chunks(NAMED_AT_ONCE) {
        let filter = CaseFilter { among: Some(some.to_vec()), ..CaseFilter::default() };
        found.append(&mut cases(app, caller, filter, false, |_| true).await?.cases);
    }
    found.sort_by_key(|case| (case.opened_at, case.id));
    let targets = Targets::Cases(found.iter().map(|case| case.id).collect());
    Ok(Found { cases: found, ..Found::of(targets) })
}

async fn steps<S: Store>(
    app: &App<S>,
    caller: &Caller,
    act: StepActName,
    filter: StepFilter,
    more: bool,
) -> Result<Found, ApiError> {
    let (steps, others) = step_rows(app, caller, filter, |step| step.may().contains(&act)).await?;
    let targets = Targets::Steps(steps.iter().map(|step| step.id).collect());
    Ok(Found { steps, more: more || others, ..Found::of(targets) })
}

/// In the order of their cases, whatever the list's order is.
async fn step_rows<S: Store>(
    app: &App<S>,
    caller: &Caller,
    filter: StepFilter,
    is_meant: impl Fn(&StepRow) -> bool,
) -> Result<(Vec<StepRow>, bool), ApiError> {
    let store = app.supervisor.store();
    let page = |request| store.steps(filter.clone(), request);
    let meant = |listed: ListedStep| Some(listed).filter(|listed| is_meant(&listed.step));
    let (found, more) = all_pages(page, meant).await?;
    let mut found = steps_as_seen(app, caller, filter.text.as_deref(), found).await;
    found.sort_unstable_by_key(|step| step.id);
    Ok((found, more))
}

/// Whoever has waited longest first.
async fn cases<S: Store>(
    app: &App<S>,
    caller: &Caller,
    filter: CaseFilter,
    more: bool,
    is_meant: impl Fn(&CaseRow) -> bool,
) -> Result<Found, ApiError> {
    let filter = CaseFilter { order: CaseOrder::Oldest, ..filter };
    let store = app.supervisor.store();
    let page = |request| store.cases(filter.clone(), request);
    let meant = |listed: ListedCase| Some(listed).filter(|listed| is_meant(&listed.case));
    let (found, others) = all_pages(page, meant).await?;
    let found = cases_as_seen(app, caller, filter.text.as_deref(), found).await;
    let targets = Targets::Cases(found.iter().map(|case| case.id).collect());
    Ok(Found { cases: found, more: more || others, ..Found::of(targets) })
}

/// Goes through the pages of a list for those that are meant: the first [`MOST_TARGETS`] of them, and whether there
/// are others.
async fn all_pages<R, T, F>(
    page: impl Fn(PageRequest) -> F,
    meant: impl Fn(R) -> Option<T>,
) -> Result<(Vec<T>, bool), ApiError>
where
    F: Future<Output = Result<RowPage<R>, StoreError>>,
{
    let (mut found, mut seen, mut request) = (Vec::new(), 0, PageRequest::first(PAGE_LIMIT));
    let more = loop {
        let rows = page(request).await?;
        seen += rows.items.len();
        found.extend(rows.items.into_iter().filter_map(&meant));
        match rows.next {
            None => break found.len() > MOST_TARGETS,
            Some(_) if found.len() > MOST_TARGETS || seen >= LOOKED_AT => break true,
            next => request = PageRequest { limit: PAGE_LIMIT, cursor: next },
        }
    };
    found.truncate(MOST_TARGETS);
    Ok((found, more))
}
