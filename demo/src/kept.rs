//! A server of the run's own as a real process: it lives for as long as the runner keeps it, is killed with SIGKILL and
//! started again. What it is, and when it takes connections, others know.

use crate::process::{START_LIMIT, end, open_log};
use anyhow::{Context, bail};
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;
use tokio::process::{Child, ChildStdin, Command};
use tokio::sync::Mutex;
use tokio::time::Instant;

/// Runs a program, and kills it when standard input ends: because the runner said so, or is gone.
const KEEPER: &str = r#"exec 3<&0
"$@" </dev/null &
server=$!
( cat <&3 >/dev/null; kill -9 "$server" 2>/dev/null ) &
wait "$server""#;
/// How often it is looked whether it takes connections.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// What is kept.
pub(crate) trait Server: Sync {
    /// Names the program, with what it is given and as whom it runs.
    ///
    /// # Errors
    /// When it can't be prepared.
    fn program(&self, command: &mut Command) -> anyhow::Result<()>;

    /// Whether it takes connections.
    fn is_there(&self) -> impl Future<Output = bool> + Send;
}

/// A server that runs, or is down.
pub(crate) struct Kept {
    /// For messages.
    name: &'static str,
    log: PathBuf,
    /// Its standard input is what keeps it alive.
    running: Mutex<Option<(Child, ChildStdin)>>,
}

impl Kept {
    /// One that is down.
    pub(crate) fn new(name: &'static str, log: PathBuf) -> Self {
        Self { name, log, running: Mutex::default() }
    }

    /// Starts it once, and returns when it is there.
    ///
    /// # Errors
    /// When it can't be started or doesn't come up.
    pub(crate) async fn start(&self, server: &impl Server) -> anyhow::Result<()> {
        let started = self.spawn(server).await?;
        *self.running.lock().await = Some(started);
        Ok(())
    }

    /// Kills it with SIGKILL; it stays down until [`Self::revive`]. Says whether there was a process to kill.
    pub(crate) async fn kill(&self) -> bool {
        let Some((child, stdin)) = self.running.lock().await.take() else { return false };
        drop(stdin);
        end(child).await;
        true
    }

    /// Starts it again, until it is there.
    ///
    /// # Errors
    /// When it doesn't come up again.
    pub(crate) async fn revive(&self, server: &impl Server) -> anyhow::Result<()> {
        let mut running = self.running.lock().await;
        let deadline = Instant::now() + START_LIMIT;
        while running.is_none() {
            match self.spawn(server).await {
                Ok(started) => *running = Some(started),
                // What the dead one left behind may hold its port or its memory for a moment.
                Err(_) if Instant::now() < deadline => tokio::time::sleep(LOOK_EVERY).await,
                Err(why) => return Err(why.context("it doesn't come up")),
            }
        }
        Ok(())
    }

    async fn spawn(&self, server: &impl Server) -> anyhow::Result<(Child, ChildStdin)> {
        let Self { name, log, .. } = self;
        let said = open_log(log)?;
        let mut command = Command::new("sh");
        server.program(command.args(["-c", KEEPER, name]))?;
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(said.try_clone()?)
            .stderr(said)
            .kill_on_drop(true)
            .process_group(0)
            .spawn()
            .context("cannot start `sh`")?;
        let stdin = child.stdin.take().context("it has no standard input")?;
        let deadline = Instant::now() + START_LIMIT;
        loop {
            if child.try_wait()?.is_some() {
                bail!("{name} ended at once; see {}", log.display());
            }
            if server.is_there().await {
                return Ok((child, stdin));
            }
            if Instant::now() >= deadline {
                bail!("{name} takes no connections; see {}", log.display());
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
}
