//! In which order a saga is undone where a rule says `undo_order: reverse_calls`: what was called later goes before
//! what was called earlier, and a callee before its caller, unless `own` says that the caller's effect came later.
//! What no order of calls connects is undone at once.
//!
//! INVARIANT: the place of an action is one for all sagas of a rulebook, so that more evidence never moves a step.

use crate::circles::circles;
use crate::{Action, ActionClass, ActionId, Flow, FlowStep, Stage};
use amends_protocol::Verb;

/// For each action, how many others that can be undone come after it at most, one after another.
#[derive(Debug)]
pub(crate) struct ReverseCalls {
    after: Vec<u16>,
    most: u16,
}

impl ReverseCalls {
    /// Where a step of this stage stands then: each stage of a rule is spread over as many as that needs.
    pub(crate) fn stage(&self, stage: Stage, verb: Verb, action: ActionId) -> Stage {
        if stage == Stage::NOTICES {
            return stage;
        }
        let first = stage.0.saturating_mul(self.most.saturating_add(1));
        let within = match verb {
            Verb::Compensate => self.after.get(action.0 as usize).copied().unwrap_or(0),
            Verb::Retry | Verb::Notify => 0,
        };
        Stage(first.saturating_add(within).min(Stage::NOTICES.0 - 1))
    }

    pub(crate) fn of(actions: &[Action]) -> Self {
        let events = Events::of(actions);
        let is_undone = |event: usize| {
            events.effects.get(event).is_some_and(|id| {
                id.is_some_and(|id: ActionId| {
                    actions[id.0 as usize].class == ActionClass::Compensable
                })
            })
        };
        // How many effects lie before each event, at most one after another.
        let mut earlier = vec![0u16; events.before.len()];
        for group in circles(&events.before) {
            let outside = group.iter().flat_map(|n| &events.before[*n]);
            let outside = outside.filter(|n| group.binary_search(n).is_err());
            let most = outside.map(|n| earlier[*n].saturating_add(u16::from(is_undone(*n)))).max();
            group.iter().for_each(|n| earlier[*n] = most.unwrap_or(0));
        }
        let effects = events.effects.iter().enumerate().filter(|(n, _)| is_undone(*n));
        let effects: Vec<(ActionId, u16)> =
            effects.filter_map(|(n, id)| Some(((*id)?, earlier[n]))).collect();
        let most = effects.iter().map(|(_, n)| *n).max().unwrap_or(0);
        let mut after = vec![0; actions.len()];
        for (id, earlier) in effects {
            after[id.0 as usize] = most - earlier;
        }
        Self { after, most }
    }
}

/// What happens in the sagas of a rulebook: each action begins, takes effect and ends; between two steps of a flow
/// something has been awaited.
#[derive(Default)]
struct Events {
    /// For each event, those that come before it.
    before: Vec<Vec<usize>>,
    /// For each event, whose effect it is, if it is one.
    effects: Vec<Option<ActionId>>,
}

impl Events {
    fn of(actions: &[Action]) -> Self {
        let mut all = Self::default();
        for (id, _) in (0u32..).map(ActionId).zip(actions) {
            let begin = all.add(Vec::new(), None);
            let effect = all.add(vec![begin], Some(id));
            all.add(vec![effect], None);
        }
        for (id, action) in (0u32..).map(ActionId).zip(actions) {
            let mut at = begin_of(id);
            let flow = &action.calls;
            let is_said = flow.steps().contains(&FlowStep::Own);
            if !is_said && !flow.is_empty() {
                at = effect_of(id); // it was called before it called others
            }
            for step in flow.steps() {
                at = match step {
                    FlowStep::Own => {
                        all.before[effect_of(id)].push(at);
                        effect_of(id)
                    }
                    FlowStep::Call(n) => all.call(flow, *n, at),
                    FlowStep::Parallel(calls) => {
                        let ends = calls.clone().map(|n| all.call(flow, n, at)).collect();
                        all.add(ends, None)
                    }
                    FlowStep::OneOf(ways) => {
                        let way = |way: &std::ops::Range<usize>| {
                            way.clone().fold(at, |at, n| all.call(flow, n, at))
                        };
                        let ends = ways.iter().map(way).collect();
                        all.add(ends, None)
                    }
                };
            }
            all.before[end_of(id)].push(at);
        }
        all
    }

    fn add(&mut self, before: Vec<usize>, effect: Option<ActionId>) -> usize {
        self.before.push(before);
        self.effects.push(effect);
        self.before.len() - 1
    }

    /// A call that is made at this moment; gives the moment at which its caller goes on.
    fn call(&mut self, flow: &Flow, call: usize, at: usize) -> usize {
        let Some(call) = flow.get(call) else { return at };
        self.before[begin_of(call.action)].push(at);
        if call.is_event() { at } else { self.add(vec![at, end_of(call.action)], None) }
    }
}

fn begin_of(id: ActionId) -> usize {
    id.0 as usize * 3
}

fn effect_of(id: ActionId) -> usize {
    begin_of(id) + 1
}

fn end_of(id: ActionId) -> usize {
    begin_of(id) + 2
}
