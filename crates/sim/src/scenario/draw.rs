//! Draws a scenario from its seed: how many sagas, which faults, which weather, which people.

use super::item::{
    Corpus, CrashPoint, Forgery, HEALED_MS, Item, MailTrouble, PersonAct, SagaPlan, Scenario, Sky,
    StoreTrouble, Weather,
};
use super::rulebooks::{Books, rulebooks};
use amends_protocol::SagaId;
use amends_rulebook::Rulebook;
use amends_simulate::{Fault, Flow, SeededRng, faults_of, flows};
use std::sync::Arc;

/// How late a service may be at most in its forward work: three of these stay below the quiet time of every rulebook.
const LATE_MS: u64 = 15_000;

/// When a report may come once more, from an outbox that was restored or a queue that was played again.
const LONG_AFTER_MS: u64 = 4 * 86_400_000;

/// How long services remember a saga: longer than its case lives.
const RETENTION_MS: (u64, u64) = (2 * 3_600_000, 2 * 86_400_000);

/// How long settled cases are kept.
const KEEP_MS: (u64, u64) = (3_600_000, 2 * 86_400_000);

/// By how much the clock of a service may be wrong.
const SKEW_MS: i64 = 3 * 86_400_000;

/// Requests of one saga; longer ones add events but no new situations.
const LONGEST_FLOW: usize = 24;

/// Draws the whole plan of a run.
///
/// # Errors
/// When a rulebook that was made up is not valid.
pub fn draw(seed: u64, corpus: Corpus) -> Result<Scenario, String> {
    let mut rng = SeededRng::of(seed, &[1]);
    let Books { world, versions } = rulebooks(&mut rng, corpus)?;
    let mut items = Vec::new();
    let mut draw = Draw { rng, corpus, book: Arc::clone(&world), items: &mut items };
    draw.sagas();
    draw.weather();
    draw.services();
    draw.supervisor(&versions);
    draw.people();
    draw.slow_undos();
    Ok(Scenario { seed, corpus, world, versions, items, kept: None, nodes: 1 })
}

struct Draw<'i> {
    rng: SeededRng,
    corpus: Corpus,
    book: Arc<Rulebook>,
    items: &'i mut Vec<Item>,
}

impl Draw<'_> {
    fn hostile(&self) -> bool {
        self.corpus == Corpus::Hostile
    }

    fn moment(&mut self, until: i64) -> i64 {
        self.rng.below(usize::try_from(until).unwrap_or(1)) as i64
    }

    fn sagas(&mut self) {
        let (flows, _) = flows(&self.book, &mut self.rng);
        let flows: Vec<&Flow> = flows.iter().filter(|f| f.nodes.len() <= LONGEST_FLOW).collect();
        let most = if self.rng.chance(20) { 12 } else { 5 };
        let count = 1 + self.rng.below(most);
        // Close together they compete for the services, far apart each meets its own weather.
        let span = if self.rng.chance(50) { 2_000 } else { 300_000 };
        for n in 0..count {
            let Some(flow) = self.rng.pick(&flows).copied().cloned() else { return };
            let Ok(id) = SagaId::new(&format!("saga-{n}")) else { continue };
            let at = self.moment(span);
            let deadline_ms = self.rng.chance(25).then(|| self.rng.between(60_000, 600_000));
            // Some begin when their deadline has passed and nobody has heard of them.
            let late_ms = match deadline_ms {
                Some(ms) if self.rng.chance(40) => ms + self.rng.between(1, LATE_MS),
                _ => 0,
            };
            let saga = self.items.len();
            let flow = flow.clone();
            self.items.push(Item::Saga(SagaPlan {
                id,
                at,
                late_ms,
                flow: flow.clone(),
                deadline_ms,
            }));
            self.faults(saga, &flow);
            self.mail(saga, deadline_ms.is_some());
            if self.rng.chance(8) {
                let node = self.rng.below(flow.nodes.len());
                let at = at + self.moment(60_000);
                self.items.push(Item::OwnCleanUp { saga, node, at });
            }
        }
    }

    fn faults(&mut self, saga: usize, flow: &Flow) {
        let all = faults_of(&self.book, flow);
        let count = match self.rng.below(10) {
            0 => 0,
            1..=5 => 1,
            6..=8 => 2,
            _ => 3,
        };
        for _ in 0..count {
            let Some(fault) = self.rng.pick(&all).cloned() else { return };
            // What is only retried succeeds in the end, if its service keeps its promises.
            let always = if self.hostile() { 1_000 } else { 30 };
            let times = if self.rng.chance(20) { always } else { 1 + self.rng.below(3) as u32 };
            self.items.push(Item::Fault { saga, fault: Fault { times, ..fault } });
        }
    }

    fn mail(&mut self, saga: usize, announced: bool) {
        for nth in 0..3 {
            if !self.rng.chance(35) {
                continue;
            }
            let trouble = match self.rng.below(if self.hostile() { 10 } else { 6 }) {
                0 => MailTrouble::Again(self.rng.between(1, LONG_AFTER_MS)),
                1 | 2 => MailTrouble::Again(self.rng.between(1, 400_000)),
                3..=5 => MailTrouble::Late(self.rng.between(1, 45_000)),
                6 | 7 if announced => MailTrouble::Lost,
                8 => MailTrouble::Circle,
                _ => MailTrouble::StrangeCause,
            };
            self.items.push(Item::Mail { saga, nth, trouble });
        }
    }

    fn weather(&mut self) {
        let services: Vec<Arc<str>> =
            self.book.services().iter().map(|s| Arc::clone(&s.name)).collect();
        let most = if self.rng.chance(30) { 8 } else { 4 };
        let count = self.rng.below(most);
        for _ in 0..count {
            let Some(service) = self.rng.pick(&services).cloned() else { return };
            let from = self.moment(400_000);
            let length = if self.rng.chance(40) { 5_000 } else { 240_000 };
            let to = (from + 1 + self.moment(length)).min(HEALED_MS);
            let percent = if self.rng.chance(60) { 100 } else { 10 + self.rng.below(80) };
            let sky = self.sky();
            self.items.push(Item::Weather(Weather { service, from, to, percent, sky }));
        }
    }

    /// What some services are like from the beginning to the end.
    fn services(&mut self) {
        let services: Vec<Arc<str>> =
            self.book.services().iter().map(|s| Arc::clone(&s.name)).collect();
        for service in services {
            if self.rng.chance(20) {
                let ms = self.rng.between(RETENTION_MS.0, RETENTION_MS.1);
                self.items.push(Item::Retention { service: Arc::clone(&service), ms });
            }
            if self.rng.chance(20) {
                let ms = self.moment(2 * SKEW_MS) - SKEW_MS;
                self.items.push(Item::Skew { service, ms });
            }
        }
    }

    fn sky(&mut self) -> Sky {
        let lies = self.hostile() && self.rng.chance(45);
        if lies {
            return self.lying_sky();
        }
        match self.rng.below(17) {
            0 | 1 => Sky::Down,
            2 => Sky::Gateway(*self.rng.pick(&[404, 401, 503, 502, 504, 200]).unwrap_or(&503)),
            3 => Sky::Gateway(503),
            14 | 15 => Sky::Deploy,
            4 => Sky::RequestLost,
            5 => Sky::AnswerLost,
            6 => Sky::Slow(self.rng.between(100, LATE_MS)),
            7 => Sky::Twice(self.rng.between(1, 120_000)),
            8 => Sky::Broken,
            9 => Sky::Busy,
            10 => Sky::TooMany(self.rng.between(100, 20_000)),
            11 => Sky::Overloaded(self.rng.between(100, 20_000)),
            16 => Sky::AnswerLostThenCallsBack(self.rng.between(10, 25_000)),
            12 => Sky::AcceptsAndCallsBack(self.rng.between(10, 25_000)),
            _ => Sky::AcceptsForPolling(self.rng.between(10, 25_000)),
        }
    }

    fn lying_sky(&mut self) -> Sky {
        match self.rng.below(10) {
            0..=2 => Sky::AcceptsAndForgets,
            3 => Sky::Refuses,
            4 => Sky::Rejects,
            5 => Sky::SaysNothing,
            6 => Sky::SaysDone,
            7 => Sky::Contradicts(self.rng.between(1, 60_000)),
            8 => Sky::ConcealsHistory,
            _ => Sky::InventsHistory,
        }
    }

    fn supervisor(&mut self, versions: &[Arc<Rulebook>]) {
        let crashes = if self.rng.chance(50) { 0 } else { 1 + self.rng.below(4) };
        for _ in 0..crashes {
            let at = self.moment(200_000);
            let points = [
                CrashPoint::BeforeCommit,
                CrashPoint::AfterCommit,
                CrashPoint::BeforeEffects,
                CrashPoint::AmongEffects,
                CrashPoint::AfterEffects,
            ];
            let point = *self.rng.pick(&points).unwrap_or(&points[0]);
            let down_ms = self.rng.between(1, 20_000);
            self.items.push(Item::Crash { at, point, down_ms });
        }
        let failures = if self.rng.chance(50) { 0 } else { 1 + self.rng.below(5) };
        for _ in 0..failures {
            let at = self.moment(200_000);
            let trouble = match self.rng.below(7) {
                0 | 1 => StoreTrouble::CommitFails,
                2 | 3 => StoreTrouble::CommitEndUnknown,
                4 => StoreTrouble::LookupFails,
                5 if self.hostile() => StoreTrouble::Conflict,
                5 => StoreTrouble::LoadFails,
                _ => StoreTrouble::Late(self.rng.between(1, 3_000)),
            };
            let times = 1 + self.rng.below(4) as u32;
            self.items.push(Item::Store { at, trouble, times });
        }
        for (version, book) in versions.iter().enumerate() {
            let first = versions.iter().position(|other| other.name() == book.name()).unwrap_or(0);
            if version == first {
                continue;
            }
            let at = self.moment(120_000);
            self.items.push(Item::Activate { at, version });
            if self.rng.chance(40) {
                let at = at + self.moment(120_000);
                self.items.push(Item::Activate { at, version: first });
            }
        }
        if self.hostile() && self.rng.chance(15) {
            let at = self.moment(400_000);
            let which = self.rng.number();
            let refused = self.rng.chance(50);
            self.items.push(Item::Damage { at, which, refused });
            if self.rng.chance(60) {
                let act = if self.rng.chance(50) { PersonAct::Repair } else { PersonAct::Discard };
                let at = at + self.moment(400_000);
                let which = self.rng.number();
                self.items.push(Item::Act { at, act, which });
            }
        }
        if self.hostile() {
            self.clocks();
        }
    }

    fn clocks(&mut self) {
        let jumps = if self.rng.chance(70) { 0 } else { 1 + self.rng.below(2) };
        for _ in 0..jumps {
            let at = self.moment(300_000);
            let hour = 3_600_000;
            let (at, by_ms, for_ms) = match self.rng.below(6) {
                0 => (at, -2 * hour, None),
                1 => (at, 2 * hour, Some(2_000)),
                2 => (at, 24 * hour, None),
                3 => (0, 40 * 24 * hour, Some(5_000)),
                4 => (at, 40 * 24 * hour, Some(5_000)),
                _ => (at, self.moment(2 * hour) - hour, None),
            };
            self.items.push(Item::Clock { at, by_ms, for_ms });
        }
        if self.rng.chance(10) {
            let at = self.moment(300_000);
            let ms = if self.rng.chance(50) { 3_600_000 } else { self.rng.between(1_000, 120_000) };
            self.items.push(Item::Suspended { at, ms });
        }
        if self.rng.chance(20) {
            let ms = self.rng.between(KEEP_MS.0, KEEP_MS.1);
            self.items.push(Item::Keep { ms });
        }
    }

    fn people(&mut self) {
        let count = match self.corpus {
            Corpus::Honest => self.rng.below(3),
            Corpus::Hostile if self.rng.chance(50) => self.rng.below(12),
            Corpus::Hostile => 0,
        };
        for _ in 0..count {
            let at = self.moment(500_000);
            let act = self.act();
            let which = self.rng.number();
            self.items.push(Item::Act { at, act, which });
        }
    }

    /// Some services that undo request by request take their time, and call back.
    fn slow_undos(&mut self) {
        let book = Arc::clone(&self.book);
        let by_request = |id: &amends_rulebook::ActionId| {
            let endpoint = book.get(*id).endpoints.compensate.as_ref();
            endpoint.is_some_and(|endpoint| endpoint.is_for_one_request())
        };
        for id in book.action_ids().filter(by_request) {
            if self.rng.chance(30) {
                let service = Arc::clone(&book.get(id).name.service);
                let sky = Sky::AcceptsAndCallsBack(self.rng.between(10, 25_000));
                let weather = Weather { service, from: 0, to: HEALED_MS, percent: 70, sky };
                self.items.push(Item::Weather(weather));
            }
        }
    }

    fn act(&mut self) -> PersonAct {
        let harmless = 6;
        let all = 19;
        match self.rng.below(if self.hostile() { all } else { harmless }) {
            0 => PersonAct::Retry,
            1 => PersonAct::RetryCase,
            2 => PersonAct::Pause(self.rng.between(1_000, 240_000)),
            3 => PersonAct::Limit {
                concurrency: self.rng.chance(60).then(|| 1 + self.rng.below(4) as u32),
                per_second: self.rng.chance(50).then(|| 1 + self.rng.below(5) as u32),
                for_ms: self.rng.between(1_000, 240_000),
            },
            4 => PersonAct::RetryAll,
            5 => PersonAct::Replan,
            6 => PersonAct::Edit,
            7 => PersonAct::Waive,
            8 => PersonAct::Record,
            9 | 10 => PersonAct::Approve,
            11 => PersonAct::ApproveAll,
            12 => PersonAct::Plan,
            13 => PersonAct::Settle,
            14 => PersonAct::Nonsense,
            15 => PersonAct::Forge(Forgery::NoProof),
            16 => PersonAct::Forge(Forgery::MadeUp),
            17 => PersonAct::Forge(Forgery::OfAnother),
            _ => PersonAct::Waive,
        }
    }
}
