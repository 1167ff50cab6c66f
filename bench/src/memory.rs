//! What open cases cost in memory, and how soon after a start the first of them is worked on. All of them wait for a
//! service that answers 503, or for a person.

use crate::store_fill::{self, Past};
use crate::wire::Connection;
use crate::{start_supervisor, store_folder};
use anyhow::{Context, ensure};
use serde_json::{Value, json};
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// How long the supervisor runs with its cases before its memory is read again.
const RUNS: Duration = Duration::from_secs(10);

/// Fills a store, starts a supervisor on it, and looks at its process.
pub async fn run(cases: u64) -> anyhow::Result<Value> {
    let (filled, empty) = (store_folder()?, store_folder()?);
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = format!("http://{}", listener.local_addr()?);
    store_fill::run(filled.path(), Past::of(0, cases, &address)).await?;
    let first = Arc::new(OnceLock::new());
    let served = tokio::spawn(busy(listener, Arc::clone(&first)));
    let nothing = measure(empty.path(), &address, &OnceLock::new()).await?;
    let began = Instant::now();
    let with_cases = measure(filled.path(), &address, &first).await?;
    served.abort();
    let first = first.get().context("no step was sent")?;
    let bytes = |value: &Value| value["running"].as_u64().unwrap_or_default();
    let each = (bytes(&with_cases).saturating_sub(bytes(&nothing))) / cases.max(1);
    Ok(json!({
        "openCases": cases, "bytesEach": each,
        "firstStepSeconds": first.duration_since(began).as_secs_f64(),
        "residentBytes": with_cases, "residentBytesWithoutCases": nothing,
    }))
}

/// Bytes of a supervisor's process: once it is ready, the most until then, after some seconds, and the most of all.
async fn measure(folder: &Path, to: &str, first: &OnceLock<Instant>) -> anyhow::Result<Value> {
    let began = Instant::now();
    let (mut child, address) = start_supervisor("sqlite", folder, to, to).await?;
    let host = address.trim_start_matches("http://").to_owned();
    let mut connection = Connection::new(TcpStream::connect(&host).await?)?;
    while !ask(&mut connection, &host, "/readyz").await? {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let ready = began.elapsed().as_secs_f64();
    let pid = child.id().context("the supervisor has ended")?;
    let (at_start, most_at_start) = (memory(pid, "VmRSS")?, memory(pid, "VmHWM")?);
    tokio::time::sleep(RUNS).await;
    let running = memory(pid, "VmRSS")?;
    let asked = Instant::now();
    ensure!(ask(&mut connection, &host, "/v1/overview").await?, "the overview is refused");
    let overview = asked.elapsed().as_secs_f64();
    let most = memory(pid, "VmHWM")?;
    drop(child.stdin.take());
    child.wait().await?;
    let sent = first.get().map(|at| at.saturating_duration_since(began).as_secs_f64());
    Ok(json!({
        "readySeconds": ready, "firstStepSeconds": sent, "overviewSeconds": overview,
        "atStart": at_start, "mostAtStart": most_at_start, "running": running, "most": most,
    }))
}

/// Answers 503 to everything, and notes when the first request came.
async fn busy(listener: TcpListener, first: Arc<OnceLock<Instant>>) -> anyhow::Result<()> {
    loop {
        let (mut stream, _) = listener.accept().await?;
        first.get_or_init(Instant::now);
        tokio::spawn(async move {
            let _ = stream.read(&mut [0; 4_096]).await;
            let answer = b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
            let _ = stream.write_all(answer).await; // the supervisor has stopped
        });
    }
}

/// Whether a path is answered with 200.
async fn ask(connection: &mut Connection, host: &str, path: &str) -> anyhow::Result<bool> {
    let request = format!("GET {path} HTTP/1.1\r\nhost: {host}\r\n\r\n");
    connection.send(request.as_bytes()).await?;
    let answer = connection.read().await?.context("the supervisor closed the connection")?;
    Ok(answer.first_line.contains(" 200 "))
}

/// Bytes of a process, by a name in Linux' `/proc`.
fn memory(pid: u32, name: &str) -> anyhow::Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))
        .context("reading /proc (Linux only)")?;
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    let kilobytes: u64 = line
        .and_then(|rest| rest.split_whitespace().next())
        .with_context(|| format!("no {name} in /proc"))?
        .parse()?;
    Ok(kilobytes * 1_024)
}
