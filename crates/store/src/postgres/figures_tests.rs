//! What a report costs the database: rows, bytes of its log, entries of indexes. Figures that depend on no machine.

use super::tests::{Base, until};
use crate::{
    Batch, Leases, Ledger,
    conformance::sample::{FromRow, case, done, report, settled, step},
    tables::{Columns, collect, rows::column},
};
use amends_engine::{StepState, Write};
use amends_private_server::PostgresServer;
use amends_protocol::Timestamp;
use std::time::Instant;

const REPORTS: u64 = 1_000;
/// Of so many commits one keeps supervisor time: that is done once a second.
const KEPT: u64 = 50;
const STEPS: [&str; 3] = ["payment.pay", "coupon.redeem", "rider.match"];
/// The server's log so far, and the rows that were written by those who have hung up.
const LOG: &str = "SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::bigint";
const ROWS: &str = "SELECT (tup_inserted + tup_updated + tup_deleted)::bigint FROM pg_stat_database WHERE datname = current_database()";
const ALONE: &str =
    "SELECT (count(*) = 1)::text FROM pg_stat_activity WHERE datname = current_database()";

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

/// Rows and bytes of the log that a report costs, where so many share each commit.
async fn cost(server: &PostgresServer, together: u64) -> (f64, i64) {
    let base = Base::on(server);
    drop(base.store("one"));
    let so_far = |sql: &'static str| {
        base.beside(|session| until(session, ALONE));
        base.number(sql)
    };
    let (rows, bytes) = (so_far(ROWS), so_far(LOG));
    let (store, began) = (base.store("one"), Instant::now());
    let epoch = store.claim(1).await.expect("holds")[0].epoch;
    let mut commits = 0;
    for from in (1..=REPORTS).step_by(together as usize) {
        for of_one in [comes, ends] {
            let writes = (from..from + together).flat_map(of_one).collect();
            let clock = (commits % KEPT == 0).then_some(Timestamp(commits.cast_signed()));
            store.commit(Batch::whole(epoch, writes, clock)).await.expect("commits");
            commits += 1;
        }
    }
    let rate = REPORTS as f64 / began.elapsed().as_secs_f64();
    drop(store);
    let (rows, bytes) = (so_far(ROWS) - rows, so_far(LOG) - bytes);
    let (rows, bytes) = (rows as f64 / REPORTS as f64, bytes / REPORTS.cast_signed());
    println!(
        "{together} together: {rows:.2} rows and {bytes} bytes of log a report; {rate:.0} reports/s, as busy as this machine is"
    );
    let (updates, hot) = base.beside(|session| {
        let sql =
            "SELECT n_tup_upd, n_tup_hot_upd FROM pg_stat_user_tables WHERE relname = 'steps'";
        let read = |row: &dyn Columns| Ok((column::<i64>(row, 0)?, column::<i64>(row, 1)?));
        collect(session, sql, &[], read).expect("reads").remove(0)
    });
    println!("{hot} of {updates} new versions of steps cost no index anything");
    assert!(updates >= 3_000 && hot * 10 >= updates * 9, "{hot} of {updates}");
    (rows, bytes)
}

/// Three rows and two for each step, whether it comes alone or with many: what a commit costs besides is not of a
/// report.
#[tokio::test]
async fn a_report_costs_at_most_ten_rows_and_five_kilobytes_of_log() {
    // The log is the server's.
    let server = PostgresServer::start("");
    for together in [50, 1] {
        let (rows, bytes) = cost(&server, together).await;
        assert!(rows <= 9.5 && bytes <= 5_000, "{together} together: {rows} rows, {bytes} bytes");
    }
}
