//! The load generator: reports over kept connections, as fast as a window allows or at a steady rate.

use crate::tally::Tally;
use crate::wire::Connection;
use anyhow::{Context, ensure};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::net::TcpStream;

/// Connections of the load generator.
const CONNECTIONS: usize = 32;

/// How the reports are paced.
#[derive(Clone, Copy, Debug)]
pub enum Pace {
    /// As fast as finished sagas make room in the tally's window.
    Saturate,
    /// So many a second, whatever becomes of them. Latency counts from when a report should have gone out.
    PerSecond(u64),
}

/// Sends reports of the given sagas until `until_us` of the tally's time. Says which saga would have been next.
pub async fn run(
    supervisor: &str,
    tally: &Arc<Tally>,
    pace: Pace,
    sagas: std::ops::Range<usize>,
    until_us: u64,
) -> anyhow::Result<usize> {
    let turn = Turn { first: sagas.start, end: sagas.end, from_us: tally.now_us(), until_us };
    let next = Arc::new(AtomicUsize::new(sagas.start));
    let mut senders = tokio::task::JoinSet::new();
    for _ in 0..CONNECTIONS {
        let address = supervisor.trim_start_matches("http://").to_owned();
        let (tally, next) = (Arc::clone(tally), Arc::clone(&next));
        senders.spawn(async move {
            let mut connection = Connection::new(TcpStream::connect(&address).await?)?;
            loop {
                let Some(saga) = take_turn(&tally, &next, pace, turn).await else { return Ok(()) };
                connection.send(request(&address, saga).as_bytes()).await?;
                let answer =
                    connection.read().await?.context("the supervisor closed the connection")?;
                ensure!(
                    answer.first_line.contains(" 202 "),
                    "report answered `{}`: {}",
                    answer.first_line,
                    String::from_utf8_lossy(&answer.body)
                );
            }
        });
    }
    while let Some(ended) = senders.join_next().await {
        ended??;
    }
    Ok(next.load(Ordering::Relaxed).min(sagas.end))
}

#[derive(Clone, Copy)]
struct Turn {
    first: usize,
    end: usize,
    from_us: u64,
    until_us: u64,
}

async fn take_turn(tally: &Tally, next: &AtomicUsize, pace: Pace, turn: Turn) -> Option<usize> {
    match pace {
        Pace::Saturate => {
            let left = Duration::from_micros(turn.until_us.checked_sub(tally.now_us())?);
            tokio::time::timeout(left, tally.room.acquire()).await.ok()?.ok()?.forget();
            let saga = next.fetch_add(1, Ordering::Relaxed);
            (saga < turn.end).then(|| tally.reported_at(saga, tally.now_us()))?;
            Some(saga)
        }
        Pace::PerSecond(rate) => {
            let saga = next.fetch_add(1, Ordering::Relaxed);
            let at_us = turn.from_us + (saga - turn.first) as u64 * 1_000_000 / rate;
            if saga >= turn.end || at_us >= turn.until_us {
                next.fetch_sub(1, Ordering::Relaxed);
                return None;
            }
            tokio::time::sleep(Duration::from_micros(at_us.saturating_sub(tally.now_us()))).await;
            tally.reported_at(saga, at_us);
            Some(saga)
        }
    }
}

pub fn request(host: &str, saga: usize) -> String {
    let body = format!(
        r#"{{"code":"report-1","action":"place","requestId":"r-{saga}","message":"out of stock","history":[{{"service":"order","action":"place","requestId":"r-{saga}","state":"failed"}},{{"service":"payment","action":"act","requestId":"p-{saga}","state":"succeeded"}},{{"service":"delivery","action":"act","requestId":"d-{saga}","state":"succeeded"}}],"data":{{"amount":1200,"currency":"KRW"}}}}"#
    );
    format!(
        "POST /v1/reports HTTP/1.1\r\nhost: {host}\r\ncontent-type: application/json\r\n\
         ce-specversion: 1.0\r\nce-type: dev.amends.report.v1\r\nce-id: bench-{saga}\r\nce-source: order\r\n\
         ce-subject: bench-{saga}\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
}
