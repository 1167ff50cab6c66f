//! What is set for all sagas holds at a node once that has read it: whoever sets something waits until all have.

use super::Supervisor;
use crate::clock::{Clock, SystemClock};
use crate::faults::refusal;
use amends_engine::Answer;
use amends_protocol::Problem;
use amends_store::{Nodes, Store};
use std::time::Duration;

/// How long the other nodes are waited for. Each hears of it at once, or reads it at its next sign of life.
const WAIT: Duration = Duration::from_secs(3);

/// Time between two looks at them.
const LOOK: Duration = Duration::from_millis(100);

/// Nodes that live and have not yet read what was set, by name. Each goes by it as soon as it has, and sends nothing
/// once it counts as dead.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NotSeenBy(pub Vec<String>);

impl<S: Store> Supervisor<S> {
    /// What was asked for is done, or left for the node that can do it.
    pub(super) async fn done(&self, answer: Answer) -> Result<NotSeenBy, Problem> {
        match answer {
            // Left for the node that works on it: it is durable, and done as soon as that comes to it.
            Answer::Done | Answer::Posted(_) => Ok(NotSeenBy::default()),
            Answer::Set(version) => {
                let late = not_seen_by(&self.store, version, WAIT).await;
                if !late.is_empty() {
                    let nodes = late.join(", ");
                    tracing::warn!(%nodes, "these nodes have not yet read what was set; they go by it as soon as they do, and send nothing once they count as dead");
                }
                Ok(NotSeenBy(late))
            }
            other => Err(refusal(other)),
        }
    }
}

/// Waits until all nodes that live go by this version of the settings, or for so long. Gives those that don't then.
async fn not_seen_by(store: &impl Nodes, version: u64, wait: Duration) -> Vec<String> {
    let began = SystemClock.monotonic();
    loop {
        // Who can't be looked at now may be so in a moment; nothing of what was set depends on it.
        let nodes = store.nodes().await.unwrap_or_default();
        let late = nodes.into_iter().filter(|node| node.is_alive && node.settings < version);
        let late: Vec<String> = late.map(|node| node.name).collect();
        if late.is_empty() || SystemClock.monotonic().saturating_sub(began) >= wait {
            return late;
        }
        tokio::time::sleep(LOOK).await;
    }
}
