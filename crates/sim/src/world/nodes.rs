//! What nodes share beside the rows of their store: who holds which partition, who lives, and what was left for whom.
//! It does at one moment what a database does in one statement.

use amends_engine::{
    Batch, Epoch, Lease, Letter, LetterId, LetterKind, LetterMark, LettersRead, LettersWanted,
    Partition, RuleMinute, RuleMinutes, Share, SharedStore, Ticket,
};
use amends_protocol::Timestamp;
use amends_simulate::SeededRng;
use std::collections::{BTreeMap, BTreeSet};

/// How long a node counts as alive after it has shown itself, in milliseconds.
const LEASE_MS: i64 = 5_000;

/// Age of the last sign of life from which on a node sends nothing, in milliseconds.
const SENDS_MS: i64 = 3_000;

/// By how much a node may be wrong about the store's clock, in milliseconds: half of the longest round trip by which it
/// measures it.
pub(super) const CLOCK_OFF_MS: i64 = 100;

/// The first case number that tells its partition.
const FIRST_NUMBER: u64 = 64;

/// Parts of the sagas and the seat.
const PARTITIONS: usize = Partition::PARTS + 1;

/// The nodes of a run and what they share.
pub(super) struct Nodes {
    seed: u64,
    leases: BTreeMap<Partition, LeaseRow>,
    rows: Vec<NodeRow>,
    /// In which order each node takes partitions; it gives them back from the end.
    orders: Vec<Vec<Partition>>,
    /// By the commit that has brought them, and in its order.
    letters: BTreeMap<Partition, BTreeMap<[i64; 2], Letter>>,
    last_letter: i64,
    last_commit: i64,
    /// Commits that have begun and not ended: what they bring is not there yet, and has its place already.
    open: BTreeSet<i64>,
    /// Until when nobody reaches the store, and until when each node does not.
    away_until: i64,
    cut_off_until: Vec<i64>,
    rule_minutes: RuleMinutes,
    /// Who waits for what becomes of a letter.
    pub(super) doors: BTreeMap<LetterId, Ticket>,
}

#[derive(Clone, Copy, Default)]
struct LeaseRow {
    owner: Option<usize>,
    epoch: Epoch,
    /// Its owner got it from nobody.
    orderly: bool,
}

#[derive(Clone, Copy)]
struct NodeRow {
    alive_until: i64,
    since: i64,
    /// It takes nothing more.
    leaving: bool,
    /// How often it was found dead.
    lives: u64,
}

/// Another one for each node, so that no two want the same.
fn order_of(node: usize) -> Vec<Partition> {
    let mut order: Vec<Partition> = Partition::parts().chain([Partition::SEAT]).collect();
    order.sort_by_cached_key(|partition| {
        amends_protocol::digest(&[&node.to_string(), &partition.0.to_string()])
    });
    order
}

/// What a node is told when it shows itself.
pub(super) struct Beaten {
    pub(super) leases: Vec<Lease>,
    /// What it should give back.
    pub(super) above: Vec<Partition>,
    /// How often it was found dead.
    pub(super) lives: u64,
}

impl Nodes {
    pub(super) fn new(count: usize, seed: u64) -> Self {
        let leases = Partition::parts().chain([Partition::SEAT]);
        let dead = NodeRow { alive_until: i64::MIN, since: 0, leaving: false, lives: 0 };
        Self {
            seed,
            leases: leases.map(|partition| (partition, LeaseRow::default())).collect(),
            rows: vec![dead; count],
            orders: (0..count).map(order_of).collect(),
            letters: BTreeMap::new(),
            last_letter: 0,
            last_commit: 0,
            open: BTreeSet::new(),
            away_until: 0,
            cut_off_until: vec![0; count],
            rule_minutes: RuleMinutes::default(),
            doors: BTreeMap::new(),
        }
    }

    pub(super) fn count(&self) -> usize {
        self.rows.len()
    }

    /// In a third of the runs nothing but hand-overs happens to nodes and their store.
    pub(super) fn are_calm(&self) -> bool {
        self.draw(&[6]).chance(34)
    }

    /// For which node the store is slow in the beginning, if for one.
    pub(super) fn slow_one(&self) -> Option<usize> {
        let mut rng = self.draw(&[15]);
        rng.chance(25).then(|| rng.below(self.count()))
    }

    /// Most letters that the store tells at once.
    pub(super) fn page(&self) -> usize {
        if self.draw(&[16]).chance(30) { 2 } else { usize::MAX }
    }

    /// Something drawn for this run.
    pub(super) fn draw(&self, of: &[u64]) -> SeededRng {
        SeededRng::of(self.seed, &[&[20], of].concat())
    }

    /// How far ahead a node takes the store's clock to be, in milliseconds: it has measured it.
    pub(super) fn clock_off_ms(&self, node: usize) -> i64 {
        let most = CLOCK_OFF_MS.unsigned_abs();
        self.draw(&[11, node as u64]).between(0, 2 * most).cast_signed() - CLOCK_OFF_MS
    }

    /// A node takes nothing more, or takes again.
    pub(super) fn set_leaving(&mut self, node: usize, leaving: bool) {
        self.rows[node].leaving = leaving;
    }

    fn is_alive(&self, node: usize, now: i64) -> bool {
        self.rows[node].alive_until > now
    }

    /// A node shows itself, and counts as alive until `until`; it takes what is free up to its share.
    pub(super) fn beat(&mut self, node: usize, now: i64, until: i64) -> Beaten {
        if !self.is_alive(node, now) {
            self.rows[node].since = now;
            self.rows[node].lives += 1;
        }
        self.rows[node].alive_until = until + LEASE_MS;
        let takers = (0..self.count()).filter(|n| self.is_alive(*n, now) && !self.rows[*n].leaving);
        let share = match self.rows[node].leaving {
            true => 0,
            false => PARTITIONS.div_ceil(takers.count().max(1)),
        };
        let settled = self.rows[node].since <= now - LEASE_MS;
        let mut held = self.held_by(node).count();
        for partition in &self.orders[node] {
            let row = self.leases[partition];
            let is_free = row.owner.is_none_or(|owner| settled && !self.is_alive(owner, now));
            if is_free && held < share {
                let epoch = Epoch(row.epoch.0 + 1);
                let orderly = row.owner.is_none();
                self.leases.insert(*partition, LeaseRow { owner: Some(node), epoch, orderly });
                held += 1;
            }
        }
        let leases: Vec<Lease> = self.held_by(node).collect();
        let mut above = Vec::new();
        if leases.len() > share {
            let held = |one: &&Partition| self.leases[*one].owner == Some(node);
            let last = self.orders[node].iter().rev().filter(held).copied();
            above.extend(last.take(if share == 0 { PARTITIONS } else { 1 }));
        }
        Beaten { leases, above, lives: self.rows[node].lives }
    }

    fn held_by(&self, node: usize) -> impl Iterator<Item = Lease> {
        let held = self.leases.iter().filter(move |(_, row)| row.owner == Some(node));
        held.map(|(partition, row)| Lease { partition: *partition, epoch: row.epoch })
    }

    /// Whether every partition is held by a node that lives and takes, and nobody holds too much.
    pub(super) fn is_settled(&self, now: i64) -> bool {
        let takes = |node: usize| self.is_alive(node, now) && !self.rows[node].leaving;
        let share = PARTITIONS.div_ceil(self.count());
        self.leases.values().all(|row| row.owner.is_some_and(takes))
            && (0..self.count()).all(|node| takes(node) && self.held_by(node).count() <= share)
    }

    /// Nothing of a node from before can land any more; tells what it holds.
    pub(super) fn raise(&mut self, node: usize, now: i64) -> SharedStore {
        for row in self.leases.values_mut().filter(|row| row.owner == Some(node)) {
            row.epoch.0 += 1;
            row.orderly = false;
        }
        SharedStore {
            first_number: FIRST_NUMBER,
            leases: self.held_by(node).collect(),
            rule_minutes: self.rule_minutes(now),
        }
    }

    pub(super) fn is_orderly(&self, partition: Partition) -> bool {
        self.leases.get(&partition).is_some_and(|row| row.orderly)
    }

    pub(super) fn owner(&self, partition: Partition) -> Option<usize> {
        self.leases.get(&partition)?.owner
    }

    /// A node gives partitions back.
    pub(super) fn release(&mut self, node: usize, partitions: &[Partition]) {
        for partition in partitions {
            if let Some(row) = self.leases.get_mut(partition)
                && row.owner == Some(node)
            {
                row.owner = None;
            }
        }
    }

    /// Whether a node holds a partition in this epoch.
    pub(super) fn holds(&self, node: usize, lease: Lease) -> bool {
        let row = self.leases.get(&lease.partition);
        row.is_some_and(|row| row.owner == Some(node) && row.epoch == lease.epoch)
    }

    /// A partition as a node holds it, if it does.
    pub(super) fn lease_of(&self, node: usize, partition: Partition) -> Option<Lease> {
        let row = self.leases.get(&partition).filter(|row| row.owner == Some(node))?;
        Some(Lease { partition, epoch: row.epoch })
    }

    /// Whether a node may write what it was about to write.
    pub(super) fn may_send(now: i64, (last_beat, lives): (i64, u64), asked_in: u64) -> bool {
        now < last_beat + SENDS_MS && lives == asked_in
    }

    /// The shares of a batch that are held by the node in their epochs, and what is lost.
    pub(super) fn judge(&self, node: usize, batch: &Batch) -> (Vec<Share>, Vec<Partition>) {
        let is_held = |share: &Share| {
            let letters = self.letters.get(&share.partition);
            let has = |id: &LetterId| letters.is_some_and(|all| all.values().any(|l| l.id == *id));
            let lease = Lease { partition: share.partition, epoch: share.epoch };
            self.holds(node, lease) && share.taken.iter().all(has)
        };
        let (held, lost): (Vec<Share>, Vec<Share>) =
            batch.shares.iter().cloned().partition(is_held);
        (held, lost.into_iter().map(|share| share.partition).collect())
    }

    /// A commit begins: what it leaves for others has its place from now on.
    pub(super) fn begin_commit(&mut self) -> i64 {
        self.last_commit += 1;
        self.open.insert(self.last_commit);
        self.last_commit
    }

    /// A commit has ended, whatever became of it.
    pub(super) fn end_commit(&mut self, commit: i64) {
        self.open.remove(&commit);
    }

    /// Counts the cases that limited rules answer by these shares; false if one would pass its limit.
    pub(super) fn count_rules(&mut self, held: &[Share], now: i64) -> bool {
        let cases = held.iter().flat_map(|share| &share.rule_cases);
        self.rule_minutes.count(cases, Timestamp(now))
    }

    /// The minutes of limited rules.
    pub(super) fn rule_minutes(&self, now: i64) -> Vec<RuleMinute> {
        self.rule_minutes.told(Timestamp(now))
    }

    /// What a batch took is gone, and what it leaves is there.
    pub(super) fn post(&mut self, held: &[Share], letters: &[Letter], commit: i64) {
        for share in held {
            if let Some(all) = self.letters.get_mut(&share.partition) {
                all.retain(|_, letter| !share.taken.contains(&letter.id));
            }
        }
        for letter in letters {
            self.last_letter += 1;
            let of_it = self.letters.entry(letter.partition).or_default();
            of_it.insert([commit, self.last_letter], letter.clone());
        }
    }

    /// As the store reads them: what lies past the first commit that is still open is told again.
    pub(super) fn letters(
        &self,
        LettersWanted { partition, after, most }: LettersWanted,
    ) -> LettersRead {
        let after = after.map_or([i64::MIN; 2], |LetterMark(place)| place);
        let of_it = self.letters.get(&partition).into_iter().flatten();
        let later = of_it.filter(|(place, _)| **place > after);
        let some: Vec<([i64; 2], Letter)> =
            later.take(most).map(|(place, letter)| (*place, letter.clone())).collect();
        let ended = some.len() < most;
        let settled = [self.open.first().copied().unwrap_or(self.last_commit + 1), i64::MIN];
        let last = some.last().filter(|_| !ended).map(|(place, _)| *place);
        let next = LetterMark(last.map_or(settled, |last| last.min(settled)));
        let letters = some.into_iter().map(|(_, letter)| letter).collect();
        LettersRead { partition, letters, unread: Vec::new(), next, ended }
    }

    /// What lies in an inbox.
    pub(super) fn inbox(&self, partition: Partition) -> BTreeSet<LetterId> {
        let of_it = self.letters.get(&partition).into_iter().flatten();
        of_it.map(|(_, letter)| letter.id).collect()
    }

    /// Nobody reaches the store until then.
    pub(super) fn go_away(&mut self, until: i64) {
        self.away_until = self.away_until.max(until);
    }

    /// A node does not reach the store until then.
    pub(super) fn cut_off(&mut self, node: usize, until: i64) {
        self.cut_off_until[node] = self.cut_off_until[node].max(until);
    }

    pub(super) fn is_away(&self, now: i64) -> bool {
        now < self.away_until
    }

    /// Whether a node reaches the store.
    pub(super) fn reaches(&self, node: usize, now: i64) -> bool {
        !self.is_away(now) && now >= self.cut_off_until[node]
    }

    /// Partitions for which something was left.
    pub(super) fn with_letters(&self) -> impl Iterator<Item = Partition> {
        let some = self.letters.iter().filter(|(_, letters)| !letters.is_empty());
        some.map(|(partition, _)| *partition)
    }

    /// Letters that wait, and for whom.
    pub(super) fn waiting(&self) -> impl Iterator<Item = (Partition, LetterKind)> {
        let all = self.letters.values().flat_map(BTreeMap::values);
        all.map(|letter| (letter.partition, letter.kind))
    }

    /// What whoever has left a letter is told, if it still waits.
    pub(super) fn answer_to(&mut self, letter: LetterId) -> Option<Ticket> {
        self.doors.remove(&letter)
    }
}
