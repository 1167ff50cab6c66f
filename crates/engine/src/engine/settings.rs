//! What people have set for all sagas comes from the store: at a start, and again where another loop that shares the
//! store has changed it. What is under way, waits or is timed stays as it is; what is set holds from then on.

use super::Engine;
use crate::strangers::Decisions;
use crate::{
    Decision, DomainEvent, HoldScope, Moment, RuleHold, RuleHoldRow, SUPERVISOR, ServiceRow,
    ServiceSettings, Settings, UnreadableRow,
};
use amends_rulebook::Rulebook;
use rustc_hash::FxHashMap;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// What was set before.
struct Before {
    active: BTreeMap<Arc<str>, Arc<Rulebook>>,
    services: BTreeMap<Arc<str>, ServiceSettings>,
    decided: Decisions,
    holds: BTreeMap<HoldScope, Arc<RuleHold>>,
    unreadable: Vec<UnreadableRow>,
}

impl Engine {
    /// Takes what is set now, in place of what was known of it: what this engine itself has changed and could not make
    /// durable is taken back as well. Open cases that a change concerns are looked at.
    pub fn learn_settings(&mut self, settings: Settings, moment: impl Into<Moment>) {
        self.turn.moment = moment.into();
        let queues = &self.turn.traffic.queues;
        let before = Before {
            active: std::mem::take(&mut self.active),
            services: queues.iter().map(|(s, q)| (Arc::clone(s), q.settings.clone())).collect(),
            decided: self.turn.strangers.forget_decisions(),
            holds: self.turn.rule_holds.take(),
            unreadable: std::mem::take(&mut self.unreadable),
        };
        for (service, settings) in &before.services {
            let tells_history = settings.tells_history;
            let known = ServiceSettings { tells_history, ..ServiceSettings::default() };
            self.turn.traffic.queue(service).settings = known;
        }
        let is_known = |(_, row): &(Arc<str>, UnreadableRow)| before.unreadable.contains(row);
        let (known, new): (Vec<_>, Vec<_>) =
            settings.broken_services.into_iter().partition(is_known);
        let settings = Settings { broken_services: new, ..settings };
        self.take_settings(settings, &FxHashMap::default());
        for (service, row) in known {
            // Its pause goes on as it began here.
            let paused = before.services.get(&service).cloned().unwrap_or_default();
            self.turn.traffic.queue(&service).settings = paused;
            self.unreadable.push(row);
        }
        self.heed_changes(before);
    }

    /// What is read at a start and again. `books` are versions that an engine before this one has read.
    pub(super) fn take_settings(
        &mut self,
        settings: Settings,
        books: &FxHashMap<Arc<str>, Arc<Rulebook>>,
    ) {
        self.unreadable = settings.unreadable;
        self.last_erasure = self.last_erasure.max(settings.last_erasure);
        for row in &settings.rulebooks {
            let read = match self.books.get(&row.hash).or_else(|| books.get(&row.hash)) {
                Some(book) => Ok(Arc::clone(book)),
                None => row.read(),
            };
            match read {
                Ok(book) if row.active => self.restore_active(book),
                Ok(book) => self.learn_rulebook(book),
                Err(unreadable) => self.unreadable.push(unreadable.into_row(row.active)),
            }
        }
        // What this version can't read declares nothing.
        for book in settings.earlier.iter().filter_map(|row| row.read().ok()) {
            self.turn.strangers.learn(&book);
        }
        settings.services.into_iter().for_each(|row| self.restore_service(row));
        for (service, unreadable) in settings.broken_services {
            self.pause_unreadable(service, unreadable);
        }
        settings.strangers.into_iter().for_each(|row| self.turn.strangers.decide(row));
        settings.rule_holds.into_iter().for_each(|row| self.turn.rule_holds.set(row));
        for (scope, unreadable) in settings.broken_rule_holds {
            self.hold_unreadable(scope, unreadable);
        }
    }

    /// What follows from what is set otherwise than before.
    fn heed_changes(&mut self, before: Before) {
        for row in self.unreadable.clone() {
            if !before.unreadable.contains(&row) {
                self.tell_unreadable_row(&row);
            }
        }
        for (name, was) in &before.active {
            if self.active.get(name).is_none_or(|book| book.hash() != was.hash()) {
                self.turn.strangers.learn(was);
            }
        }
        let is_new = |(name, book): &(&Arc<str>, &Arc<Rulebook>)| {
            before.active.get(*name).is_none_or(|was| was.hash() != book.hash())
        };
        let new: Vec<Arc<Rulebook>> =
            self.active.iter().filter(is_new).map(|(_, book)| Arc::clone(book)).collect();
        for book in new {
            let (name, hash) = (book.name().into(), book.hash().into());
            self.turn.publish(DomainEvent::Rulebook { name, hash });
        }
        let now = self.turn.moment.now;
        let services: Vec<Arc<str>> = self.turn.traffic.queues.keys().cloned().collect();
        for service in services {
            let was = before.services.get(&service);
            if was != Some(&self.turn.traffic.queue(&service).settings) {
                self.turn.traffic.watch_ages(&service, now);
                self.turn.traffic.stir(&service);
            }
        }
        for (rulebook, action) in self.turn.strangers.decided_otherwise(&before.decided) {
            self.look_at_those_who_know(&rulebook, &action, now);
        }
        let holds = self.turn.rule_holds.all().map(|hold| &hold.scope);
        let scopes: BTreeSet<HoldScope> = holds.chain(before.holds.keys()).cloned().collect();
        for scope in scopes {
            let was = before.holds.get(&scope).map(|hold| &hold.decision);
            if was != self.turn.rule_holds.decision(&scope) {
                self.look_at_those_held_by(&scope);
            }
        }
    }

    /// Takes back what operators set for a service. What it has shown of itself here stands.
    pub fn restore_service(&mut self, row: ServiceRow) {
        let mut settings = row.settings;
        if let (Some(pause), None) = (&settings.pause, settings.paused_since) {
            settings.paused_since = Some(pause.at); // written before ages stood still in a pause
        }
        let queue = self.turn.traffic.queue(&row.service);
        settings.tells_history |= queue.settings.tells_history;
        queue.settings = settings;
    }

    /// Somebody may have paused it: until a person resumes it, nothing is sent there.
    fn pause_unreadable(&mut self, service: Arc<str>, unreadable: UnreadableRow) {
        let reason = "its settings can't be read; resume it if it was not paused".into();
        let pause = Some(Decision { at: self.turn.moment.wall.0, by: SUPERVISOR.into(), reason });
        let paused_since = Some(self.turn.moment.now.0);
        let settings = ServiceSettings { pause, paused_since, ..ServiceSettings::default() };
        self.restore_service(ServiceRow { service, settings });
        self.unreadable.push(unreadable);
    }

    /// Somebody held it, and nobody can read more: until a person releases it, nothing that it asks for is sent.
    fn hold_unreadable(&mut self, scope: HoldScope, unreadable: UnreadableRow) {
        let reason = "who holds it, and why, can't be read; release it if that is over".into();
        let at = self.turn.moment.wall.0;
        let decision = Some(Decision { at, by: SUPERVISOR.into(), reason });
        self.turn.rule_holds.set(RuleHoldRow { scope, decision });
        self.unreadable.push(unreadable);
    }
}
