//! How many connections each peer has: one that opens them without end must not take the seats of all others.

use crate::networks::one_peer;
use rustc_hash::FxHashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Connections by peer.
#[derive(Debug)]
pub(super) struct Peers {
    /// None for as many as there are seats.
    most: Option<usize>,
    open: Mutex<FxHashMap<IpAddr, usize>>,
}

/// One connection of a peer, until it is dropped.
#[derive(Debug)]
pub(super) struct Entered {
    peers: Arc<Peers>,
    /// None if nobody counts.
    peer: Option<IpAddr>,
}

impl Peers {
    pub(super) fn new(most: usize) -> Arc<Self> {
        Arc::new(Self { most: (most > 0).then_some(most), open: Mutex::default() })
    }

    /// Lets one more connection of this peer in; none if it has as many as it may. This machine itself is not counted:
    /// a proxy beside us brings everybody.
    pub(super) fn enter(self: &Arc<Self>, address: IpAddr) -> Option<Entered> {
        let peer = one_peer(address);
        let Some(most) = self.most.filter(|_| !peer.is_loopback()) else {
            return Some(Entered { peers: Arc::clone(self), peer: None });
        };
        let mut open = self.lock();
        let count = open.entry(peer).or_default();
        if *count >= most {
            return None;
        }
        *count += 1;
        drop(open);
        Some(Entered { peers: Arc::clone(self), peer: Some(peer) })
    }

    fn lock(&self) -> MutexGuard<'_, FxHashMap<IpAddr, usize>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        let Some(peer) = self.peer else { return };
        let mut open = self.peers.lock();
        if let Some(count) = open.get_mut(&peer) {
            *count -= 1;
            if *count == 0 {
                open.remove(&peer);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn one_peer_has_so_many_and_takes_none_from_others() {
        let peers = Peers::new(2);
        let held = [peers.enter(ip("192.0.2.7")), peers.enter(ip("::ffff:192.0.2.7"))];
        assert!(held.iter().all(Option::is_some));
        assert!(peers.enter(ip("192.0.2.7")).is_none());
        assert!(peers.enter(ip("192.0.2.8")).is_some());
        drop(held);
        assert!(peers.lock().is_empty(), "who has none is forgotten");
        assert!(peers.enter(ip("192.0.2.7")).is_some());
    }

    #[test]
    fn a_network_of_ipv6_is_one_peer() {
        let peers = Peers::new(1);
        let _held = peers.enter(ip("2001:db8::1")).expect("the first");
        assert!(peers.enter(ip("2001:db8::ffff:2")).is_none());
        assert!(peers.enter(ip("2001:db8:0:1::1")).is_some());
    }

    #[test]
    fn this_machine_is_not_counted_and_nobody_is_without_a_limit() {
        let one = Peers::new(1);
        let held: Vec<_> = (0..3).map(|_| one.enter(ip("127.0.0.1"))).collect();
        assert!(held.iter().all(Option::is_some) && one.enter(ip("::1")).is_some());
        let none = Peers::new(0);
        let held: Vec<_> = (0..3).map(|_| none.enter(ip("192.0.2.7"))).collect();
        assert!(held.iter().all(Option::is_some));
    }
}
