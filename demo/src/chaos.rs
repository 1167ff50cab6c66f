//! What chaos came to: how often the protection was needed, counted from the supervisor's cases and the services' own
//! databases, and whether a killed service's unfinished work was reported. It kills nobody.

use crate::cases::Cases;
use amends_protocol::Outcome;
use rusqlite::Connection;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::Path;

/// The code of the report about a request that a dead process left unfinished.
const CRASHED: &str = "crashed";

/// How often a run met what compensation is protected against.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ChaosCount {
    /// How often a process was killed with SIGKILL and started again.
    pub kills: u32,
    /// Compensations that found nothing to undo, and left their fence.
    pub null_compensations: u64,
    /// Forward requests, or their commits, that a fence turned away.
    pub refused_late: u64,
    /// Reports about requests that a killed service left unfinished.
    pub crash_reports: u64,
    /// Kills by process.
    pub kills_by_process: BTreeMap<String, u32>,
}

impl fmt::Display for ChaosCount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kills: Vec<_> =
            self.kills_by_process.iter().map(|(name, count)| format!("{name} {count}")).collect();
        write!(
            f,
            "chaos: kills {} ({}), null compensations {}, refused late originals {}, crash reports {}",
            self.kills,
            kills.join(", "),
            self.null_compensations,
            self.refused_late,
            self.crash_reports
        )
    }
}

/// Counts what the cases and the databases in `folder` tell of a run with these kills.
///
/// # Errors
/// When a database can't be read.
pub(crate) fn count(
    folder: &Path,
    services: impl Iterator<Item = &'static str>,
    cases: &Cases,
    kills_by_process: BTreeMap<String, u32>,
) -> rusqlite::Result<ChaosCount> {
    let mut refused_late = 0;
    for service in services {
        let refused: i64 = open(folder, service)?.query_row(
            "SELECT coalesce(sum(refused), 0) FROM amends_fences",
            [],
            |row| row.get(0),
        )?;
        refused_late += refused.unsigned_abs();
    }
    let steps = cases.0.iter().flat_map(|case| &case.plan);
    let reports = cases.0.iter().flat_map(|case| &case.reports);
    let nothing = |outcome| outcome == Some(Outcome::NothingToCompensate);
    Ok(ChaosCount {
        kills: kills_by_process.values().sum(),
        null_compensations: steps.filter(|step| nothing(step.outcome)).count() as u64,
        refused_late,
        crash_reports: reports.filter(|report| report.data.code == CRASHED).count() as u64,
        kills_by_process,
    })
}

/// Requests that a service found unfinished after a kill and that the supervisor has no report of, a sentence each.
///
/// # Errors
/// When a database can't be read.
pub(crate) fn unreported(
    folder: &Path,
    services: impl Iterator<Item = &'static str>,
    cases: &Cases,
) -> rusqlite::Result<Vec<String>> {
    let known: BTreeSet<(&str, &str)> = cases
        .0
        .iter()
        .flat_map(|case| &case.reports)
        .map(|report| (report.source.as_str(), report.id.as_str()))
        .collect();
    let mut lost = Vec::new();
    for service in services {
        for (request, report) in swept(&open(folder, service)?)? {
            let reported =
                report.as_deref().is_some_and(|report| known.contains(&(service, report)));
            if !reported {
                lost.push(format!(
                    "the supervisor has no report of the request `{request}` that the {service} service left unfinished"
                ));
            }
        }
    }
    Ok(lost)
}

/// Requests that a sweep found, with the report about each. The outbox also knows those that were run again since.
fn swept(connection: &Connection) -> rusqlite::Result<Vec<(String, Option<String>)>> {
    let mut statement = connection.prepare(
        "SELECT request_id, report FROM amends_requests WHERE json_extract(answer, '$.code') = ?1
         UNION
         SELECT json_extract(data, '$.requestId'), report_id FROM amends_outbox
             WHERE json_extract(data, '$.code') = ?1
         ORDER BY 1",
    )?;
    let rows = statement.query_map([CRASHED], |row| Ok((row.get(0)?, row.get(1)?)))?;
    rows.collect()
}

fn open(folder: &Path, service: &str) -> rusqlite::Result<Connection> {
    Connection::open(folder.join(format!("{service}.sqlite")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::food::FOOD_ORDER;
    use amends_service::Sqlite;
    use serde_json::{Value, json};
    use tempfile::TempDir;

    /// The six databases of a shop in which nothing has happened.
    fn shop() -> TempDir {
        let folder = TempDir::new().expect("a temporary folder");
        for service in FOOD_ORDER.services {
            let path = folder.path().join(format!("{}.sqlite", service.name));
            let _ = Sqlite::open(&path, &service.schema()).expect("a new database");
        }
        folder
    }

    fn write(folder: &TempDir, service: &str, sql: &str) {
        open(folder.path(), service).and_then(|db| db.execute_batch(sql)).expect("valid SQL");
    }

    /// One case with these reports (source, id, code) and the outcomes of its steps.
    fn cases(reports: &[(&str, &str, &str)], outcomes: &[&str]) -> Cases {
        let reports: Vec<Value> = reports
            .iter()
            .map(|(source, id, code)| {
                json!({
                    "source": source, "id": id, "service": source, "receivedAt": "2026-01-01T00:00:00Z",
                    "role": "rule", "data": {"code": code},
                })
            })
            .collect();
        let plan: Vec<Value> = outcomes
            .iter()
            .map(|outcome| {
                json!({
                    "id": "s-1-1-0000000000000001", "caseId": "c-1", "sagaId": "a", "verb": "compensate",
                    "action": "payment.pay", "stage": 0, "state": "done", "outcome": outcome, "attempts": 1,
                    "plannedAt": "2026-01-01T00:00:00Z", "because": [],
                })
            })
            .collect();
        let case = json!({
            "id": "c-1", "sagaId": "a", "state": "settled", "report": "payment/crashed", "steps": {},
            "openedAt": "2026-01-01T00:00:00Z", "updatedAt": "2026-01-01T00:00:00Z",
            "reports": reports, "plan": plan, "histories": [], "notes": [], "acts": [],
        });
        Cases(vec![serde_json::from_value(case).expect("the shape of a case")])
    }

    #[test]
    fn every_number_is_counted_over_all_cases_and_services() {
        let folder = shop();
        let fences = "INSERT INTO amends_fences (saga, action, put_at, refused) VALUES";
        write(
            &folder,
            "delivery",
            &format!("{fences} ('a', 'request', 0, 2), ('b', 'request', 0, 0)"),
        );
        write(&folder, "coupon", &format!("{fences} ('a', 'redeem', 0, 1)"));
        let mut seen = cases(
            &[("payment", "r-1", "crashed"), ("order", "r-2", "downstream")],
            &["nothing_to_compensate", "compensated", "nothing_to_compensate"],
        );
        seen.0.extend(cases(&[("sms", "r-3", "crashed")], &["nothing_to_compensate"]).0);
        let kills = BTreeMap::from([("coupon".to_owned(), 2), ("supervisor".to_owned(), 1)]);
        let count = count(folder.path(), FOOD_ORDER.names(), &seen, kills.clone());
        let count = count.expect("readable databases");
        let expected = ChaosCount {
            kills: 3,
            null_compensations: 3,
            refused_late: 3,
            crash_reports: 2,
            kills_by_process: kills,
        };
        assert_eq!(count, expected);
        assert_eq!(
            count.to_string(),
            "chaos: kills 3 (coupon 2, supervisor 1), null compensations 3, refused late originals 3, crash reports 2"
        );
        let wire = serde_json::to_value(&count).expect("plain");
        let members: Vec<_> = wire.as_object().expect("an object").keys().cloned().collect();
        assert_eq!(
            members.iter().map(String::as_str).collect::<BTreeSet<_>>(),
            BTreeSet::from([
                "kills",
                "nullCompensations",
                "refusedLate",
                "crashReports",
                "killsByProcess"
            ])
        );
    }

    #[test]
    fn a_shop_in_which_nothing_happened_counts_nothing() {
        let folder = shop();
        let none = Cases::default();
        let count = count(folder.path(), FOOD_ORDER.names(), &none, BTreeMap::new());
        assert_eq!(count.expect("readable"), ChaosCount::default());
        let lost = unreported(folder.path(), FOOD_ORDER.names(), &none);
        assert!(lost.expect("readable").is_empty());
    }

    #[test]
    fn a_request_that_a_sweep_found_must_be_reported() {
        let folder = shop();
        let row = |request: &str, code: &str, report: &str| {
            format!(
                "INSERT INTO amends_requests (request_id, saga, action, fingerprint, body, context, state, answer, report, started_at)
                 VALUES ('{request}', 'a', 'pay', x'00', '{{}}', '{{}}', 'fenced', '{{\"code\": \"{code}\"}}', {report}, 0);"
            )
        };
        write(&folder, "payment", &row("q-1", "crashed", "'r-1'"));
        // A failure that the service itself reported is no business of a sweep.
        write(&folder, "payment", &row("q-2", "downstream", "'r-2'"));
        // Left unfinished when it ran again: its first report is enough.
        write(&folder, "order", &row("q-3", "crashed", "'r-3'"));
        // Run again since, and well; the outbox still knows.
        write(&folder, "order", &row("q-4", "", "NULL"));
        write(
            &folder,
            "order",
            "INSERT INTO amends_outbox (report_id, saga, happened_at, data) VALUES
                ('r-4', 'a', 0, '{\"code\": \"crashed\", \"requestId\": \"q-4\"}')",
        );
        let all = [
            ("payment", "r-1", "crashed"),
            ("order", "r-3", "report-1"),
            ("order", "r-4", "crashed"),
        ];
        let lost = |reports: &[_]| {
            let lost = unreported(folder.path(), FOOD_ORDER.names(), &cases(reports, &[]));
            lost.expect("readable databases")
        };
        assert_eq!(lost(&all), Vec::<String>::new());
        for (missing, request) in ["q-1", "q-3", "q-4"].into_iter().enumerate() {
            let mut some = all.to_vec();
            some.remove(missing);
            let told = lost(&some);
            assert_eq!(told.len(), 1, "{told:?}");
            assert!(told[0].contains(&format!("`{request}`")), "{told:?}");
        }
        // Another service's report of the same name is another report.
        assert_eq!(lost(&[("sms", "r-1", "crashed"), all[1], all[2]]).len(), 1);
    }
}
