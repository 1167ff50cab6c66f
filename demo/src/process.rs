//! A service as a real process: started, killed, restarted, told things. It knows nothing of orders and faults.
//!
//! Every child holds the other end of a pipe as its standard input and ends when that closes, so that no child outlives
//! the runner, however the runner ends. Each is in a process group of its own: Ctrl-C reaches the runner alone.

use crate::addresses::Addresses;
use anyhow::{Context, bail};
use serde_json::{Value, json};
use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::sync::{Mutex, mpsc, watch};

/// How long a child may take to come up. It opens a database and binds a port; a busy machine needs seconds at most.
pub(crate) const START_LIMIT: Duration = Duration::from_secs(60);
/// How long a child may take to end when it is asked to, before it is killed.
const END_LIMIT: Duration = Duration::from_secs(8);

/// Which service to start, and with what.
#[derive(Clone, Copy, Debug)]
pub struct Role {
    /// The name of its business.
    pub business: &'static str,
    /// Its own name.
    pub service: &'static str,
    /// How much it has of what it can run out of.
    pub supply: u32,
    /// Whether it encrypts, and shows who it is.
    pub secure: bool,
}

/// One of the services as a process.
pub struct ServiceProcess {
    role: Role,
    exe: PathBuf,
    folder: PathBuf,
    port: AtomicU16,
    addresses: OnceLock<Addresses>,
    state: Mutex<State>,
    mishaps: mpsc::Sender<String>,
}

#[derive(Default)]
struct State {
    running: Option<Running>,
    /// Counts the starts, so that a word from an earlier process is not taken for one of this.
    generation: u64,
    /// How many orders hold the service down right now.
    held_down: u32,
    /// How many orders hold its door closed right now.
    held_closed: u32,
}

struct Running {
    child: Child,
    stdin: ChildStdin,
    closed: watch::Receiver<bool>,
}

impl ServiceProcess {
    /// Starts the service and waits until it has its port. It serves nobody before [`Self::introduce`].
    /// Unexpected ends are told to `mishaps`.
    ///
    /// # Errors
    /// When the process can't be started or doesn't come up.
    pub async fn start(
        role: Role,
        exe: &Path,
        folder: &Path,
        mishaps: mpsc::Sender<String>,
    ) -> anyhow::Result<(Arc<Self>, Introduction)> {
        let service = Arc::new(Self {
            role,
            exe: exe.to_owned(),
            folder: folder.to_owned(),
            port: AtomicU16::new(0),
            addresses: OnceLock::new(),
            state: Mutex::default(),
            mishaps,
        });
        let introduction = service.spawn().await?;
        Ok((service, introduction))
    }

    /// Its base URL; stays the same over restarts.
    #[must_use]
    pub fn url(&self) -> String {
        let scheme = if self.role.secure { "https" } else { "http" };
        format!("{scheme}://127.0.0.1:{}", self.port.load(Ordering::SeqCst))
    }

    /// Its database.
    #[must_use]
    pub fn database(&self) -> PathBuf {
        self.folder.join(format!("{}.sqlite", self.role.service))
    }

    /// Tells the freshly started service where everybody is, and waits until it serves.
    ///
    /// # Errors
    /// When it ends or stays silent.
    pub async fn introduce(
        self: &Arc<Self>,
        introduction: Introduction,
        addresses: &Addresses,
    ) -> anyhow::Result<()> {
        let _ = self.addresses.set(addresses.clone());
        let mut state = self.state.lock().await;
        self.greet(&mut state, introduction).await
    }

    /// Kills the service with SIGKILL and keeps it down until [`Self::let_up`] was called as often. Says whether there
    /// was a process to kill.
    pub async fn hold_down(&self) -> bool {
        let mut state = self.state.lock().await;
        state.held_down += 1;
        kill(&mut state).await
    }

    /// Starts it again when nobody else holds it down.
    ///
    /// # Errors
    /// When it doesn't come up again.
    pub async fn let_up(self: &Arc<Self>) -> anyhow::Result<()> {
        let mut state = self.state.lock().await;
        state.held_down = state.held_down.saturating_sub(1);
        self.revive(&mut state).await
    }

    /// Has it answer 503 to everybody until [`Self::open_door`] was called as often.
    ///
    /// # Errors
    /// When it can't be told.
    pub async fn close_door(&self) -> anyhow::Result<()> {
        let mut state = self.state.lock().await;
        state.held_closed += 1;
        set_door(&mut state).await
    }

    /// Lets everybody in again when nobody else holds the door closed.
    ///
    /// # Errors
    /// When it can't be told.
    pub async fn open_door(&self) -> anyhow::Result<()> {
        let mut state = self.state.lock().await;
        state.held_closed = state.held_closed.saturating_sub(1);
        set_door(&mut state).await
    }

    /// Kills it with SIGKILL and starts it again at once, unless it was restarted since `generation`.
    async fn crash(self: &Arc<Self>, generation: u64) -> anyhow::Result<()> {
        let mut state = self.state.lock().await;
        if state.generation != generation {
            return Ok(());
        }
        kill(&mut state).await;
        self.revive(&mut state).await
    }

    /// Asks it to end, and kills it if it doesn't.
    pub async fn end(&self) {
        let mut state = self.state.lock().await;
        state.generation += 1;
        if let Some(running) = state.running.take() {
            drop(running.stdin);
            end(running.child).await;
        }
    }

    async fn revive(self: &Arc<Self>, state: &mut State) -> anyhow::Result<()> {
        if state.running.is_some() || state.held_down > 0 {
            return Ok(());
        }
        let introduction = self.spawn_into(state).await?;
        self.greet(state, introduction).await
    }

    async fn spawn(self: &Arc<Self>) -> anyhow::Result<Introduction> {
        let mut state = self.state.lock().await;
        self.spawn_into(&mut state).await
    }

    async fn spawn_into(&self, state: &mut State) -> anyhow::Result<Introduction> {
        let log = open_log(&self.folder.join(format!("{}.log", self.role.service)))?;
        let mut child = Command::new(&self.exe)
            .args(["demo-service", "--business", self.role.business])
            .args(["--service", self.role.service, "--port"])
            .arg(self.port.load(Ordering::SeqCst).to_string())
            .arg("--data")
            .arg(&self.folder)
            .args(["--supply", &self.role.supply.to_string()])
            .args(self.role.secure.then_some("--secure"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log)
            .kill_on_drop(true)
            .process_group(0)
            .spawn()
            .with_context(|| format!("cannot start `{}`", self.exe.display()))?;
        let (Some(stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
            bail!("the {} service has no pipes", self.role.service);
        };
        let mut lines = BufReader::new(stdout).lines();
        let address = self.expect(&mut lines, "listening").await?;
        let port = address
            .as_str()
            .and_then(|text| text.rsplit(':').next())
            .and_then(|port| port.parse().ok());
        let Some(port) = port else {
            bail!("the {} service listens on `{address}`, which is no address", self.role.service)
        };
        self.port.store(port, Ordering::SeqCst);
        let (closed_sender, closed) = watch::channel(false);
        state.generation += 1;
        state.running = Some(Running { child, stdin, closed });
        Ok(Introduction { lines, closed: closed_sender })
    }

    async fn greet(
        self: &Arc<Self>,
        state: &mut State,
        introduction: Introduction,
    ) -> anyhow::Result<()> {
        let Introduction { mut lines, closed } = introduction;
        let addresses =
            self.addresses.get().context("a service starts before anybody has an address")?;
        tell(state, &serde_json::to_value(addresses)?).await?;
        self.expect(&mut lines, "ready").await?;
        tokio::spawn(Arc::clone(self).listen(state.generation, lines, closed));
        set_door(state).await
    }

    /// Reads lines until one has the member `word`.
    async fn expect(
        &self,
        lines: &mut Lines<BufReader<ChildStdout>>,
        word: &str,
    ) -> anyhow::Result<Value> {
        let wait = async {
            while let Some(line) = lines.next_line().await? {
                let said: Value = serde_json::from_str(&line).unwrap_or(Value::Null);
                if let Some(value) = said.get(word) {
                    return Ok(value.clone());
                }
            }
            bail!(
                "the {0} service ended before it said `{word}`; see `{0}.log` in {1}",
                self.role.service,
                self.folder.display()
            )
        };
        tokio::time::timeout(START_LIMIT, wait)
            .await
            .with_context(|| format!("the {} service doesn't say `{word}`", self.role.service))?
    }

    /// Hears what one generation of the service says until it ends.
    async fn listen(
        self: Arc<Self>,
        generation: u64,
        mut lines: Lines<BufReader<ChildStdout>>,
        closed: watch::Sender<bool>,
    ) {
        while let Ok(Some(line)) = lines.next_line().await {
            let said: Value = serde_json::from_str(&line).unwrap_or(Value::Null);
            if let Some(value) = said.get("closed").and_then(Value::as_bool) {
                closed.send_replace(value);
            }
            if said.get("kill").is_some() {
                self.restart(generation).await;
                return;
            }
        }
        let unexpected = {
            let state = self.state.lock().await;
            state.generation == generation && state.running.is_some()
        };
        if unexpected {
            self.mishap(format!(
                "the {0} service ended by itself; see `{0}.log`",
                self.role.service
            ));
            self.restart(generation).await;
        }
    }

    // Boxed, because a restart listens, and listening may restart.
    fn restart(
        self: &Arc<Self>,
        generation: u64,
    ) -> std::pin::Pin<Box<dyn Future<Output = ()> + Send>> {
        let service = Arc::clone(self);
        Box::pin(async move {
            if let Err(error) = service.crash(generation).await {
                let name = service.role.service;
                service.mishap(format!("the {name} service cannot be restarted: {error:#}"));
            }
        })
    }

    fn mishap(&self, what: String) {
        // When it is full, more of the same says nothing new; when nobody listens, the run is over.
        let _ = self.mishaps.try_send(what);
    }
}

/// A service that has its port and waits to hear where the others are.
pub struct Introduction {
    lines: Lines<BufReader<ChildStdout>>,
    closed: watch::Sender<bool>,
}

async fn tell(state: &mut State, line: &Value) -> anyhow::Result<()> {
    let Some(running) = state.running.as_mut() else { return Ok(()) };
    running.stdin.write_all(format!("{line}\n").as_bytes()).await?;
    Ok(running.stdin.flush().await?)
}

/// Makes the door as it should be and waits until the service says so.
async fn set_door(state: &mut State) -> anyhow::Result<()> {
    let wanted = state.held_closed > 0;
    let Some(running) = state.running.as_ref() else { return Ok(()) };
    let mut closed = running.closed.clone();
    if *closed.borrow() == wanted {
        return Ok(());
    }
    tell(state, &json!({"closed": wanted})).await?;
    let told = tokio::time::timeout(START_LIMIT, closed.wait_for(|now| *now == wanted)).await;
    told.context("a service doesn't hear")?
        .context("a service ended while it was told something")?;
    Ok(())
}

async fn kill(state: &mut State) -> bool {
    let Some(mut running) = state.running.take() else { return false };
    state.generation += 1;
    // It may have ended by itself; then there is nothing to kill.
    let _ = running.child.kill().await;
    true
}

pub(crate) async fn end(mut child: Child) {
    if tokio::time::timeout(END_LIMIT, child.wait()).await.is_err() {
        let _ = child.kill().await;
    }
}

pub(crate) fn open_log(path: &Path) -> anyhow::Result<File> {
    OpenOptions::new()
        .create(true)
        .append(true)
        .open(path)
        .with_context(|| format!("cannot write the log `{}`", path.display()))
}
