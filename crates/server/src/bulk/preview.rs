//! What a bulk act would touch: the frozen set, counted by service, action and cause, with a sample. Pure.

use super::targets::Targets;
use amends_engine::{CaseRow, StepRow};
use amends_protocol::Timestamp;
use amends_protocol::resources::{
    BulkCount, BulkDeed, BulkProgress, BulkSample, BulkState, BulkView,
};
use std::collections::BTreeMap;

/// Rows of a sample: what a person reads before saying yes.
const SAMPLE: usize = 20;

/// What a selection has come to, in the order in which it is acted on.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) targets: Targets,
    /// What is known of the steps; an id that was given need not exist.
    pub(crate) steps: Vec<StepRow>,
    /// The cases.
    pub(crate) cases: Vec<CaseRow>,
    /// There are more than one bulk act takes.
    pub(crate) more: bool,
}

/// What is to be done, why, and by whom.
pub(crate) struct Purpose {
    pub(crate) act: BulkDeed,
    pub(crate) reason: String,
    pub(crate) actor: String,
}

/// Freezes what was found and describes it.
pub(crate) fn preview(purpose: Purpose, found: Found, now: Timestamp) -> (BulkView, Targets) {
    let Found { targets, steps, cases, more } = found;
    let mut seen = Seen::default();
    steps.into_iter().for_each(|step| seen.step(step));
    cases.into_iter().for_each(|case| seen.case(case));
    let matched = targets.len() as u64;
    let mut counts: Vec<BulkCount> = seen.counts.into_values().collect();
    counts.sort_by_key(|count| std::cmp::Reverse(count.count));
    let view = BulkView {
        id: None,
        state: BulkState::Preview,
        why: None,
        act: purpose.act,
        reason: purpose.reason,
        actor: purpose.actor,
        made_at: now,
        started_at: None,
        ended_at: None,
        matched,
        more,
        counts,
        sample: seen.sample,
        progress: BulkProgress { left: matched, ..BulkProgress::default() },
        failures: Vec::new(),
    };
    (view, targets)
}

#[derive(Default)]
struct Seen {
    counts: BTreeMap<(String, String, &'static str), BulkCount>,
    sample: Vec<BulkSample>,
}

impl Seen {
    fn step(&mut self, step: StepRow) {
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

    fn case(&mut self, case: CaseRow) {
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
