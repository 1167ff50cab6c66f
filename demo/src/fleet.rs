//! The supervisors of a run: one, or several nodes that share one database, behind a balancer. What each holds is
//! watched, so that it can be told how often partitions moved.

use crate::balancer::Balancer;
use crate::client::Client;
use crate::database::Database;
use crate::supervisor::SupervisorProcess;
use amends_api::{NodeState, NodesView};
use futures_util::future::try_join_all;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// How often it is looked who holds what, and how long the answer may take.
const LOOK_EVERY: Duration = Duration::from_millis(300);
const LOOK_LIMIT: Duration = Duration::from_secs(2);

/// The partition that a seat counts as.
const SEAT: u16 = 64;

/// What became of several nodes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NodesCount {
    /// How many there were.
    pub nodes: u32,
    /// How often one was killed with SIGKILL.
    pub killed: u32,
    /// How often one was stopped with SIGSTOP for longer than it counts as alive, and went on.
    pub stopped: u32,
    /// How often one was drained to the end, and resumed.
    pub drained: u32,
    /// How often a partition, or the seat, was seen at another node than before.
    pub moved: u64,
}

impl fmt::Display for NodesCount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { nodes, killed, stopped, drained, moved } = self;
        write!(
            f,
            "nodes: {nodes}; killed {killed}, stopped {stopped}, drained {drained}; partitions moved {moved}"
        )
    }
}

/// The supervisors.
pub struct Fleet {
    nodes: Vec<Arc<SupervisorProcess>>,
    balancer: Option<Balancer>,
    held: Mutex<Held>,
    turn: Arc<Semaphore>,
}

/// Who was seen to hold what, and how often that has changed.
#[derive(Debug, Default)]
struct Held {
    by: BTreeMap<u16, String>,
    moved: u64,
}

/// How supervisors are started.
pub struct Launch<'l> {
    /// The binary.
    pub exe: &'l Path,
    /// The run's folder.
    pub folder: &'l Path,
    /// The rulebook.
    pub rules: &'l Path,
    /// The configuration, if they need one.
    pub configuration: Option<PathBuf>,
}

impl Fleet {
    /// Starts one, or several if they share a database, and waits until all listen.
    ///
    /// # Errors
    /// When one doesn't come up, or there is no port for the balancer.
    pub(crate) async fn start(
        launch: Launch<'_>,
        database: Option<&Database>,
        nodes: u32,
    ) -> anyhow::Result<Self> {
        let start = async |name: &str, is_shared: bool| {
            let environment = database.map(|database| database.environment(name, is_shared));
            let Launch { exe, folder, rules, configuration } = &launch;
            let environment = environment.unwrap_or_default();
            SupervisorProcess::start((exe, name), folder, rules, configuration.clone(), environment)
                .await
        };
        if nodes <= 1 {
            let nodes = vec![start("supervisor", false).await?];
            return Ok(Self {
                nodes,
                balancer: None,
                held: Mutex::default(),
                turn: one_at_a_time(),
            });
        }
        // The first makes the tables and the rulebook's version; the others find them.
        let mut all = vec![start("node-1", true).await?];
        let names: Vec<String> = (2..=nodes).map(|n| format!("node-{n}")).collect();
        all.extend(try_join_all(names.iter().map(|name| start(name, true))).await?);
        let urls: Vec<String> = all.iter().map(|node| node.url()).collect();
        let balancer = Some(Balancer::before(&urls).await?);
        Ok(Self { nodes: all, balancer, held: Mutex::default(), turn: one_at_a_time() })
    }

    /// Where services report and people look: stays the same over restarts.
    #[must_use]
    pub fn url(&self) -> String {
        match &self.balancer {
            Some(balancer) => balancer.url().to_owned(),
            None => self.nodes[0].url(),
        }
    }

    /// All of them: one, or the nodes in their order.
    #[must_use]
    pub fn nodes(&self) -> &[Arc<SupervisorProcess>] {
        &self.nodes
    }

    /// Whether there are several.
    #[must_use]
    pub fn is_shared(&self) -> bool {
        self.balancer.is_some()
    }

    /// The turn of whoever strikes one of them; dropping it gives it back.
    pub(crate) async fn turn(&self) -> anyhow::Result<OwnedSemaphorePermit> {
        Ok(Arc::clone(&self.turn).acquire_owned().await?)
    }

    /// Asks all to end, and kills those that don't.
    pub async fn end(&self) {
        futures_util::future::join_all(self.nodes.iter().map(|node| node.end())).await;
    }

    /// What became of the nodes, if there are several.
    pub(crate) fn count(&self) -> Option<NodesCount> {
        let sum = |of: fn(&SupervisorProcess) -> u32| -> u32 {
            self.nodes.iter().map(|node| of(node)).sum()
        };
        let moved = self.held.lock().unwrap_or_else(PoisonError::into_inner).moved;
        self.is_shared().then(|| NodesCount {
            nodes: u32::try_from(self.nodes.len()).unwrap_or(u32::MAX),
            killed: sum(SupervisorProcess::killed),
            stopped: sum(SupervisorProcess::stopped),
            drained: sum(SupervisorProcess::drained),
            moved,
        })
    }

    /// Letters that wait between nodes; one if nobody says.
    pub(crate) async fn letters(&self, client: &Client) -> u64 {
        match self.is_shared() {
            true => self.look(client).await.map_or(1, |view| view.letters_waiting),
            false => 0,
        }
    }

    async fn look(&self, client: &Client) -> Option<NodesView> {
        let told = client.get(&format!("{}/v1/nodes", self.url()), LOOK_LIMIT).await.ok()?;
        let told = told.status.is_success().then_some(told.body)?;
        serde_json::from_value(told).ok()
    }

    /// Looks who holds what until it is dropped, if there are several.
    pub(crate) async fn watch(&self, client: &Client) -> Infallible {
        if !self.is_shared() {
            return std::future::pending().await;
        }
        loop {
            // Whoever was asked may just have been killed.
            if let Some(view) = self.look(client).await {
                self.held.lock().unwrap_or_else(PoisonError::into_inner).look(&view);
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
}

fn one_at_a_time() -> Arc<Semaphore> {
    Arc::new(Semaphore::new(1))
}

impl Held {
    fn look(&mut self, view: &NodesView) {
        for node in view.nodes.iter().filter(|node| node.state != NodeState::Silent) {
            for part in node.parts.iter().copied().chain(node.seat.then_some(SEAT)) {
                let before = self.by.insert(part, node.name.clone());
                self.moved += u64::from(before.is_some_and(|before| before != node.name));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_partition_moves_when_another_holds_it_and_not_while_nobody_does() {
        let view = |held: &[(&str, &[u16], bool)]| {
            let nodes = held.iter().map(|(name, parts, seat)| {
                serde_json::json!({
                    "name": name, "answering": false, "state": "alive", "parts": parts, "seat": seat,
                    "since": "2026-01-01T00:00:00Z", "silentMs": 1, "version": 4,
                })
            });
            let view = serde_json::json!({ "shared": true, "nodes": nodes.collect::<Vec<_>>() });
            serde_json::from_value::<NodesView>(view).expect("nodes")
        };
        let mut held = Held::default();
        held.look(&view(&[("a", &[1, 2, 3], true)]));
        assert_eq!(held.moved, 0);
        held.look(&view(&[("a", &[1, 2], true), ("b", &[3], false)]));
        assert_eq!(held.moved, 1);
        held.look(&view(&[("b", &[3], false)]));
        held.look(&view(&[("a", &[1], false), ("b", &[2, 3], true)]));
        assert_eq!(held.moved, 3, "what came back to the same has not moved");
    }
}
