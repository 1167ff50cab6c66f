//! What operators set and start: it comes back as it was, also after a reopening.

use super::Place;
use crate::{BulkRow, Store};
use amends_engine::{Decision, Limits, ServiceRow, ServiceSettings, Write};

fn decision(reason: &str) -> Decision {
    Decision { at: 7, by: "kim".into(), reason: reason.into() }
}

/// The last settings of each service count, and are loaded at the start.
pub async fn settings_of_services_are_loaded(place: &impl Place) {
    let store = place.open().await;
    let row =
        |service: &str, settings: ServiceSettings| ServiceRow { service: service.into(), settings };
    let paused = ServiceSettings { pause: Some(decision("maintenance")), limits: None };
    let limits = Limits { concurrency: Some(2), per_second: None, decision: decision("slow") };
    let limited = ServiceSettings { pause: None, limits: Some(limits) };
    let first = [row("rider", paused.clone()), row("coupon", paused)];
    let writes = first.map(|row| Write::Service(Box::new(row)));
    store.commit(writes.into()).await.expect("commits");
    let later = vec![
        Write::Service(Box::new(row("rider", limited.clone()))),
        Write::Service(Box::new(row("coupon", ServiceSettings::default()))),
    ];
    store.commit(later.into()).await.expect("commits");
    drop(store);
    let loaded = place.open().await.load().await.expect("loads").services;
    assert_eq!(loaded, [row("coupon", ServiceSettings::default()), row("rider", limited)]);
}

/// What a bulk act is for stays as it was made; its state is the last one.
pub async fn bulk_acts_are_kept(place: &impl Place) {
    let store = place.open().await;
    let row =
        |id: u64, ids: &str, state: &str| BulkRow { id, ids: ids.into(), state: state.into() };
    assert_eq!(store.bulk(1).await.expect("reads"), None);
    for put in [row(1, "[1,2]", "made"), row(2, "[3]", "made"), row(1, "", "done")] {
        store.put_bulk(put).await.expect("puts");
    }
    drop(store);
    let store = place.open().await;
    assert_eq!(store.bulk(1).await.expect("reads"), Some(row(1, "[1,2]", "done")));
    assert_eq!(store.bulks(9).await.expect("reads"), [row(2, "", "made"), row(1, "", "done")]);
    assert_eq!(store.bulks(1).await.expect("reads"), [row(2, "", "made")]);
    store.put_bulk(row(1_001, "[]", "made")).await.expect("puts");
    assert_eq!(store.bulk(1).await.expect("reads"), None, "the oldest make room");
}
