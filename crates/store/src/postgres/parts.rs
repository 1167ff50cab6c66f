//! Leases each by itself, for nodes that share a store: a node takes some parts, and the seat is one more.
//!
//! INVARIANT: as in `lease.rs`, rows are locked in the order of their number, and looked at by a statement that
//! begins when they are locked. Only rows that nobody who lives owns are locked here, and one's own: a claim keeps
//! no commit of another node waiting, and waits for none that a dead one has left (`lingering.rs`).

use super::{
    lease::{Held, LOCK_ALL, Me},
    lingering::PassedOver,
    session::{Session, database},
};
use crate::{Lease, Partition, StoreError};
use std::{collections::BTreeSet, time::Duration};

/// What may be claimed: what nobody owns; what this node owns by its row and does not know of, from an earlier process
/// or a claim of unknown end; and, once it has lived for long enough, what a dead one owns. Nothing in a store that is
/// not shared: whoever holds that as a whole looks at the seat's lease alone.
macro_rules! claimable {
    () => {
        "WITH me AS MATERIALIZED (
           SELECT since <= clock_timestamp() - make_interval(secs => $3) AS settled
           FROM node WHERE id = $1 AND incarnation = $2::uuid AND alive_until > clock_timestamp() AND NOT leaving
             AND NOT EXISTS (SELECT FROM marks WHERE name = 'moving')
             AND EXISTS (SELECT FROM marks WHERE name = 'first_number')),
         free AS MATERIALIZED (
           SELECT l.partition FROM lease l, me
           WHERE l.owner IS NULL OR (l.owner = $1 AND l.epoch <> ($4::bigint[])[l.partition + 1])
             OR (l.owner <> $1 AND me.settled
               AND NOT EXISTS (SELECT FROM node n WHERE n.id = l.owner AND n.alive_until > clock_timestamp())))"
    };
}

/// Each node has an order of its own, so that those that come at once seldom want the same.
const LOOK: &str = concat!(
    claimable!(),
    " SELECT partition FROM free ORDER BY hashtextextended($1, partition) LIMIT $5"
);
const LOCK: &str =
    "SELECT partition FROM lease WHERE partition = ANY($1::int[]) ORDER BY partition FOR UPDATE";
const LOCK_FREE: &str = "SELECT partition FROM lease WHERE partition = ANY($1::int[]) ORDER BY partition FOR UPDATE SKIP LOCKED";
const TAKE: &str = concat!(
    claimable!(),
    " UPDATE lease l SET owner = $1, epoch = l.epoch + 1, since = clock_timestamp(),
        orderly = l.orderly AND l.owner IS NULL
      FROM free WHERE l.partition = free.partition AND l.partition = ANY($5::int[])
      RETURNING l.partition, l.epoch"
);
const MINE: &str = "SELECT partition FROM lease WHERE owner = $1 ORDER BY partition FOR UPDATE";
const RAISE: &str = "
    UPDATE lease SET epoch = epoch + 1, orderly = false
    WHERE owner = $1 AND partition = ANY($3::int[])
      AND EXISTS (SELECT FROM node WHERE id = $1 AND incarnation = $2::uuid)
    RETURNING partition, epoch";
const RELEASE: &str = "
    UPDATE lease SET owner = NULL, since = clock_timestamp(), orderly = true
    WHERE owner = $1 AND partition = ANY($3::int[]) AND epoch = ($2::bigint[])[partition + 1]";

const ADOPTED: &str = "
    SELECT greatest(last_seq, (SELECT value / 64 - 1 FROM marks WHERE name = 'first_number')), orderly
    FROM lease WHERE partition = $1 AND owner = $2 AND epoch = $3";

pub(super) const IS_SHARED: &str =
    "SELECT EXISTS (SELECT FROM marks WHERE name = 'first_number')::text";
/// From now on nodes share the parts. No node that holds everything lives, and whatever one of before may still have
/// under way is refused. Numbers of cases tell their part from the next multiple of 64 on.
const SHARE: &str = "
    WITH me AS MATERIALIZED (
      SELECT since <= clock_timestamp() - make_interval(secs => $3) AS settled
      FROM node WHERE id = $1 AND incarnation = $2::uuid AND alive_until > clock_timestamp() AND NOT leaving
        AND NOT EXISTS (SELECT FROM marks WHERE name IN ('moving', 'first_number'))),
    free AS MATERIALIZED (
      SELECT FROM me WHERE NOT EXISTS (
        SELECT FROM lease l WHERE l.owner <> $1
          AND (NOT me.settled OR EXISTS (SELECT FROM node n WHERE n.id = l.owner AND n.alive_until > clock_timestamp())))),
    raised AS (UPDATE lease SET owner = NULL, epoch = epoch + 1, orderly = false WHERE EXISTS (SELECT FROM free)),
    counted_up AS (
      UPDATE marks SET value = value
        + (SELECT count(*) FROM cases WHERE id > (SELECT value FROM marks WHERE name = 'counted_to'))
      WHERE name = 'cases' AND EXISTS (SELECT FROM free) AND EXISTS (SELECT FROM marks WHERE name = 'counted_to')),
    uncounted AS (DELETE FROM marks WHERE name IN ('counted_to', 'counted_by') AND EXISTS (SELECT FROM free)),
    counted AS (
      INSERT INTO marks (name, value) SELECT 'cases:' || n, 0 FROM generate_series(0, 64) AS n, free)
    INSERT INTO marks (name, value)
      SELECT 'first_number', 64 * (1 + greatest(
        (SELECT max(id) FROM cases), (SELECT value FROM marks WHERE name = 'last_case'), 0) / 64)
      FROM free";

/// Refuses to hold as a whole what nodes share.
pub(super) fn refuse_shared(session: &Session, place: &str) -> Result<(), StoreError> {
    if session.text(IS_SHARED).map_err(database("look whether nodes share the store"))? != "true" {
        return Ok(());
    }
    Err(StoreError::Unusable {
        database: place.to_owned(),
        why:
            "nodes share the store in it, and so does whoever is alone; set `cluster.share = true`"
                .to_owned(),
    })
}

/// What is held of the parts, and what could not be had.
#[derive(Debug)]
pub(super) struct PartLeases(pub(super) Held, PassedOver);

impl Default for PartLeases {
    fn default() -> Self {
        Self(Held::nothing(), PassedOver::default())
    }
}

impl PartLeases {
    pub(super) fn leases(&self) -> Vec<Lease> {
        self.0.each().collect()
    }

    /// Takes up to so many more.
    pub(super) fn claim(
        &mut self,
        session: &Session,
        me: &Me,
        most: usize,
    ) -> Result<(), StoreError> {
        if self.0.each().next().is_none() {
            // A node lives before it holds anything; whoever claims looks for that row.
            me.beat(session)?;
        }
        self.claim_after(session, me, most, me.lease_time)
    }

    /// As [`claim`](Self::claim), by a node that has to have lived for so long before it takes what was a dead one's.
    pub(super) fn claim_after(
        &mut self,
        session: &Session,
        me: &Me,
        most: usize,
        lived: Duration,
    ) -> Result<(), StoreError> {
        const DOING: &str = "claim what this node is to hold";
        if self.0.each().next().is_none() {
            begin_sharing(session, me, lived)?;
        }
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        let free = session.run(async |line| {
            sqlx::query_scalar::<_, i32>(LOOK)
                .bind(&me.node)
                .bind(&me.incarnation)
                .bind(lived.as_secs_f64())
                .bind(&self.0.epochs[..])
                .bind(most)
                .fetch_all(line)
                .await
        });
        let free = free.map_err(database(DOING))?;
        if free.is_empty() {
            return self.1.again(session, BTreeSet::new());
        }
        let (locked, taken) = session.transact(|| {
            let taken = session.run(async |line| {
                let lock = sqlx::query_scalar::<_, i32>(LOCK_FREE).bind(&free[..]);
                let locked = lock.fetch_all(&mut *line).await?;
                let take = sqlx::query_as::<_, (i32, i64)>(TAKE)
                    .bind(&me.node)
                    .bind(&me.incarnation)
                    .bind(lived.as_secs_f64())
                    .bind(&self.0.epochs[..])
                    .bind(&locked[..]);
                let taken = take.fetch_all(line).await?;
                Ok((locked, taken))
            });
            taken.map_err(database(DOING))
        })?;
        taken.into_iter().for_each(|(part, epoch)| self.0.put(part, epoch));
        let passed = free.into_iter().filter(|part| !locked.contains(part));
        self.1.again(session, passed.collect())
    }

    /// Raises what this process holds, also what it only may hold, after a commit or claim of unknown end.
    pub(super) fn raise(&mut self, session: &Session, me: &Me) -> Result<(), StoreError> {
        self.0 = Held::nothing();
        let raised = session.transact(|| {
            let raised = session.run(async |line| {
                let mine = sqlx::query_scalar::<_, i32>(MINE).bind(&me.node).fetch_all(&mut *line);
                let mine = mine.await?;
                sqlx::query_as::<_, (i32, i64)>(RAISE)
                    .bind(&me.node)
                    .bind(&me.incarnation)
                    .bind(mine)
                    .fetch_all(line)
                    .await
            });
            raised.map_err(database("raise what this node holds"))
        })?;
        raised.into_iter().for_each(|(part, epoch)| self.0.put(part, epoch));
        Ok(())
    }

    /// What the lease of a part that is held tells.
    pub(super) fn adopted(
        &self,
        session: &Session,
        me: &Me,
        partition: Partition,
    ) -> Result<(u64, bool), StoreError> {
        let held = self.0.each().find(|lease| lease.partition == partition);
        let epoch = held.map(|lease| lease.epoch).unwrap_or_default();
        let told = session.run(async |line| {
            sqlx::query_as::<_, (i64, bool)>(ADOPTED)
                .bind(i32::from(partition.0))
                .bind(&me.node)
                .bind(epoch.0.cast_signed())
                .fetch_optional(line)
                .await
        });
        let (last, orderly) = told
            .map_err(database("read what a lease tells"))?
            .filter(|_| held.is_some())
            .ok_or(StoreError::NotHeld { partition, epoch })?;
        Ok((last.cast_unsigned(), orderly))
    }

    /// Gives some back; what is not held is left alone.
    pub(super) fn release(
        &mut self,
        session: &Session,
        me: &Me,
        partitions: &[Partition],
    ) -> Result<(), StoreError> {
        let held = self.0.each().map(|lease| lease.partition);
        let given: Vec<i32> =
            held.filter(|part| partitions.contains(part)).map(|part| part.0.into()).collect();
        if given.is_empty() {
            return Ok(());
        }
        let epochs = self.0.epochs.clone();
        // Whatever becomes of it, nothing more is written for them.
        partitions.iter().for_each(|part| self.0.drop_part(part.0.cast_signed()));
        session.transact(|| {
            let released = session.run(async |line| {
                sqlx::query(LOCK).bind(&given[..]).fetch_all(&mut *line).await?;
                let release = sqlx::query(RELEASE).bind(&me.node).bind(epochs).bind(&given[..]);
                release.execute(line).await
            });
            released.map(drop).map_err(database("give leases back"))
        })
    }
}

/// The first node that takes parts each by itself makes the store one that is shared, for ever.
fn begin_sharing(session: &Session, me: &Me, lived: Duration) -> Result<(), StoreError> {
    const DOING: &str = "begin to share the store between nodes";
    if session.text(IS_SHARED).map_err(database(DOING))? == "true" {
        return Ok(());
    }
    session.transact(|| {
        session.batch(LOCK_ALL).map_err(database(DOING))?;
        let shared = session.run(async |line| {
            let share = sqlx::query(SHARE).bind(&me.node).bind(&me.incarnation);
            share.bind(lived.as_secs_f64()).execute(line).await
        });
        shared.map(drop).map_err(database(DOING))
    })
}
