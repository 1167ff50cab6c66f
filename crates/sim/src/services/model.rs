//! What the services of a run know and hold: requests, fences, faults that are still to strike, and the weather.

use crate::event::{StepCall, WorldEvent};
use crate::queue::Queue;
use crate::scenario::{Corpus, Item, MailTrouble, PAYMENT, SagaPlan, Scenario, Sky, Weather};
use crate::story::Story;
use amends_protocol::{CallbackProof, Evidence, HistoryState, Outcome, Report, SagaId, StepId};
use amends_rulebook::{ActionId, Rulebook};
use amends_simulate::{Fault, FaultKind, SeededRng};
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// What a gateway says one after the other while a service is deployed: no backend is ready, its routes are gone, its
/// rules of access are not the ones that they were.
const DEPLOY: [u16; 4] = [503, 404, 401, 404];

/// How long it says each.
const DEPLOY_TURN_MS: i64 = 700;

/// What a service knows of one request, and what is really there.
#[derive(Clone, Debug, Default)]
pub(crate) struct Request {
    pub(crate) state: Option<HistoryState>,
    /// Somebody is at work on it.
    pub(super) running: bool,
    /// Counts the runs; work of an earlier one is over.
    pub(super) run: u32,
    /// The effect is there since this moment, whatever the History says.
    pub(crate) effect: Option<i64>,
    /// Its service refuses it, since it was undone before it came.
    pub(super) barred: bool,
    /// It was undone before it took effect, by a service that bars nothing.
    pub(super) removed: bool,
    /// It took effect, and nobody who could tell of it or bar it is left.
    pub(crate) unheard_of: bool,
    /// The report about its failure.
    pub(super) report: Option<usize>,
    /// What its caller knows of it.
    pub(super) call: Option<HistoryState>,
    /// The call that it waits for.
    pub(super) waits_for: Option<usize>,
    /// The step that runs it again; a failure is its answer and no report.
    pub(super) rerun: Option<StepCall>,
}

/// One saga as its services know it.
#[derive(Debug)]
pub(crate) struct Saga {
    pub(crate) item: usize,
    pub(crate) plan: SagaPlan,
    pub(crate) requests: Vec<Request>,
    pub(super) fences: Vec<bool>,
    pub(crate) corrected: Vec<bool>,
    /// Every effect that there ever was.
    pub(crate) effects: Vec<(ActionId, i64)>,
    /// Steps by their key, with how they ended; none while one is at work on it.
    pub(super) steps: BTreeMap<(ActionId, u64), Option<Outcome>>,
    pub(crate) reports: Vec<Arc<Report>>,
    pub(super) faults: Vec<Fault>,
    pub(super) mail: BTreeMap<usize, Vec<MailTrouble>>,
    /// Some service did not tell the truth about this saga, or could not.
    pub(crate) lied_to: bool,
    /// It has ended well for its first caller.
    pub(crate) succeeded: bool,
}

/// What the model needs of the world around it.
pub(crate) struct Around<'a> {
    pub(crate) queue: &'a mut Queue<WorldEvent>,
    pub(crate) story: &'a mut Story,
}

/// All services.
#[derive(Debug)]
pub(crate) struct Services {
    pub(crate) book: Arc<Rulebook>,
    pub(crate) sagas: Vec<Saga>,
    pub(super) by_id: BTreeMap<SagaId, usize>,
    pub(super) weather: Vec<(usize, Weather)>,
    /// By how much clocks are wrong.
    pub(super) skews: BTreeMap<Arc<str>, i64>,
    /// What came with the requests for steps.
    pub(crate) proofs: BTreeMap<StepId, CallbackProof>,
    pub(super) seed: u64,
    /// Services of their own kind bar what they have undone, and callers tell all that undoing needs.
    honest: bool,
}

impl Services {
    pub(crate) fn new(scenario: &Scenario) -> Self {
        let book = Arc::clone(&scenario.world);
        let mut services = Self {
            book,
            sagas: Vec::new(),
            by_id: BTreeMap::new(),
            weather: Vec::new(),
            skews: BTreeMap::new(),
            proofs: BTreeMap::new(),
            seed: scenario.seed,
            honest: scenario.corpus == Corpus::Honest,
        };
        let mut number = BTreeMap::new();
        for (n, item) in scenario.kept_items() {
            if let Item::Saga(plan) = item {
                number.insert(n, services.sagas.len());
                services.add_saga(n, plan);
            }
        }
        for (n, item) in scenario.kept_items() {
            let saga = item.of_saga().and_then(|saga| number.get(&saga)).copied();
            match (item, saga) {
                (Item::Fault { fault, .. }, Some(saga)) => {
                    services.sagas[saga].faults.push(fault.clone());
                }
                (Item::Mail { nth, trouble, .. }, Some(saga)) => {
                    services.sagas[saga].mail.entry(*nth).or_default().push(*trouble);
                }
                (Item::Weather(weather), _) => services.weather.push((n, weather.clone())),
                (Item::Skew { service, ms }, _) => {
                    services.skews.insert(Arc::clone(service), *ms);
                }
                _ => {}
            }
        }
        services
    }

    fn add_saga(&mut self, item: usize, plan: &SagaPlan) {
        let actions = self.book.actions().len();
        self.by_id.insert(plan.id.clone(), self.sagas.len());
        self.sagas.push(Saga {
            item,
            plan: plan.clone(),
            requests: vec![Request::default(); plan.flow.nodes.len()],
            fences: vec![false; actions],
            corrected: vec![false; actions],
            effects: Vec::new(),
            steps: BTreeMap::new(),
            reports: Vec::new(),
            faults: Vec::new(),
            mail: BTreeMap::new(),
            lied_to: false,
            succeeded: false,
        });
    }

    pub(crate) fn saga_number(&self, id: &SagaId) -> Option<usize> {
        self.by_id.get(id).copied()
    }

    pub(crate) fn action_of(&self, saga: usize, node: usize) -> ActionId {
        self.sagas[saga].plan.flow.nodes[node].action
    }

    pub(crate) fn name_of(&self, saga: usize, node: usize) -> String {
        self.book.get(self.action_of(saga, node)).name.to_string()
    }

    pub(crate) fn service_of(&self, saga: usize, node: usize) -> &Arc<str> {
        &self.book.get(self.action_of(saga, node)).name.service
    }

    /// What a request to a service meets now. `what` names the request, so that the same one meets the same sky
    /// whatever else happens in the run.
    pub(crate) fn sky(&self, now: i64, service: &str, what: &[u64]) -> Option<Sky> {
        self.weather
            .iter()
            .filter(|(_, w)| *w.service == *service && (w.from..w.to).contains(&now))
            .find(|(item, w)| {
                let mut rng = SeededRng::of(self.seed ^ 0x5157, what);
                let _ = rng.number();
                SeededRng::of(rng.number(), &[*item as u64]).chance(w.percent)
            })
            .map(|(_, w)| match w.sky {
                Sky::Deploy => {
                    let turn = usize::try_from(now / DEPLOY_TURN_MS).unwrap_or(0);
                    Sky::Gateway(DEPLOY[turn % DEPLOY.len()])
                }
                sky => sky,
            })
    }

    /// Whether nobody can reach a service now, going forward.
    pub(super) fn is_away(&self, now: i64, service: &str, what: &[u64]) -> bool {
        matches!(self.sky(now, service, what), Some(Sky::Down | Sky::Gateway(_)))
    }

    /// Takes the fault that strikes here, if any is left.
    pub(super) fn strike(
        &mut self,
        saga: usize,
        node: usize,
        fits: impl Fn(&Fault) -> bool,
    ) -> Option<FaultKind> {
        let faults = &mut self.sagas[saga].faults;
        let fault = faults.iter_mut().find(|f| f.node == node && f.times > 0 && fits(f))?;
        fault.times -= 1;
        Some(fault.kind.clone())
    }

    /// Whether a service tells anybody of failures: one that only answers questions does not know how, and one that
    /// knows nothing of the protocol neither.
    pub(super) fn reports(&self, service: &str) -> bool {
        let Some(id) = self.book.service(service) else { return false };
        let calls = |action: &ActionId| !self.book.get(*action).calls.is_empty();
        self.book.keeps_history(id) || self.book.services()[id.0 as usize].actions.iter().any(calls)
    }

    /// Whether an action is undone by a request of the service's own, which fences nothing.
    pub(super) fn is_mapped(&self, action: ActionId) -> bool {
        self.book.get(action).endpoints.compensate.is_some()
    }

    /// Whether a service of its own kind refuses what comes after its undo.
    pub(super) fn bars(&self, action: ActionId) -> bool {
        self.honest || SeededRng::of(self.seed, &[11, u64::from(action.0)]).chance(50)
    }

    /// What undoing a request takes, as its caller tells it.
    fn data_of(&self, saga: usize, node: usize) -> Map<String, Value> {
        let action = self.action_of(saga, node);
        let endpoint = self.book.get(action).endpoints.compensate.as_ref();
        let takes = endpoint.is_some_and(|e| e.data_fields().any(|field| field == PAYMENT));
        let tells = self.honest || SeededRng::of(self.seed, &[12, saga as u64]).chance(80);
        let payment = || (PAYMENT.to_owned(), payment_id(saga, node).into());
        (takes && tells).then(payment).into_iter().collect()
    }

    // ---- what a History says ----

    pub(super) fn own_requests(
        &self,
        saga: usize,
        service: &str,
        with_undone: bool,
    ) -> Vec<Evidence> {
        let requests = &self.sagas[saga].requests;
        (0..requests.len())
            .filter(|n| **self.service_of(saga, *n) == *service)
            .filter_map(|n| Some((n, requests[n].state?)))
            .filter(|(_, state)| {
                with_undone || !matches!(state, HistoryState::Compensated | HistoryState::Fenced)
            })
            .map(|(n, state)| self.evidence(saga, n, state))
            .collect()
    }

    pub(super) fn own_calls(&self, saga: usize, service: &str) -> Vec<Evidence> {
        let flow = &self.sagas[saga].plan.flow;
        (0..flow.nodes.len())
            .filter(|n| {
                flow.nodes[*n].parent.is_some_and(|p| **self.service_of(saga, p) == *service)
            })
            .filter_map(|n| Some(self.evidence(saga, n, self.sagas[saga].requests[n].call?)))
            .collect()
    }

    fn evidence(&self, saga: usize, node: usize, state: HistoryState) -> Evidence {
        let name = &self.book.get(self.action_of(saga, node)).name;
        let mut told = Evidence::new(&*name.service, &*name.action, request_id(saga, node), state);
        told.data = self.data_of(saga, node);
        told
    }

    /// The whole History of one saga.
    pub(crate) fn history(&self, saga: usize, service: &str) -> Vec<Evidence> {
        let mut all = self.own_requests(saga, service, true);
        all.extend(self.own_calls(saga, service));
        all
    }

    /// Actions of this saga that some request has in place now, as far as anybody could know of it.
    pub(crate) fn standing(&self, saga: usize) -> BTreeSet<(ActionId, i64)> {
        let requests = self.sagas[saga].requests.iter().enumerate();
        let known = requests.filter(|(_, request)| !request.unheard_of);
        known.filter_map(|(n, r)| Some((self.action_of(saga, n), r.effect?))).collect()
    }
}

pub(super) fn request_id(saga: usize, node: usize) -> String {
    format!("request-{saga}-{node}")
}

/// By which a service that charges knows a saga.
pub(crate) fn order_id(saga: usize) -> String {
    format!("order-{saga}")
}

/// By which a service that charges knows a request.
fn payment_id(saga: usize, node: usize) -> String {
    format!("payment-{saga}-{node}")
}

/// The request of a saga that an id of either kind means.
pub(crate) fn request_of(id: &str) -> Option<(usize, usize)> {
    let mut parts = id.split('-').skip(1).map(str::parse);
    Some((parts.next()?.ok()?, parts.next()?.ok()?))
}
