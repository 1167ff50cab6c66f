//! Asks all other nodes that hold something, or live, and waits until they have answered, or for a while. A node that
//! did not answer is not waited for the next time, until something is heard of it.

use super::hub::{Answers, Told};
use super::said::{Head, Inquiry, text};
use crate::clock::{Clock, SystemClock};
use crate::faults::store_problem;
use crate::random;
use crate::supervisor::Supervisor;
use amends_api::SilentNodeView;
use amends_protocol::{Problem, ProblemCode};
use amends_store::{NodeSeen, Partition, Store};
use serde::de::DeserializeOwned;
use std::collections::BTreeSet;
use std::time::Duration;
use tokio::time::timeout;

/// How long others are waited for.
const PATIENCE: Duration = Duration::from_secs(3);
/// Time after which they are asked again: a word may have been lost.
const AGAIN: Duration = Duration::from_millis(500);

/// What all nodes know, and whose part of it is missing.
#[derive(Clone, Debug, Default)]
pub(crate) struct OfAll<T> {
    pub(crate) what: T,
    pub(crate) silent: Vec<SilentNodeView>,
}

impl<T> OfAll<T> {
    /// What all nodes know, if all have told it.
    ///
    /// # Errors
    /// `unavailable` when one did not answer.
    pub(crate) fn whole(self) -> Result<T, Box<Problem>> {
        let Some(silent) = self.silent.first() else { return Ok(self.what) };
        let why = format!(
            "the node `{}` does not answer, and works on {} of the {} parts of all sagas: what belongs here is not known. If it is gone, others take its place within seconds; try again shortly",
            silent.name,
            silent.parts,
            Partition::PARTS
        );
        Err(Box::new(Problem::new(ProblemCode::Unavailable, why)))
    }
}

impl<S: Store> Supervisor<S> {
    /// Asks all other nodes; there are none of a store that is not shared.
    ///
    /// # Errors
    /// `unavailable` when it can't be read from the store who they are.
    pub(super) async fn ask_others<T: DeserializeOwned>(
        &self,
        inquiry: &Inquiry,
    ) -> Result<Answers<T>, Problem> {
        let Some(me) = self.store().own_name() else {
            return Ok(Answers { told: Vec::new(), silent: Vec::new() });
        };
        let mut nodes = self.store().nodes().await.map_err(store_problem)?;
        nodes.retain(|node| *node.name != *me && (node.is_alive || !node.parts.is_empty()));
        let hub = &self.shared().hub;
        hub.forget_others(&nodes.iter().map(|node| &*node.name).collect());
        let mut missing: BTreeSet<String> = nodes.iter().map(|node| node.name.clone()).collect();
        let working = nodes.iter().filter(|node| node.is_alive && !node.parts.is_empty());
        let working: BTreeSet<&str> = working.map(|node| &*node.name).collect();
        let number = u64::from_le_bytes(random::bytes().map_err(unguessable)?);
        let mut waiting = hub.wait_for(number);
        let now = || SystemClock.monotonic();
        let (mut told, until) = (Vec::new(), now() + PATIENCE);
        let is_awaited = |node: &String| working.contains(&**node) && !hub.is_mute(node);
        while !missing.is_empty() && now() < until {
            let of = missing.iter().cloned().collect();
            let head = Head::Ask { number, by: me.to_string(), of };
            text(&head, inquiry).into_iter().for_each(|text| self.store().say(text));
            let again = until.min(now() + AGAIN);
            while missing.iter().any(is_awaited)
                && let Ok(Some(Told { by, body })) =
                    timeout(again.saturating_sub(now()), waiting.next()).await
            {
                // What another version tells in other words counts as not told.
                if missing.remove(&by)
                    && let Ok(answer) = serde_json::from_str(&body)
                {
                    told.push((by, answer));
                }
            }
            if !missing.iter().any(is_awaited) {
                break;
            }
        }
        missing.iter().for_each(|node| hub.did_not_answer(node));
        let has_told = |node: &NodeSeen| told.iter().any(|(by, _)| *by == node.name);
        let silent = nodes.iter().filter(|node| !has_told(node)).cloned().collect();
        Ok(Answers { told, silent })
    }

    /// What this node knows, with what all others do. Of a node that holds nothing, nothing is missing.
    pub(crate) async fn of_all<T: DeserializeOwned>(
        &self,
        inquiry: &Inquiry,
        own: impl Future<Output = Result<T, Problem>>,
        mut add: impl FnMut(&mut T, T),
    ) -> Result<OfAll<T>, Problem> {
        let (own, others) = tokio::join!(own, self.ask_others(inquiry));
        let (mut what, Answers { told, silent }) = (own?, others?);
        told.into_iter().for_each(|(_, other)| add(&mut what, other));
        let silent = silent.iter().filter(|node| works(node)).map(silent_view).collect();
        Ok(OfAll { what, silent })
    }
}

/// Whether it works on a part of the sagas.
pub(super) fn works(node: &NodeSeen) -> bool {
    node.parts.iter().any(|part| *part != Partition::SEAT)
}

/// As people are told of it.
pub(super) fn silent_view(node: &NodeSeen) -> SilentNodeView {
    let parts = node.parts.iter().filter(|part| **part != Partition::SEAT).count();
    SilentNodeView {
        name: node.name.clone(),
        silent_ms: node.silent_ms,
        parts: u32::try_from(parts).unwrap_or(u32::MAX),
        as_of: None,
    }
}

fn unguessable(error: random::NoRandomness) -> Problem {
    Problem::new(ProblemCode::Internal, error.to_string())
}
