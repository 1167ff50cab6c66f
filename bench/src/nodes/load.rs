//! The senders of reports: each sends one at its time, again and again until a node has acknowledged it, as an outbox
//! does.

use super::node::{Node, Said, held};
use super::sagas::Mix;
use super::services::Services;
use serde::Serialize;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

/// Reports that wait for an answer at once; past it the load falls behind its rate, and that is seen in the figures.
const UNDER_WAY: usize = 4_000;
/// The same where the nodes say how fast it goes.
const WINDOW: usize = 256;
/// Between two tries of one report.
const PAUSE: Duration = Duration::from_millis(50);

/// How the reports are paced.
#[derive(Clone, Copy, Debug)]
pub enum Pace {
    /// As fast as the nodes acknowledge them, a window at a time.
    Saturate,
    /// So many a second, whatever becomes of them.
    PerSecond(u64),
}

/// What the senders know.
pub struct Sent {
    pub mix: Mix,
    /// By saga: when its report was acknowledged, in microseconds since the start of the run; 0 if it was not.
    acknowledged: Mutex<Vec<u64>>,
    again: AtomicU64,
    wrong: AtomicU64,
}

/// How it went for them.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Tries {
    /// Reports that a node did not take at once, and another one or the same did a moment later.
    pub sent_again: u64,
    /// Answers that no sender may be given.
    pub wrong_answers: u64,
}

impl Sent {
    /// Of so many sagas.
    pub fn new(sagas: usize, mix: Mix) -> Self {
        let acknowledged = Mutex::new(vec![0; sagas]);
        Self { mix, acknowledged, again: AtomicU64::new(0), wrong: AtomicU64::new(0) }
    }

    /// How it went.
    pub fn tries(&self) -> Tries {
        let count = |of: &AtomicU64| of.load(Ordering::Relaxed);
        Tries { sent_again: count(&self.again), wrong_answers: count(&self.wrong) }
    }

    /// When each was acknowledged.
    pub fn acknowledged(&self) -> Vec<u64> {
        held(&self.acknowledged).clone()
    }

    /// Sends the reports of these sagas; returns when the last is acknowledged.
    pub async fn send(
        self: Arc<Self>,
        nodes: Arc<[Node]>,
        services: Arc<Services>,
        sagas: Range<usize>,
        pace: Pace,
    ) -> anyhow::Result<()> {
        let most = if matches!(pace, Pace::Saturate) { WINDOW } else { UNDER_WAY };
        let room = Arc::new(Semaphore::new(most));
        let began = tokio::time::Instant::now();
        let mut sending = JoinSet::new();
        for (n, saga) in sagas.enumerate() {
            if let Pace::PerSecond(rate) = pace {
                let at = Duration::from_micros(n as u64 * 1_000_000 / rate.max(1));
                tokio::time::sleep_until(began + at).await;
            }
            let turn = Arc::clone(&room).acquire_owned().await?;
            let (sent, nodes) = (Arc::clone(&self), Arc::clone(&nodes));
            let services = Arc::clone(&services);
            sending.spawn(async move {
                let _turn = turn;
                sent.deliver(&nodes, saga).await;
                held(&sent.acknowledged)[saga] = services.now_us();
            });
            while sending.try_join_next().is_some() {}
        }
        while sending.join_next().await.is_some() {}
        Ok(())
    }

    /// To the nodes by turns, until one takes it.
    async fn deliver(&self, nodes: &[Node], saga: usize) {
        let mut is_first = true;
        for n in saga.. {
            let node = &nodes[n % nodes.len()];
            if !node.is_passed_over() {
                if !is_first {
                    self.again.fetch_add(1, Ordering::Relaxed);
                }
                is_first = false;
                match node.report(saga, self.mix.kind(saga)).await {
                    Said::Taken => return,
                    Said::Away => {}
                    Said::Wrong => {
                        self.wrong.fetch_add(1, Ordering::Relaxed);
                    }
                }
            }
            if n % nodes.len() == (saga + nodes.len() - 1) % nodes.len() {
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}
