//! The nodes that share our store, as people see them, and how one of them is told to give back what it holds. What
//! becomes of that word is the loop's.

use crate::faults::store_problem;
pub(crate) use crate::leases::CLOCK_OFF_LIMIT_MS;
use crate::supervisor::Supervisor;
use amends_api::{AuditActName, NodeState, NodeView, NodesView};
use amends_engine::Actor;
use amends_protocol::{Problem, ProblemCode};
use amends_store::{AnyStore, ClusterSeen, NodeSeen, Partition, Store, StoreError};
use futures_util::future::BoxFuture;
use serde_json::json;
use std::sync::Arc;

/// A store that nodes share.
pub(crate) trait SharedStore: Send + Sync {
    /// Looks at the nodes; none if they can't share it.
    fn look(&self) -> BoxFuture<'_, Result<Option<ClusterSeen>, StoreError>>;

    /// As [`AnyStore::tell_leaving`].
    fn tell_leaving(&self, node: String, leaving: bool) -> BoxFuture<'_, Result<bool, StoreError>>;
}

impl SharedStore for AnyStore {
    fn look(&self) -> BoxFuture<'_, Result<Option<ClusterSeen>, StoreError>> {
        Box::pin(self.cluster())
    }

    fn tell_leaving(&self, node: String, leaving: bool) -> BoxFuture<'_, Result<bool, StoreError>> {
        Box::pin(self.tell_leaving(node, leaving))
    }
}

/// The nodes of our store, and which of them we are. Clones are the same; the default knows of no others.
#[derive(Clone, Default)]
pub(crate) struct Nodes(Option<Among>);

#[derive(Clone)]
struct Among {
    store: Arc<dyn SharedStore>,
    me: Arc<str>,
    is_by_part: bool,
}

impl Nodes {
    /// Of a store that several have open, of which we are the one with this name; each works on a part of it, or one on
    /// all of it.
    #[cfg(any(test, feature = "postgres"))]
    pub(crate) fn of(store: impl SharedStore + 'static, me: &str, is_by_part: bool) -> Self {
        Self(Some(Among { store: Arc::new(store), me: me.into(), is_by_part }))
    }

    /// Whether there can be others.
    pub(crate) const fn can_be_several(&self) -> bool {
        self.0.is_some()
    }

    /// The name of this one; none where there is only one.
    pub(crate) fn me(&self) -> Option<&str> {
        self.0.as_ref().map(|among| &*among.me)
    }

    /// The name of this one, where what it tells of open work is of a part of the sagas alone.
    pub(crate) fn one_of_several(&self) -> Option<&str> {
        self.0.as_ref().filter(|among| among.is_by_part).map(|among| &*among.me)
    }

    /// Which there are, and what each holds.
    ///
    /// # Errors
    /// When the store can't be read.
    pub(crate) async fn view(&self) -> Result<NodesView, StoreError> {
        let Some(among) = &self.0 else { return Ok(NodesView::default()) };
        Ok(among.store.look().await?.map(|seen| view(&seen, &among.me)).unwrap_or_default())
    }

    /// Tells a node to give back what it holds; with `last`, also if nobody else is there to take it.
    ///
    /// # Errors
    /// `not-found` when there is no such node, `conflict` when it does not live or is the last that works, else as
    /// [`Supervisor::report`].
    pub(crate) async fn drain<S: Store>(
        &self,
        supervisor: &Supervisor<S>,
        node: &str,
        last: bool,
        actor: impl Into<Actor> + Send,
        reason: &str,
    ) -> Result<NodeView, Problem> {
        let view = self.view().await.map_err(store_problem)?;
        let state = living(&view, node).map_err(refused)?.state;
        if self.one_of_several().is_none() {
            let detail = format!(
                "nodes don't share this store (`cluster.share`): `{node}` has all of it or waits for it. Stop the one that works, and another that waits takes over"
            );
            return Err(Problem::new(ProblemCode::Conflict, detail));
        }
        if state == NodeState::Alive && !last && is_last(&view, node) {
            let detail = format!(
                "`{node}` is the last node that works: nothing would be asked of services until another one is there. Start one, or say `last: true`"
            );
            return Err(Problem::new(ProblemCode::Conflict, detail));
        }
        self.tell(supervisor, node, true, (actor.into(), reason)).await
    }

    /// Lets a node that was drained take its share again.
    ///
    /// # Errors
    /// As [`Self::drain`].
    pub(crate) async fn resume<S: Store>(
        &self,
        supervisor: &Supervisor<S>,
        node: &str,
        actor: impl Into<Actor> + Send,
        reason: &str,
    ) -> Result<NodeView, Problem> {
        let view = self.view().await.map_err(store_problem)?;
        living(&view, node).map_err(refused)?;
        self.tell(supervisor, node, false, (actor.into(), reason)).await
    }

    async fn tell<S: Store>(
        &self,
        supervisor: &Supervisor<S>,
        node: &str,
        leaving: bool,
        (actor, reason): (Actor, &str),
    ) -> Result<NodeView, Problem> {
        let Some(Among { store, .. }) = &self.0 else { return Err(refused(unknown(node))) };
        let act = if leaving { AuditActName::NodeDrain } else { AuditActName::NodeResume };
        // Nobody is told what is not in the audit.
        supervisor.audit(act, actor, reason, json!({ "node": node })).await?;
        if !store.tell_leaving(node.to_owned(), leaving).await.map_err(store_problem)? {
            let detail = format!("`{node}` has just ended");
            return Err(Problem::new(ProblemCode::Conflict, detail));
        }
        let view = self.view().await.map_err(store_problem)?;
        view.nodes.into_iter().find(|one| one.name == node).ok_or_else(|| refused(unknown(node)))
    }
}

/// Why nothing is told to a node.
type Refusal = (ProblemCode, String);

fn refused((code, why): Refusal) -> Problem {
    Problem::new(code, why)
}

/// The node of this name, which has to live.
fn living<'v>(view: &'v NodesView, name: &str) -> Result<&'v NodeView, Refusal> {
    let node = view.nodes.iter().find(|node| node.name == name).ok_or_else(|| unknown(name))?;
    if node.state == NodeState::Silent {
        let seconds = node.silent_ms / 1_000;
        let why = format!(
            "`{name}` does not live: it showed itself last {seconds} s ago, and the others take what it held without being told"
        );
        return Err((ProblemCode::Conflict, why));
    }
    Ok(node)
}

fn is_last(view: &NodesView, name: &str) -> bool {
    !view.nodes.iter().any(|node| node.name != name && node.state == NodeState::Alive)
}

fn unknown(name: &str) -> Refusal {
    (ProblemCode::NotFound, format!("there is no node `{name}`"))
}

fn view(seen: &ClusterSeen, me: &str) -> NodesView {
    NodesView {
        shared: true,
        nodes: seen.nodes.iter().map(|node| one(node, me)).collect(),
        without_owner: u32::try_from(seen.without_owner()).unwrap_or(u32::MAX),
        letters_waiting: seen.letters,
        oldest_letter_ms: seen.oldest_letter_ms,
    }
}

fn one(node: &NodeSeen, me: &str) -> NodeView {
    let parts = node.parts.iter().filter(|part| **part != Partition::SEAT);
    NodeView {
        name: node.name.clone(),
        answering: node.name == me,
        state: node.state(),
        parts: parts.map(|part| part.0).collect(),
        seat: node.parts.contains(&Partition::SEAT),
        since: node.since,
        silent_ms: node.silent_ms,
        // The database's clock is ahead: its own is behind.
        clock_off_ms: node.offset_ms.map(|ms| -ms),
        version: node.version,
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use amends_protocol::Timestamp;
    use std::sync::Mutex;

    /// A store that several share, as far as people see.
    pub(crate) struct Pretended(pub(crate) Arc<Mutex<ClusterSeen>>);

    impl SharedStore for Pretended {
        fn look(&self) -> BoxFuture<'_, Result<Option<ClusterSeen>, StoreError>> {
            let seen = self.0.lock().expect("no panic").clone();
            Box::pin(async { Ok(Some(seen)) })
        }

        fn tell_leaving(
            &self,
            node: String,
            leaving: bool,
        ) -> BoxFuture<'_, Result<bool, StoreError>> {
            let mut seen = self.0.lock().expect("no panic");
            let found = seen.nodes.iter_mut().find(|one| one.name == node && one.is_alive);
            let told = found.map(|one| one.leaving = leaving).is_some();
            Box::pin(async move { Ok(told) })
        }
    }

    /// A node that lives and holds some parts of the sagas.
    pub(crate) fn node(name: &str, parts: std::ops::Range<u16>) -> NodeSeen {
        NodeSeen {
            name: name.to_owned(),
            since: Timestamp(0),
            silent_ms: 340,
            is_alive: true,
            leaving: false,
            version: 4,
            parts: parts.map(Partition).collect(),
            offset_ms: Some(12),
            settings: 0,
        }
    }

    /// `a` with the seat and the first half, `b` with the rest, and `c`, which died.
    pub(crate) fn three() -> ClusterSeen {
        let mut a = node("a", 0..32);
        a.parts.push(Partition::SEAT);
        let c = NodeSeen { is_alive: false, silent_ms: 90_000, ..node("c", 0..0) };
        let nodes = vec![a, node("b", 32..64), c];
        ClusterSeen { nodes, is_shared: true, letters: 2, oldest_letter_ms: Some(70) }
    }

    #[test]
    fn what_a_node_holds_is_told_with_the_seat_apart() {
        let view = view(&three(), "b");
        let held: Vec<_> =
            view.nodes.iter().map(|node| (node.parts.len(), node.seat, node.answering)).collect();
        assert_eq!(held, [(32, true, false), (32, false, true), (0, false, false)]);
        assert_eq!((view.without_owner, view.nodes[0].clock_off_ms), (0, Some(-12)));
        assert!(living(&view, "a").is_ok() && !is_last(&view, "a"));
        let (_, why) = living(&view, "c").expect_err("it died");
        assert!(why.contains("90 s ago"), "{why}");
        assert!(living(&view, "d").expect_err("unknown").0 == ProblemCode::NotFound);
    }
}
