//! The production engine with a store that is a few rows in memory and a clock that is a number.

use crate::business::saga;
use amends_engine::{
    CaseRow, Engine, Errand, Input, ReportRole, ReportRow, StepRow, StepState, StoredCase, Write,
};
use amends_protocol::resources::StepAct;
use amends_protocol::{CaseState, Report, StuckReason, Timestamp};
use amends_rulebook::Rulebook;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// A supervisor with one case at most.
pub(crate) struct Supervisor {
    engine: Engine,
    book: Arc<Rulebook>,
    pub(crate) now: Timestamp,
    pub(crate) case: Option<CaseRow>,
    pub(crate) reports: BTreeMap<u32, ReportRow>,
    pub(crate) steps: BTreeMap<u32, StepRow>,
    pub(crate) errands: VecDeque<Errand>,
}

impl Supervisor {
    pub(crate) fn new(book: &Arc<Rulebook>) -> Self {
        let mut engine = Engine::new(0);
        engine.restore_active(Arc::clone(book));
        Self {
            engine,
            book: Arc::clone(book),
            now: Timestamp(0),
            case: None,
            reports: BTreeMap::new(),
            steps: BTreeMap::new(),
            errands: VecDeque::new(),
        }
    }

    /// One turn of a driver: step, commit, take the errands.
    pub(crate) fn input(&mut self, input: Input) {
        self.engine.handle(self.now, input);
        let out = self.engine.take_output(self.now);
        for write in out.writes {
            match write {
                Write::Case(row) => self.case = Some(*row),
                Write::Report(row) => drop(self.reports.insert(row.position, *row)),
                Write::Step(row) => drop(self.steps.insert(row.id.ordinal, *row)),
                Write::Remove(_)
                | Write::Attempt(_)
                | Write::Act(_)
                | Write::Saga(_)
                | Write::Service(_)
                | Write::Activate(_) => {}
            }
        }
        self.errands.extend(out.errands);
    }

    pub(crate) fn report(&mut self, report: &Arc<Report>) {
        let known = self.reports.values().find(|r| r.report.id == report.id).map(|r| r.case);
        self.bring_in();
        let report = Box::new(Report::clone(report));
        self.input(Input::Report { report, known_in: known, ticket: 0 });
    }

    /// Brings a settled case back for what follows.
    pub(crate) fn bring_in(&mut self) {
        if let Some(stored) = self.stored()
            && !self.engine.holds_saga(&saga())
        {
            self.engine.hydrate(stored);
        }
    }

    fn stored(&self) -> Option<StoredCase> {
        Some(StoredCase {
            case: self.case.clone()?,
            reports: self.reports.values().cloned().collect(),
            steps: self.steps.values().cloned().collect(),
        })
    }

    /// Says yes to every step that waits for it: a simulation asks what happens if people agree.
    pub(crate) fn approve(&mut self) {
        let waiting: Vec<_> = self
            .steps
            .values()
            .filter(|s| s.state == StepState::Stuck(StuckReason::AwaitsApproval))
            .map(|s| s.id)
            .collect();
        for step in waiting {
            let act = StepAct::Approve { reason: "simulated".to_owned() };
            self.input(Input::StepAct {
                step,
                act,
                actor: "simulation".into(),
                bulk: None,
                ticket: 0,
            });
        }
    }

    /// The process dies and starts again on what it had written; what was under way is lost.
    pub(crate) fn restart(&mut self) {
        self.errands.clear();
        self.engine = Engine::new(self.case.as_ref().map_or(0, |c| c.id.0));
        self.engine.restore_active(Arc::clone(&self.book));
        if let Some(stored) = self.stored().filter(|s| s.case.state != CaseState::Settled) {
            self.engine.restore(self.now, stored);
        }
        self.input(Input::Tick);
    }

    /// Lets time pass to when it has something to do, at most to `until`. False if there is nothing.
    pub(crate) fn pass_time(&mut self, until: Timestamp) -> bool {
        match self.engine.next_wakeup() {
            Some(at) if at <= until => {
                self.now = self.now.max(at);
                self.input(Input::Tick);
                true
            }
            _ => false,
        }
    }

    pub(crate) fn is_settled(&self) -> bool {
        self.case.as_ref().is_none_or(|c| c.state == CaseState::Settled)
    }

    /// Whether nothing more will happen without a person or a new report.
    pub(crate) fn is_at_rest(&self) -> bool {
        let Some(case) = &self.case else { return true };
        let waits_for_root =
            self.reports.values().any(|r| matches!(r.role, ReportRole::AwaitsRoot(_)));
        let goes_on = |s: &StepRow| {
            matches!(s.state, StepState::Due(_) | StepState::InFlight | StepState::Accepted { .. })
        };
        match case.state {
            CaseState::Settled => true,
            CaseState::Open => false,
            CaseState::Stuck | CaseState::Unmatched => {
                !waits_for_root && !self.steps.values().any(goes_on)
            }
        }
    }

    /// The labels of the rules that answered, each once.
    pub(crate) fn rules(&self) -> Vec<String> {
        let mut labels: Vec<String> = Vec::new();
        for row in self.reports.values() {
            let rule = match row.role {
                ReportRole::Rule(n) | ReportRole::RuleHeld(n) => n,
                _ => continue,
            };
            let label = self.book.rules()[rule as usize].index_label.clone();
            if !labels.contains(&label) {
                labels.push(label);
            }
        }
        labels
    }
}
