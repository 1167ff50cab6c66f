//! What belongs to no saga holds on every node that says that it knows of it.

use super::limits::concurrency_of;
use super::seen::{Check, Seen, when};
use crate::stored::Stored;
use amends_engine::Write;
use amends_protocol::Timestamp;
use std::collections::BTreeMap;
use std::sync::Arc;

/// A node that has said that it goes by a version of the settings sends nothing to a service that is paused in it, and
/// has no more requests under way at one than it allows.
#[derive(Default)]
pub(super) struct Obeyed {
    /// Whose turn it is.
    node: usize,
    /// What each has said last.
    says: BTreeMap<usize, u64>,
    /// The version in which the settings of a service changed last, and that in which a rulebook did.
    services: BTreeMap<Arc<str>, u64>,
    rulebooks: u64,
    under_way: BTreeMap<u64, (usize, Arc<str>)>,
}

impl Check for Obeyed {
    fn name(&self) -> &'static str {
        "settings obeyed"
    }

    fn see(&mut self, _now: Timestamp, seen: &Seen<'_>, store: &Stored) -> Result<(), String> {
        match seen {
            Seen::At { node } => self.node = *node,
            Seen::Beats { settings } => drop(self.says.insert(self.node, *settings)),
            Seen::Committed { writes, .. } => {
                let version = store.rows.settings_version();
                for write in *writes {
                    match write {
                        Write::Service(row) => {
                            self.services.insert(Arc::clone(&row.service), version);
                        }
                        Write::Activate(_) => self.rulebooks = version,
                        _ => {}
                    }
                }
            }
            Seen::Effect { number, service, .. } => {
                self.under_way.insert(*number, (self.node, Arc::clone(service)));
                return self.may_send(service, store);
            }
            Seen::Result { number, .. } => drop(self.under_way.remove(number)),
            // What another process of its name has under way is not its own.
            Seen::Died | Seen::Started => self.under_way.retain(|_, (node, _)| *node != self.node),
            _ => {}
        }
        Ok(())
    }
}

impl Obeyed {
    fn may_send(&self, service: &Arc<str>, store: &Stored) -> Result<(), String> {
        let (node, says) = (self.node, self.says.get(&self.node).copied().unwrap_or(0));
        let of_service = self.services.get(service).copied().unwrap_or(0);
        let row = store.rows.service(service).filter(|_| of_service <= says);
        when(row.is_some_and(|row| row.settings.pause.is_some()), || {
            format!(
                "node {node} sends something to {service}, which is paused since version {of_service}, and it goes by {says}"
            )
        })?;
        let of_node = self.under_way.values().filter(|(n, s)| *n == node && s == service);
        let (count, limit) = (of_node.count(), concurrency_of(store, service) as usize);
        let knows = of_service.max(self.rulebooks) <= says;
        when(knows && count > limit, || {
            format!(
                "node {node} has {count} requests under way at {service}, which may have {limit}"
            )
        })
    }
}

/// Whoever changes what belongs to no saga knows how it stands: nothing that another has set is overwritten unseen.
pub(super) struct KnownFirst;

impl Check for KnownFirst {
    fn name(&self) -> &'static str {
        "settings known first"
    }

    fn see(&mut self, _now: Timestamp, seen: &Seen<'_>, store: &Stored) -> Result<(), String> {
        let Seen::Sets { version, .. } = seen else { return Ok(()) };
        let stands = store.rows.settings_version();
        when(*version != stands, || {
            format!("settings are changed by whoever knows version {version}, and it is {stands}")
        })
    }
}

/// What a commit plans is planned with a version of a rulebook that was active when it became durable, or becomes so
/// with it; what began before keeps its own.
pub(super) struct Active;

impl Check for Active {
    fn name(&self) -> &'static str {
        "active versions"
    }

    fn see(&mut self, _now: Timestamp, seen: &Seen<'_>, store: &Stored) -> Result<(), String> {
        let Seen::Commit { writes } = seen else { return Ok(()) };
        let comes = |hash: &str| {
            writes.iter().any(|write| matches!(write, Write::Activate(row) if *row.hash == *hash))
        };
        let is_active =
            |hash: &str| store.rows.rulebooks().any(|row| row.active && *row.hash == *hash);
        writes.iter().try_for_each(|write| {
            let Write::Case(row) = write else { return Ok(()) };
            let Some(book) = &row.rulebook else { return Ok(()) };
            let before = store.rows.case_row(row.id).and_then(|row| row.rulebook.as_ref());
            let is_kept = before.is_some_and(|before| before.hash == book.hash);
            when(!is_kept && !is_active(&book.hash) && !comes(&book.hash), || {
                format!("{} is planned with {}, which is not active any more", row.id, book.hash)
            })
        })
    }
}
