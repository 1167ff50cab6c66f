//! One of the supervisors of a run on several nodes, in a process of its own.

use super::sagas::{Kind, report};
use crate::postgres::Database;
use crate::start_in;
use crate::wire::Connection;
use anyhow::{Context, ensure};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::AtomicBool;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

/// How long a sender waits for an answer before it asks another node: longer than a node waits for another's word.
const ANSWER_LIMIT: Duration = Duration::from_secs(3);
/// How long a node that gave no answer is passed over, as a balancer does.
const PASSED_OVER: Duration = Duration::from_secs(1);

/// What a node has said to a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Said {
    /// It is durable.
    Taken,
    /// Nothing, or that it can't take anything now: another one is asked.
    Away,
    /// What no sender may be told of a report that is well.
    Wrong,
}

/// A supervisor, which may be dead.
pub struct Node {
    pub name: String,
    folder: PathBuf,
    /// `127.0.0.1:4711`; another one after each start.
    address: Mutex<String>,
    child: tokio::sync::Mutex<Option<Child>>,
    kept: Mutex<Vec<Connection>>,
    passed_over_until: Mutex<Instant>,
    /// The migration by which it is a newer version, if it is.
    newer_by: Mutex<Option<PathBuf>>,
    /// Whether something is being done to it.
    pub is_struck: AtomicBool,
}

impl Node {
    /// Starts the one with this number, with its files in this folder; returns when it is ready.
    pub async fn start(
        folder: PathBuf,
        n: usize,
        rules: &str,
        database: &Database,
    ) -> anyhow::Result<Self> {
        std::fs::create_dir_all(&folder)?;
        std::fs::write(folder.join("rules.yaml"), rules)?;
        let name = format!("node-{n}");
        std::fs::write(folder.join("amends.toml"), database.configuration_of(&name))?;
        let node = Self {
            name,
            folder,
            address: Mutex::default(),
            child: tokio::sync::Mutex::default(),
            kept: Mutex::default(),
            passed_over_until: Mutex::new(Instant::now()),
            newer_by: Mutex::default(),
            is_struck: AtomicBool::new(false),
        };
        node.revive().await?;
        Ok(node)
    }

    /// Starts it again.
    pub async fn revive(&self) -> anyhow::Result<()> {
        let mut child = self.child.lock().await;
        let newer_by = held(&self.newer_by).clone();
        let rehearsed = newer_by.as_deref().map(|file| ("AMENDS_REHEARSED_MIGRATION", file));
        let (started, url) = start_in(&self.folder, &["reading"], rehearsed.as_slice()).await?;
        let (_, address) = url.split_once("://").context("no address")?;
        *held(&self.address) = address.to_owned();
        held(&self.kept).clear();
        *child = Some(started);
        Ok(())
    }

    /// From its next start on it is a newer version, to whose tables these statements lead.
    pub fn is_newer_by(&self, migration: &Path) {
        *held(&self.newer_by) = Some(migration.to_owned());
    }

    /// Ends it without a last word.
    pub async fn kill(&self) -> anyhow::Result<()> {
        if let Some(mut child) = self.child.lock().await.take() {
            child.kill().await?;
        }
        Ok(())
    }

    /// Sends its process a signal.
    pub async fn signal(&self, signal: &str) -> anyhow::Result<()> {
        let pid = self.process_id().await?;
        let mut kill = Command::new("kill");
        kill.args([format!("-{signal}"), pid.to_string()]).stdin(Stdio::null());
        ensure!(kill.status().await?.success(), "`{}` can't be sent SIG{signal}", self.name);
        Ok(())
    }

    /// The id of its process.
    pub async fn process_id(&self) -> anyhow::Result<u32> {
        let child = self.child.lock().await;
        child.as_ref().and_then(Child::id).context("the node has ended")
    }

    /// Ends it in order; what it holds goes to the others.
    pub async fn end(&self, limit: Duration) -> anyhow::Result<()> {
        if let Some(mut child) = self.child.lock().await.take() {
            drop(child.stdin.take());
            let ended = tokio::time::timeout(limit, child.wait()).await;
            ensure!(ended.context("it does not end")??.success(), "`{}` has failed", self.name);
        }
        Ok(())
    }

    /// Whether reports go to others for now.
    pub fn is_passed_over(&self) -> bool {
        *held(&self.passed_over_until) > Instant::now()
    }

    /// Sends one report.
    pub async fn report(&self, saga: usize, kind: Kind) -> Said {
        let sent = tokio::time::timeout(ANSWER_LIMIT, self.send(saga, kind)).await;
        let said = sent.map_or(Said::Away, |sent| sent.unwrap_or(Said::Away));
        if said != Said::Taken {
            // What was kept is as dead as this one.
            held(&self.kept).clear();
            *held(&self.passed_over_until) = Instant::now() + PASSED_OVER;
        }
        said
    }

    async fn send(&self, saga: usize, kind: Kind) -> anyhow::Result<Said> {
        let host = held(&self.address).clone();
        let kept = held(&self.kept).pop();
        let mut connection = match kept {
            Some(kept) => kept,
            None => Connection::new(TcpStream::connect(&host).await?)?,
        };
        connection.send(report(&host, saga, kind).as_bytes()).await?;
        let answer = connection.read().await?.context("the connection was closed")?;
        let status = answer.first_line.split(' ').nth(1).unwrap_or_default();
        let said = match status {
            "200" | "202" => Said::Taken,
            // It is not ready, or what waits between the nodes is too much.
            "503" | "429" => Said::Away,
            _ => {
                let body = String::from_utf8_lossy(&answer.body);
                eprintln!("{} says `{}`: {body}", self.name, answer.first_line);
                Said::Wrong
            }
        };
        held(&self.kept).push(connection);
        Ok(said)
    }
}

/// What a lock guards, whoever has panicked.
pub fn held<T>(of: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}
