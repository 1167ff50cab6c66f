//! The concurrency of a service on several nodes: each asks the store for as many permits as its part of the sagas is
//! of all, and as it has work for; where there are fewer than nodes that want one, each lets go after a while.
//!
//! INVARIANT: a request is let out and written only while a permit for it is held by the boot-time clock, and keeps it
//! until it has ended. Permits that could not be asked for again in time are gone.

use amends_engine::{Partition, ServiceDemand};
use amends_store::{PERMIT_TIME, PermitsHeld, PermitsWanted};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// Between two askings for what is held.
const RENEW: Duration = Duration::from_millis(600);
/// Between two for what others have.
const RETRY: Duration = Duration::from_millis(250);
/// Between any two: what becomes ready meanwhile is asked for together.
const APART: Duration = Duration::from_millis(20);
/// How long permits of its whole share are kept that nothing needs: the next request goes without asking. What is above
/// it goes back at once: others may wait for it.
const KEEP: Duration = Duration::from_secs(3);
/// How long a node may have more than its whole share, and for how long it then leaves that to others.
const TURN: Duration = Duration::from_secs(2);
const REST: Duration = Duration::from_millis(600);

/// What this node has asked for and been given. Times are by the boot-time clock.
#[derive(Debug, Default)]
pub(crate) struct ServicePermits {
    services: BTreeMap<Arc<str>, Given>,
    asked_at: Option<Duration>,
    /// How long after that it is time to ask again.
    pause: Duration,
    /// What was given lasts until then.
    pub(crate) until: Duration,
}

/// Of one service.
#[derive(Debug, Default)]
struct Given {
    held: u32,
    /// What was asked for last.
    wanted: u32,
    /// As many requests may be under way, if there are permits for them.
    most: u32,
    /// When there was work for it last.
    busy_at: Duration,
    /// Since when more than the whole share is held.
    above_since: Option<Duration>,
    rests_until: Duration,
}

/// What is a node's due of a service's concurrency that has so many of the parts, rounded down and up.
fn due(concurrency: u32, parts: usize) -> (u32, u32) {
    let (all, parts) = (Partition::PARTS as u64, parts.min(Partition::PARTS) as u64);
    let shares = u64::from(concurrency) * parts;
    let number = |count: u64| u32::try_from(count).unwrap_or(u32::MAX);
    (number(shares / all), number(shares.div_ceil(all)))
}

impl Given {
    /// How many are wanted now, by a node that has so many of the parts.
    fn want(&mut self, now: Duration, demand: &ServiceDemand, parts: usize) -> u32 {
        let (share, due) = due(demand.concurrency, parts);
        let needed = demand.in_flight.saturating_add(demand.ready);
        if needed > 0 {
            self.busy_at = now;
        }
        if self.held <= share {
            self.above_since = None;
        } else if now.saturating_sub(*self.above_since.get_or_insert(now)) >= TURN {
            self.rests_until = now + REST;
        }
        self.most = if now < self.rests_until { share } else { due };
        let kept = if now.saturating_sub(self.busy_at) < KEEP { self.held.min(share) } else { 0 };
        // A request that is under way keeps its permit.
        needed.max(kept).min(self.most).max(demand.in_flight.min(self.held))
    }
}

impl ServicePermits {
    /// What is to be asked for now, if the time for that has come.
    pub(crate) fn ask(
        &mut self,
        now: Duration,
        demands: impl Iterator<Item = ServiceDemand>,
        parts: usize,
    ) -> Option<Vec<PermitsWanted>> {
        let since = self.asked_at.map_or(Duration::MAX, |at| now.saturating_sub(at));
        let (mut wanted, mut is_news, mut is_short) = (Vec::new(), false, false);
        for ServiceDemand { service, concurrency, in_flight, ready } in demands {
            if in_flight == 0 && ready == 0 && !self.services.contains_key(&service) {
                continue;
            }
            let given = self.services.entry(Arc::clone(&service)).or_default();
            let demand = ServiceDemand { service, concurrency, in_flight, ready };
            let wants = given.want(now, &demand, parts);
            is_news |= wants > given.held.max(given.wanted) || wants < given.held;
            is_short |= wants > given.held;
            let service = demand.service;
            wanted.push(PermitsWanted { service, slots: concurrency, wanted: wants });
        }
        self.pause = match (is_news, is_short) {
            (true, _) => APART,
            (false, true) => RETRY,
            (false, false) => RENEW,
        };
        if wanted.is_empty() || since < self.pause {
            return None;
        }
        for one in &wanted {
            if let Some(given) = self.services.get_mut(&one.service) {
                given.wanted = one.wanted;
            }
        }
        self.asked_at = Some(now);
        Some(wanted)
    }

    /// What the store has said to that: how many requests may be under way at each service from now on.
    pub(crate) fn given(&mut self, held: Vec<PermitsHeld>) -> Vec<(Arc<str>, u32)> {
        let asked_at = self.asked_at.unwrap_or_default();
        self.until = asked_at + PERMIT_TIME;
        let mut may = Vec::with_capacity(held.len());
        for one in held {
            if let Some(given) = self.services.get_mut(&one.service) {
                given.held = one.held;
                may.push((one.service, one.held.min(given.most)));
            }
        }
        self.services
            .retain(|_, given| given.held > 0 || given.wanted > 0 || asked_at < given.rests_until);
        let is_short = self.services.values().any(|given| given.wanted > given.held);
        self.pause = if is_short { RETRY } else { RENEW };
        may
    }

    /// The services whose permits are gone, since they could not be asked for again in time.
    pub(crate) fn lapsed(&mut self, now: Duration) -> Vec<Arc<str>> {
        if now < self.until {
            return Vec::new();
        }
        let held = self.services.iter_mut().filter(|(_, given)| given.held > 0);
        let gone = held.map(|(service, given)| {
            given.held = 0;
            Arc::clone(service)
        });
        gone.collect()
    }

    /// How long until it is to be looked at again, if anything is held or wanted.
    pub(crate) fn look_again(&self, now: Duration) -> Option<Duration> {
        let asked_at = self.asked_at.filter(|_| !self.services.is_empty())?;
        Some((asked_at + self.pause).saturating_sub(now).max(APART))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn demand(concurrency: u32, in_flight: u32, ready: u32) -> ServiceDemand {
        ServiceDemand { service: "bank".into(), concurrency, in_flight, ready }
    }

    /// What is asked for, if anything is, and how many may go then; the store has so many.
    fn asks(
        permits: &mut ServicePermits,
        now: u64,
        demand: ServiceDemand,
        parts: usize,
        has: u32,
    ) -> Option<(u32, u32)> {
        let wanted = permits.ask(at(now), [demand].into_iter(), parts)?;
        let held = wanted.iter().map(|one| PermitsHeld {
            service: Arc::clone(&one.service),
            held: one.wanted.min(has),
        });
        let may = permits.given(held.collect());
        Some((wanted[0].wanted, may[0].1))
    }

    #[test]
    fn a_node_asks_for_what_it_needs_up_to_its_due() {
        let mut permits = ServicePermits::default();
        assert_eq!(asks(&mut permits, 0, demand(16, 0, 0), 21, 9), None, "nothing is needed");
        assert_eq!(asks(&mut permits, 0, demand(16, 0, 2), 21, 9), Some((2, 2)), "at once");
        assert_eq!(asks(&mut permits, 10, demand(16, 2, 1), 21, 9), None, "a moment later");
        assert_eq!(asks(&mut permits, 20, demand(16, 2, 100), 21, 9), Some((6, 6)), "a third");
        assert_eq!(asks(&mut permits, 500, demand(16, 6, 100), 21, 9), None);
        assert_eq!(
            asks(&mut permits, 620, demand(16, 6, 100), 21, 9),
            Some((6, 6)),
            "it keeps them"
        );
        assert_eq!(due(1, 64), (1, 1), "a node by itself has all");
        assert_eq!(due(16, 0), (0, 0), "and one without a part none");
    }

    #[test]
    fn what_others_have_is_asked_for_again() {
        let mut permits = ServicePermits::default();
        assert_eq!(asks(&mut permits, 0, demand(1, 0, 1), 21, 0), Some((1, 0)));
        assert_eq!(asks(&mut permits, 200, demand(1, 0, 1), 21, 0), None);
        assert_eq!(permits.look_again(at(200)), Some(at(50)));
        assert_eq!(asks(&mut permits, 250, demand(1, 0, 1), 21, 1), Some((1, 1)));
        assert_eq!(asks(&mut permits, 600, demand(1, 1, 0), 21, 1), None, "it is under way");
        assert_eq!(asks(&mut permits, 900, demand(1, 0, 0), 21, 1), Some((0, 0)), "others wait");
        assert_eq!(permits.look_again(at(900)), None);
    }

    #[test]
    fn a_share_is_kept_for_a_while() {
        let mut permits = ServicePermits::default();
        assert_eq!(asks(&mut permits, 0, demand(4, 0, 2), 21, 9), Some((2, 2)));
        assert_eq!(asks(&mut permits, 650, demand(4, 0, 0), 21, 9), Some((1, 1)), "one may come");
        assert_eq!(asks(&mut permits, 3_300, demand(4, 0, 0), 21, 9), Some((0, 0)), "none has");
        assert_eq!(asks(&mut permits, 3_950, demand(4, 0, 0), 21, 9), None);
        assert_eq!(permits.look_again(at(3_950)), None);
    }

    #[test]
    fn whoever_has_more_than_its_whole_share_lets_go_after_a_while() {
        let mut permits = ServicePermits::default();
        let busy = || demand(1, 1, 5);
        assert_eq!(asks(&mut permits, 0, demand(1, 0, 6), 21, 1), Some((1, 1)));
        for now in [600, 1_200, 1_800, 2_400] {
            assert_eq!(asks(&mut permits, now, busy(), 21, 1), Some((1, 1)), "{now}");
        }
        assert_eq!(asks(&mut permits, 3_000, busy(), 21, 1), Some((1, 0)), "one is under way");
        assert_eq!(asks(&mut permits, 3_100, demand(1, 0, 5), 21, 1), Some((0, 0)), "it has ended");
        assert_eq!(asks(&mut permits, 3_300, demand(1, 0, 5), 21, 1), None);
        assert_eq!(asks(&mut permits, 3_700, demand(1, 0, 5), 21, 1), Some((1, 1)), "its turn");
        // By itself it has all, and never lets go.
        let mut alone = ServicePermits::default();
        for now in (0..10_000).step_by(600) {
            assert_eq!(asks(&mut alone, now, busy(), 64, 1), Some((1, 1)), "{now}");
        }
    }

    #[test]
    fn permits_that_could_not_be_asked_for_again_are_gone() {
        let mut permits = ServicePermits::default();
        assert_eq!(asks(&mut permits, 100, demand(4, 0, 2), 64, 9), Some((2, 2)));
        assert_eq!(permits.until, at(100) + PERMIT_TIME);
        assert_eq!(permits.lapsed(at(99) + PERMIT_TIME), [] as [Arc<str>; 0]);
        assert_eq!(permits.lapsed(at(100) + PERMIT_TIME), [Arc::<str>::from("bank")]);
        assert_eq!(permits.lapsed(at(200) + PERMIT_TIME), [] as [Arc<str>; 0]);
    }
}
