//! What the loop holds of its store: said to be alive while the loop turns, held before anything is loaded, given back
//! at the end. Who may write is decided by the store.

use crate::clock::Clock;
use crate::mailbox::Shared;
use amends_engine::{Epoch, Lease, Partition};
use amends_store::{Beat, Leases, Ledger, NodeSeen, Nodes, StoreError};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinHandle;

/// Time between two beats.
const BEAT: Duration = Duration::from_secs(1);

/// Age of a turn from which on the loop no longer counts as alive: then others may take over. It must be less than what
/// a store waits for a beat.
const LONGEST_TURN: Duration = Duration::from_secs(3);

/// How far the clock of a node may be off that of the store before people are told, and before it is not let in beside
/// others that are right, in milliseconds.
pub(crate) const CLOCK_OFF_LIMIT_MS: u64 = 500;

/// Says to the store that we live, as long as the loop turns. Ends when dropped.
#[derive(Debug)]
pub(crate) struct Beating(JoinHandle<()>);

impl Beating {
    pub(crate) fn begin(store: impl Leases, clock: impl Clock, shared: Arc<Shared>) -> Self {
        Self(tokio::spawn(async move {
            let mut failed = false;
            loop {
                if shared.heartbeat.age() < LONGEST_TURN {
                    let beaten = beat(&store, &clock, &shared).await;
                    // Told once: whoever can't beat can't commit either, and that is told each time.
                    if let (Err(error), false) = (&beaten, failed) {
                        tracing::warn!(%error, "the store can't be told that we live; others may take over");
                    }
                    failed = beaten.is_err();
                }
                tokio::time::sleep(BEAT).await;
            }
        }))
    }
}

/// Says once that we live, and notes what the store says to that.
pub(crate) async fn beat(
    store: &impl Leases,
    clock: &impl Clock,
    shared: &Shared,
) -> Result<(), StoreError> {
    let began = clock.boot();
    let beat = store.beat().await?;
    let boot_ms = i64::try_from(clock.boot().as_millis()).unwrap_or(i64::MAX);
    let ahead_ms = beat
        .offset_ms
        .map(|offset_ms| clock.now().0.saturating_add(offset_ms).saturating_sub(boot_ms));
    shared.life.beaten(began, beat, ahead_ms);
    Ok(())
}

impl Drop for Beating {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Waits until no other supervisor holds the store, and holds it; of one that nodes share, until no other process has
/// `me`, the name of this node, and nobody holds it as a whole.
///
/// # Errors
/// When the store can't be written; [`StoreError::ClockOff`] when this machine's clock is wrong, by what the clocks of
/// other nodes say.
pub(crate) async fn until_ours<S: Ledger + Leases + Nodes>(
    store: &S,
    me: &str,
) -> Result<(), StoreError> {
    let mut waits = false;
    loop {
        let ours = match store.is_shared() {
            true => join(store, me).await,
            false => hold(store).await,
        };
        match ours {
            Err(StoreError::NotHeld { .. } | StoreError::NodeInUse { .. }) => {
                if !waits {
                    tracing::info!(
                        "another supervisor works on the store, or as this node, or did a moment ago; this one waits until it is gone"
                    );
                }
                waits = true;
                tokio::time::sleep(BEAT).await;
            }
            Ok(()) if waits => {
                tracing::info!("the store is held now");
                return Ok(());
            }
            held => return held,
        }
    }
}

/// Takes part in a store that nodes share; whoever comes first has it be shared.
async fn join<S: Ledger + Leases + Nodes>(store: &S, me: &str) -> Result<(), StoreError> {
    let beat = store.beat().await?;
    judge_clock(beat, me, &store.nodes().await?)?;
    store.claim(1).await?;
    store.load().await.map(drop)
}

/// Whose clock it is that is off, nobody can say of two. Where others that live agree with the store's, it is ours;
/// where they are off as we are, or nobody else lives, it may be the store's, and to stay away would help nobody.
fn judge_clock(beat: Beat, me: &str, nodes: &[NodeSeen]) -> Result<(), StoreError> {
    let is_off = |ms: &i64| ms.unsigned_abs() > CLOCK_OFF_LIMIT_MS;
    let Some(offset_ms) = beat.offset_ms.filter(is_off) else { return Ok(()) };
    let others = nodes.iter().filter(|node| node.is_alive && node.name != me);
    match others.filter_map(|node| node.offset_ms).any(|ms| !is_off(&ms)) {
        true => Err(StoreError::ClockOff { ahead_ms: -offset_ms }),
        false => {
            tracing::warn!(
                offset_ms,
                "the clocks of this machine and of the database are apart; this node goes by the database's"
            );
            Ok(())
        }
    }
}

/// Holds all that the loop works on, in a new epoch if it was held before.
///
/// # Errors
/// [`StoreError::NotHeld`] as long as another node lives that holds it; otherwise when the store can't be written.
pub(crate) async fn hold(store: &impl Leases) -> Result<(), StoreError> {
    let is_ours = |lease: &Lease| lease.partition == Partition::WHOLE;
    let raised = store.raise().await?;
    if raised.iter().any(is_ours) || store.claim(usize::MAX).await?.iter().any(is_ours) {
        return Ok(());
    }
    Err(StoreError::NotHeld { partition: Partition::WHOLE, epoch: Epoch::default() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use amends_protocol::Timestamp;

    fn node(name: &str, is_alive: bool, offset_ms: Option<i64>) -> NodeSeen {
        NodeSeen {
            name: name.to_owned(),
            since: Timestamp(0),
            silent_ms: 0,
            is_alive,
            leaving: false,
            parts: Vec::new(),
            version: 1,
            offset_ms,
            settings: 0,
        }
    }

    #[test]
    fn whose_clock_alone_is_off_is_not_let_in() {
        let beat = |offset_ms| Beat { offset_ms: Some(offset_ms), ..Beat::default() };
        let judged = |offset_ms, others: &[NodeSeen]| judge_clock(beat(offset_ms), "me", others);
        let well = [node("other", true, Some(3)), node("me", true, Some(0))];
        assert!(judged(500, &well).is_ok() && judged(-500, &well).is_ok());
        let refused = judged(-2_000, &well).expect_err("ours is wrong").to_string();
        assert!(refused.contains("is 2000 ms ahead of that of the database"), "{refused}");
        let refused = judged(2_000, &well).expect_err("ours is wrong").to_string();
        assert!(refused.contains("is 2000 ms behind that of the database"), "{refused}");
        // It may be the database's; or nobody can tell.
        let off = [node("other", true, Some(1_990)), node("dead", false, Some(0))];
        for others in [&off[..], &well[1..], &[node("new", true, None)]] {
            assert!(judged(2_000, others).is_ok(), "{others:?}");
        }
        assert!(judge_clock(Beat::default(), "me", &well).is_ok(), "it was not measured");
    }
}
