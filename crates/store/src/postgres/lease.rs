//! Who may write. The 64 parts of the sagas and the seat have a row with an epoch each; every commit reads those that
//! it needs and holds on to them, and whoever takes them over has to wait for it, and then raises the epoch.
//!
//! [`WholeLease`] takes all of them or none, and shows them to the loop as the whole store. Its epoch is the highest of
//! theirs: all are claimed and raised together, so it grows whenever one of them does. Once nodes share the parts
//! between them (`parts.rs`), nobody takes them so any more.
//!
//! INVARIANT: rows are locked in the order of their number, and looked at by a statement that begins when they are
//! locked. A condition in the locking statement itself would be judged by a snapshot from before the wait, in which a
//! node that has just come is not there, and its leases would be taken for a dead one's.

use super::{
    counting,
    session::{Session, database, get},
};
use crate::{Batch, Beat, Epoch, Lease, Partition, Share, StoreError, partitions::PARTITIONS};
use sqlx::postgres::PgRow;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// The parts of the sagas and the seat.
pub(super) const LEASES: usize = PARTITIONS + 1;

pub(super) const LOCK_ALL: &str = "SELECT partition FROM lease ORDER BY partition FOR UPDATE";
/// Mine are those that an earlier process of this node held as well: only one of them lives, and its row says which.
const CLAIM: &str = "
    WITH me AS MATERIALIZED (
      SELECT since <= clock_timestamp() - make_interval(secs => $3) AS settled
      FROM node WHERE id = $1 AND incarnation = $2::uuid AND alive_until > clock_timestamp() AND NOT leaving
        AND NOT EXISTS (SELECT FROM marks WHERE name IN ('moving', 'first_number'))),
    free AS MATERIALIZED (
      SELECT l.partition FROM lease l, me
      WHERE l.owner IS NULL OR l.owner = $1
        OR (me.settled AND NOT EXISTS (SELECT FROM node n WHERE n.id = l.owner AND n.alive_until > clock_timestamp())))
    UPDATE lease l SET owner = $1, epoch = l.epoch + 1, since = clock_timestamp()
    FROM free WHERE l.partition = free.partition AND (SELECT count(*) FROM free) = $4
    RETURNING l.partition, l.epoch";
const RAISE: &str = "
    UPDATE lease SET epoch = epoch + 1
    WHERE owner = $1 AND EXISTS (SELECT FROM node WHERE id = $1 AND incarnation = $2::uuid)
      AND (SELECT count(*) FROM lease WHERE owner = $1) = $3
    RETURNING partition, epoch";
const RELEASE: &str = "
    UPDATE lease SET owner = NULL, since = clock_timestamp()
    WHERE owner = $1 AND epoch = ($2::bigint[])[partition + 1]";
/// `since` begins anew when the node was dead, or is another process; that one has not been told to leave.
const BEAT: &str = "
    INSERT INTO node (id, incarnation, alive_until, version, offset_ms, settings_seen)
    VALUES ($1, $2::uuid, clock_timestamp() + make_interval(secs => $3), $4, $5, $6)
    ON CONFLICT (id) DO UPDATE SET settings_seen = excluded.settings_seen,
      beaten_at = excluded.beaten_at, offset_ms = coalesce(excluded.offset_ms, node.offset_ms),
      alive_until = excluded.alive_until, incarnation = excluded.incarnation, version = excluded.version,
      leaving = node.leaving AND node.incarnation = excluded.incarnation,
      since = CASE WHEN node.alive_until < clock_timestamp() OR node.incarnation <> excluded.incarnation
              THEN clock_timestamp() ELSE node.since END
    WHERE node.incarnation = excluded.incarnation OR node.alive_until < clock_timestamp()
    RETURNING (extract(epoch FROM since) * 1000000)::bigint, leaving,
      (extract(epoch FROM clock_timestamp()) * 1000)::bigint,
      coalesce((SELECT value FROM marks WHERE name = 'settings'), 0)";
/// Longer round trips tell too little of the database's clock.
const CLOCK_ROUND_TRIP: Duration = Duration::from_millis(200);

/// One process of a node.
#[derive(Clone, Debug)]
pub(super) struct Me {
    pub(super) node: String,
    /// Which of the processes that had this name.
    pub(super) incarnation: String,
    pub(super) lease_time: Duration,
}

impl Me {
    /// Says that this process lives.
    pub(super) fn beat(&self, session: &Session) -> Result<Beat, StoreError> {
        self.beat_with(session, None, 0)
    }

    /// The same, with how far the clock was off the last time that it was measured, and the version of the settings
    /// that is known here.
    pub(super) fn beat_with(
        &self,
        session: &Session,
        offset_ms: Option<i64>,
        settings_seen: u64,
    ) -> Result<Beat, StoreError> {
        let (began, here) = (Instant::now(), SystemTime::now());
        let shown = session.run(async |line| {
            sqlx::query(BEAT)
                .bind(&self.node)
                .bind(&self.incarnation)
                .bind(self.lease_time.as_secs_f64())
                .bind(i32::try_from(super::schema::known()).unwrap_or(i32::MAX))
                .bind(offset_ms)
                .bind(settings_seen.cast_signed())
                .fetch_optional(line)
                .await?
                .map(|row| {
                    let there = (get::<i64>(&row, 2)?, get::<i64>(&row, 3)?);
                    Ok((get::<i64>(&row, 0)?, get(&row, 1)?, there))
                })
                .transpose()
        });
        let took = began.elapsed();
        let (life, leaving, (there_ms, settings)) = shown
            .map_err(database("show that this node lives"))?
            .ok_or_else(|| StoreError::NodeInUse { node: self.node.clone() })?;
        let middle = here.checked_add(took / 2).and_then(|at| at.duration_since(UNIX_EPOCH).ok());
        let middle_ms = middle.and_then(|at| i64::try_from(at.as_millis()).ok());
        let offset_ms = middle_ms.filter(|_| took < CLOCK_ROUND_TRIP).map(|ms| there_ms - ms);
        let (life, settings) = (life.cast_unsigned(), settings.cast_unsigned());
        Ok(Beat { life, leaving, offset_ms, settings })
    }

    /// Forgets nodes that died long ago: one that is not known is dead as well.
    pub(super) fn forget_the_dead(session: &Session) -> Result<(), StoreError> {
        let sql = "DELETE FROM node WHERE alive_until < clock_timestamp() - interval '1 day'";
        session.batch(sql).map_err(database("forget nodes that died long ago"))
    }

    /// Says that it lives no more, so that nobody has to wait for that.
    pub(super) fn leave(&self, session: &Session) -> Result<(), StoreError> {
        let left = session.run(async |line| {
            sqlx::query("DELETE FROM node WHERE id = $1 AND incarnation = $2::uuid")
                .bind(&self.node)
                .bind(&self.incarnation)
                .execute(line)
                .await
        });
        left.map(drop).map_err(database("say that this node goes"))
    }
}

/// What this process holds, and under which epochs; it is known of one connection, and gone with it.
#[derive(Clone, Debug)]
pub(super) struct Held {
    /// By partition, [`NOT_HELD`] for those that are not; the seat is the last.
    pub(super) epochs: Vec<i64>,
    epoch: Epoch,
    is_by_part: bool,
}

/// In place of an epoch: no lease has it.
const NOT_HELD: i64 = -1;

impl Held {
    /// What the answer of a claim says: all or nothing.
    fn of(rows: &[PgRow]) -> sqlx::Result<Option<Self>> {
        let mut held = Self { is_by_part: false, ..Self::nothing() };
        for row in rows {
            held.put(get(row, 0)?, get(row, 1)?);
        }
        let highest = held.epochs.iter().copied().max().unwrap_or_default();
        held.epoch = Epoch(highest.cast_unsigned());
        Ok((rows.len() == LEASES).then_some(held))
    }

    /// No part, of those that are held each by itself.
    pub(super) fn nothing() -> Self {
        Self { epochs: vec![NOT_HELD; LEASES], epoch: Epoch(0), is_by_part: true }
    }

    /// Whether what is held is so each by itself.
    pub(super) fn is_by_part(&self) -> bool {
        self.is_by_part
    }

    /// From now on this part is held in this epoch.
    pub(super) fn put(&mut self, part: i32, epoch: i64) {
        if let Some(place) = usize::try_from(part).ok().and_then(|n| self.epochs.get_mut(n)) {
            *place = epoch;
        }
    }

    /// From now on it is not.
    pub(super) fn drop_part(&mut self, part: i16) {
        self.put(part.into(), NOT_HELD);
    }

    /// The number of a partition that is held in this epoch.
    pub(super) fn part(&self, partition: Partition, epoch: Epoch) -> Option<i16> {
        let held = self.epochs.get(usize::from(partition.0))?;
        (*held != NOT_HELD && *held == epoch.0.cast_signed()).then_some(partition.0.cast_signed())
    }

    /// Those that are held, in their order.
    pub(super) fn each(&self) -> impl Iterator<Item = Lease> {
        let held = (0_u16..).zip(&self.epochs).filter(|(_, epoch)| **epoch != NOT_HELD);
        held.map(|(n, epoch)| Lease {
            partition: Partition(n),
            epoch: Epoch(epoch.cast_unsigned()),
        })
    }

    /// As the rows say: what another connection of the same process holds.
    #[cfg(test)]
    pub(super) fn read(session: &Session, me: &Me) -> sqlx::Result<Option<Self>> {
        let all = "SELECT partition, epoch FROM lease WHERE owner = $1";
        let rows =
            session.run(async |line| sqlx::query(all).bind(&me.node).fetch_all(line).await)?;
        Self::of(&rows)
    }

    /// What commits have to carry now.
    pub(super) fn epoch(&self) -> Epoch {
        self.epoch
    }

    fn leases(held: Option<&Self>) -> Vec<Lease> {
        held.map(|held| Lease { partition: Partition::WHOLE, epoch: held.epoch })
            .into_iter()
            .collect()
    }
}

/// What is held, or not.
#[derive(Debug, Default)]
pub(super) struct WholeLease(pub(super) Option<Held>);

impl WholeLease {
    /// Refuses a batch from before, without asking.
    pub(super) fn check(&self, batch: &Batch) -> Result<&Held, StoreError> {
        let held = self.held()?;
        let is_held =
            |share: &&Share| (share.partition, share.epoch) == (Partition::WHOLE, held.epoch);
        match batch.shares.iter().find(|share| !is_held(share)) {
            None => Ok(held),
            Some(&Share { partition, epoch, .. }) => Err(StoreError::NotHeld { partition, epoch }),
        }
    }

    /// What is held, for writes that carry no epoch.
    pub(super) fn held(&self) -> Result<&Held, StoreError> {
        self.0.as_ref().ok_or(StoreError::NotHeld { partition: Partition::WHOLE, epoch: Epoch(0) })
    }

    pub(super) fn leases(&self) -> Vec<Lease> {
        Held::leases(self.0.as_ref())
    }

    /// Takes everything, if nobody who lives holds any of it.
    pub(super) fn claim(&mut self, session: &Session, me: &Me) -> Result<(), StoreError> {
        if self.0.is_some() {
            return Ok(());
        }
        // A node lives before it holds anything; whoever claims looks for that row.
        me.beat(session)?;
        self.claim_after(session, me, me.lease_time)
    }

    /// As [`claim`](Self::claim), by a node that has to have lived for so long before it takes what was a dead one's.
    pub(super) fn claim_after(
        &mut self,
        session: &Session,
        me: &Me,
        lived: Duration,
    ) -> Result<(), StoreError> {
        self.0 = locked(session, "claim what this node is to hold", async |line| {
            sqlx::query(CLAIM)
                .bind(&me.node)
                .bind(&me.incarnation)
                .bind(lived.as_secs_f64())
                .bind(LEASES as i64)
                .fetch_all(line)
                .await
        })?;
        Ok(())
    }

    /// Raises what this process holds, also what it only may hold, after a commit or claim of unknown end.
    pub(super) fn raise(&mut self, session: &Session, me: &Me) -> Result<(), StoreError> {
        self.0 = None;
        self.0 = locked(session, "raise what this node holds", async |line| {
            sqlx::query(RAISE)
                .bind(&me.node)
                .bind(&me.incarnation)
                .bind(LEASES as i64)
                .fetch_all(line)
                .await
        })?;
        Ok(())
    }

    /// Gives everything back.
    pub(super) fn release(&mut self, session: &Session, me: &Me) -> Result<(), StoreError> {
        let Some(held) = self.0.take() else { return Ok(()) };
        session.transact(|| {
            session.batch(LOCK_ALL).map_err(database("give leases back"))?;
            let given = session.run(async |line| {
                sqlx::query(RELEASE).bind(&me.node).bind(&held.epochs[..]).execute(line).await
            });
            match given.map_err(database("give leases back"))?.rows_affected() {
                // They had gone to another.
                0 => Ok(()),
                _ => counting::end(session),
            }
        })
    }
}

/// Asks for leases once all their rows are locked.
fn locked(
    session: &Session,
    doing: &'static str,
    ask: impl AsyncFnOnce(&mut sqlx::PgConnection) -> sqlx::Result<Vec<PgRow>>,
) -> Result<Option<Held>, StoreError> {
    session.transact(|| {
        session.batch(LOCK_ALL).map_err(database(doing))?;
        let rows = session.run(ask).map_err(database(doing))?;
        let held = Held::of(&rows).map_err(database(doing))?;
        held.map(|held| counting::begin(session).map(|()| held)).transpose()
    })
}
