//! What became of the reports that went by a broker, counted from outside: what the services have written down, what
//! the broker holds, what the supervisor has, and what was done twice by the services' own books. It publishes nothing.

use crate::broker::ReportKey;
use crate::cases::Cases;
use rusqlite::Connection;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fmt;
use std::path::Path;

/// How the reports of a run went by a broker.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PublishedCount {
    /// Which broker.
    pub broker: String,
    /// Reports that the services' outboxes say are published.
    pub published: u64,
    /// Those of them that the supervisor has in a case.
    pub taken: u64,
    /// Messages that the broker holds besides the first of each report.
    pub doubled: u64,
    /// Reports that a service has written down and that are missing at the broker or at the supervisor.
    pub lost: u64,
    /// Compensations beyond the first of an action in a saga, by the services' own books.
    pub doubled_in_effect: u64,
    /// How often the broker was killed with SIGKILL and started again.
    pub kills: u32,
}

impl fmt::Display for PublishedCount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}: {} reports published, {} taken, {} doubled, {} lost, {} doubled in effect; killed {} times",
            self.broker,
            self.published,
            self.taken,
            self.doubled,
            self.lost,
            self.doubled_in_effect,
            self.kills
        )
    }
}

impl PublishedCount {
    /// What should not be, a sentence each.
    #[must_use]
    pub(crate) fn mishaps(&self) -> Vec<String> {
        let mut found = Vec::new();
        if self.lost > 0 {
            found.push(format!("{} reports were lost on their way by {}", self.lost, self.broker));
        }
        if self.doubled_in_effect > 0 {
            found.push(format!("{} actions were compensated twice", self.doubled_in_effect));
        }
        found
    }
}

/// Counts what the databases in `folder`, the broker's messages and the cases tell.
///
/// # Errors
/// When a database can't be read.
pub(crate) fn count(
    folder: &Path,
    services: impl Iterator<Item = &'static str>,
    messages: &[ReportKey],
    cases: &Cases,
) -> rusqlite::Result<PublishedCount> {
    let held: BTreeSet<&ReportKey> = messages.iter().collect();
    let reports = cases.0.iter().flat_map(|case| &case.reports);
    let known: BTreeSet<ReportKey> =
        reports.map(|report| (report.source.clone(), report.id.clone())).collect();
    let mut count = PublishedCount {
        doubled: (messages.len() - held.len()) as u64,
        ..PublishedCount::default()
    };
    for service in services {
        let database = Connection::open(folder.join(format!("{service}.sqlite")))?;
        for (id, is_sent) in written(&database)? {
            let key = (service.to_owned(), id);
            let is_known = known.contains(&key);
            count.published += u64::from(is_sent);
            count.taken += u64::from(is_known);
            count.lost += u64::from(!is_known || !held.contains(&key));
        }
        let twice: i64 = database.query_row(
            "SELECT coalesce(sum(n - 1), 0) FROM
                 (SELECT count(*) AS n FROM amends_steps WHERE outcome = 'compensated' GROUP BY saga, action)",
            [],
            |row| row.get(0),
        )?;
        count.doubled_in_effect += twice.unsigned_abs();
    }
    Ok(count)
}

/// The reports of a service, and whether each counts as published.
fn written(database: &Connection) -> rusqlite::Result<Vec<(String, bool)>> {
    let mut statement = database.prepare("SELECT report_id, state = 'sent' FROM amends_outbox")?;
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    rows.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::food::FOOD_ORDER;
    use amends_service::Sqlite;
    use serde_json::json;
    use tempfile::TempDir;

    fn cases(ids: &[&str]) -> Cases {
        let report = |id: &&str| {
            json!({
                "source": "payment", "id": id, "service": "payment", "receivedAt": "2026-01-01T00:00:00Z",
                "role": "rule", "data": {"code": "report-1"},
            })
        };
        let case = json!({
            "id": "c-1", "sagaId": "a", "state": "settled", "report": "payment/report-1", "steps": {},
            "openedAt": "2026-01-01T00:00:00Z", "updatedAt": "2026-01-01T00:00:00Z",
            "reports": ids.iter().map(report).collect::<Vec<_>>(),
            "plan": [], "histories": [], "notes": [], "acts": [],
        });
        Cases(vec![serde_json::from_value(case).expect("the shape of a case")])
    }

    #[test]
    fn what_is_missing_anywhere_is_lost_and_what_was_done_twice_is_seen() {
        let folder = TempDir::new().expect("a folder");
        for service in FOOD_ORDER.services {
            let path = folder.path().join(format!("{}.sqlite", service.name));
            drop(Sqlite::open(&path, &service.schema()).expect("a new database"));
        }
        let database = Connection::open(folder.path().join("payment.sqlite")).expect("opens");
        database
            .execute_batch(
                "INSERT INTO amends_outbox (report_id, saga, happened_at, data, state) VALUES
                     ('r-1', 'a', 0, '{}', 'sent'), ('r-2', 'a', 0, '{}', 'sent'),
                     ('r-3', 'a', 0, '{}', 'sent'), ('r-4', 'a', 0, '{}', 'dead');
                 INSERT INTO amends_steps (step_id, saga, verb, action, outcome, done_at) VALUES
                     ('s-1', 'a', 'compensate', 'pay', 'compensated', 0),
                     ('s-2', 'b', 'compensate', 'pay', 'compensated', 0),
                     ('s-3', 'b', 'compensate', 'pay', 'nothing_to_compensate', 0)",
            )
            .expect("valid SQL");
        let held = ["r-1", "r-2", "r-2"].map(|id| ("payment".to_owned(), id.to_owned()));
        let counted = |cases: &Cases| {
            count(folder.path(), FOOD_ORDER.names(), &held, cases).expect("readable")
        };
        let found = counted(&cases(&["r-1", "r-2", "r-3"]));
        let expected = PublishedCount {
            published: 3,
            taken: 3,
            doubled: 1,
            lost: 2,
            ..PublishedCount::default()
        };
        assert_eq!(found, expected, "r-3 is not at the broker, r-4 was never published");
        assert_eq!(counted(&cases(&["r-1"])).lost, 3, "r-2 did not arrive");
        assert_eq!(found.mishaps().len(), 1);
        database
            .execute_batch("UPDATE amends_steps SET outcome = 'compensated' WHERE step_id = 's-3'")
            .expect("valid SQL");
        let found = counted(&cases(&[]));
        assert_eq!(found.doubled_in_effect, 1);
        assert_eq!(found.mishaps().len(), 2);
    }
}
