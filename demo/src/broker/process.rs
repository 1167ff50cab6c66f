//! A broker as a real process: started, killed with SIGKILL, started again where it was. It knows nothing of reports.

use crate::process::{START_LIMIT, end, open_log};
use anyhow::{Context, bail};
use std::ffi::OsString;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::process::{Child, ChildStdin, Command};
use tokio::sync::Mutex;
use tokio::time::Instant;

/// Runs a program, and kills it when standard input ends: because the runner said so, or is gone.
const KEEPER: &str = r#"exec 3<&0
"$@" </dev/null &
server=$!
( cat <&3 >/dev/null; kill -9 "$server" 2>/dev/null ) &
wait "$server""#;

/// How often a new broker looks for another port, when somebody took the one that was free.
const PORTS: u32 = 5;
/// How often it is looked whether it is there.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// How a broker is started.
pub(crate) struct Launch {
    /// For messages, and the name of its log.
    pub(crate) name: &'static str,
    /// Its program.
    pub(crate) program: PathBuf,
    /// What it is given, by its folder and port.
    pub(crate) arguments: fn(&Path, u16) -> anyhow::Result<Vec<OsString>>,
}

/// The process of a broker.
pub(crate) struct BrokerProcess {
    launch: Launch,
    folder: PathBuf,
    port: u16,
    /// Its standard input is what keeps it alive.
    running: Mutex<Option<(Child, ChildStdin)>>,
}

impl BrokerProcess {
    /// Starts it on a free port, and returns when it takes connections.
    ///
    /// # Errors
    /// When it can't be started or doesn't come up.
    pub(crate) async fn start(launch: Launch, folder: &Path) -> anyhow::Result<Arc<Self>> {
        let (mut process, mut tries) = (Self::on_free_port(launch, folder)?, 1);
        loop {
            match process.spawn().await {
                Ok(running) => {
                    process.running = Mutex::new(Some(running));
                    return Ok(Arc::new(process));
                }
                Err(why) if tries >= PORTS => return Err(why),
                Err(_) => {
                    process = Self::on_free_port(process.launch, folder)?;
                    tries += 1;
                }
            }
        }
    }

    fn on_free_port(launch: Launch, folder: &Path) -> anyhow::Result<Self> {
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no port is free")?;
        let port = free.local_addr()?.port();
        Ok(Self { launch, folder: folder.to_owned(), port, running: Mutex::default() })
    }

    /// Where it listens on 127.0.0.1; stays the same over restarts.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Kills it with SIGKILL; it stays down until [`Self::revive`]. Says whether there was a process to kill.
    pub(crate) async fn kill(&self) -> bool {
        let Some((child, stdin)) = self.running.lock().await.take() else { return false };
        drop(stdin);
        end(child).await;
        true
    }

    /// Starts it again with what it had, at the same address.
    ///
    /// # Errors
    /// When it doesn't come up again.
    pub(crate) async fn revive(&self) -> anyhow::Result<()> {
        let mut running = self.running.lock().await;
        let deadline = Instant::now() + START_LIMIT;
        while running.is_none() {
            match self.spawn().await {
                Ok(started) => *running = Some(started),
                // A connection that the dead one left behind may hold its port for a moment.
                Err(_) if Instant::now() < deadline => tokio::time::sleep(LOOK_EVERY).await,
                Err(why) => return Err(why.context("it doesn't come up after it was killed")),
            }
        }
        Ok(())
    }

    async fn spawn(&self) -> anyhow::Result<(Child, ChildStdin)> {
        let Launch { name, program, arguments } = &self.launch;
        let log = open_log(&self.folder.join(format!("{name}.log")))?;
        let mut child = Command::new("sh")
            .args(["-c", KEEPER, name])
            .arg(program)
            .args(arguments(&self.folder, self.port)?)
            .stdin(Stdio::piped())
            .stdout(log.try_clone()?)
            .stderr(log)
            .kill_on_drop(true)
            .process_group(0)
            .spawn()
            .context("cannot start `sh`")?;
        let stdin = child.stdin.take().context("the broker has no standard input")?;
        let deadline = Instant::now() + START_LIMIT;
        loop {
            if child.try_wait()?.is_some() {
                bail!(
                    "`{}` ended at once; see `{name}.log` in {}",
                    program.display(),
                    self.folder.display()
                );
            }
            if TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).await.is_ok() {
                return Ok((child, stdin));
            }
            if Instant::now() >= deadline {
                bail!(
                    "`{}` takes no connections; see `{name}.log` in {}",
                    program.display(),
                    self.folder.display()
                );
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
}
