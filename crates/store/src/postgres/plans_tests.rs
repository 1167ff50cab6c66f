//! How the database goes about what people ask, with many settled cases and some that are open.

use super::{
    session::{self, Session},
    tests::Base,
};
use crate::{
    Archive, CaseFilter, PageRequest, StepFilter,
    tables::{Tables, collect, rows::column, step_list::StepSearch},
};
use amends_api::{StepStateName, StuckReason};

/// Of 30,000 cases with four steps each every hundredth is open, and every thousandth stuck.
const FILL: &str = r#"
    INSERT INTO amends.cases (id, opened_at, updated_at, settled_at, partition, state, saga, rulebook, report, memo)
      SELECT n, n, n, CASE WHEN n % 100 <> 0 THEN n END, 0,
        CASE WHEN n % 1000 = 0 THEN 1 WHEN n % 100 = 0 THEN 0 ELSE 3 END, 'saga-' || n, 'past', 'shop/report', '{}'
      FROM generate_series(1, 30000) AS n;
    INSERT INTO amends.steps (key, tag, attempts, planned_at, updated_at, stage, state, ending, verb, service, action, memo)
      SELECT (n::bigint << 20) | k, 0, 1, n, n, 0, CASE WHEN k = 1 AND n % 1000 = 0 THEN 5 ELSE 4 END, 0, 0,
        'service-' || k, 'act', '{"because":[0]}'
      FROM generate_series(1, 30000) AS n, generate_series(1, 4) AS k;
    VACUUM ANALYZE amends.cases; VACUUM ANALYZE amends.steps;"#;

fn filled() -> Base {
    let base = Base::new();
    drop(base.store("one"));
    FILL.split(';').for_each(|sql| base.sql(sql));
    base
}

fn reading(base: &Base) -> Session {
    let connects = base.options("beside").connect().expect("an address");
    session::reach(&connects, "of the test", session::READING).expect("connects")
}

/// Case by case: the planner, left alone, would look through all steps for the few that are stuck.
#[test]
fn steps_are_found_by_their_cases() {
    let base = filled();
    let session = reading(&base);
    let of_state =
        |state: StepStateName| StepFilter { state: vec![state], ..StepFilter::default() };
    let filters = [
        of_state(StepStateName::Stuck),
        of_state(StepStateName::Accepted),
        StepFilter { reason: Some(StuckReason::Refused), ..StepFilter::default() },
        StepFilter { service: Some("service-3".to_owned()), ..StepFilter::default() },
        StepFilter { service: Some("none".to_owned()), ..of_state(StepStateName::Due) },
    ];
    for filter in filters {
        let search = StepSearch::of(session.dialect(), &filter, None, None).expect("plain");
        for (sql, mut values) in search.queries(session.dialect()) {
            values.push(51.into());
            let plan = collect(&session, &format!("EXPLAIN {sql}"), &values, |row| {
                column::<String>(row, 0)
            });
            let plan = plan.expect("explains").join("\n");
            let is_by_index = !plan.contains("Seq Scan") && plan.contains("steps_pkey");
            assert!(is_by_index, "{filter:?}: {plan}");
        }
    }
}

/// A look into JSON may not be left to several processes, whatever the planner would like.
#[tokio::test]
async fn business_data_is_found_where_the_planner_would_share_the_work() {
    let base = filled();
    let newer = base.number("SELECT current_setting('server_version_num')::bigint") >= 16_00_00;
    let share = if newer { "debug_parallel_query" } else { "force_parallel_mode" };
    base.sql(&format!(
        "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET {share} = on', current_database()); END $$"
    ));
    let store = base.store("one");
    let filter = CaseFilter { customer: Some("nobody".to_owned()), ..CaseFilter::default() };
    let page = store.cases(filter, PageRequest::default()).await.expect("finds none");
    assert!(page.items.is_empty());
}
