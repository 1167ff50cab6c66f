//! What of the nodes is worth an alert: each is told once, when it begins, by the first of those that work. All of them
//! look, so that one that dies leaves nobody unwatched.

use super::Kind;
use super::alert::Alerts;
use super::grouper::Alert;
use crate::clock::{Clock, SystemClock};
use crate::nodes::{CLOCK_OFF_LIMIT_MS, Nodes};
use amends_api::{NodeState, NodesView};
use amends_protocol::Timestamp;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::sync::watch as channel;

/// Pause between two looks.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// Partitions of a dead node are taken within some seconds; a restart of all takes longer.
const UNHELD_FOR_MS: u64 = 30_000;

/// A clock that is being set may be off for a moment.
const CLOCK_OFF_FOR_MS: u64 = 10_000;

/// Letters are taken within a second.
const LETTERS_WAIT_MS: u64 = 30_000;

/// A node that has been silent for this long at the first look was told of before, or is known to be gone.
const OLD_SILENCE_MS: u64 = 60_000;

/// Looks until told to stop.
pub(crate) async fn watch(nodes: Nodes, alerts: Alerts, mut stopping: channel::Receiver<bool>) {
    let mut watcher = Watcher::default();
    loop {
        tokio::select! {
            _ = stopping.wait_for(|stop| *stop) => return,
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
        // While the store is away nobody can be seen, and that is told elsewhere.
        if let Ok(view) = nodes.view().await {
            watcher
                .look(&view, SystemClock.now())
                .into_iter()
                .for_each(|alert| alerts.of_nodes(alert));
        }
    }
}

/// What is told of, and of whom.
type Key = (Kind, String);

/// What has been found so far.
#[derive(Debug, Default)]
struct Watcher {
    has_looked: bool,
    standing: BTreeMap<Key, Standing>,
}

#[derive(Clone, Copy, Debug)]
struct Standing {
    since: Timestamp,
    is_told: bool,
}

/// Something that is not as it should be.
struct Found {
    key: Key,
    reason: String,
    /// How long it has to last before it is told.
    lasting_ms: u64,
}

impl Watcher {
    /// What is to be told after this look.
    fn look(&mut self, view: &NodesView, now: Timestamp) -> Vec<Alert> {
        let found = found(view);
        self.standing.retain(|key, _| found.iter().any(|one| one.key == *key));
        let tells = tells(view);
        let mut alerts = Vec::new();
        for Found { key, reason, lasting_ms } in found {
            let is_old = !self.has_looked && key.0 == Kind::NodeSilent && is_old(view, &key.1);
            let fresh = Standing { since: now, is_told: is_old };
            let standing = self.standing.entry(key.clone()).or_insert(fresh);
            if standing.is_told || now.ms_since(standing.since) < lasting_ms {
                continue;
            }
            // Whoever takes over from the one that tells does not tell it again.
            standing.is_told = true;
            if tells {
                let (kind, subject) = key;
                alerts.push(Alert { at: now, kind, subject, case: None, reason });
            }
        }
        self.has_looked = true;
        alerts
    }
}

/// Whether we are the first by name of those that live: one tells for all.
fn tells(view: &NodesView) -> bool {
    let living = |node: &&amends_api::NodeView| node.state != NodeState::Silent;
    view.nodes.iter().find(living).is_some_and(|node| node.answering)
}

fn is_old(view: &NodesView, name: &str) -> bool {
    view.nodes.iter().any(|node| node.name == name && node.silent_ms > OLD_SILENCE_MS)
}

fn found(view: &NodesView) -> Vec<Found> {
    let mut found = Vec::new();
    let mut add = |kind, subject: &str, lasting_ms, reason| {
        found.push(Found { key: (kind, subject.to_owned()), reason, lasting_ms });
    };
    for node in &view.nodes {
        if node.state == NodeState::Silent {
            let reason = format!("it showed itself last {} s ago", node.silent_ms / 1_000);
            add(Kind::NodeSilent, &node.name, 0, reason);
        } else if let Some(ms) = node.clock_off_ms
            && ms.unsigned_abs() > CLOCK_OFF_LIMIT_MS
        {
            let way = if ms < 0 { "behind" } else { "ahead of" };
            let reason = format!("{} ms {way} that of the database", ms.unsigned_abs());
            add(Kind::NodeClockOff, &node.name, CLOCK_OFF_FOR_MS, reason);
        }
    }
    if view.without_owner > 0 {
        let reason = format!("{} of 65", view.without_owner);
        add(Kind::Unheld, "", UNHELD_FOR_MS, reason);
    }
    if let Some(ms) = view.oldest_letter_ms.filter(|ms| *ms > LETTERS_WAIT_MS) {
        let reason = format!("{} wait, the oldest for {} s", view.letters_waiting, ms / 1_000);
        add(Kind::LettersWaiting, "", 0, reason);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use amends_api::NodeView;

    fn node(name: &str) -> NodeView {
        NodeView {
            name: name.to_owned(),
            answering: false,
            state: NodeState::Alive,
            parts: Vec::new(),
            seat: false,
            since: Timestamp(0),
            silent_ms: 200,
            clock_off_ms: Some(3),
            version: 4,
        }
    }

    /// As `me` sees them.
    fn seen(me: &str, nodes: &[NodeView]) -> NodesView {
        let answering = |node: &NodeView| NodeView { answering: node.name == me, ..node.clone() };
        NodesView {
            shared: true,
            nodes: nodes.iter().map(answering).collect(),
            ..Default::default()
        }
    }

    fn silent(name: &str, silent_ms: u64) -> NodeView {
        NodeView { state: NodeState::Silent, silent_ms, ..node(name) }
    }

    fn kinds(alerts: &[Alert]) -> Vec<(Kind, &str)> {
        alerts.iter().map(|alert| (alert.kind, alert.subject.as_str())).collect()
    }

    #[test]
    fn a_silent_node_is_told_once_and_by_one() {
        let (mut a, mut b) = (Watcher::default(), Watcher::default());
        let mut look = |at, nodes: &[NodeView]| {
            let told = a.look(&seen("a", nodes), Timestamp(at));
            (told, b.look(&seen("b", nodes), Timestamp(at)))
        };
        let all = [node("a"), node("b"), node("c")];
        assert_eq!(look(0, &all), (Vec::new(), Vec::new()));
        let (told, other) = look(2_000, &[node("a"), node("b"), silent("c", 5_400)]);
        assert_eq!((kinds(&told), other), (vec![(Kind::NodeSilent, "c")], Vec::new()));
        assert!(told[0].reason.contains("5 s ago"), "{}", told[0].reason);
        assert_eq!(look(4_000, &[node("a"), node("b"), silent("c", 7_400)]).0, Vec::new());
        // The one that told it is gone as well: the other tells of that one alone.
        let nodes = [silent("a", 6_000), node("b"), silent("c", 13_000)];
        assert_eq!(kinds(&look(10_000, &nodes).1), [(Kind::NodeSilent, "a")]);
        assert_eq!(look(12_000, &all).1, Vec::new());
        let (told, _) = look(14_000, &[node("a"), node("b"), silent("c", 5_400)]);
        assert_eq!(kinds(&told), [(Kind::NodeSilent, "c")], "it came back, and went again");
    }

    #[test]
    fn one_that_was_gone_before_anybody_looked_is_not_told() {
        let mut watcher = Watcher::default();
        let nodes = [node("a"), silent("b", 7_200_000), silent("c", 9_000)];
        let told = watcher.look(&seen("a", &nodes), Timestamp(0));
        assert_eq!(kinds(&told), [(Kind::NodeSilent, "c")]);
    }

    #[test]
    fn what_passes_by_itself_is_not_told() {
        let mut watcher = Watcher::default();
        let off = [NodeView { clock_off_ms: Some(-900), ..node("a") }];
        let view = |unheld, letter_ms| NodesView {
            without_owner: unheld,
            letters_waiting: 3,
            oldest_letter_ms: letter_ms,
            ..seen("a", &off)
        };
        assert_eq!(watcher.look(&view(65, Some(400)), Timestamp(0)), []);
        let told = watcher.look(&view(12, None), Timestamp(12_000));
        assert_eq!(kinds(&told), [(Kind::NodeClockOff, "a")]);
        assert_eq!(told[0].reason, "900 ms behind that of the database");
        let told = watcher.look(&view(12, Some(31_000)), Timestamp(31_000));
        assert_eq!(kinds(&told), [(Kind::Unheld, ""), (Kind::LettersWaiting, "")]);
        assert_eq!(watcher.look(&view(0, None), Timestamp(33_000)), []);
        assert_eq!(watcher.look(&view(12, None), Timestamp(40_000)), [], "it began anew");
    }
}
