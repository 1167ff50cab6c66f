//! What is set for all sagas holds at a node once that has read it: whoever sets something waits until all have.

use super::Supervisor;
use crate::clock::{Clock, SystemClock};
use crate::faults::refusal;
use crate::not_seen_by::NotSeenBy;
use amends_engine::Answer;
use amends_protocol::Problem;
use amends_store::{Nodes, Store};
use std::time::Duration;

/// How long the other nodes are waited for. Each hears of it at once, or reads it at its next sign of life.
const WAIT: Duration = Duration::from_secs(3);

/// Time between two looks at them.
const LOOK: Duration = Duration::from_millis(100);

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nodes::tests::node;
    use amends_store::{NodeSeen, StoreError};

    #[derive(Clone)]
    struct Seen(Vec<NodeSeen>);

    impl Nodes for Seen {
        async fn nodes(&self) -> Result<Vec<NodeSeen>, StoreError> {
            Ok(self.0.clone())
        }
    }

    #[tokio::test]
    async fn who_lives_and_has_not_read_what_was_set_is_named() {
        let of = |name, settings, is_alive| NodeSeen { settings, is_alive, ..node(name, 0..10) };
        let seen = Seen(vec![of("a", 3, true), of("b", 2, true), of("c", 1, false)]);
        let late = async |version| not_seen_by(&seen, version, Duration::ZERO).await;
        assert_eq!((late(3).await, late(2).await), (vec!["b".to_owned()], vec![]));
    }
}
