//! The way to one service: how many effects may be under way, who waits, and a circuit breaker.
//!
//! A queue lives in memory only. It never decides what is asked, only when; one service's trouble stays in its queue.
//!
//! The breaker is the classic one (Nygard, "Release It!", 2007): closed, open after failures in a row, then one probe
//! at a time. What it adds: when the service returns, everything that waits for it goes at once, whatever its backoff;
//! and it opens, too, while the service gives one definite answer to step after step (`rejection.rs`).
//!
//! Steps go before looks at accepted ones, and those before readings of Histories: undoing is what people wait for.

mod breaker;
mod forgotten;
mod histories;
mod kept_back;
mod pace;
mod permits;
mod rejection;

use crate::ServiceSettings;
use amends_api::BreakerState;
use amends_protocol::{CaseId, StepId, Timestamp};
use amends_rulebook::Settings;
pub(crate) use breaker::Breaker;
use breaker::{BREAKER_FAILURES, PROBE_EVERY_MS};
use histories::After;
pub(crate) use histories::Histories;
use pace::Pace;
pub(crate) use rejection::DefiniteAnswer;
use rejection::Rejection;
use std::collections::{BTreeSet, VecDeque};
use std::ops::Bound;

/// Something that wants to go to the service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum EffectKey {
    /// Send a step.
    Step(StepId),
    /// Look how an accepted step has come along.
    Poll(StepId),
    /// Read the History for a case.
    History(CaseId),
}

impl EffectKey {
    const RANKS: usize = 3;

    /// The case that it is for.
    pub(crate) const fn case(self) -> CaseId {
        match self {
            Self::Step(id) | Self::Poll(id) => id.case,
            Self::History(id) => id,
        }
    }

    /// What goes first.
    const fn rank(self) -> usize {
        match self {
            Self::Step(_) => 0,
            Self::Poll(_) => 1,
            Self::History(_) => 2,
        }
    }
}

/// What a result says of the service itself, whatever it says of the step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Health {
    /// It answered.
    Alive,
    /// It gave a definite answer that nobody has mapped.
    Rejects(DefiniteAnswer),
    /// It is out of reach.
    Gone,
    /// Neither: nothing was tried.
    NoSign,
}

/// What the engine must do after a result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum BreakerChange {
    None,
    /// Set a probe timer, and tell of it if it is news.
    Opened {
        probe_at: Timestamp,
    },
    /// Expedite everything in backoff.
    Closed(Vec<EffectKey>),
}

#[derive(Clone, Debug)]
pub(crate) struct ServiceQueue {
    /// The rulebook's.
    pub(crate) limit: u32,
    pub(crate) in_flight: u32,
    /// How many may be under way from this node, where nodes share the concurrency of a service.
    pub(crate) permits: Option<u32>,
    pub(crate) settings: ServiceSettings,
    /// Of the limit per second.
    pub(crate) pace: Pace,
    pub(crate) breaker: Breaker,
    failures: u32,
    /// The definite answers of late, if the last one was one.
    rejection: Option<Rejection>,
    /// When it gave any other answer last, on its own line of time.
    other_answer_at: Option<Timestamp>,
    /// What probed it last: each in turn, since one alone may be wrong.
    probed: Option<EffectKey>,
    /// People know that something is wrong with it.
    pub(crate) told: bool,
    pub(crate) message: Option<String>,
    /// The service answered 429: nothing goes before this moment.
    hold_until: Timestamp,
    /// By rank.
    ready: [VecDeque<EffectKey>; EffectKey::RANKS],
    /// Waits for a timer because the service was out of reach; expedited when it returns.
    backing_off: BTreeSet<EffectKey>,
    pub(crate) histories: Histories,
    /// How long they may be unavailable before a person is asked.
    pub(crate) history_age_ms: u64,
    /// Steps whose age counts, by when each is too old on the service's own line of time.
    pub(crate) ages: BTreeSet<(Timestamp, StepId)>,
    /// When the first of them is looked at.
    pub(crate) ages_at: Option<Timestamp>,
}

impl ServiceQueue {
    pub(crate) fn new(limit: u32) -> Self {
        Self {
            limit: limit.max(1),
            in_flight: 0,
            permits: None,
            settings: ServiceSettings::default(),
            pace: Pace::new(),
            breaker: Breaker::Closed,
            failures: 0,
            rejection: None,
            other_answer_at: None,
            probed: None,
            told: false,
            message: None,
            hold_until: Timestamp(i64::MIN),
            ready: [const { VecDeque::new() }; EffectKey::RANKS],
            backing_off: BTreeSet::new(),
            histories: Histories::new(),
            history_age_ms: Settings::default().history_age_ms,
            ages: BTreeSet::new(),
            ages_at: None,
        }
    }

    pub(crate) fn queued(&self) -> usize {
        self.ready.iter().map(VecDeque::len).sum::<usize>() + self.backing_off.len()
    }

    pub(crate) fn push(&mut self, key: EffectKey) {
        self.backing_off.remove(&key);
        self.ready[key.rank()].push_back(key);
    }

    /// Notes that `key` waits for its timer because the service is out of reach.
    pub(crate) fn back_off(&mut self, key: EffectKey) {
        self.backing_off.insert(key);
    }

    pub(crate) fn forget(&mut self, key: EffectKey) {
        self.backing_off.remove(&key);
    }

    /// Bytes that what waits here takes.
    pub(crate) fn bytes(&self) -> usize {
        /// Of a tree that has grown by the end: more than half of its places are taken.
        const SPARSE: usize = 2;
        let ready: usize = self.ready.iter().map(VecDeque::capacity).sum();
        let trees = self.backing_off.len() * size_of::<EffectKey>()
            + self.ages.len() * size_of::<(Timestamp, StepId)>();
        ready * size_of::<EffectKey>() + trees * SPARSE
    }

    /// Jobs that are ready, in the order in which they go.
    pub(crate) fn upcoming(&self) -> impl Iterator<Item = EffectKey> {
        self.ready.iter().flatten().copied()
    }

    /// Takes the next key that may go now. The caller sends it (then calls [`ServiceQueue::launched`]) or finds it
    /// stale and asks again.
    #[cfg(test)]
    fn take(&mut self, now: Timestamp) -> Option<EffectKey> {
        let key = self.next(now)?;
        self.take_out(key);
        Some(key)
    }

    /// Takes a key from the place where [`ServiceQueue::next`] has found it.
    pub(crate) fn take_out(&mut self, key: EffectKey) {
        let ready = &mut self.ready[key.rank()];
        if ready.front() == Some(&key) {
            ready.pop_front();
        } else {
            self.backing_off.remove(&key);
        }
    }

    /// The next key that may go now. It stays where it is until [`ServiceQueue::take_out`].
    pub(crate) fn next(&self, now: Timestamp) -> Option<EffectKey> {
        if self.in_flight >= self.allowed() || self.is_kept_back(now) {
            return None;
        }
        match self.breaker {
            Breaker::Closed => self.next_ready(now),
            Breaker::Probing => None,
            Breaker::Open { probe_at } if probe_at > now => None,
            Breaker::Open { .. } => self.next_ready(now).or_else(|| self.next_backing_off()),
        }
    }

    fn next_ready(&self, now: Timestamp) -> Option<EffectKey> {
        let histories = self.histories.may_go(now, self.allowed());
        let most = if histories { EffectKey::RANKS } else { EffectKey::RANKS - 1 };
        self.ready[..most].iter().find_map(|keys| keys.front().copied())
    }

    /// The one after that which probed last.
    fn next_backing_off(&self) -> Option<EffectKey> {
        let after = self.probed.map_or(Bound::Unbounded, Bound::Excluded);
        let next = self.backing_off.range((after, Bound::Unbounded)).next();
        next.or_else(|| self.backing_off.first()).copied()
    }

    /// How it stands, in one word for people.
    pub(crate) fn state(&self) -> BreakerState {
        let rejects = self.rejection.is_some() && self.breaker != Breaker::Closed;
        if rejects { BreakerState::Rejecting } else { self.breaker.state() }
    }

    /// Whether its last answer to a step was a definite one.
    pub(crate) fn rejects(&self) -> bool {
        self.rejection.is_some()
    }

    /// Failures in a row, or equal definite answers.
    pub(crate) fn failures(&self) -> u32 {
        self.rejection.map_or(self.failures, |rejection| rejection.count.max(self.failures))
    }

    /// Whether nothing waits here but what has just been tried.
    fn nothing_else_waits(&self) -> bool {
        self.queued() == 0 && self.in_flight == 0
    }

    /// Whether a definite answer to this step is about the step: others have got another answer since it began to get
    /// this one, or there are no others.
    pub(crate) fn definite_is_of_step(&self, step: StepId, since: Timestamp) -> bool {
        let others_succeed = self.other_answer_at.is_some_and(|at| at >= since);
        let alone = self.ages.iter().all(|(_, other)| *other == step) && self.nothing_else_waits();
        others_succeed || alone
    }

    /// Whether the service has just rejected everything for so long that people must hear of it.
    pub(crate) fn became_rejecting(&mut self, now: Timestamp, definite_after_ms: u64) -> bool {
        let own = self.own_time(now);
        let held = self.breaker != Breaker::Closed;
        held && self.rejection.as_mut().is_some_and(|r| r.became_news(own, definite_after_ms))
    }

    pub(crate) fn paused(&self) -> bool {
        self.settings.pause.is_some()
    }

    /// Most effects at once: an operator's word counts before the rulebook's.
    pub(crate) fn concurrency(&self) -> u32 {
        self.settings.limits.as_ref().and_then(|l| l.concurrency).unwrap_or(self.limit).max(1)
    }

    pub(crate) fn per_second(&self) -> Option<u32> {
        self.settings.limits.as_ref().and_then(|l| l.per_second)
    }

    /// The service wants to be asked less: everything waits until `at`.
    pub(crate) fn hold(&mut self, at: Timestamp) {
        self.hold_until = self.hold_until.max(at);
    }

    /// An effect goes out.
    pub(crate) fn launched(&mut self, now: Timestamp, key: EffectKey) {
        self.in_flight += 1;
        if let EffectKey::History(_) = key {
            self.histories.launched();
        }
        if let Some(per_second) = self.per_second() {
            self.pace.launched(now, per_second);
        }
        if let Breaker::Open { .. } = self.breaker {
            self.breaker = Breaker::Probing;
            self.probed = Some(key);
        }
    }

    /// An effect has come back.
    pub(crate) fn ended(
        &mut self,
        now: Timestamp,
        health: Health,
        message: Option<&str>,
    ) -> BreakerChange {
        self.in_flight = self.in_flight.saturating_sub(1);
        match health {
            Health::Alive => {
                self.failures = 0;
                self.rejection = None;
                self.other_answer_at = Some(self.own_time(now));
                let was = std::mem::replace(&mut self.breaker, Breaker::Closed);
                if was == Breaker::Closed {
                    return BreakerChange::None;
                }
                self.message = None;
                self.histories.probe_now(now);
                BreakerChange::Closed(std::mem::take(&mut self.backing_off).into_iter().collect())
            }
            Health::Rejects(answer) => self.rejected(now, answer, message),
            Health::Gone => {
                self.failures = self.failures.saturating_add(1);
                self.rejection = None;
                self.message = message.map(str::to_owned);
                match self.breaker {
                    Breaker::Closed if self.failures < BREAKER_FAILURES => BreakerChange::None,
                    // Effects that were under way when it opened say nothing new.
                    Breaker::Open { .. } => BreakerChange::None,
                    Breaker::Closed | Breaker::Probing => self.open(now),
                }
            }
            Health::NoSign => match self.breaker {
                Breaker::Probing => self.open(now),
                Breaker::Closed | Breaker::Open { .. } => BreakerChange::None,
            },
        }
    }

    fn rejected(
        &mut self,
        now: Timestamp,
        answer: DefiniteAnswer,
        message: Option<&str>,
    ) -> BreakerChange {
        self.failures = 0;
        let rejection = Rejection::after(self.rejection, answer, self.own_time(now));
        self.rejection = Some(rejection);
        match self.breaker {
            Breaker::Closed if !rejection.is_of_service() => return BreakerChange::None,
            // Who is alone is not held: whether it is wrong is the step's matter.
            Breaker::Probing if self.nothing_else_waits() => {
                self.breaker = Breaker::Closed;
                return BreakerChange::Closed(Vec::new());
            }
            Breaker::Closed | Breaker::Open { .. } | Breaker::Probing => {}
        }
        self.message = message.map(str::to_owned);
        match self.breaker {
            Breaker::Open { .. } => BreakerChange::None,
            Breaker::Closed | Breaker::Probing => self.open(now),
        }
    }

    fn open(&mut self, now: Timestamp) -> BreakerChange {
        let probe_at = now.plus_ms(PROBE_EVERY_MS);
        self.breaker = Breaker::Open { probe_at };
        BreakerChange::Opened { probe_at }
    }

    /// A reading of a History has come back; `failure` is what it said, if it failed.
    pub(crate) fn history_ended(&mut self, now: Timestamp, failure: Option<&str>) -> BreakerChange {
        let own = self.own_time(now);
        match self.histories.ended(now, own, failure) {
            After::Same => BreakerChange::None,
            After::Opened { probe_at } => BreakerChange::Opened { probe_at },
            After::Closed => {
                let first = EffectKey::History(CaseId(0)); // the last kind in order
                BreakerChange::Closed(self.backing_off.split_off(&first).into_iter().collect())
            }
        }
    }

    /// Whether its Histories have just failed for so long that people must hear of it. Of a service that is out of
    /// reach itself they have heard.
    pub(crate) fn histories_became_unavailable(&mut self, now: Timestamp) -> bool {
        let own = self.own_time(now);
        self.breaker == Breaker::Closed && self.histories.became_unavailable(own)
    }

    /// The same for the time after which a person must say how its cases go on.
    pub(crate) fn histories_came_into_question(&mut self, now: Timestamp) -> bool {
        let (own, after_ms) = (self.own_time(now), self.history_age_ms);
        self.breaker == Breaker::Closed && self.histories.came_into_question(own, after_ms)
    }

    /// The service's own line of time: supervisor time without its pauses.
    pub(crate) fn own_time(&self, now: Timestamp) -> Timestamp {
        now.minus_ms(self.settings.paused_ms_by(now))
    }

    /// How long it has been paused by now, all in all.
    pub(crate) fn paused_ms(&self, now: Timestamp) -> u64 {
        self.settings.paused_ms_by(now)
    }

    /// Takes at most `most` steps that are too old by now, oldest first.
    pub(crate) fn too_old(&mut self, now: Timestamp, most: usize) -> Vec<StepId> {
        let own = self.own_time(now);
        let mut old = Vec::new();
        while old.len() < most
            && let Some((_, step)) = self.ages.first().copied().filter(|(end, _)| *end <= own)
        {
            self.ages.pop_first();
            old.push(step);
        }
        old
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Decision, Limits};

    fn key(n: u64) -> EffectKey {
        EffectKey::Step(StepId { case: CaseId(n), ordinal: 1, tag: 0, part: None })
    }

    fn history(n: u64) -> EffectKey {
        EffectKey::History(CaseId(n))
    }

    fn decision() -> Decision {
        Decision { at: 0, by: "kim".into(), reason: "maintenance".into() }
    }

    fn broken(now: Timestamp) -> ServiceQueue {
        let mut queue = ServiceQueue::new(16);
        for n in 0..u64::from(BREAKER_FAILURES) {
            queue.push(key(n));
            let taken = queue.take(now).expect("closed");
            queue.launched(now, taken);
            queue.ended(now, Health::Gone, Some("refused"));
            queue.back_off(taken);
        }
        queue
    }

    #[test]
    fn a_queue_lets_through_as_many_as_its_limit() {
        let mut queue = ServiceQueue::new(2);
        (0..3).for_each(|n| queue.push(key(n)));
        for _ in 0..2 {
            queue.take(Timestamp(0)).expect("room");
            queue.launched(Timestamp(0), key(0));
        }
        assert_eq!(queue.take(Timestamp(0)), None);
        queue.ended(Timestamp(0), Health::Alive, None);
        assert_eq!(queue.take(Timestamp(0)), Some(key(2)));
    }

    #[test]
    fn an_open_breaker_lets_one_probe_through_at_a_time() {
        let mut queue = broken(Timestamp(0));
        queue.push(key(90));
        assert_eq!(queue.take(Timestamp(0)), None, "not before the probe's time");
        let at = Timestamp(0).plus_ms(PROBE_EVERY_MS);
        assert_eq!(queue.take(at), Some(key(90)));
        queue.launched(at, key(0));
        assert_eq!(queue.take(at), None, "one probe at a time");
        assert_eq!(
            queue.ended(at, Health::Gone, None),
            BreakerChange::Opened { probe_at: at.plus_ms(PROBE_EVERY_MS) }
        );
    }

    #[test]
    fn with_an_empty_queue_the_probe_is_a_key_in_backoff_and_success_hurries_the_rest() {
        let mut queue = broken(Timestamp(0));
        let at = Timestamp(0).plus_ms(PROBE_EVERY_MS);
        assert_eq!(queue.take(at), Some(key(0)));
        queue.launched(at, key(0));
        let BreakerChange::Closed(expedited) = queue.ended(at, Health::Alive, None) else {
            panic!("the probe's success closes the breaker")
        };
        assert_eq!(expedited, (1..u64::from(BREAKER_FAILURES)).map(key).collect::<Vec<_>>());
    }

    #[test]
    fn a_held_queue_goes_on_when_its_time_has_come() {
        let mut queue = ServiceQueue::new(2);
        queue.push(key(1));
        queue.hold(Timestamp(10));
        assert_eq!(queue.take(Timestamp(9)), None);
        assert_eq!(queue.take(Timestamp(10)), Some(key(1)));
    }

    #[test]
    fn a_paused_queue_sends_nothing() {
        let mut queue = ServiceQueue::new(2);
        queue.push(key(1));
        queue.settings.pause = Some(decision());
        assert_eq!(queue.take(Timestamp(0)), None);
    }

    #[test]
    fn an_operators_limits_count_before_the_rulebooks() {
        let mut queue = ServiceQueue::new(16);
        let limits = |concurrency, per_second| {
            Some(Limits { concurrency, per_second, decision: decision() })
        };
        queue.settings.limits = limits(Some(1), None);
        (0..100).for_each(|n| queue.push(key(n)));
        queue.take(Timestamp(0)).expect("room for one");
        queue.launched(Timestamp(0), key(0));
        assert_eq!(queue.take(Timestamp(0)), None);
        queue.settings.limits = limits(Some(100), Some(20));
        let mut sent_at = Vec::new();
        for ms in 0..2_000 {
            while queue.take(Timestamp(ms)).is_some() {
                queue.launched(Timestamp(ms), key(0));
                sent_at.push(ms);
            }
        }
        let within =
            |from: i64| sent_at.iter().filter(move |at| (from..from + 1_000).contains(*at));
        assert_eq!(within(1_000).count(), 20, "{sent_at:?}");
        assert!((20..=23).contains(&within(0).count()), "a tenth of a second ahead: {sent_at:?}");
        let next = queue.wait_for_slot(Timestamp(1_999)).expect("others wait");
        assert!(next > Timestamp(1_999) && queue.take(next).is_some());
        assert_eq!(queue.wait_for_slot(Timestamp(1_999)), None, "told once");
    }

    #[test]
    fn steps_go_before_looks_and_those_before_histories() {
        let mut queue = ServiceQueue::new(16);
        let look = EffectKey::Poll(StepId { case: CaseId(1), ordinal: 1, tag: 0, part: None });
        [history(1), look, key(1)].into_iter().for_each(|key| queue.push(key));
        let order: Vec<_> = std::iter::from_fn(|| queue.take(Timestamp(0))).collect();
        assert_eq!(order, [key(1), look, history(1)]);
    }

    #[test]
    fn histories_that_hang_leave_places_for_steps() {
        let mut queue = ServiceQueue::new(4);
        (0..9).for_each(|n| queue.push(history(n)));
        let mut reading = 0;
        while let Some(taken) = queue.take(Timestamp(0)) {
            queue.launched(Timestamp(0), taken);
            reading += 1;
        }
        assert_eq!(reading, 3);
        queue.push(key(1));
        assert_eq!(queue.take(Timestamp(0)), Some(key(1)));
    }

    #[test]
    fn histories_out_of_order_back_off_together_and_are_probed_one_at_a_time() {
        let mut queue = ServiceQueue::new(16);
        (0..100).for_each(|n| queue.push(history(n)));
        let mut opened = BreakerChange::None;
        for _ in 0..BREAKER_FAILURES {
            let taken = queue.take(Timestamp(0)).expect("closed");
            queue.launched(Timestamp(0), taken);
            queue.ended(Timestamp(0), Health::Alive, None);
            opened = queue.history_ended(Timestamp(0), Some("answered 500"));
            queue.back_off(taken);
        }
        let at = Timestamp(0).plus_ms(PROBE_EVERY_MS);
        assert_eq!(opened, BreakerChange::Opened { probe_at: at });
        assert_eq!((queue.breaker, queue.take(Timestamp(0))), (Breaker::Closed, None));
        queue.push(key(1));
        assert_eq!(queue.take(Timestamp(0)), Some(key(1)), "its steps go as ever");
        let probe = queue.take(at).expect("a probe");
        queue.launched(at, probe);
        assert_eq!(queue.take(at), None, "one at a time");
        let BreakerChange::Closed(expedited) = queue.history_ended(at, None) else {
            panic!("closed")
        };
        assert_eq!(expedited, (0..5).map(history).collect::<Vec<_>>());
        assert!(queue.take(at).is_some());
    }
}
