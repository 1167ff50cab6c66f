//! The one connection that commits, and answers the loop's look-ups so that they see every commit before them.

use super::{
    lease::{Me, WholeLease},
    options::PostgresOptions,
    schema,
    session::{self, Session, breaks, database},
};
use crate::{
    Batch, Lease, Partition, StoreError,
    threads::{Reply, Writer, write_group},
};
use sqlx::postgres::PgConnectOptions;

/// The connection, what is held on it, and what goes with it.
pub(crate) struct PgWriter {
    connects: PgConnectOptions,
    place: String,
    me: Me,
    /// None once it has broken.
    session: Option<Session>,
    lease: WholeLease,
}

impl PgWriter {
    /// Connects, brings the schema up to date, shows that the node lives and takes what is free.
    pub(super) fn open(
        options: &PostgresOptions,
        connects: PgConnectOptions,
        place: String,
    ) -> Result<Self, StoreError> {
        let session = session::reach(&connects, &place, session::COMMITTING)?;
        schema::greet(&session, &place)?;
        schema::migrate(&session, &place)?;
        let incarnation = session
            .text("SELECT gen_random_uuid()::text")
            .map_err(database("draw what tells this process from others"))?;
        let (node, lease_time) = (options.node.clone(), options.lease_time);
        let me = Me { node, incarnation, lease_time };
        let connects =
            connects.application_name(&format!("amends/{}/{}", me.node, &me.incarnation[..8]));
        session.close();
        let mut writer = Self { connects, place, me, session: None, lease: WholeLease::default() };
        match writer.claim(usize::MAX) {
            // An earlier process of this node may live, or have died a moment ago: whoever waits for the lease is told.
            Ok(_) | Err(StoreError::NodeInUse { .. }) => Ok(writer),
            Err(error) => Err(error),
        }
    }

    /// How further connections of this node are made.
    pub(super) fn connects(&self) -> PgConnectOptions {
        self.connects.clone()
    }

    pub(super) fn me(&self) -> &Me {
        &self.me
    }

    /// Does something on the connection; on a new one if the last has broken, of which nothing is held.
    fn on_line<T>(
        &mut self,
        work: impl FnOnce(&Session, &mut WholeLease, &Me) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let session = match self.session.take() {
            Some(session) => session,
            None => session::reach(&self.connects, &self.place, session::COMMITTING)?,
        };
        let done = work(&session, &mut self.lease, &self.me);
        if done.as_ref().is_err_and(breaks) {
            self.lease.0 = None;
        } else {
            self.session = Some(session);
        }
        done
    }

    pub(super) fn claim(&mut self, most: usize) -> Result<Vec<Lease>, StoreError> {
        if most > 0 && self.lease.0.is_none() {
            self.on_line(|session, lease, me| lease.claim(session, me))?;
        }
        Ok(self.lease.leases())
    }

    pub(super) fn raise(&mut self) -> Result<Vec<Lease>, StoreError> {
        self.on_line(|session, lease, me| lease.raise(session, me))?;
        Ok(self.lease.leases())
    }

    pub(super) fn release(&mut self, partitions: &[Partition]) -> Result<(), StoreError> {
        if !partitions.contains(&Partition(0)) {
            return Ok(());
        }
        self.on_line(|session, lease, me| lease.release(session, me))
    }
}

impl Writer for PgWriter {
    fn commit(&mut self, group: Vec<(Batch, Reply<()>)>) {
        write_group(group, |batches| {
            batches.iter().try_for_each(|batch| self.lease.check(batch).map(drop))
        });
    }

    fn finish(mut self) {
        let left = self.on_line(|session, lease, me| {
            lease.release(session, me)?;
            me.leave(session)
        });
        if let Err(error) = left {
            tracing::warn!(%error, "this node could not give back what it holds; others take it once it counts as dead");
        }
        if let Some(session) = self.session.take() {
            session.close();
        }
    }
}
