//! What a bulk act would touch: the frozen set, counted by service, action and cause, with a sample. Pure.

use super::targets::Targets;
use crate::views::KeptBack;
use amends_api::{BulkActName, BulkCount, BulkProgress, BulkSample, BulkState, BulkView, Cause};
use amends_engine::{Actor, CaseRow, FoundQuestion, StepRow};
use amends_protocol::Timestamp;
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
    /// The questions.
    pub(crate) questions: Vec<FoundQuestion>,
    /// There are more than one bulk act takes.
    pub(crate) more: bool,
}

impl Found {
    /// Of targets of which nothing else is known yet.
    pub(crate) fn of(targets: Targets) -> Self {
        let (steps, cases, questions) = (Vec::new(), Vec::new(), Vec::new());
        Self { targets, steps, cases, questions, more: false }
    }
}

/// What is to be done, why, and by whom.
pub(crate) struct Purpose {
    pub(crate) act: BulkActName,
    pub(crate) reason: String,
    pub(crate) actor: Actor,
}

/// Freezes what was found and describes it.
pub(crate) fn preview(
    purpose: Purpose,
    found: Found,
    kept_back: &KeptBack,
    now: Timestamp,
) -> (BulkView, Targets) {
    let Found { targets, steps, cases, questions, more } = found;
    let mut seen = Seen::default();
    for step in steps {
        let cause = kept_back.cause(&step);
        seen.step(step, cause);
    }
    cases.into_iter().for_each(|case| seen.case(case));
    questions.into_iter().for_each(|found| seen.question(found));
    let matched = targets.len() as u64;
    let mut counts: Vec<BulkCount> = seen.counts.into_values().collect();
    counts.sort_by_key(|count| std::cmp::Reverse(count.count));
    let view = BulkView {
        id: None,
        state: BulkState::Preview,
        why: None,
        act: purpose.act,
        reason: purpose.reason,
        actor: purpose.actor.name.to_string(),
        principal: purpose.actor.principal.as_deref().map(str::to_owned),
        address: purpose.actor.address.as_deref().map(str::to_owned),
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
    fn step(&mut self, step: StepRow, cause: Option<Cause>) {
        let (service, action) = (step.action.service.to_string(), step.action.action.to_string());
        let key = (service.clone(), action.clone(), cause.map_or("", |c| c.as_str()));
        let new = BulkCount { service, action: Some(action), cause, count: 0 };
        self.counts.entry(key).or_insert(new).count += 1;
        if self.sample.len() < SAMPLE {
            self.sample.push(BulkSample {
                case_id: step.id.case,
                step_id: Some(step.id),
                subject: format!("{} {}", step.verb, step.action),
                state: step.state.name().to_string(),
                message: step.extra.message,
            });
        }
    }

    fn question(&mut self, found: FoundQuestion) {
        let FoundQuestion { id, question, sentence, .. } = found;
        let service = question.service.to_string();
        let action = question.action.as_ref().map(|name| name.action.to_string());
        let key = (service.clone(), action.clone().unwrap_or_default(), question.kind.as_str());
        let new = BulkCount { service, action, cause: Some(Cause::Question), count: 0 };
        self.counts.entry(key).or_insert(new).count += 1;
        if self.sample.len() < SAMPLE {
            self.sample.push(BulkSample {
                case_id: id.case,
                step_id: None,
                subject: question.about(),
                state: question.kind.to_string(),
                message: Some(sentence.to_string()),
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
