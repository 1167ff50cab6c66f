//! From a demand to concrete steps, given what is known of the saga. More evidence never removes a step.

use crate::{Action, ActionClass, ActionId, Demand, Rulebook, Stage, Target};
use amends_protocol::Verb;
use std::collections::{BTreeMap, BTreeSet};

/// What is known of a saga when its plan is made.
#[derive(Clone, Copy, Debug)]
pub struct Known<'a> {
    /// The action that failed; none if the report doesn't say or the rulebook doesn't know it.
    pub reporter: Option<ActionId>,
    /// Actions with evidence that they happened or may have happened.
    pub effects: &'a BTreeSet<ActionId>,
}

/// One thing to ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PlannedStep {
    /// Its turn.
    pub stage: Stage,
    /// Of what.
    pub action: ActionId,
    /// What.
    pub verb: Verb,
}

impl Rulebook {
    /// What a demand asks for, given what is known of the saga: one step per verb and action, in the latest stage that
    /// asks for it, sorted. For the same reporter, more effects never remove a step or move it to an earlier stage.
    ///
    /// The reporter's own action is not added (only `all` includes it): whether it belongs to the plan is the case's
    /// business, not the demand's.
    ///
    /// As far as the reporter alone concerns: not the whole saga below a call that is tolerated or not waited for.
    #[must_use]
    pub fn resolve(&self, demand: &Demand, known: &Known<'_>) -> Vec<PlannedStep> {
        let within = self.concerned_by([known.reporter.filter(|id| self.has(*id))]);
        self.resolve_within(demand, known, within.as_ref(), &BTreeSet::new())
    }

    /// The same where the case is known to concern these actions, or the whole saga (none), and some messages are known
    /// not to have been sent. Lists and tags ask for what they name.
    pub(super) fn resolve_within(
        &self,
        demand: &Demand,
        known: &Known<'_>,
        within: Option<&BTreeSet<ActionId>>,
        unsent: &BTreeSet<(ActionId, ActionId)>,
    ) -> Vec<PlannedStep> {
        let mut steps = Steps::default();
        for (n, stage) in demand.stages.iter().enumerate() {
            let at = Stage(u16::try_from(n).unwrap_or(u16::MAX - 1));
            let notices_at = if n == 0 { Stage::NOTICES } else { at };
            for target in &stage.compensate {
                self.add_compensations(target, known, within, unsent, at, &mut steps);
            }
            for target in &stage.retry {
                self.add_each(target, Verb::Retry, at, &mut steps);
            }
            for target in &stage.notify {
                self.add_each(target, Verb::Notify, notices_at, &mut steps);
            }
        }
        steps.into_sorted()
    }

    fn add_compensations(
        &self,
        target: &Target,
        known: &Known<'_>,
        within: Option<&BTreeSet<ActionId>>,
        unsent: &BTreeSet<(ActionId, ActionId)>,
        at: Stage,
        steps: &mut Steps,
    ) {
        let concerns =
            |id: &ActionId| self.has(*id) && within.is_none_or(|within| within.contains(id));
        let undo = |ids: &mut dyn Iterator<Item = ActionId>, steps: &mut Steps| {
            let undoable = |id: &ActionId| self.get(*id).class == ActionClass::Compensable;
            for id in ids.filter(|id| concerns(id) && undoable(id)) {
                steps.add(Verb::Compensate, id, at);
            }
        };
        match target {
            Target::Recorded => {
                undo(&mut known.effects.iter().copied(), steps);
                undo(&mut self.addressed(known, unsent, &concerns), steps);
                let corrections = known.effects.iter().filter(|id| concerns(id));
                for correction in corrections.filter_map(|id| self.get(*id).correction) {
                    steps.add(Verb::Notify, correction, Stage::NOTICES);
                }
            }
            Target::All => match known.reporter.filter(|id| self.has(*id)) {
                Some(reporter) => undo(&mut self.saga_reach(reporter).iter().copied(), steps),
                None => undo(&mut self.action_ids(), steps),
            },
            Target::Downstream => {
                if let Some(reporter) = known.reporter.filter(|id| self.has(*id)) {
                    undo(&mut self.downstream(reporter).iter().copied(), steps);
                }
            }
            Target::Tag(_) | Target::Action(_) => {
                self.add_each(target, Verb::Compensate, at, steps)
            }
        }
    }

    /// Whoever may have been sent a message that nobody waits for, by an action that may have happened or has begun: it
    /// may still be under way, so its consumer's fence must be up.
    fn addressed<'a>(
        &'a self,
        known: &'a Known<'_>,
        unsent: &'a BTreeSet<(ActionId, ActionId)>,
        concerns: &'a dyn Fn(&ActionId) -> bool,
    ) -> impl Iterator<Item = ActionId> + 'a {
        let reporter = known.reporter.filter(|id| self.has(*id));
        let has_begun = move |sender: ActionId| {
            known.effects.contains(&sender)
                || reporter == Some(sender)
                || reporter.is_some_and(|id| self.downstream(sender).binary_search(&id).is_ok())
        };
        let events = self.graph.events().iter();
        let sent = events.filter(move |event| {
            let (sender, _) = event;
            concerns(sender) && has_begun(*sender) && !unsent.contains(event)
        });
        sent.map(|(_, consumer)| *consumer)
    }

    /// Tags and named actions mean the same set in every saga. The other targets stand only in `compensate`.
    fn add_each(&self, target: &Target, verb: Verb, at: Stage, steps: &mut Steps) {
        match target {
            Target::Action(id) => steps.add(verb, *id, at),
            Target::Tag(tag) => {
                for id in self.tagged(tag).filter(|id| fits(verb, self.get(*id))) {
                    steps.add(verb, id, at);
                }
            }
            Target::Recorded | Target::All | Target::Downstream => {}
        }
    }
}

/// Whether `verb` can be asked of an action at all.
#[must_use]
pub fn fits(verb: Verb, action: &Action) -> bool {
    match verb {
        Verb::Compensate => action.class == ActionClass::Compensable,
        Verb::Retry => action.correction_of.is_none(),
        Verb::Notify => action.class == ActionClass::Notice,
    }
}

/// Keyed so that a step asked for twice is one step, in the latest of its stages.
#[derive(Default)]
struct Steps(BTreeMap<(ActionId, Verb), Stage>);

impl Steps {
    fn add(&mut self, verb: Verb, action: ActionId, at: Stage) {
        let stage = self.0.entry((action, verb)).or_insert(at);
        *stage = (*stage).max(at);
    }

    fn into_sorted(self) -> Vec<PlannedStep> {
        let mut all: Vec<_> = self
            .0
            .into_iter()
            .map(|((action, verb), stage)| PlannedStep { stage, action, verb })
            .collect();
        all.sort_unstable();
        all
    }
}
