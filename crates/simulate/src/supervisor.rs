//! The production engine with a store that is a few rows in memory and a clock that is a number.

use amends_api::{CaseState, ClosedOn, StepAct, StuckReason};
use amends_engine::{
    CaseRow, Effect, Engine, Input, Memory, Question, ReportRole, ReportRow, StepRow, StepState,
    open_questions,
};
use amends_protocol::{Report, Timestamp};
use amends_rulebook::{CaseFacts, Past, ReportFacts, Rulebook};
use std::collections::VecDeque;
use std::sync::Arc;

/// A supervisor with one case at most.
pub(crate) struct ModelSupervisor {
    engine: Engine,
    book: Arc<Rulebook>,
    memory: Memory,
    pub(crate) now: Timestamp,
    pub(crate) effects: VecDeque<Effect>,
}

impl ModelSupervisor {
    pub(crate) fn new(book: &Arc<Rulebook>) -> Self {
        let mut memory = Memory::default();
        memory.put_active(book, Timestamp(0));
        let mut engine = Engine::new(0);
        engine.restore_active(Arc::clone(book));
        Self { engine, book: Arc::clone(book), memory, now: Timestamp(0), effects: VecDeque::new() }
    }

    /// One turn of the loop with one input: look up, step, commit, take the effects.
    pub(crate) fn input(&mut self, mut input: Input) {
        self.memory.inform(&mut self.engine, std::slice::from_mut(&mut input));
        self.engine.handle(self.now, input);
        let out = self.engine.take_output(self.now);
        self.memory.commit(out.writes.into()).expect("one engine never contradicts itself");
        self.effects.extend(out.effects);
        if self.engine.wants_cases() {
            self.input(Input::Tick);
        }
    }

    pub(crate) fn report(&mut self, report: &Arc<Report>) {
        let report = Arc::clone(report);
        self.input(Input::Report { report, known_in: None, ticket: 0 });
    }

    /// The case, if there is one.
    pub(crate) fn case(&self) -> Option<&CaseRow> {
        self.memory.cases().next()
    }

    /// Its reports, in the order of arrival.
    pub(crate) fn reports(&self) -> impl Iterator<Item = &ReportRow> {
        self.memory.reports()
    }

    /// Its steps, by ordinal.
    pub(crate) fn steps(&self) -> impl Iterator<Item = &StepRow> {
        self.memory.steps()
    }

    /// Says yes to every step that waits for it: a simulation asks what happens if people agree.
    pub(crate) fn approve(&mut self) {
        let waiting: Vec<_> = self
            .steps()
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
        self.effects.clear();
        // Nothing but the rulebook, which need not be read again.
        let mut before = Engine::new(0);
        before.learn_rulebook(Arc::clone(&self.book));
        self.engine = self.memory.start(&mut before, self.now);
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
        self.case().is_none_or(|c| c.state == CaseState::Settled)
    }

    /// Whether nothing was heard for the declared time: the case has ended on that, or takes its last look around.
    pub(crate) fn is_quiet_time_over(&self) -> bool {
        let is_over = |case: &CaseRow| match case.closed_on {
            Some(evidence) => evidence == ClosedOn::Quiet,
            None => case.extra.looked_again,
        };
        self.case().is_some_and(is_over)
    }

    /// What holds the case until a person says something, a sentence each.
    pub(crate) fn questions(&self) -> Vec<String> {
        let stored = self.case().and_then(|case| self.memory.case(case.id));
        let questions = stored.map(|stored| open_questions(&stored, Some(&self.book)));
        let held = questions.into_iter().flatten().filter(Question::holds);
        held.map(|question| question.sentence()).collect()
    }

    /// Whether nothing more will happen without a person or a new report.
    pub(crate) fn is_at_rest(&self) -> bool {
        let Some(case) = self.case() else { return true };
        let waits_for_root = self.reports().any(|r| matches!(r.role, ReportRole::AwaitsRoot(_)));
        let goes_on = |s: &StepRow| {
            matches!(s.state, StepState::Due(_) | StepState::InFlight | StepState::Accepted { .. })
        };
        match case.state {
            CaseState::Settled => true,
            CaseState::Open => false,
            CaseState::Stuck | CaseState::Unmatched => {
                !waits_for_root && !self.steps().any(goes_on)
            }
        }
    }

    /// What the rules that answered say of what came before a pivot.
    pub(crate) fn past(&self) -> Past {
        let of_report = |row: &ReportRow| ReportFacts {
            role: row.role.for_planner(),
            action: None,
            proven_without_effect: false,
        };
        let reports = self.reports().map(of_report).collect();
        CaseFacts { reports, ..CaseFacts::default() }.past(&self.book)
    }

    /// The labels of the rules that answered, each once.
    pub(crate) fn rules(&self) -> Vec<String> {
        let mut labels: Vec<String> = Vec::new();
        for row in self.reports() {
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
