//! Errands: calls that nobody answered, or that nobody waits for, repeated until somebody takes them. An errand
//! survives restarts; it is never repeated under another request id, so it takes effect at most once.
//!
//! | answer | the errand is then |
//! | --- | --- |
//! | 200 | `done` |
//! | a failure with `Amends-Report` | `handed_over`: the supervisor retries it from here on |
//! | any other problem that the same request can't mend, such as `saga-fenced` | `refused`, and off the list |
//! | none, in progress, or a status that says try again | `open`, with a longer wait |
//!
//! Undoing what kept them may turn open errands into `dropped`.

use crate::client::{Answer, NoAnswer};
use crate::serving::told_to_stop;
use crate::setting::Setting;
use amends_protocol::{Problem, headers};
use rusqlite::{Connection, params};
use serde_json::Value;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::sync::watch;

/// How often the table is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(150);
/// Errands run one after the other; more than these are left for the next look, so that a look stays short.
const AT_ONCE: u32 = 50;
/// The wait after the first failed try; it doubles up to [`WAIT_CAP_MS`]. There is no last try: the text and the rider
/// of a delivery that stands must happen.
const FIRST_WAIT_MS: u64 = 100;
const WAIT_CAP_MS: u64 = 2_000;
const CALL_LIMIT: Duration = Duration::from_secs(4);

/// The table of a service that runs errands.
pub(crate) const TABLE: &str = "
    CREATE TABLE IF NOT EXISTS errands (
        saga    TEXT NOT NULL,
        service TEXT NOT NULL,
        action  TEXT NOT NULL,
        request TEXT NOT NULL,
        body    TEXT NOT NULL,
        state   TEXT NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'done', 'handed_over', 'refused', 'dropped')),
        tries   INTEGER NOT NULL DEFAULT 0,
        due_ms  INTEGER NOT NULL DEFAULT 0,
        message TEXT,
        PRIMARY KEY (saga, service)
    ) STRICT;
    CREATE INDEX IF NOT EXISTS errands_open ON errands (due_ms) WHERE state = 'open';";

/// One errand.
pub(crate) struct Errand {
    saga: String,
    service: String,
    action: String,
    request: String,
    body: String,
    tries: u32,
}

impl Errand {
    /// The call of an action, under a request id that is given.
    pub(crate) fn new(
        saga: &str,
        (service, action): (&str, &str),
        request: &str,
        body: &Value,
    ) -> Self {
        Self {
            saga: saga.to_owned(),
            service: service.to_owned(),
            action: action.to_owned(),
            request: request.to_owned(),
            body: body.to_string(),
            tries: 0,
        }
    }

    /// Writes it down, unless it is there already; from then on it is run.
    pub(crate) fn keep(&self, connection: &Connection) -> rusqlite::Result<()> {
        connection.execute(
            "INSERT OR IGNORE INTO errands (saga, service, action, request, body) VALUES (?1, ?2, ?3, ?4, ?5)",
            params![self.saga, self.service, self.action, self.request, self.body],
        )?;
        Ok(())
    }
}

/// Runs no errand of a saga any more.
pub(crate) fn drop_all(connection: &Connection, saga: &str) -> rusqlite::Result<()> {
    connection.execute(
        "UPDATE errands SET state = 'dropped' WHERE saga = ?1 AND state = 'open'",
        [saga],
    )?;
    Ok(())
}

enum Ending {
    Now(&'static str, String),
    Later(String),
}

/// Runs errands until `stop` turns true.
pub(crate) async fn run(setting: Arc<Setting>, mut stop: watch::Receiver<bool>) {
    loop {
        if let Err(error) = look(&setting).await {
            tracing::warn!(%error, "the errands cannot be read or written; tried again");
        }
        tokio::select! {
            () = tokio::time::sleep(LOOK_EVERY) => {}
            () = told_to_stop(&mut stop) => return,
        }
    }
}

async fn look(setting: &Setting) -> rusqlite::Result<()> {
    let connection = Connection::open(&setting.database)?;
    let due = due(&connection)?;
    drop(connection);
    for errand in due {
        let ending = attempt(setting, &errand).await;
        note(&Connection::open(&setting.database)?, &errand, ending)?;
    }
    Ok(())
}

fn due(connection: &Connection) -> rusqlite::Result<Vec<Errand>> {
    let mut statement = connection.prepare(
        "SELECT saga, service, action, request, body, tries FROM errands
         WHERE state = 'open' AND due_ms <= ?1 ORDER BY due_ms LIMIT ?2",
    )?;
    let rows = statement.query_map(params![now_ms(), AT_ONCE], |row| {
        Ok(Errand {
            saga: row.get(0)?,
            service: row.get(1)?,
            action: row.get(2)?,
            request: row.get(3)?,
            body: row.get(4)?,
            tries: row.get(5)?,
        })
    })?;
    rows.collect()
}

async fn attempt(setting: &Setting, errand: &Errand) -> Ending {
    let url = format!("{}/{}", setting.url(&errand.service), errand.action);
    let body: Value = serde_json::from_str(&errand.body).unwrap_or(Value::Null);
    let headers =
        [(headers::SAGA_ID, errand.saga.as_str()), (headers::REQUEST_ID, errand.request.as_str())];
    read(setting.client.post(&url, &headers, &body, CALL_LIMIT).await)
}

fn read(result: Result<Answer, NoAnswer>) -> Ending {
    let answer = match result {
        Ok(answer) => answer,
        Err(error) => return Ending::Later(error.to_string()),
    };
    let message = format!("answered {}", answer.status);
    if answer.status.is_success() {
        return Ending::Now("done", message);
    }
    if answer.headers.contains_key(headers::AMENDS_REPORT) {
        return Ending::Now("handed_over", message);
    }
    let problem: Option<Problem> = serde_json::from_value(answer.body).ok();
    match problem.filter(|_| answer.status.is_client_error()) {
        Some(problem) if problem.retryable == Some(false) => {
            Ending::Now("refused", format!("{message}: {}", problem.title))
        }
        _ => Ending::Later(message),
    }
}

/// Writes down how the try ended. An errand that was dropped meanwhile stays dropped.
fn note(connection: &Connection, errand: &Errand, ending: Ending) -> rusqlite::Result<()> {
    let (state, message, due_ms) = match ending {
        Ending::Now(state, message) => (state, message, 0),
        Ending::Later(message) => {
            let wait = FIRST_WAIT_MS.saturating_mul(1 << errand.tries.min(10)).min(WAIT_CAP_MS);
            ("open", message, now_ms().saturating_add(i64::try_from(wait).unwrap_or(i64::MAX)))
        }
    };
    connection.execute(
        "UPDATE errands SET state = ?3, message = ?4, due_ms = ?5, tries = tries + 1
         WHERE saga = ?1 AND service = ?2 AND state = 'open'",
        params![errand.saga, errand.service, state, message, due_ms],
    )?;
    Ok(())
}

fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use amends_protocol::ProblemCode;
    use http::{HeaderMap, HeaderValue, StatusCode};

    fn answer(status: u16, report: Option<&'static str>, problem: Option<ProblemCode>) -> Answer {
        let mut answer_headers = HeaderMap::new();
        if let Some(report) = report {
            answer_headers.insert(headers::AMENDS_REPORT, HeaderValue::from_static(report));
        }
        let problem =
            problem.map(|code| serde_json::to_value(Problem::new(code, "x")).expect("plain"));
        let status = StatusCode::from_u16(status).expect("a status");
        Answer { status, headers: answer_headers, body: problem.unwrap_or(Value::Null) }
    }

    fn state(result: Result<Answer, NoAnswer>) -> &'static str {
        match read(result) {
            Ending::Now(state, _) => state,
            Ending::Later(_) => "open",
        }
    }

    #[test]
    fn every_answer_leads_where_the_table_says() {
        assert_eq!(state(Ok(answer(200, None, None))), "done");
        assert_eq!(state(Ok(answer(422, Some("r-1"), None))), "handed_over");
        assert_eq!(state(Ok(answer(409, None, Some(ProblemCode::SagaFenced)))), "refused");
        assert_eq!(state(Ok(answer(422, None, Some(ProblemCode::KeyReused)))), "refused");
        assert_eq!(state(Ok(answer(409, None, Some(ProblemCode::InProgress)))), "open");
        assert_eq!(state(Ok(answer(503, None, None))), "open");
        assert_eq!(state(Ok(answer(500, None, Some(ProblemCode::Internal)))), "open");
        assert_eq!(state(Err(NoAnswer::NotSent("refused".to_owned()))), "open");
        assert_eq!(state(Err(NoAnswer::Lost("timeout".to_owned()))), "open");
    }

    #[test]
    fn an_errand_that_was_dropped_meanwhile_stays_dropped() {
        let connection = Connection::open_in_memory().expect("memory");
        connection.execute_batch(TABLE).expect("the table");
        connection
            .execute_batch(
                "INSERT INTO errands (saga, service, action, request, body) VALUES
                    ('a', 'rider', 'match', '1', '{}'), ('b', 'rider', 'match', '2', '{}'), ('c', 'rider', 'match', '3', '{}')",
            )
            .expect("rows");
        let errands = due(&connection).expect("a query");
        connection
            .execute("UPDATE errands SET state = 'dropped' WHERE saga = 'a'", [])
            .expect("an update");
        let endings = [
            Ending::Now("done", String::new()),
            Ending::Now("done", String::new()),
            Ending::Later(String::new()),
        ];
        for (errand, ending) in errands.iter().zip(endings) {
            note(&connection, errand, ending).expect("an update");
        }
        let mut statement =
            connection.prepare("SELECT state FROM errands ORDER BY saga").expect("a query");
        let states: Vec<String> = statement
            .query_map([], |row| row.get(0))
            .expect("rows")
            .map_while(Result::ok)
            .collect();
        assert_eq!(states, ["dropped", "done", "open"]);
        // The one that failed waits before it is tried again.
        assert!(due(&connection).expect("a query").is_empty());
    }
}
