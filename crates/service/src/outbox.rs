//! The relay: posts reports from the outbox to the supervisor, one after the other, for as long as it takes. A report
//! leaves the queue only when the supervisor has it, or says that it never will take it; the next start asks once more.

use crate::config::KitError;
use crate::kit::Kit;
use crate::saga_context::{percent_encode, put};
use crate::transport::Reply;
use amends_protocol::{REPORT_TYPE, Timestamp, headers};
use bytes::Bytes;
use http::{HeaderMap, StatusCode, Uri, header};
use rusqlite::{Connection, OptionalExtension, params};
use std::time::Duration;
use tokio::sync::watch;

/// First pause after a failed try, and the longest one: a supervisor that comes back is fed within seconds.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Longest `Retry-After` that is obeyed, so that a wrong one can't silence a service for a day.
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(60);

/// Time for one try.
const TRY_TIMEOUT: Duration = Duration::from_secs(10);

/// A report on its way.
#[derive(Debug)]
struct Pending {
    report_id: String,
    saga: String,
    traceparent: Option<String>,
    happened_at: i64,
    data: String,
}

/// What a try led to.
#[derive(Debug, PartialEq, Eq)]
enum Delivery {
    Taken,
    /// The supervisor will never take it.
    Dead(String),
    /// Ask again, not before the given time.
    Later(String, Duration),
}

/// Posts reports until told to stop.
pub(crate) async fn relay(kit: Kit, mut stop: watch::Receiver<()>) {
    let Some(supervisor) = kit.inner.supervisor.clone() else {
        tracing::warn!(
            service = kit.inner.service,
            "no supervisor is configured; reports stay in the outbox"
        );
        return;
    };
    let address = format!("{}/v1/reports", supervisor.trim_end_matches('/'));
    let uri: Uri = match address.parse() {
        Ok(uri) => uri,
        Err(error) => {
            tracing::error!(%error, address, "the supervisor's address is no URL; reports stay in the outbox");
            return;
        }
    };
    if let Err(error) = revive(&kit).await {
        tracing::error!(%error, "dead reports cannot be tried again");
    }
    let mut pause = FIRST_PAUSE;
    loop {
        let wait = tokio::select! {
            _ = stop.changed() => return,
            round = deliver_next(&kit, &uri) => match round {
                Ok(Round::Empty) => None,
                Ok(Round::Gone) => {
                    pause = FIRST_PAUSE;
                    continue;
                }
                Ok(Round::Later(at_least)) => Some(at_least),
                Err(error) => {
                    tracing::error!(%error, "the outbox cannot be read or written");
                    Some(Duration::ZERO)
                }
            },
        };
        let filled = kit.inner.outbox_filled.clone();
        tokio::select! {
            _ = stop.changed() => return,
            () = filled.notified(), if wait.is_none() => {}
            () = tokio::time::sleep(wait.unwrap_or_default().max(pause)), if wait.is_some() => {
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        }
    }
}

enum Round {
    Empty,
    Gone,
    Later(Duration),
}

async fn deliver_next(kit: &Kit, uri: &Uri) -> Result<Round, KitError> {
    let Some(report) = kit.inner.database.read(next).await? else {
        return Ok(Round::Empty);
    };
    let id = report.report_id.clone();
    let sent = envelope(&kit.inner.service, &report);
    let body = Bytes::from(report.data);
    let posted = kit.inner.transport.post(uri.clone(), sent, body, TRY_TIMEOUT).await;
    let turned_away = posted.as_ref().is_ok_and(|reply| reply.status.is_client_error());
    let (state, error) = match judge(posted) {
        Delivery::Taken => ("sent", None),
        Delivery::Dead(why) => {
            tracing::error!(
                service = kit.inner.service,
                report = id,
                saga = report.saga,
                why,
                "THE SUPERVISOR REFUSED A REPORT; it stays in `amends_outbox` as `dead`, nobody acts on it, and the next \
                 start tries it once more"
            );
            ("dead", Some(why))
        }
        Delivery::Later(why, at_least) => {
            let service = &kit.inner.service;
            match turned_away {
                true => tracing::error!(
                    service,
                    report = id,
                    why,
                    "REPORTS DO NOT GET THROUGH; check the supervisor's address, its credentials and what is before it"
                ),
                false => tracing::warn!(service, report = id, why, "a report has to wait"),
            }
            return Ok(Round::Later(at_least));
        }
    };
    kit.inner
        .database
        .write(move |tx| {
            tx.execute(
                "UPDATE amends_outbox SET state = ?2, last_error = ?3 WHERE report_id = ?1",
                params![id, state, error],
            )?;
            Ok::<_, KitError>(Round::Gone)
        })
        .await
}

/// CloudEvents 1.0, binary mode.
fn envelope(service: &str, report: &Pending) -> HeaderMap {
    let kept = |byte: u8| byte != b'"' && byte != b'%';
    let mut sent = HeaderMap::new();
    put(&mut sent, "content-type", "application/json");
    put(&mut sent, "ce-specversion", "1.0");
    put(&mut sent, "ce-type", REPORT_TYPE);
    put(&mut sent, "ce-source", service);
    put(&mut sent, "ce-id", &report.report_id);
    put(&mut sent, "ce-subject", &percent_encode(&report.saga, kept));
    put(&mut sent, "ce-time", &Timestamp(report.happened_at).to_string());
    if let Some(parent) = &report.traceparent {
        // One hop, so the starting trace and this hop's agree.
        put(&mut sent, "ce-traceparent", parent);
        put(&mut sent, headers::TRACEPARENT, parent);
    }
    sent
}

fn judge(posted: Result<Reply, String>) -> Delivery {
    let reply = match posted {
        Ok(reply) => reply,
        Err(why) => return Delivery::Later(why, Duration::ZERO),
    };
    let why = || {
        let told: String = String::from_utf8_lossy(&reply.body).chars().take(500).collect();
        format!("answered {}: {told}", reply.status.as_u16())
    };
    match reply.status {
        status if status.is_success() => Delivery::Taken,
        // The words for a report that is wrong in itself. Any other 4xx is about the way there: an ingress that knows
        // no route during a deployment, a token that ran out. That passes.
        StatusCode::BAD_REQUEST
        | StatusCode::PAYLOAD_TOO_LARGE
        | StatusCode::UNSUPPORTED_MEDIA_TYPE
        | StatusCode::UNPROCESSABLE_ENTITY => Delivery::Dead(why()),
        _ => Delivery::Later(why(), retry_after(&reply.headers)),
    }
}

fn retry_after(headers: &HeaderMap) -> Duration {
    headers
        .get(header::RETRY_AFTER)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.trim().parse().ok())
        .map_or(Duration::ZERO, |seconds| Duration::from_secs(seconds).min(LONGEST_RETRY_AFTER))
}

/// Puts dead reports back into the queue, at their old places: the supervisor may have learned to read them, or it was
/// another that refused them. One that is refused again stays dead until the next start.
async fn revive(kit: &Kit) -> Result<(), KitError> {
    let revived = kit
        .inner
        .database
        .write(|tx| {
            let update = "UPDATE amends_outbox SET state = 'pending' WHERE state = 'dead'";
            Ok::<_, KitError>(tx.execute(update, [])?)
        })
        .await?;
    if revived > 0 {
        tracing::warn!(service = kit.inner.service, revived, "dead reports are tried once more");
    }
    Ok(())
}

fn next(connection: &Connection) -> rusqlite::Result<Option<Pending>> {
    connection
        .prepare_cached(
            "SELECT report_id, saga, traceparent, happened_at, data FROM amends_outbox
             WHERE state = 'pending' ORDER BY seq LIMIT 1",
        )?
        .query_row([], |row| {
            Ok(Pending {
                report_id: row.get(0)?,
                saga: row.get(1)?,
                traceparent: row.get(2)?,
                happened_at: row.get(3)?,
                data: row.get(4)?,
            })
        })
        .optional()
}

/// Reports that are still on their way.
pub(crate) fn count_pending(connection: &Connection) -> rusqlite::Result<u64> {
    let count: i64 = connection.query_row(
        "SELECT count(*) FROM amends_outbox WHERE state = 'pending'",
        [],
        |row| row.get(0),
    )?;
    Ok(count.unsigned_abs())
}
