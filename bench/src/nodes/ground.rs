//! What a run on several nodes stands on.

use super::blows;
use super::load::{Pace, Sent};
use super::node::Node;
use super::outcome::{Outcome, Seen};
use super::sagas::{self, Kind, Mix};
use super::services::Services;
use crate::postgres::Database;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::task::{JoinHandle, block_in_place};

/// How long all that is left may take in the end.
pub const PATIENCE: Duration = Duration::from_secs(120);
/// Between two looks at what is left.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Longest wait for a node that gives everything back and ends.
pub const ENDS_IN: Duration = Duration::from_secs(30);

/// A database, the nodes that share it, the services that they ask, and what the senders know.
pub struct Ground {
    pub database: Arc<Database>,
    pub services: Arc<Services>,
    pub nodes: Arc<[Node]>,
    pub sent: Arc<Sent>,
}

impl Ground {
    /// Starts all of it, with an empty database; returns when the nodes hold even shares.
    pub async fn lay(folder: &Path, count: usize, sent: Sent) -> anyhow::Result<Self> {
        let database = block_in_place(|| {
            let mut database = Database::start();
            database.anew().map(|()| database)
        })?;
        let services = Services::start(folder, Instant::now()).await?;
        let rules = sagas::rulebook(&services.urls);
        let mut nodes = Vec::new();
        for n in 1..=count {
            nodes.push(Node::start(folder.join(format!("node-{n}")), n, &rules, &database).await?);
        }
        blows::until_even(&database.address, count).await?;
        Ok(Self {
            database: Arc::new(database),
            services: Arc::new(services),
            nodes: nodes.into(),
            sent: Arc::new(sent),
        })
    }

    /// Sends the reports of these sagas.
    pub fn load(&self, sagas: Range<usize>, pace: Pace) -> JoinHandle<anyhow::Result<()>> {
        let (nodes, services) = (Arc::clone(&self.nodes), Arc::clone(&self.services));
        tokio::spawn(Arc::clone(&self.sent).send(nodes, services, sagas, pace))
    }

    /// What there is to see now, for whoever looks.
    pub fn look<T>(&self, look: impl FnOnce(Seen<'_>) -> T) -> anyhow::Result<T> {
        let acknowledged = self.sent.acknowledged();
        block_in_place(|| {
            let services = self.services.done(acknowledged.len())?;
            let report = format!("order/{}", Kind::Limited.code());
            let mix = self.sent.mix;
            let limited = match mix {
                Mix::All => self.database.cases_of(&report)?,
                Mix::Usual => Vec::new(),
            };
            let (services, limited) = (&services[..], &limited[..]);
            Ok(look(Seen { mix, acknowledged: &acknowledged, services, limited }))
        })
    }

    /// Waits until nothing is left to do, or for as long as that may take.
    pub async fn until_done(&self) -> anyhow::Result<Outcome> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let outcome = self.look(|seen| seen.outcome())?;
            if outcome.lost == 0 || Instant::now() > deadline {
                return Ok(outcome);
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Ends the nodes in order.
    pub async fn clear(&self) -> anyhow::Result<()> {
        for node in self.nodes.iter() {
            node.end(ENDS_IN).await?;
        }
        Ok(())
    }
}
