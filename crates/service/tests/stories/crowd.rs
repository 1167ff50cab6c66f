//! A crowd at a few sagas, on real databases: originals, duplicates, compensations and retries all at once; on PostgreSQL
//! by two processes. What must hold is counted from the tables.

use crate::base::Base;
use crate::rig::{Service, step_body};
use amends_service::{Postgres, Sqlite};
use serde_json::json;
use std::collections::HashMap;

const SAGAS: u32 = 12;
const ROUNDS: u32 = 6;

/// Sends everything about every saga at once, by turns to the services; then looks at what came of it.
async fn crowd<B: Base>(services: &[Service<B>]) {
    let mut told = Vec::new();
    for number in 0..SAGAS * ROUNDS {
        let (saga, round) = (format!("order-{}", number % SAGAS), number / SAGAS);
        let service = &services[(number as usize / 3) % services.len()];
        let pay = format!("{}/pay", service.url);
        let step = |verb: &str| format!("{}/amends/v1/{verb}/pay", service.url);
        let number_of_step = |kind: u32| (number % SAGAS) * 10 + kind;
        // Two requests of each saga, each of them several times; the first one fails at first.
        let request = format!("{saga}-{}", round % 2);
        let body = match round % 2 {
            0 => json!({ "amount": 9, "fail": "report-1", "fail_runs": 1 }),
            _ => json!({ "amount": 9 }),
        };
        let mut sent = vec![(pay, vec![("saga-id", saga.clone()), ("request-id", request)], body)];
        let retry = step_body("payment", "pay", &saga, number_of_step(0));
        sent.push((step("retry"), Vec::new(), retry));
        // Every other saga is undone, by two steps.
        if number % 2 == 0 && round > 0 {
            let undo = step_body("payment", "pay", &saga, number_of_step(1 + round % 2));
            sent.push((step("compensate"), Vec::new(), undo));
        }
        for (url, headers, body) in sent {
            let saga = saga.clone();
            told.push(tokio::spawn(async move {
                let headers: Vec<_> = headers.iter().map(|(k, v)| (*k, v.as_str())).collect();
                (saga, crate::rig::send(&url, &headers, &body).await)
            }));
        }
    }
    let mut undone: HashMap<String, u32> = HashMap::new();
    for answer in told {
        let (saga, answer) = answer.await.expect("ends");
        assert!(answer.status != 500, "{answer:?}");
        match answer.body["outcome"].as_str() {
            Some("compensated") => *undone.entry(saga).or_default() += 1,
            Some("already_compensated" | "nothing_to_compensate") => {
                undone.entry(saga).or_default();
            }
            _ => {}
        }
    }
    let of = async |sql: &str| services[0].ask(sql).await;
    let twice =
        of("SELECT request, kind FROM ledger GROUP BY request, kind HAVING count(*) > 1").await;
    assert!(twice.is_empty(), "at most one effect and one undo for each request: {twice:?}");
    let states = "SELECT r.request_id, r.saga, r.state, coalesce((SELECT sum(amount) FROM ledger AS l WHERE l.request = r.request_id), 0),
                         (SELECT count(*) FROM amends_fences AS f WHERE f.saga = r.saga)
                  FROM amends_requests AS r";
    for row in of(states).await {
        let expected = match row[2].as_str() {
            "succeeded" => "9",
            "failed" | "compensated" | "fenced" => "0",
            other => panic!("`{}` is {other}", row[0]),
        };
        assert_eq!(row[3], expected, "{row:?}");
        let is_undone = matches!(row[2].as_str(), "compensated" | "fenced");
        assert_eq!(row[4] == "1", undone.contains_key(&row[1]), "{row:?}");
        assert_eq!(is_undone, undone.contains_key(&row[1]), "{row:?}");
    }
    assert_eq!(undone.len(), SAGAS as usize / 2, "every other saga");
    assert!(undone.values().all(|count| *count <= ROUNDS), "{undone:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_crowd_at_one_process_on_sqlite() {
    for _ in 0..3 {
        crowd(&[Service::<Sqlite>::start().await]).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_crowd_at_two_processes_on_postgresql() {
    for _ in 0..3 {
        let place = Postgres::new_place().await;
        let first = Service::<Postgres>::at(&place, "payment", |_| {}).await;
        let second = Service::<Postgres>::at(&place, "payment", |_| {}).await;
        crowd(&[first, second]).await;
    }
}
