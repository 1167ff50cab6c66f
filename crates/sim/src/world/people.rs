//! People who act at random: on steps and cases that are there at the moment, on services, in series.

use super::state::World;
use super::under_way::Waiter;
use crate::event::{Callback, Undo, WorldEvent};
use crate::scenario::{Forgery, PersonAct};
use amends_api::{CaseAct, StepAct, StuckReason};
use amends_engine::{Input, Letter, Mend, Mending, NewLimits, Partition, StepState};
use amends_protocol::{ActionName, CallbackProof, CaseId, Outcome, OutcomeCallback, StepId, Verb};
use amends_rulebook::{ActionClass, Rulebook};
use amends_simulate::SeededRng;
use std::sync::Arc;

const REASON: &str = "because";

/// How long a commit of which nobody knows the end may still land, and more, in milliseconds.
const STILL_COMES_MS: u64 = 2_000;

impl World<'_> {
    pub(super) fn act(&mut self, act: PersonAct, which: u64, item: usize) {
        let mut rng = SeededRng::of(self.scenario.seed, &[6, item as u64, which]);
        let services: Vec<Arc<str>> =
            self.services.book.services().iter().map(|s| Arc::clone(&s.name)).collect();
        let service = rng.pick(&services).cloned();
        self.story.tell(|| format!("a person: {act:?}"));
        match (act, service) {
            (PersonAct::Pause(for_ms), Some(service)) => self.pause_for(&service, for_ms),
            (PersonAct::Limit { concurrency, per_second, for_ms }, Some(service)) => {
                let waiter = self.who_undoes(Undo::Unlimit(Arc::clone(&service)), for_ms);
                self.limit(&service, NewLimits { concurrency, per_second }, waiter);
            }
            (PersonAct::ApproveAll, _) => {
                let held = |s: &StepState| *s == StepState::Stuck(StuckReason::AwaitsApproval);
                self.series(held, &StepAct::Approve { reason: REASON.to_owned() }, item);
            }
            (PersonAct::RetryAll, _) => {
                let stuck = |s: &StepState| matches!(s, StepState::Stuck(_));
                self.series(stuck, &StepAct::retry(REASON.to_owned()), item);
            }
            (PersonAct::Forge(forgery), _) => self.forge(forgery, &mut rng),
            (PersonAct::Nonsense, _) => {
                let step = StepId {
                    case: CaseId(10_000 + which % 10),
                    ordinal: 1,
                    tag: which,
                    part: None,
                };
                self.act_on_step(step, StepAct::retry(REASON.to_owned()), None);
            }
            (PersonAct::Replan | PersonAct::Plan | PersonAct::Settle | PersonAct::RetryCase, _) => {
                if let Some(case) = rng.pick(&self.case_ids()).copied() {
                    self.act_on_case(case, act, &mut rng);
                }
            }
            (PersonAct::Repair | PersonAct::Discard, _) => {
                let quarantined: Vec<CaseId> = self.store.quarantined.iter().copied().collect();
                if let Some(case) = rng.pick(&quarantined).copied() {
                    self.mend(case, act == PersonAct::Discard);
                }
            }
            _ => self.act_on_some_step(act, &mut rng),
        }
    }

    pub(super) fn pause_for(&mut self, service: &Arc<str>, for_ms: u64) {
        let waiter = self.who_undoes(Undo::Resume(Arc::clone(service)), for_ms);
        self.pause(service, true, waiter);
    }

    /// Who sets something and undoes it so long after; where it may be left for another node, so long after its answer.
    fn who_undoes(&mut self, undo: Undo, after_ms: u64) -> Waiter {
        if self.nodes.is_some() {
            return Waiter::Sets { undo, for_ms: after_ms };
        }
        self.queue.after(after_ms, WorldEvent::Undo(undo));
        Waiter::Person
    }

    /// Somebody has an answer to what is to be undone. What is still on its way then, comes before the other.
    pub(super) fn undoes_later(&mut self, undo: Undo, for_ms: u64) {
        self.queue.after(for_ms + STILL_COMES_MS, WorldEvent::Undo(undo));
    }

    /// What people end after a while they ask for once more if it is refused: they are told.
    pub(super) fn see_refused(&mut self, letter: &Letter) {
        let undo = match letter.input(0) {
            Ok(Input::Pause { service, paused: false, .. }) => Undo::Resume(service),
            Ok(Input::Limit { service, limits, .. }) if limits == NewLimits::default() => {
                Undo::Unlimit(service)
            }
            _ => return,
        };
        self.queue.after(STILL_COMES_MS, WorldEvent::Undo(undo));
    }

    fn act_on_some_step(&mut self, act: PersonAct, rng: &mut SeededRng) {
        let steps: Vec<(StepId, Verb)> = self.store.rows.steps().map(|s| (s.id, s.verb)).collect();
        let Some((step, verb)) = rng.pick(&steps).copied() else { return };
        let reason = REASON.to_owned();
        let act = match act {
            PersonAct::Edit => StepAct::edit(reason, serde_json::Map::new()),
            PersonAct::Waive => StepAct::Waive { reason },
            PersonAct::Record => {
                let outcome = match verb {
                    Verb::Compensate => Outcome::Compensated,
                    Verb::Retry => Outcome::Retried,
                    Verb::Notify => Outcome::Notified,
                };
                StepAct::Record { reason, outcome }
            }
            PersonAct::Approve => StepAct::Approve { reason },
            _ => StepAct::retry(reason),
        };
        self.act_on_step(step, act, None);
    }

    /// Somebody who was not asked tells an outcome.
    fn forge(&mut self, forgery: Forgery, rng: &mut SeededRng) {
        let steps: Vec<(StepId, Verb)> = self.store.rows.steps().map(|s| (s.id, s.verb)).collect();
        let Some((step, verb)) = rng.pick(&steps).copied() else { return };
        let proof = match forgery {
            Forgery::NoProof => None,
            Forgery::MadeUp => Some(CallbackProof::new("p-0")),
            Forgery::OfAnother => {
                let others = self.services.proofs.iter().filter(|(other, _)| **other != step);
                let others: Vec<CallbackProof> = others.map(|(_, proof)| proof.clone()).collect();
                let Some(proof) = rng.pick(&others) else { return };
                Some(proof.clone())
            }
        };
        let said = OutcomeCallback { proof, ..OutcomeCallback::of(verb.ends_as()) };
        self.call_back(Callback { step, said, tries: 0, forged: true });
    }

    fn act_on_step(&mut self, step: StepId, act: StepAct, bulk: Option<u64>) {
        self.story.tell(|| format!("a person on {step}: {act:?}"));
        self.offer(Waiter::Person, |ticket| Input::StepAct {
            step,
            act,
            actor: "kim".into(),
            bulk,
            ticket,
        });
    }

    fn series(&mut self, fits: impl Fn(&StepState) -> bool, act: &StepAct, item: usize) {
        let steps: Vec<StepId> =
            self.store.rows.steps().filter(|s| fits(&s.state)).map(|s| s.id).collect();
        for step in steps {
            self.act_on_step(step, act.clone(), Some(item as u64));
        }
    }

    fn act_on_case(&mut self, case: CaseId, act: PersonAct, rng: &mut SeededRng) {
        let reason = REASON.to_owned();
        let act = match act {
            PersonAct::Replan => CaseAct::replan(reason),
            PersonAct::Settle => CaseAct::Settle { reason },
            PersonAct::RetryCase => CaseAct::Retry { reason },
            _ => {
                let compensate = some_actions(&self.services.book, rng);
                CaseAct::Plan { reason, compensate, retry: Vec::new(), notify: Vec::new() }
            }
        };
        self.story.tell(|| format!("a person on {case}: {act:?}"));
        self.offer(Waiter::Person, |ticket| Input::CaseAct {
            case,
            act,
            actor: "kim".into(),
            bulk: None,
            ticket,
        });
    }

    /// The rows are good again: what they were, or what there is to discard.
    fn mend(&mut self, case: CaseId, discard: bool) {
        let mending = if discard { Mending::Discard } else { Mending::Repair };
        self.story.tell(|| format!("a person on {case}: {}", mending.act()));
        self.refused.remove(&case);
        let stored = self.store.rows.case(case);
        self.offer(Waiter::Person, |ticket| Input::Mend {
            mend: Box::new(Mend {
                case,
                mending,
                stored,
                before: serde_json::Value::Null,
                actor: "kim".into(),
                reason: REASON.into(),
            }),
            ticket,
        });
    }

    pub(super) fn undo(&mut self, undo: Undo) {
        let left = self.nodes.as_ref().map(|nodes| nodes.inbox(Partition::SEAT));
        if left.is_some_and(|left| !left.is_empty()) {
            return self.queue.after(STILL_COMES_MS, WorldEvent::Undo(undo));
        }
        match &undo {
            Undo::Resume(service) => {
                let service = Arc::clone(service);
                self.pause(&service, false, Waiter::Undo(undo));
            }
            Undo::Unlimit(service) => {
                let service = Arc::clone(service);
                self.limit(&service, NewLimits::default(), Waiter::Undo(undo));
            }
        }
    }

    fn pause(&mut self, service: &Arc<str>, paused: bool, waiter: Waiter) {
        let service = Arc::clone(service);
        self.story
            .tell(|| format!("{service} is to be {}", if paused { "paused" } else { "resumed" }));
        self.offer(waiter, |ticket| Input::Pause {
            service,
            paused,
            actor: "kim".into(),
            reason: REASON.into(),
            ticket,
        });
    }

    fn limit(&mut self, service: &Arc<str>, limits: NewLimits, waiter: Waiter) {
        let service = Arc::clone(service);
        self.offer(waiter, |ticket| Input::Limit {
            service,
            limits,
            actor: "kim".into(),
            reason: REASON.into(),
            ticket,
        });
    }
}

fn some_actions(book: &Rulebook, rng: &mut SeededRng) -> Vec<ActionName> {
    book.actions()
        .iter()
        .filter(|a| a.class == ActionClass::Compensable && rng.chance(50))
        .map(|a| a.name.clone())
        .collect()
}
