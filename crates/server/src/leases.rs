//! What the loop holds of its store: said to be alive while the loop turns, held before anything is loaded, given back
//! at the end. Who may write is decided by the store.

use crate::clock::Clock;
use crate::mailbox::Shared;
use amends_engine::{Epoch, Lease, Partition};
use amends_store::{Leases, Ledger, Nodes, StoreError};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinHandle;

/// Time between two beats.
const BEAT: Duration = Duration::from_secs(1);

/// Age of a turn from which on the loop no longer counts as alive: then others may take over. It must be less than what
/// a store waits for a beat.
const LONGEST_TURN: Duration = Duration::from_secs(3);

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
/// the name of this node, and nobody holds it as a whole.
///
/// # Errors
/// When the store can't be written.
pub(crate) async fn until_ours<S: Ledger + Leases + Nodes>(store: &S) -> Result<(), StoreError> {
    let mut waits = false;
    loop {
        let ours = match store.is_shared() {
            true => join(store).await,
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
async fn join<S: Ledger + Leases>(store: &S) -> Result<(), StoreError> {
    store.beat().await?;
    store.claim(1).await?;
    store.load().await.map(drop)
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
