//! The plan: it has what the rules name and what the evidence demands (2), whatever the order of the reports (6).

use super::seen::{Check, Seen, when};
use crate::stored::Stored;
use amends_api::CaseState;
use amends_engine::{Engine, Input, Memory, ReportRole, StepRow, Write};
use amends_protocol::{CaseId, Report, Timestamp, Verb};
use amends_rulebook::{ActionClass, Demand, Rule, Rulebook, Target};
use amends_simulate::SeededRng;
use std::collections::BTreeSet;
use std::sync::Arc;

/// Invariant 2: each step that an answering rule names is in the plan, and with `recorded` each undoable action of
/// which anybody says that it may have happened.
pub(super) struct Named;

/// The demands of a case that are in force.
pub(super) fn demands<'b>(
    store: &Stored,
    id: CaseId,
    book: &'b Rulebook,
) -> Vec<(&'b Rule, &'b Demand)> {
    let Some(case) = store.rows.case_row(id) else { return Vec::new() };
    let mut all = Vec::new();
    for report in store.rows.reports_of(id) {
        let (ReportRole::Rule(n) | ReportRole::RuleHeld(n)) = report.role else { continue };
        let Some(rule) = book.rules().get(n as usize) else { continue };
        all.push((rule, &rule.demand));
        if case.extra.gave_up.contains(&n) {
            all.extend(rule.give_up.as_ref().map(|g| (rule, &g.then)));
        }
    }
    all
}

impl Named {
    fn look(store: &Stored, id: CaseId) -> Result<(), String> {
        let Some(book) = store.book_of(id) else { return Ok(()) };
        let planned: BTreeSet<_> = store
            .rows
            .steps_of(id)
            .filter_map(|s| Some((s.verb, book.action(&s.action.service, &s.action.action)?)))
            .collect();
        let missing = |verb, action| {
            when(!planned.contains(&(verb, action)), || {
                format!("{id} has no step {verb} {}, which its rules demand", book.get(action).name)
            })
        };
        for (_, demand) in demands(store, id, book) {
            for stage in &demand.stages {
                let asked = [
                    (Verb::Compensate, &stage.compensate),
                    (Verb::Retry, &stage.retry),
                    (Verb::Notify, &stage.notify),
                ];
                for (verb, targets) in asked {
                    for target in targets {
                        if let Target::Action(action) = target {
                            missing(verb, *action)?;
                        }
                    }
                }
            }
            if demand.uses_recorded() {
                for action in told(store, id, book) {
                    missing(Verb::Compensate, action)?;
                }
            }
        }
        Ok(())
    }
}

/// Undoable actions that may have happened, by anybody's word.
fn told(store: &Stored, id: CaseId, book: &Rulebook) -> BTreeSet<amends_rulebook::ActionId> {
    let reports = store.rows.reports_of(id).flat_map(|r| &r.report.data.history);
    let memo = store.rows.case_row(id).map(|c| &c.extra);
    let walks = memo.into_iter().flat_map(|d| d.histories.iter().flat_map(|w| &w.entries));
    let answers = memo.into_iter().flat_map(|d| d.told.iter().map(|t| &t.evidence));
    reports
        .chain(walks)
        .chain(answers)
        .filter(|e| e.state.may_have_effect())
        .filter_map(|e| book.action(&e.service, &e.action))
        .filter(|action| book.get(*action).class == ActionClass::Compensable)
        .collect()
}

impl Check for Named {
    fn name(&self) -> &'static str {
        "2 planned"
    }

    fn see(&mut self, _now: Timestamp, seen: &Seen<'_>, store: &Stored) -> Result<(), String> {
        let Seen::Committed { writes, .. } = seen else { return Ok(()) };
        writes.iter().try_for_each(|write| match write {
            Write::Case(row) => Self::look(store, row.id),
            _ => Ok(()),
        })
    }
}

/// Invariant 6: the reports of a case in another order, some of them twice, make the same plan. Retries are left out:
/// whether one was sent before it was replaced is a matter of time.
pub(super) struct OrderOfReports {
    rng: SeededRng,
}

impl OrderOfReports {
    pub(super) fn new(seed: u64) -> Self {
        Self { rng: SeededRng::of(seed, &[8]) }
    }

    fn shuffled(&mut self, reports: &[Arc<Report>]) -> Vec<Arc<Report>> {
        let mut left = reports.to_vec();
        let mut all = Vec::new();
        while !left.is_empty() {
            all.push(left.swap_remove(self.rng.below(left.len())));
            if self.rng.chance(30) {
                let again = self.rng.below(all.len());
                all.push(Arc::clone(&all[again]));
            }
        }
        all
    }
}

impl Check for OrderOfReports {
    fn name(&self) -> &'static str {
        "6 order of reports"
    }

    fn see(&mut self, now: Timestamp, seen: &Seen<'_>, store: &Stored) -> Result<(), String> {
        let Seen::End(_) = seen else { return Ok(()) };
        for id in store.rows.cases().map(|c| c.id) {
            let Some(book) = store.book_of(id) else { continue };
            let reports: Vec<Arc<Report>> = store
                .rows
                .reports_of(id)
                .map(|r| Arc::clone(&r.report))
                .filter(|r| r.service() != amends_engine::SUPERVISOR)
                .collect();
            let in_order = plan(now, book, &reports);
            if reports.is_empty() || in_order.iter().any(|(verb, ..)| *verb == Verb::Retry) {
                continue;
            }
            let other = self.shuffled(&reports);
            let otherwise = plan(now, book, &other);
            when(in_order != otherwise, || {
                let ids: Vec<&str> = other.iter().map(|r| r.id.as_str()).collect();
                format!(
                    "the reports of {id} in the order {ids:?} make {otherwise:?}, in that of their coming {in_order:?}"
                )
            })?;
        }
        Ok(())
    }
}

/// The plan that these reports make in a supervisor that sends nothing.
fn plan(
    now: Timestamp,
    book: &Arc<Rulebook>,
    reports: &[Arc<Report>],
) -> BTreeSet<(Verb, String, u16, Option<Arc<str>>)> {
    let mut engine = Engine::new(0);
    engine.restore_active(Arc::clone(book));
    for service in book.services() {
        let (service, actor, reason) = (Arc::clone(&service.name), "kim".into(), "paused".into());
        engine.handle(now, Input::Pause { service, paused: true, actor, reason, ticket: 0 });
    }
    let mut rows = Memory::default();
    let mut take = |now, input| {
        // What is settled is only in the store, as ever.
        for case in rows.cases().filter(|c| c.state == CaseState::Settled) {
            if let Some(stored) = rows.case(case.id) {
                engine.hydrate(stored);
            }
        }
        engine.handle(now, input);
        let _ = rows.commit(engine.take_output(now).writes.into());
    };
    for report in reports {
        let report = Arc::clone(report);
        take(now, Input::Report { report, known_in: None, ticket: 0 });
    }
    take(now.plus_ms(book.settings().cause_wait_ms + 1_000), Input::Tick);
    // What a service itself says of a request after its caller takes no part away, and before it there is none.
    let by_others = |s: &&StepRow| reports.iter().all(|r| r.service() != &*s.action.service);
    let request = |s: &StepRow| Some(s).filter(by_others).and_then(|s| s.request().cloned());
    // Whether a fence was asked for before its action was known to have ended is a matter of time.
    let steps = rows.steps().filter(|s| !s.extra.fence);
    steps.map(|s| (s.verb, s.action.to_string(), s.stage, request(s))).collect()
}
