//! NATS: how it is started, and what its stream holds.

use super::process::Launch;
use super::{ReportKey, find};
use anyhow::{Context as _, ensure};
use async_nats::ConnectOptions;
use async_nats::jetstream::stream::Stream;
use async_nats::jetstream::{self, Context};
use serde_json::Value;
use std::ffi::OsString;
use std::path::Path;
use std::time::Duration;
use tokio::process::Command;

/// The stream and the consumer there, as `amends nats init` names them.
const STREAM: &str = "AMENDS";
const DURABLE: &str = "amends";
/// One question may take this long.
const QUESTION_LIMIT: Duration = Duration::from_secs(5);

/// How its server is started.
///
/// # Errors
/// When it is not there; says how to get it.
pub(super) fn launch() -> anyhow::Result<Launch> {
    let program = find("nats-server").context(
        "`--broker nats` starts a NATS of its own, and there is no `nats-server` in the PATH or in /usr/sbin; install \
         Debian's package `nats-server`, or the program from https://nats.io/download",
    )?;
    Ok(Launch { name: "nats", program, arguments })
}

fn arguments(folder: &Path, port: u16) -> anyhow::Result<Vec<OsString>> {
    let mut arguments: Vec<OsString> =
        ["-a", "127.0.0.1", "-p", &port.to_string(), "-js", "-sd"].map(OsString::from).into();
    arguments.push(folder.join("nats").into());
    Ok(arguments)
}

/// Makes the stream that reports go by, as people do it.
pub(super) async fn make_stream(exe: &Path, configuration: &Path) -> anyhow::Result<()> {
    let made = Command::new(exe)
        .args(["nats", "init", "--config"])
        .arg(configuration)
        .kill_on_drop(true)
        .output()
        .await
        .with_context(|| format!("cannot start `{}`", exe.display()))?;
    ensure!(
        made.status.success(),
        "`amends nats init` failed: {}",
        String::from_utf8_lossy(&made.stderr).trim()
    );
    Ok(())
}

/// Looks into the stream.
pub(super) struct NatsReader(Context);

impl NatsReader {
    pub(super) async fn connect(url: &str) -> anyhow::Result<Self> {
        // It connects again by itself, however often the server is killed.
        let how = ConnectOptions::new().name("amends demo").request_timeout(Some(QUESTION_LIMIT));
        let client = how.connect(url).await.with_context(|| format!("no NATS at `{url}`"))?;
        Ok(Self(jetstream::new(client)))
    }

    pub(super) async fn waiting(&self) -> anyhow::Result<u64> {
        let info = self.stream().await?.consumer_info(DURABLE).await?;
        Ok(info.num_pending + u64::try_from(info.num_ack_pending).unwrap_or_default())
    }

    pub(super) async fn messages(&self) -> anyhow::Result<Vec<ReportKey>> {
        let stream = self.stream().await?;
        let state = stream.get_info().await?.state;
        let mut found = Vec::new();
        for sequence in state.first_sequence..=state.last_sequence {
            let message = stream.get_raw_message(sequence).await?;
            let event: Value = serde_json::from_slice(&message.payload)
                .with_context(|| format!("message {sequence} is no report"))?;
            let text = |name: &str| event[name].as_str().unwrap_or_default().to_owned();
            found.push((text("source"), text("id")));
        }
        Ok(found)
    }

    async fn stream(&self) -> anyhow::Result<Stream<()>> {
        Ok(self.0.get_stream_no_info(STREAM).await?)
    }
}
