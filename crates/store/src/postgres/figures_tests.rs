//! What a report costs the database: rows, bytes of its log, entries of indexes. Figures that depend on no machine.

use super::tests::{Base, until};
use crate::{
    Batch, Epoch, Leases, Ledger,
    conformance::sample::{FromRow, case, done, report, settled, step},
    tables::{collect, rows::column},
};
use amends_engine::{StepState, Write};
use amends_private_server::PostgresServer;
use std::time::Instant;

/// Reports whose commits share one statement.
const TOGETHER: u64 = 50;
const STEPS: [&str; 3] = ["payment.pay", "coupon.redeem", "rider.match"];

fn batch(epoch: Epoch, writes: Vec<Write>) -> Batch {
    Batch::whole(epoch, writes, Some(amends_protocol::Timestamp(epoch.0.cast_signed())))
}

/// A report comes, and three steps go out.
fn comes(n: u64) -> Vec<Write> {
    let steps = STEPS.iter().zip(1..);
    let steps = steps.map(|(name, ordinal)| step(n, ordinal, name, StepState::InFlight));
    let rows = [Write::from_report(report(n, 0)), Write::from_case(case(n))];
    rows.into_iter().chain(steps.map(Write::from_step)).collect()
}

/// Their services answer, and the case is settled.
fn ends(n: u64) -> Vec<Write> {
    let steps =
        STEPS.iter().zip(1..).map(|(name, ordinal)| Write::from_step(done(n, ordinal, name)));
    steps.chain([Write::from_case(settled(n))]).collect()
}

#[tokio::test]
async fn a_report_costs_at_most_ten_rows_and_five_kilobytes_of_log() {
    const REPORTS: u64 = 1_000;
    // The log is the server's.
    let server = PostgresServer::start("");
    let base = Base::on(&server);
    let store = base.store("one");
    let epoch = store.claim(1).await.expect("holds")[0].epoch;
    let log = "SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::bigint";
    let (before, mut rows, began) = (base.number(log), 0, Instant::now());
    for from in (1..=REPORTS).step_by(TOGETHER as usize) {
        for of_one in [comes, ends] {
            let writes: Vec<Write> = (from..from + TOGETHER).flat_map(of_one).collect();
            rows += writes.len() + 2; // supervisor time, and the number of cases
            store.commit(batch(epoch, writes)).await.expect("commits");
        }
    }
    let rate = REPORTS as f64 / began.elapsed().as_secs_f64();
    let bytes = (base.number(log) - before) / REPORTS.cast_signed();
    let rows_each = rows as f64 / REPORTS as f64;
    println!(
        "{rows_each:.2} rows and {bytes} bytes of log a report; {rate:.0} reports/s, as busy as this machine is"
    );
    assert!(rows as u64 <= 10 * REPORTS && bytes <= 5_000, "{rows} rows, {bytes} bytes");
    drop(store);
    let (updates, hot) = base.beside(|session| {
        until(
            session,
            "SELECT (sum(n_tup_upd) >= 4000)::text FROM pg_stat_user_tables WHERE relname IN ('cases', 'steps')",
        );
        let sql = "SELECT n_tup_upd, n_tup_hot_upd FROM pg_stat_user_tables WHERE relname = 'steps'";
        let found = collect(session, sql, &[], |row| Ok((column::<i64>(row, 0)?, column::<i64>(row, 1)?)));
        found.expect("reads").remove(0)
    });
    println!("{hot} of {updates} new versions of steps cost no index anything");
    assert!(hot * 10 >= updates * 9, "{hot} of {updates}");
}
