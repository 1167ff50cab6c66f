//! The participant's own process, where the configuration says how to start it: begun before the first check, killed
//! without a last word and begun again by checks, ended with the run. Knows nothing of what it does.

use crate::wire::Client;
use std::collections::{BTreeMap, VecDeque};
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Pause between two looks whether it listens.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Longest wait for the last words of a process that has ended.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// Last lines of its own that are shown when it does not come up, and how much of each.
const LINES_KEPT: usize = 5;
const LINE_CHARS: usize = 300;

/// How a participant is started.
#[derive(Clone, Debug, Default)]
pub(crate) struct ProcessPlan {
    /// The program and its arguments; at least the program.
    pub(crate) command: Vec<String>,
    /// Beside the environment of the kit.
    pub(crate) env: BTreeMap<String, String>,
    /// Where it runs; none is where the kit runs.
    pub(crate) folder: Option<PathBuf>,
    /// Until it must listen.
    pub(crate) start_timeout: Duration,
    /// Until it must have found what it left behind when it was killed.
    pub(crate) recovery_timeout: Duration,
}

impl ProcessPlan {
    fn shown(&self) -> String {
        self.command.join(" ")
    }

    /// A program that is named by a relative path lies below the folder.
    fn program(&self) -> PathBuf {
        let program = Path::new(self.command.first().map_or("", String::as_str));
        match &self.folder {
            Some(folder) if program.components().count() > 1 => {
                let below = folder.join(program);
                std::path::absolute(&below).unwrap_or(below)
            }
            _ => program.to_owned(),
        }
    }

    fn spawn(&self) -> Result<Running, ProcessError> {
        let mut command = Command::new(self.program());
        command.args(self.command.iter().skip(1)).envs(&self.env);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        if let Some(folder) = self.folder.as_ref().filter(|folder| **folder != Path::new("")) {
            command.current_dir(folder);
        }
        let spawned = command.spawn();
        let mut child =
            spawned.map_err(|source| ProcessError::Start { command: self.shown(), source })?;
        let said = Said::default();
        let (silent, fell_silent) = mpsc::channel();
        if let Some(stderr) = child.stderr.take() {
            let said = said.clone();
            std::thread::spawn(move || {
                said.keep(BufReader::new(stderr));
                drop(silent);
            });
        }
        Ok(Running { child, said, fell_silent })
    }
}

/// Why the participant's process is not what the run needs.
#[derive(Debug, thiserror::Error)]
pub enum ProcessError {
    /// Somebody else is where it should be.
    #[error(
        "something answers at `{url}` already; end it: with `process` in the configuration, the kit starts the \
         participant itself"
    )]
    Occupied {
        /// The participant's address.
        url: String,
    },
    /// There is no such program, or it may not be run.
    #[error("cannot start `{command}`: {source}; correct `process.command`")]
    Start {
        /// From the configuration.
        command: String,
        /// What the system says.
        source: io::Error,
    },
    /// It ended by itself.
    #[error("`{command}` ended before it listened at `{url}`: {status}{said}")]
    Ended {
        /// From the configuration.
        command: String,
        /// The participant's address.
        url: String,
        /// How it ended.
        status: ExitStatus,
        /// Its last lines on standard error.
        said: String,
    },
    /// It is there, and its address is not.
    #[error(
        "`{command}` does not answer at `{url}` after {limit:?}{said}; correct the address, or raise `timeouts.start`"
    )]
    NotListening {
        /// From the configuration.
        command: String,
        /// The participant's address.
        url: String,
        /// How long it was waited for.
        limit: Duration,
        /// Its last lines on standard error.
        said: String,
    },
    /// It was killed, and something of it lives on.
    #[error(
        "something still answers at `{url}` after `{command}` was killed; `process.command` must be the participant \
         itself, not a shell or a package manager that starts it"
    )]
    Survived {
        /// From the configuration.
        command: String,
        /// The participant's address.
        url: String,
    },
}

/// A participant that the kit starts and kills.
#[derive(Debug)]
pub(crate) struct Process {
    plan: ProcessPlan,
    client: Client,
    running: Mutex<Option<Running>>,
}

impl Process {
    /// Starts it where nobody is yet, and waits until it answers.
    pub(crate) async fn begin(plan: ProcessPlan, client: Client) -> Result<Self, ProcessError> {
        let process = Self { plan, client, running: Mutex::new(None) };
        if process.client.reach().await.is_ok() {
            return Err(ProcessError::Occupied { url: process.url() });
        }
        process.start().await?;
        Ok(process)
    }

    /// Until it must have found what it left behind.
    pub(crate) fn recovery_timeout(&self) -> Duration {
        self.plan.recovery_timeout
    }

    /// Kills it without a last word, and starts it again.
    pub(crate) async fn crash(&self) -> Result<(), ProcessError> {
        drop(self.running().take());
        if self.client.reach().await.is_ok() {
            return Err(ProcessError::Survived { command: self.plan.shown(), url: self.url() });
        }
        self.start().await
    }

    async fn start(&self) -> Result<(), ProcessError> {
        let limit = self.plan.start_timeout;
        let deadline = Instant::now() + limit;
        *self.running() = Some(self.plan.spawn()?);
        loop {
            let (command, url) = (self.plan.shown(), self.url());
            let ended = self.running().as_mut().and_then(Running::ended);
            if let Some((status, said)) = ended {
                return Err(ProcessError::Ended { command, url, status, said });
            }
            if self.client.reach().await.is_ok() {
                return Ok(());
            }
            if Instant::now() > deadline {
                let said = self.running().as_ref().map_or(String::new(), |it| it.said.shown());
                return Err(ProcessError::NotListening { command, url, limit, said });
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    fn url(&self) -> String {
        self.client.base().to_owned()
    }

    fn running(&self) -> MutexGuard<'_, Option<Running>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Killed when it is dropped.
#[derive(Debug)]
struct Running {
    child: Child,
    said: Said,
    /// Ends when all that it said is kept.
    fell_silent: mpsc::Receiver<()>,
}

impl Running {
    fn ended(&mut self) -> Option<(ExitStatus, String)> {
        let status = self.child.try_wait().ok().flatten()?;
        // What it started may hold its standard error open.
        let _ = self.fell_silent.recv_timeout(LAST_WORDS);
        Some((status, self.said.shown()))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // An error means that it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The last lines that a process wrote on standard error.
#[derive(Clone, Debug, Default)]
struct Said(Arc<Mutex<VecDeque<String>>>);

impl Said {
    fn keep(&self, from: impl BufRead) {
        for line in from.split(b'\n').map_while(Result::ok) {
            let line = String::from_utf8_lossy(&line).chars().take(LINE_CHARS).collect();
            let mut lines = self.lines();
            lines.push_back(line);
            if lines.len() > LINES_KEPT {
                lines.pop_front();
            }
        }
    }

    fn shown(&self) -> String {
        let lines = self.lines();
        match lines.is_empty() {
            true => String::new(),
            false => {
                let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
                format!("; it said: {}", lines.join(" / "))
            }
        }
    }

    fn lines(&self) -> MutexGuard<'_, VecDeque<String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
