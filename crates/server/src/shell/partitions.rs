//! The loop on a store that nodes share: it takes partitions up to its due, gives up what is above, reads what others
//! have left for it, and tells them what became of that.
//!
//! INVARIANT: leases come to the node in the order in which the store told them, since the loop asks for them itself,
//! between two turns.

use super::{Driver, fault, ms};
use crate::clock::Clock;
use crate::leases;
use crate::mailbox::Shared;
use crate::outbound::Outbound;
use crate::sharing::{self, Heard, Sharing, Told};
use crate::store_line::StoreLine;
use amends_engine::{Answer, Batch, Lease, LetterId, Loaded, Moment, Partition};
use amends_node::{Done, Jump, Node};
use amends_protocol::Timestamp;
use amends_store::{Call, LETTERS_LIMIT, LetterAnswered, Store, StoreError};
use std::collections::BTreeSet;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// Partitions that are given up at one look: each waits for what is under way of it, and is read anew elsewhere.
const AT_ONCE: usize = 4;

/// What the loop knows of its part of a store that nodes share.
pub(super) struct Shares {
    sharing: Sharing,
    line: StoreLine,
    trust_after: Duration,
    /// What the store has said last, but for what was given back since.
    held: BTreeSet<Partition>,
    /// Those of them that are above our due, and on their way to others.
    leaving: BTreeSet<Partition>,
    /// The life in which they were taken.
    life: u64,
    /// The life in which the commit was asked for whose effects are released next.
    asked_in: Option<u64>,
    /// The partitions for which that commit has left letters.
    posted: BTreeSet<Partition>,
    /// All that was held has been read once since the last loading.
    was_ready: bool,
    /// The version of the settings that others know this node to go by.
    settings_seen: u64,
}

impl Shares {
    /// Shows that this node lives, and takes what is its due, as far as nobody holds it.
    pub(super) async fn begin<S: Store>(
        store: &S,
        clock: &impl Clock,
        shared: &Arc<Shared>,
        trust_after: Duration,
    ) -> Result<Self, StoreError> {
        leases::beat(store, clock, shared).await?;
        store.raise().await?;
        let look = sharing::look(store).await?;
        let held = store.claim(look.share).await?;
        let mut shares = Self {
            sharing: Sharing::begin(store, shared),
            line: StoreLine::begin(ms(clock.boot()), clock.now()),
            trust_after,
            held: BTreeSet::new(),
            leaving: BTreeSet::new(),
            life: shared.life.current(),
            asked_in: None,
            posted: BTreeSet::new(),
            was_ready: false,
            settings_seen: 0,
        };
        shares.trust(look.since);
        shares.hold(partitions(&held), shared);
        Ok(shares)
    }

    pub(super) fn told(&self) -> Arc<Told> {
        Arc::clone(self.sharing.told())
    }

    /// What the clock of the store says now.
    pub(super) fn read_clock(
        &mut self,
        clock: &impl Clock,
        shared: &Shared,
    ) -> (Moment, Option<Jump>) {
        self.line.read(ms(clock.boot()), shared.life.clock())
    }

    /// So much is held now.
    fn hold(&mut self, held: BTreeSet<Partition>, shared: &Shared) {
        if held != self.held {
            self.leaving.retain(|partition| held.contains(partition));
            *shared.held.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(held.clone());
            self.held = held;
        }
    }

    /// Whoever has something to tell could reach one of the nodes since then.
    fn trust(&mut self, since: Option<Timestamp>) {
        let since = since.unwrap_or(Timestamp(i64::MAX));
        self.line.trust_from(since.plus_ms(ms(self.trust_after)));
    }

    /// A partition that comes while others are worked on keeps nobody out.
    pub(super) fn is_ready(&mut self, node: &Node, stopped: bool) -> bool {
        self.was_ready |= node.is_ready();
        self.was_ready && !stopped && !node.is_away()
    }

    /// What is to be given up, of what is above our due.
    fn above(&mut self, share: usize) -> Vec<Partition> {
        let held = &self.held;
        let above = (held.len() - self.leaving.len()).saturating_sub(share);
        let leaving = &self.leaving;
        // What concerns all sagas stays where it is as long as it can.
        let stays = |one: &&Partition| **one != Partition::SEAT && !leaving.contains(*one);
        let next: Vec<Partition> =
            held.iter().rev().filter(stays).take(above.min(AT_ONCE)).copied().collect();
        self.leaving.extend(next);
        self.leaving.iter().copied().collect()
    }
}

fn partitions(leases: &[Lease]) -> BTreeSet<Partition> {
    leases.iter().map(|lease| lease.partition).collect()
}

impl<S: Store, O: Outbound, C: Clock> Driver<S, O, C> {
    /// Takes up what has been heard of the other nodes.
    pub(super) async fn heed_the_others(&mut self) {
        let Some(shares) = &mut self.shares else { return };
        let Heard { mail, look, settings } = shares.told().take();
        self.node.settings_stand(settings.max(self.shared.life.settings()));
        mail.into_iter().for_each(|partition| self.node.mail(partition));
        let Some(look) = look else { return };
        shares.trust(look.since);
        *self.shared.seat_at.lock().unwrap_or_else(PoisonError::into_inner) = look.seat_at;
        let crowded = look.letters.iter().filter(|(_, letters)| *letters > LETTERS_LIMIT);
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
        if leases.is_empty() && !shares.held.is_empty() {
            leases = self.store.raise().await?; // its connection broke
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
            adopted => Done::Adopted(adopted.map_err(fault)),
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
            // They are ours by the store alone, and so are taken up again or raised.
            Err(error) => tracing::warn!(%error, count, "partitions can't be given back"),
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
            Answer::Posted(letter) => self.shared.doors.open(letter, reply, Instant::now()),
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

    /// Tells the other nodes what was left for them, what was set for all sagas, and what became of what they have left. Only once those who wait
    /// for it stand at their doors.
    pub(super) fn call_out(&mut self, settings: Option<u64>, answered: Vec<(LetterId, Answer)>) {
        let Some(shares) = &mut self.shares else { return };
        for partition in std::mem::take(&mut shares.posted) {
            self.store.call(Call::Letters(partition));
        }
        if let Some(version) = settings {
            self.store.call(Call::Settings(version));
        }
        for (letter, answer) in answered {
            if let Answer::Invalid(why) = &answer {
                // Whoever waited for less than a second has been told so.
                tracing::error!(%letter, why, "what another node has left can't be taken");
            }
            self.store.call(Call::Answered(LetterAnswered { letter, answer }));
        }
    }
}
