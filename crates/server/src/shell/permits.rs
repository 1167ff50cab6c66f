//! The loop asks for the permits that its node has use for, between two turns.

use super::Driver;
use crate::clock::{Clock, ms};
use crate::outbound::Outbound;
use amends_engine::Partition;
use amends_store::Store;
use std::sync::Arc;
use std::sync::atomic::Ordering;

impl<S: Store, O: Outbound, C: Clock> Driver<S, O, C> {
    /// Asks for the permits that the node has use for, if it is time for that.
    pub(super) async fn ask_for_permits(&mut self) {
        let Some(shares) = &mut self.shares else { return };
        let now = self.clock.boot();
        for service in shares.permits.lapsed(now) {
            self.node.permit(&service, 0);
        }
        let parts = shares.held.iter().filter(|one| **one != Partition::SEAT).count();
        let Some(demands) = self.node.demands() else { return };
        let Some(wanted) = shares.permits.ask(now, demands, parts) else { return };
        let asked = {
            let shared = Arc::clone(&self.shared);
            let _turn = shared.heartbeat.turn();
            self.store.permits(wanted).await
        };
        match asked {
            Ok(held) => {
                let may = shares.permits.given(held);
                self.shared.permits_until_ms.store(ms(shares.permits.until), Ordering::Release);
                may.into_iter().for_each(|(service, most)| self.node.permit(&service, most));
            }
            // What is held lasts for its time; the store's failure is told by whoever commits.
            Err(error) => tracing::debug!(%error, "permits for services can't be asked for"),
        }
    }
}
