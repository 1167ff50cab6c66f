//! A supervisor as a real process: started, killed, frozen, drained, started again on the same data. It knows nothing
//! of cases.

use crate::process::{START_LIMIT, end, open_log};
use anyhow::{Context, bail};
use std::ffi::OsStr;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, ChildStdin, Command};
use tokio::sync::{Mutex, oneshot};
use tokio::time::Instant;

/// The pause before it is started again while its database is away.
const AGAIN: Duration = Duration::from_millis(200);

/// How long one of several is away, killed or frozen: longer than a node that does not show itself counts as alive, so
/// that others have taken its place when it comes back.
pub(crate) const AWAY_FOR: Duration = Duration::from_secs(8);
/// How long a drained one is left without work.
const DRAINED_FOR: Duration = Duration::from_secs(2);
/// How long draining may take: longer than another node needs to come back.
const DRAIN_LIMIT: &str = "60s";
/// Exit codes of `amends cluster`: done; it has ended meanwhile; the database is away.
const DONE: i32 = 0;
const ENDED: [i32; 2] = [4, 5];
const AWAY: i32 = 6;

/// A supervisor as a process.
pub struct SupervisorProcess {
    exe: PathBuf,
    /// Of its folder and its logs; and of the node, where several share a database.
    name: String,
    folder: PathBuf,
    rules: PathBuf,
    configuration: Option<PathBuf>,
    environment: Vec<(&'static str, String)>,
    /// `http://127.0.0.1:4711`; none before it has listened.
    url: OnceLock<String>,
    running: Mutex<Option<(Child, ChildStdin)>>,
    killed: AtomicU32,
    stopped: AtomicU32,
    drained: AtomicU32,
}

impl SupervisorProcess {
    /// Starts the supervisor with a rulebook, perhaps with a configuration and with more of it in its environment, and
    /// waits until it listens.
    ///
    /// # Errors
    /// When the process can't be started or doesn't come up.
    pub async fn start(
        (exe, name): (&Path, &str),
        folder: &Path,
        rules: &Path,
        configuration: Option<PathBuf>,
        environment: Vec<(&'static str, String)>,
    ) -> anyhow::Result<Arc<Self>> {
        let supervisor = Arc::new(Self {
            exe: exe.to_owned(),
            name: name.to_owned(),
            folder: folder.to_owned(),
            rules: rules.to_owned(),
            configuration,
            environment,
            url: OnceLock::new(),
            running: Mutex::default(),
            killed: AtomicU32::new(0),
            stopped: AtomicU32::new(0),
            drained: AtomicU32::new(0),
        });
        let mut running = supervisor.running.lock().await;
        *running = Some(supervisor.spawn().await?);
        drop(running);
        Ok(supervisor)
    }

    /// Its base URL; stays the same over restarts.
    #[must_use]
    pub fn url(&self) -> String {
        self.url.get().map_or("http://127.0.0.1:9", String::as_str).to_owned()
    }

    /// Kills it with SIGKILL; it stays down until [`Self::revive`]. Says whether there was a process to kill.
    pub async fn kill(&self) -> bool {
        let Some((mut child, _)) = self.running.lock().await.take() else { return false };
        // It may have ended by itself; then there is nothing to kill.
        let _ = child.kill().await;
        self.killed.fetch_add(1, Ordering::Relaxed);
        true
    }

    /// Stops it with SIGSTOP, as a machine that hangs does; it goes on after [`Self::thaw_later`]. Says whether there
    /// was a process to stop.
    pub async fn freeze(&self) -> bool {
        let stopped = self.signal("STOP").await;
        self.stopped.fetch_add(u32::from(stopped), Ordering::Relaxed);
        stopped
    }

    /// Lets it go on after a while, unless it was killed meanwhile.
    pub async fn thaw_later(&self) {
        tokio::time::sleep(AWAY_FOR).await;
        self.signal("CONT").await;
    }

    /// Sends a signal to the process, if there is one.
    async fn signal(&self, signal: &str) -> bool {
        let running = self.running.lock().await;
        let Some(pid) = running.as_ref().and_then(|(child, _)| child.id()) else { return false };
        let mut shell = Command::new("sh");
        shell.args(["-c", r#"kill -"$0" "$1""#, signal, &pid.to_string()]);
        shell.stdin(Stdio::null()).status().await.is_ok_and(|status| status.success())
    }

    /// Has it give back what it holds, as a person does who means to stop it, and resumes it after a moment. A node
    /// that ends meanwhile has nothing to give back.
    ///
    /// # Errors
    /// When it still holds something after a minute.
    pub async fn drain(&self) -> anyhow::Result<()> {
        if self.cluster(&["drain", &self.name, "--yes", "--timeout", DRAIN_LIMIT]).await? {
            tokio::time::sleep(DRAINED_FOR).await;
            // Started anew since, it takes its share by itself.
            self.cluster(&["resume", &self.name]).await?;
            self.drained.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Runs `amends cluster` beside it; says whether it was done, and did not come too late.
    async fn cluster(&self, arguments: &[&str]) -> anyhow::Result<bool> {
        let deadline = Instant::now() + START_LIMIT;
        loop {
            let mut command = Command::new(&self.exe);
            command.arg("cluster").args(arguments).stdin(Stdio::null()).kill_on_drop(true);
            command.envs(self.environment.iter().map(|(name, value)| (*name, value.as_str())));
            let said = command.output().await?;
            match said.status.code().unwrap_or_default() {
                DONE => return Ok(true),
                code if ENDED.contains(&code) => return Ok(false),
                AWAY if Instant::now() < deadline => tokio::time::sleep(AGAIN).await,
                _ => bail!(
                    "`amends cluster {}` fails: {}",
                    arguments.join(" "),
                    String::from_utf8_lossy(&said.stderr).trim()
                ),
            }
        }
    }

    /// How often it was killed, stopped, and drained to the end.
    pub(crate) fn killed(&self) -> u32 {
        self.killed.load(Ordering::Relaxed)
    }

    pub(crate) fn stopped(&self) -> u32 {
        self.stopped.load(Ordering::Relaxed)
    }

    pub(crate) fn drained(&self) -> u32 {
        self.drained.load(Ordering::Relaxed)
    }

    /// Starts it again on the same data and at the same address.
    ///
    /// # Errors
    /// When it doesn't come up again.
    pub async fn revive(&self) -> anyhow::Result<()> {
        let mut running = self.running.lock().await;
        if running.is_none() {
            let deadline = Instant::now() + START_LIMIT;
            *running = Some(loop {
                match self.spawn().await {
                    Ok(started) => break started,
                    // Its database may be down as well.
                    Err(_) if self.has_database() && Instant::now() < deadline => {
                        tokio::time::sleep(AGAIN).await;
                    }
                    Err(why) => {
                        return Err(
                            why.context("the supervisor doesn't come up after it was killed")
                        );
                    }
                }
            });
        }
        Ok(())
    }

    /// The same after a while.
    ///
    /// # Errors
    /// As [`Self::revive`].
    pub async fn revive_later(&self) -> anyhow::Result<()> {
        tokio::time::sleep(AWAY_FOR).await;
        self.revive().await
    }

    /// Whether it keeps its cases in a database, which may be away.
    fn has_database(&self) -> bool {
        !self.environment.is_empty()
    }

    /// Asks it to end, and kills it if it doesn't.
    pub async fn end(&self) {
        if let Some((child, stdin)) = self.running.lock().await.take() {
            drop(stdin);
            end(child).await;
        }
    }

    async fn spawn(&self) -> anyhow::Result<(Child, ChildStdin)> {
        let mut child = Command::new(&self.exe)
            .arg("serve")
            .arg("--rules")
            .arg(&self.rules)
            .arg("--data")
            .arg(self.folder.join(&self.name))
            .args(["--listen", self.url.get().map_or("127.0.0.1:0", |url| authority(url))])
            .args(
                self.configuration
                    .iter()
                    .flat_map(|file| [OsStr::new("--config"), file.as_os_str()]),
            )
            .envs(self.environment.iter().map(|(name, value)| (*name, value.as_str())))
            .arg("--exit-with-parent")
            .stdin(Stdio::piped())
            .stdout(open_log(&self.folder.join(format!("{}.out", self.name)))?)
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .process_group(0)
            .spawn()
            .with_context(|| format!("cannot start `{}`", self.exe.display()))?;
        let (Some(stdin), Some(stderr)) = (child.stdin.take(), child.stderr.take()) else {
            bail!("the supervisor has no pipes");
        };
        let (found, url) = oneshot::channel();
        let mut log = open_log(&self.folder.join(format!("{}.log", self.name)))?;
        tokio::spawn(async move {
            let mut found = Some(found);
            let mut lines = BufReader::new(stderr).lines();
            while let Ok(Some(line)) = lines.next_line().await {
                let _ = writeln!(log, "{line}");
                if let Some(url) = listening_url(&line)
                    && let Some(found) = found.take()
                {
                    let _ = found.send(url);
                }
            }
        });
        let url = tokio::time::timeout(START_LIMIT, url)
            .await
            .context("the supervisor doesn't say that it is listening")?
            .with_context(|| {
                let (name, folder) = (&self.name, self.folder.display());
                format!("the supervisor ended at once; see `{name}.log` in {folder}")
            })?;
        let _ = self.url.set(url);
        Ok((child, stdin))
    }
}

/// The URL in `listening on http://127.0.0.1:4711`, wherever in the line it stands.
fn listening_url(line: &str) -> Option<String> {
    let (_, said) = line.split_once("listening on ")?;
    let (scheme, rest) = said.split_once("://").filter(|(s, _)| ["http", "https"].contains(s))?;
    let end =
        rest.find(|c: char| !c.is_ascii_digit() && c != '.' && c != ':').unwrap_or(rest.len());
    Some(format!("{scheme}://{}", &rest[..end]))
}

/// `127.0.0.1:4711` of `http://127.0.0.1:4711`.
fn authority(url: &str) -> &str {
    url.split_once("://").map_or(url, |(_, authority)| authority)
}

#[cfg(test)]
mod tests {
    use super::{authority, listening_url};

    #[test]
    fn the_address_is_found_wherever_it_stands_in_the_line() {
        let url = Some("http://127.0.0.1:4711".to_owned());
        assert_eq!(listening_url("listening on http://127.0.0.1:4711"), url);
        assert_eq!(
            listening_url("INFO amends: listening on http://127.0.0.1:4711, data in /x"),
            url
        );
        let secure = listening_url("listening on https://127.0.0.1:4711");
        assert_eq!(secure.as_deref(), Some("https://127.0.0.1:4711"));
        assert_eq!(secure.as_deref().map(authority), Some("127.0.0.1:4711"));
        assert_eq!(listening_url("loading rules"), None);
    }
}
