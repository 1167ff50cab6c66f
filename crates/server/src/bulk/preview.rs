//! What a bulk act would touch: a frozen set, counted by service, action and cause, with a sample. Changes nothing.

use super::{Targets, failed};
use crate::supervisor::Supervisor;
use amends_engine::{CaseRow, StepRow};
use amends_protocol::resources::{
    BulkCount, BulkProgress, BulkSample, BulkState, BulkView, BulkWanted,
};
use amends_protocol::{CaseId, Problem, StepId, Timestamp};
use amends_store::{
    CaseFilter, CaseOrder, ListedCase, ListedStep, PAGE_LIMIT, PageRequest, StepFilter, Store,
};
use std::collections::BTreeMap;

/// Rows of a sample: what a person reads before saying yes.
const SAMPLE: usize = 20;

/// What was meant, before it is looked at.
pub(crate) enum Meant {
    /// These steps, or those that a filter finds.
    Steps(StepFilter),
    /// These cases, or those that a filter finds.
    Cases(CaseFilter),
}

/// Freezes what is meant and describes it. At most `most` are taken.
pub(crate) async fn preview<S: Store>(
    supervisor: &Supervisor<S>,
    wanted: BulkWanted,
    meant: Meant,
    (actor, now): (&str, Timestamp),
    most: usize,
) -> Result<(BulkView, Targets), Problem> {
    let mut found = Found::default();
    let targets = match meant {
        Meant::Steps(filter) => Targets::Steps(steps(supervisor, filter, most, &mut found).await?),
        Meant::Cases(filter) => Targets::Cases(cases(supervisor, filter, most, &mut found).await?),
    };
    let matched = targets.len() as u64;
    let mut counts: Vec<BulkCount> = found.counts.into_values().collect();
    counts.sort_by_key(|count| std::cmp::Reverse(count.count));
    let view = BulkView {
        id: None,
        state: BulkState::Preview,
        why: None,
        act: wanted.act,
        reason: wanted.reason,
        actor: actor.to_owned(),
        made_at: now,
        started_at: None,
        ended_at: None,
        matched,
        more: found.more,
        counts,
        sample: found.sample,
        progress: BulkProgress { left: matched, ..BulkProgress::default() },
        failures: Vec::new(),
    };
    Ok((view, targets))
}

#[derive(Default)]
struct Found {
    counts: BTreeMap<(String, String, &'static str), BulkCount>,
    sample: Vec<BulkSample>,
    more: bool,
}

async fn steps<S: Store>(
    supervisor: &Supervisor<S>,
    filter: StepFilter,
    most: usize,
    found: &mut Found,
) -> Result<Vec<StepId>, Problem> {
    let mut ids = Vec::new();
    let mut page = PageRequest::first(PAGE_LIMIT);
    loop {
        let rows = supervisor.store().steps(filter.clone(), page).await.map_err(failed)?;
        for ListedStep { step, .. } in rows.items {
            if ids.len() == most {
                found.more = true;
                break;
            }
            ids.push(step.id);
            found.see_step(step);
        }
        match rows.next {
            Some(next) if !found.more => {
                page = PageRequest { cursor: Some(next), ..PageRequest::first(PAGE_LIMIT) };
            }
            _ => break,
        }
    }
    // Whoever has waited longest goes first.
    ids.sort_unstable();
    Ok(ids)
}

async fn cases<S: Store>(
    supervisor: &Supervisor<S>,
    filter: CaseFilter,
    most: usize,
    found: &mut Found,
) -> Result<Vec<CaseId>, Problem> {
    let filter = CaseFilter { order: CaseOrder::Oldest, ..filter };
    let mut ids = Vec::new();
    let mut page = PageRequest::first(PAGE_LIMIT);
    loop {
        let rows = supervisor.store().cases(filter.clone(), page).await.map_err(failed)?;
        for ListedCase { case, .. } in rows.items {
            if ids.len() == most {
                found.more = true;
                break;
            }
            ids.push(case.id);
            found.see_case(case);
        }
        match rows.next {
            Some(next) if !found.more => {
                page = PageRequest { cursor: Some(next), ..PageRequest::first(PAGE_LIMIT) };
            }
            _ => return Ok(ids),
        }
    }
}

impl Found {
    fn see_step(&mut self, step: StepRow) {
        let (service, action) = (step.action.service.to_string(), step.action.action.to_string());
        let cause = step.cause();
        let key = (service.clone(), action.clone(), cause.map_or("", |c| c.as_str()));
        let new = BulkCount { service, action: Some(action), cause, count: 0 };
        self.counts.entry(key).or_insert(new).count += 1;
        if self.sample.len() < SAMPLE {
            self.sample.push(BulkSample {
                case_id: step.id.case,
                step_id: Some(step.id),
                subject: format!("{} {}", step.verb, step.action),
                state: step.state.name().to_string(),
                message: step.memo.message,
            });
        }
    }

    fn see_case(&mut self, case: CaseRow) {
        let service = case.report.split('/').next().unwrap_or_default().to_owned();
        let new = BulkCount { service: service.clone(), action: None, cause: None, count: 0 };
        self.counts.entry((service, String::new(), "")).or_insert(new).count += 1;
        if self.sample.len() < SAMPLE {
            self.sample.push(BulkSample {
                case_id: case.id,
                step_id: None,
                subject: case.report.to_string(),
                state: case.state.to_string(),
                message: case.message.map(|message| message.to_string()),
            });
        }
    }
}
