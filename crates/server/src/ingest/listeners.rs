//! Whether anybody listens to what bridges report: looked at whenever other rulebooks are active, told once, and shown
//! for as long as it is so.

use super::bridge::Bridge;
use crate::supervisor::Supervisor;
use amends_api::ReportWay;
use amends_store::Store;
use std::collections::BTreeSet;
use std::time::Duration;
use tokio::sync::watch;

/// How often it is looked whether other rulebooks are active.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// Looks until the supervisor stops.
pub(crate) async fn watch<S: Store>(
    bridges: Vec<Bridge>,
    supervisor: Supervisor<S>,
    mut stops: watch::Receiver<bool>,
) {
    let (mut seen, mut told) = (None, BTreeSet::new());
    loop {
        let books = supervisor.active_books();
        let active: Vec<String> = books.iter().map(|book| book.hash().to_owned()).collect();
        if seen.as_ref() != Some(&active) {
            seen = Some(active);
            let mut unheard = BTreeSet::new();
            for &way in ReportWay::ALL {
                let here = bridges.iter().filter(|bridge| !bridge.channels(way).is_empty());
                let here: Vec<String> = here
                    .flat_map(|bridge| bridge.unheard(books.iter().map(|book| &**book)))
                    .collect();
                unheard.extend(here.iter().cloned());
                supervisor.metrics().ways().unheard(way, here);
            }
            unheard.difference(&told).for_each(|why| tracing::warn!("{why}"));
            told = unheard;
        }
        tokio::select! {
            () = tokio::time::sleep(LOOK_EVERY) => {}
            _ = stops.wait_for(|stop| *stop) => return,
        }
    }
}
