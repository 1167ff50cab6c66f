//! The loop on a store that nodes share: it takes partitions up to its due, gives up what is above, reads what others
//! have left for it, and tells them what became of that.
//!
//! INVARIANT: leases come to the node in the order in which the store told them, since the loop asks for them itself,
//! between two turns.

use super::{Driver, fault};
use crate::clock::Clock;
use crate::outbound::Outbound;
use crate::rejected::letters;
use crate::shares::partitions;
use crate::sharing::Heard;
use amends_engine::{Answer, Batch, Lease, LetterId, Loaded, Partition};
use amends_node::Done;
use amends_store::{Call, LetterAnswered, Store, StoreError};
use std::sync::{Arc, PoisonError};
use tokio::sync::oneshot;

impl<S: Store, O: Outbound, C: Clock> Driver<S, O, C> {
    /// Waits until the next turn may begin. Nobody waits while cases are read that others have left.
    pub(super) async fn gather(&mut self) {
        let goes_on = self.stopped || self.node.is_reading();
        let Some(shares) = self.shares.as_mut().filter(|_| !goes_on) else { return };
        if let Some(pause) = shares.gathering.pause(self.clock.monotonic()) {
            self.clock.sleep(pause).await;
        }
    }

    /// Takes up what has been heard of the other nodes.
    pub(super) async fn heed_the_others(&mut self) {
        let Some(shares) = &mut self.shares else { return };
        let Heard { mail, look, settings } = shares.told().take();
        self.node.settings_stand(settings.max(self.shared.life.settings()));
        mail.into_iter().for_each(|partition| self.node.mail(partition));
        let Some(look) = look else { return };
        shares.trust(look.since);
        shares.gathering.is_due(look.share);
        *self.shared.seat_at.lock().unwrap_or_else(PoisonError::into_inner) = look.seat_at;
        let most = self.shared.letters;
        let crowded = look.letters.iter().filter(|(_, letters)| *letters > most);
        *self.shared.crowded.lock().unwrap_or_else(PoisonError::into_inner) =
            crowded.map(|(partition, _)| *partition).collect();
        self.node.raise_numbers(look.highest);
        if self.node.is_away() {
            return; // what is held is raised with the next loading
        }
        let held = {
            let shared = Arc::clone(&self.shared);
            let _turn = shared.heartbeat.turn();
            self.hold(look.share).await
        };
        if let Err(error) = held {
            // The next commit finds it out as well, and that is told.
            tracing::debug!(%error, "what this node holds can't be asked for");
        }
    }

    /// Takes what is free up to our due, and gives up what is above.
    async fn hold(&mut self, share: usize) -> Result<(), StoreError> {
        let Some(shares) = &mut self.shares else { return Ok(()) };
        let life = self.shared.life.current();
        if life != shares.life {
            tracing::warn!(
                "this node counted as dead for a while; what others have taken is theirs"
            );
            let raised = self.store.raise().await?;
            shares.life = life;
            shares.line.begin_anew();
            self.node.claimed(raised);
        }
        let takes = !self.stopped && !self.shared.life.is_leaving();
        let mut leases = self.store.claim(0).await?;
        let connection_broke = leases.is_empty() && !shares.held.is_empty();
        if connection_broke || shares.is_unsure {
            leases = self.store.raise().await?;
            shares.is_unsure = false;
        }
        let most = share.saturating_sub(leases.len());
        if takes && most > 0 && self.shared.life.all_are_back(self.clock.boot()) {
            leases = self.store.claim(most).await?;
        }
        shares.hold(partitions(&leases), &self.shared);
        self.node.claimed(leases);
        let given_up = match takes {
            true => shares.above(share),
            false => shares.held.iter().copied().collect(),
        };
        given_up.into_iter().for_each(|partition| self.node.hand_over(partition));
        Ok(())
    }

    /// Reads what a partition has beside its open cases, unless another has taken it meanwhile.
    pub(super) async fn adopt(&mut self, lease: Lease) -> Done {
        match self.store.adopt(lease.partition).await {
            Err(StoreError::NotHeld { .. }) => {
                if let Ok(held) = self.store.claim(0).await {
                    self.node.claimed(held);
                }
                Done::NotHeld
            }
            adopted => {
                self.take_over_breakers();
                Done::Adopted(adopted.map_err(fault))
            }
        }
    }

    /// What the other nodes can't reach is probed before the cases that come run into it.
    fn take_over_breakers(&mut self) {
        let Some(me) = self.store.own_name() else { return };
        for (service, message) in self.shared.hub.outages(&me) {
            self.node.heard_out_of_reach(&service, message.as_deref());
        }
    }

    /// Nothing of these is here any more.
    pub(super) async fn give_back(&mut self, partitions: Vec<Partition>) {
        let Some(shares) = &mut self.shares else { return };
        let held = shares.held.iter().filter(|one| !partitions.contains(one)).copied().collect();
        shares.hold(held, &self.shared);
        let count = partitions.len();
        match self.store.release(partitions).await {
            Ok(()) => tracing::info!(count, "partitions were given back"),
            Err(error) => {
                shares.is_unsure = true;
                tracing::warn!(%error, count, "partitions can't be given back; they are taken up again");
            }
        }
        self.store.call(Call::Leases);
    }

    /// At the end: whatever is left.
    pub(super) async fn give_all_back(&mut self) {
        let all = match &self.shares {
            Some(shares) => shares.held.iter().copied().collect(),
            None => vec![Partition::WHOLE],
        };
        if let Err(error) = self.store.release(all).await {
            tracing::warn!(%error, "the store can't be given back; others take over when we count as dead");
        }
        self.store.call(Call::Leases);
    }

    /// At the stop: others take over in order.
    pub(super) fn hand_all_over(&mut self) {
        let held = self.shares.iter().flat_map(|shares| &shares.held);
        held.for_each(|partition| self.node.hand_over(*partition));
    }

    /// What was held before is raised.
    pub(super) fn before_load(&mut self) {
        if let Some(shares) = &mut self.shares {
            let life = self.shared.life.current();
            if life != shares.life {
                shares.line.begin_anew();
            }
            shares.life = life;
            shares.was_ready = false;
            shares.leaving.clear();
        }
    }

    pub(super) fn have_loaded(&mut self, loaded: &Result<Loaded, StoreError>) {
        if let Some(shares) = &mut self.shares
            && let Ok(Loaded { shared: Some(store), .. }) = loaded
        {
            shares.hold(partitions(&store.leases), &self.shared);
        }
    }

    /// Effects are let out in the life in which their commit was asked for, or never.
    pub(super) fn before_commit(&mut self, batch: &Batch) {
        if let Some(shares) = &mut self.shares {
            shares.asked_in = Some(self.shared.life.current());
            shares.gathering.commits(self.clock.monotonic());
            shares.posted = batch.letters.iter().map(|letter| letter.partition).collect();
        }
    }

    /// That life; none of a store that is owned as a whole. What needed no commit rests on what was held before.
    pub(super) fn life_of_commit(&mut self) -> Option<u64> {
        let shares = self.shares.as_mut()?;
        Some(shares.asked_in.take().unwrap_or(shares.life))
    }

    pub(super) fn nothing_was_committed(&mut self) {
        if let Some(shares) = &mut self.shares {
            shares.asked_in = None;
            shares.posted.clear();
        }
    }

    /// Whoever has brought what is another's waits a moment for its word.
    pub(super) fn reply(&self, reply: oneshot::Sender<Answer>, answer: Answer) {
        match answer {
            Answer::Posted(letter) => self.shared.doors.open(letter, reply, self.clock.monotonic()),
            answer => drop(reply.send(answer)), // the one who asked has gone away
        }
    }

    /// The others wait for it who have set something.
    pub(super) fn tell_what_is_known(&mut self) {
        let seen = self.node.settings_seen();
        if let Some(shares) = &mut self.shares
            && shares.settings_seen != seen
        {
            shares.settings_seen = seen;
            self.store.saw_settings(seen);
        }
    }

    /// Tells the other nodes what was left for them, what was set for all sagas, and what became of what they have
    /// left. Only once those who wait for it stand at their doors.
    pub(super) fn call_out(&mut self, settings: Option<u64>, answered: Vec<(LetterId, Answer)>) {
        let Some(shares) = &mut self.shares else { return };
        for partition in std::mem::take(&mut shares.posted) {
            self.store.call(Call::Letters(partition));
        }
        if let Some(version) = settings {
            self.store.call(Call::Settings(version));
        }
        let is_refusal = |(_, answer): &&(LetterId, Answer)| answer.refused().is_some();
        let refused: Vec<LetterId> =
            answered.iter().filter(is_refusal).map(|(letter, _)| *letter).collect();
        if !refused.is_empty() {
            let (store, shared) = (self.store.clone(), Arc::clone(&self.shared));
            tokio::spawn(letters::tell_people(store, shared, refused));
        }
        for (letter, answer) in answered {
            self.store.call(Call::Answered(LetterAnswered { letter, answer }));
        }
    }
}
