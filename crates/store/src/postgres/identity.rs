//! Which database a connection leads to. Behind one address it may be another one than before: a standby that was
//! promoted, a backup that was restored. What a node held in the one of before says nothing there, and whoever held it
//! may not have noticed yet.

use super::session::{Session, database, get};
use crate::{Epoch, Lease, Partition, StoreError};
use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

/// A promotion begins a new timeline, which the control file learns late and the log at once. Only a primary tells it.
const LOOK: &str = "
    SELECT CASE WHEN NOT pg_is_in_recovery() THEN concat_ws('/',
        (SELECT system_identifier FROM pg_control_system()), substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8),
        (SELECT oid FROM pg_database WHERE datname = current_database()), 'lease'::regclass::oid) END,
      (SELECT max(epoch) FROM lease)";

/// A database at a moment.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Identity {
    /// What tells it from any other; none of a standby.
    name: Option<String>,
    /// How often its leases have been claimed or raised: of the one that was so most often.
    epoch: i64,
}

impl Identity {
    fn of(session: &Session) -> Result<Self, StoreError> {
        let seen = session.run(async |line| {
            let row = sqlx::query(LOOK).fetch_one(line).await?;
            Ok(Self { name: get(&row, 0)?, epoch: get(&row, 1)? })
        });
        seen.map_err(database("look which database it is"))
    }

    /// Whether all that was written in the database of before is in this one. Of one that was put back to an earlier
    /// state as it was, with its disk, the epochs tell.
    fn goes_on_from(&self, before: &Self) -> bool {
        self.name == before.name && self.epoch >= before.epoch
    }
}

/// The database that a node has worked on, and since when it has been another one.
#[derive(Debug, Default)]
pub(super) struct SameDatabase {
    seen: Option<Identity>,
    /// The highest epoch in which this process has held a partition, in whichever database.
    highest: BTreeMap<Partition, Epoch>,
    /// Nothing is held before.
    not_before: Option<Instant>,
}

impl SameDatabase {
    /// Looks whether it is the one of before. In another one nothing may be held for a lease time: for that long
    /// somebody may still work by what they held in the one of before.
    ///
    /// # Errors
    /// [`StoreError::Unusable`] when it is a standby.
    pub(super) fn may_be_held(
        &mut self,
        session: &Session,
        (place, lease_time): (&str, Duration),
    ) -> Result<bool, StoreError> {
        let now = Identity::of(session)?;
        if now.name.is_none() {
            return Err(StoreError::Unusable {
                database: place.to_owned(),
                why: "it is a standby, which takes no writes".to_owned(),
            });
        }
        if self.seen.as_ref().is_some_and(|before| !now.goes_on_from(before)) {
            let (before, now) = (&self.seen, &now);
            tracing::warn!(
                database = place,
                ?before,
                ?now,
                "another database stands behind the address, or an earlier state of it: a standby that was promoted, or a backup; it is worked on after a lease time, and everything is loaded anew"
            );
            self.not_before = Some(Instant::now() + lease_time);
        }
        self.seen = Some(now);
        Ok(self.not_before.is_none_or(|at| at <= Instant::now()))
    }

    /// Notes that these are held now. False if the epoch of one came before, or a later one: the database has forgotten
    /// some, and none may come twice to a process.
    pub(super) fn are_new(&mut self, leases: &[Lease]) -> bool {
        let mut are_new = true;
        for Lease { partition, epoch } in leases {
            let highest = self.highest.entry(*partition).or_default();
            are_new &= epoch > highest;
            *highest = (*highest).max(*epoch);
            if let Some(seen) = &mut self.seen {
                seen.epoch = seen.epoch.max(epoch.0.cast_signed());
            }
        }
        are_new
    }
}
