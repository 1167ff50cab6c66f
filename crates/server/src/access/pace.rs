//! How often each may ask: so many requests a second in the mean, and a burst of them at once (the generic cell rate
//! algorithm). Whoever asks more is told to wait, and nobody else is. Pure but for its lock: the time is an argument.

use super::{Caller, Stay};
use crate::networks::one_peer;
use rustc_hash::FxHashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How many seconds' worth of requests may come at once.
const BURST_S: u32 = 10;
/// Most askers that are told apart; whoever comes beyond them shares one pace.
const MOST_ASKERS: usize = 100_000;

/// Whose requests are counted together.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Asker {
    /// What was shown, by its digest: a token, a session.
    Shown([u8; 32]),
    /// Whoever is known otherwise, by name: a certificate, a token of a platform.
    Known(Arc<str>),
    /// Who is not known, by their address.
    Address(IpAddr),
    /// Those who came when too many were told apart.
    Others,
}

impl Asker {
    /// Who asks; none for this machine's own programs where nobody must be known.
    pub(crate) fn of(caller: &Caller) -> Option<Self> {
        let digest = |stay: &Stay| stay.shown.as_ref().map(|(_, digest)| Self::Shown(*digest));
        match &caller.principal {
            Some(who) if caller.is_known() => {
                let shown = caller.stay.as_ref().and_then(digest);
                Some(shown.unwrap_or_else(|| Self::Known(who.name.as_str().into())))
            }
            _ => Self::at(caller.peer.address),
        }
    }

    /// Whoever is at this address, and shows nothing that is known.
    pub(crate) fn at(address: Option<IpAddr>) -> Option<Self> {
        let peer = one_peer(address?);
        (!peer.is_loopback()).then_some(Self::Address(peer))
    }
}

/// How often each has asked; clones count together.
#[derive(Clone, Debug)]
pub(crate) struct Pace {
    per_second: u32,
    /// For each, the moment by which all that it has asked would have come at an even pace, by a clock that never goes
    /// back.
    even: Arc<Mutex<FxHashMap<Asker, Duration>>>,
}

/// One has asked too often.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TooOften {
    pub(crate) per_second: u32,
}

impl Pace {
    /// At most so many requests a second of each; zero for as many as come.
    pub(crate) fn of(per_second: u32) -> Self {
        Self { per_second, even: Arc::default() }
    }

    /// Counts a request.
    ///
    /// # Errors
    /// When it is one too many; it does not count then, so that who goes on asking is let in again as soon.
    pub(crate) fn take(&self, asker: &Asker, now: Duration) -> Result<(), TooOften> {
        let Some(each) = self.each() else { return Ok(()) };
        let mut even = self.lock();
        let asker = known_apart(&mut even, asker, now);
        let next = even.get(&asker).map_or(now, |at| (*at).max(now)) + each;
        if next > now + each * self.per_second * BURST_S {
            return Err(TooOften { per_second: self.per_second });
        }
        even.insert(asker, next);
        Ok(())
    }

    /// Whether one more would be too many.
    ///
    /// # Errors
    /// As [`Self::take`]; nothing is counted.
    pub(crate) fn look(&self, asker: &Asker, now: Duration) -> Result<(), TooOften> {
        let Some(each) = self.each() else { return Ok(()) };
        let at = self.lock().get(asker).copied();
        match at.is_some_and(|at| at + each > now + each * self.per_second * BURST_S) {
            true => Err(TooOften { per_second: self.per_second }),
            false => Ok(()),
        }
    }

    fn each(&self) -> Option<Duration> {
        (self.per_second > 0).then(|| Duration::from_secs(1) / self.per_second)
    }

    fn lock(&self) -> MutexGuard<'_, FxHashMap<Asker, Duration>> {
        self.even.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The asker, or the one that all share who come when there are too many; who has not asked lately is forgotten first.
fn known_apart(even: &mut FxHashMap<Asker, Duration>, asker: &Asker, now: Duration) -> Asker {
    if even.len() < MOST_ASKERS || even.contains_key(asker) {
        return asker.clone();
    }
    even.retain(|_, at| *at > now);
    if even.len() < MOST_ASKERS { asker.clone() } else { Asker::Others }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(name: &str) -> Asker {
        Asker::Known(name.into())
    }

    #[test]
    fn a_burst_is_let_in_and_then_an_even_pace() {
        let (pace, flood, began) = (Pace::of(5), known("flood"), Duration::from_secs(1_000));
        let taken = (0..1_000).filter(|_| pace.take(&flood, began).is_ok()).count();
        assert_eq!(taken, 50, "ten seconds' worth at once");
        assert_eq!(pace.look(&flood, began), Err(TooOften { per_second: 5 }));
        assert_eq!(pace.take(&known("ann"), began), Ok(()), "others are let in meanwhile");
        let later = began + Duration::from_secs(2);
        let taken = (0..1_000).filter(|_| pace.take(&flood, later).is_ok()).count();
        assert_eq!(taken, 10, "what two seconds bring, however often it asked in vain");
        let much_later = began + Duration::from_secs(3_600);
        let taken = (0..1_000).filter(|_| pace.take(&flood, much_later).is_ok()).count();
        assert_eq!(taken, 50, "nobody saves up for longer");
    }

    #[test]
    fn zero_is_no_limit() {
        let (pace, now) = (Pace::of(0), Duration::from_secs(1_000));
        assert!((0..10_000).all(|_| pace.take(&known("ann"), now).is_ok()));
        assert_eq!(pace.look(&known("ann"), now), Ok(()));
    }

    #[test]
    fn made_up_askers_take_a_bounded_memory_and_share_one_pace() {
        let (pace, now) = (Pace::of(1), Duration::from_secs(1_000));
        for n in 0..MOST_ASKERS {
            assert_eq!(pace.take(&known(&n.to_string()), now), Ok(()));
        }
        let beyond: Vec<_> = (0..20).map(|n| pace.take(&known(&format!("x{n}")), now)).collect();
        assert_eq!(beyond.iter().filter(|taken| taken.is_ok()).count(), 10);
        assert_eq!(pace.lock().len(), MOST_ASKERS + 1);
        assert_eq!(pace.take(&known("0"), now), Ok(()), "who was there before is not hurt");
        let later = now + Duration::from_secs(60);
        assert_eq!(pace.take(&known("y"), later), Ok(()));
        assert_eq!(pace.lock().len(), 1, "who has not asked lately is forgotten");
    }

    #[test]
    fn who_is_not_known_is_told_apart_by_address_and_this_machine_is_not_counted() {
        let at = |text: &str| Asker::at(Some(text.parse().expect("an address")));
        assert_eq!(at("192.0.2.7"), at("::ffff:192.0.2.7"));
        assert_eq!(at("2001:db8::1"), at("2001:db8::2:1"), "one network has all addresses in it");
        assert_ne!(at("192.0.2.7"), at("192.0.2.8"));
        assert_eq!((at("127.0.0.1"), at("::1"), Asker::at(None)), (None, None, None));
    }
}
