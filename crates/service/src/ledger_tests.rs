//! The sweep among more running requests than one batch of it takes.

use super::{SWEEP_BATCH, sweep};
use crate::kit::Running;
use crate::rows::{RequestRow, insert, state_of};
use crate::saga_context::PassedOn;
use amends_protocol::{HistoryState, SagaId};
use rusqlite::{Connection, Transaction};
use serde_json::Value;

fn start(tx: &Transaction<'_>, request_id: &str) {
    let row = RequestRow {
        request_id: request_id.to_owned(),
        saga: SagaId::new(request_id).expect("a saga id"),
        action: "pay".to_owned(),
        fingerprint: Vec::new(),
        body: Value::Null,
        passed_on: PassedOn::default(),
        state: HistoryState::Started,
        answer: None,
    };
    insert(tx, &row).expect("written");
}

#[test]
fn ever_so_many_running_requests_hide_no_abandoned_one() {
    let mut connection = Connection::open_in_memory().expect("opens");
    connection.execute_batch(include_str!("schema.sql")).expect("the schema");
    let tx = connection.transaction().expect("begins");
    let running = Running::default();
    let mut guards = Vec::new();
    for number in 0..=SWEEP_BATCH {
        let id = format!("long-{number}");
        start(&tx, &id);
        guards.push(running.enter(&id));
    }
    start(&tx, "abandoned");

    assert_eq!(sweep(&tx, &running, "payment", i64::MAX).expect("sweeps"), 1);
    let state = |id: &str| state_of(&tx, id).expect("readable").map(|(state, _)| state);
    assert_eq!(state("abandoned"), Some(HistoryState::Unknown));
    assert_eq!(state("long-0"), Some(HistoryState::Started));

    // When their process dies they are found in turn, a batch at a time.
    drop(guards);
    let found = || sweep(&tx, &running, "payment", i64::MAX).expect("sweeps");
    assert_eq!([found(), found(), found()], [SWEEP_BATCH, 1, 0]);
}
