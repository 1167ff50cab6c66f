//! The one connection that commits, and answers the loop's look-ups so that they see every commit before them.

use super::{
    commit::{self, Done, Holder, Landed},
    identity::SameDatabase,
    lease::Me,
    leased::Leased,
    letters, nodes,
    options::{PostgresOptions, Taking},
    parts, permits, rule_minutes, schema,
    session::{self, Session, breaks, database},
};
use crate::{
    Adopted, Batch, Committed, Epoch, Lease, LettersRead, LettersWanted, Loaded, LookupRequest,
    LookupResult, OpenPage, OpenPlace, PERMIT_TIME, Partition, PermitsHeld, PermitsWanted,
    Settings, SettledBefore, StoreError,
    tables::{
        Tables, lookup,
        prune::{self, Lent, Partitions, PrunePlace},
    },
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
    lease: Leased,
    same: SameDatabase,
    lent: Lent,
    /// Where pruning goes on: those before are kept longer.
    prune_from: PrunePlace,
}

impl PgWriter {
    /// Connects, brings the schema up to date, shows that the node lives and takes what is free.
    pub(super) fn open(
        options: &PostgresOptions,
        connects: PgConnectOptions,
        place: String,
    ) -> Result<Self, StoreError> {
        schema::migrate(&connects, &place)?;
        let session = session::reach(&connects, &place, session::COMMITTING)?;
        schema::refuse_moving(&session, &place)?;
        if options.taking == Taking::Whole {
            parts::refuse_shared(&session, &place)?;
        }
        Me::forget_the_dead(&session)?;
        let incarnation = session
            .text("SELECT gen_random_uuid()::text")
            .map_err(database("draw what tells this process from others"))?;
        session.close();
        let me = Me { node: options.node.clone(), incarnation, lease_time: options.lease_time };
        let name = format!("amends/{}/{:.8}", me.node, me.incarnation);
        let mut writer = Self {
            connects: connects.application_name(&name),
            place,
            me,
            session: None,
            lease: Leased::new(options.taking),
            same: SameDatabase::default(),
            lent: Lent::default(),
            prune_from: PrunePlace::default(),
        };
        let began = match options.taking {
            Taking::Whole => writer.claim(usize::MAX).map(drop),
            // Whoever drives the loop takes as many as are its share.
            Taking::Parts => writer.on_line(|session, _, me| me.beat(session).map(drop)),
        };
        match began {
            // An earlier process of this node may live, or have died a moment ago: whoever waits for the lease is told.
            Ok(()) | Err(StoreError::NodeInUse { .. }) => Ok(writer),
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
        work: impl FnOnce(&Session, &mut Leased, &Me) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let session = match self.session.take() {
            Some(session) => session,
            None => session::reach(&self.connects, &self.place, session::COMMITTING)?,
        };
        let done = work(&session, &mut self.lease, &self.me);
        if let Err(error) = &done
            && breaks(error)
        {
            tracing::warn!(%error, "the connection that commits is given up; what it held is raised before anything is loaded");
            self.lease.forget();
        } else {
            self.session = Some(session);
        }
        done
    }

    /// Claims or raises, in the database that was worked on before; in another one only once that may be.
    fn ask_for_leases(
        &mut self,
        ask: impl FnOnce(&mut Leased, &Session, &Me) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let (mut same, place) = (std::mem::take(&mut self.same), self.place.clone());
        let asked = self.on_line(|session, lease, me| {
            if !same.may_be_held(session, (&place, me.lease_time))? {
                lease.forget();
                return Ok(());
            }
            let before = lease.leases();
            ask(lease, session, me)?;
            let mut came = lease.leases();
            came.retain(|lease| !before.contains(lease));
            while !same.are_new(&came) {
                lease.raise(session, me)?;
                came = lease.leases();
            }
            Ok(())
        });
        self.same = same;
        asked
    }

    fn write(&mut self, batches: &[&Batch]) -> Result<Committed, StoreError> {
        batches.iter().try_for_each(|batch| self.lease.check(batch))?;
        let stale: Vec<Partition> =
            batches.iter().flat_map(|batch| self.lease.stale(batch)).collect();
        if stale.contains(&Partition::SEAT) {
            return Err(StoreError::Outdated);
        }
        if batches.iter().all(|batch| self.lease.asks_nothing(batch)) {
            return Ok(Committed { lost: stale, settings: None });
        }
        let Done { landed, settings } = self.on_line(|session, lease, me| {
            let by = Holder { session, me, held: lease.held()? };
            commit::commit(by, batches)
        })?;
        let mut committed = self.unless_lost(landed)?;
        committed.lost.extend(stale);
        committed.lost.sort_unstable();
        committed.lost.dedup();
        committed.settings = settings;
        Ok(committed)
    }

    /// What has gone to another is not held any more.
    fn unless_lost(&mut self, landed: Landed) -> Result<Committed, StoreError> {
        match landed {
            Landed::Yes => Ok(Committed::default()),
            Landed::Without(lost) => {
                self.lease.lose(&lost);
                let lost = lost.iter().map(|part| Partition(part.cast_unsigned()));
                Ok(Committed { lost: lost.collect(), settings: None })
            }
            Landed::NotHeld => {
                let lost = self.lease.held().map(|held| held.epoch()).unwrap_or_default();
                self.lease.forget();
                Err(StoreError::NotHeld { partition: Partition::WHOLE, epoch: lost })
            }
        }
    }

    pub(super) fn find(&mut self, wanted: &LookupRequest) -> Result<LookupResult, StoreError> {
        let found = self.on_line(|session, _, _| {
            let mut found = lookup::find(session, wanted)?;
            if wanted.rule_minutes {
                found.rule_minutes = Some(rule_minutes::current(session)?);
            }
            Ok(found)
        })?;
        self.lent.lend(&found);
        Ok(found)
    }

    pub(super) fn load(&mut self) -> Result<Loaded, StoreError> {
        self.on_line(|session, lease, _| match lease {
            Leased::Whole(whole) => lookup::load(session, whole.held()?.epoch()),
            Leased::Parts(parts) => {
                let minutes = rule_minutes::current(session)?;
                lookup::load_shared(session, parts.leases(), minutes)
            }
        })
    }

    pub(super) fn settings(&mut self) -> Result<Settings, StoreError> {
        self.on_line(|session, _, _| lookup::settings(session))
    }

    pub(super) fn adopt(&mut self, partition: Partition) -> Result<Adopted, StoreError> {
        let adopted = self.on_line(|session, lease, me| {
            let (last_sequence, orderly) = lease.adopted(session, me, partition)?;
            let sagas = lookup::begun_of(session, partition)?;
            Ok(Adopted { last_sequence, sagas, orderly })
        });
        if let (Err(StoreError::NotHeld { .. }), Leased::Parts(parts)) = (&adopted, &mut self.lease)
        {
            parts.0.drop_part(partition.0.cast_signed());
        }
        adopted
    }

    pub(super) fn open_cases(
        &mut self,
        partition: Partition,
        after: OpenPlace,
        most: usize,
    ) -> Result<OpenPage, StoreError> {
        self.on_line(|session, _, _| lookup::open(session, partition, after, most))
    }

    pub(super) fn prune(
        &mut self,
        settled_before: &SettledBefore,
        limit: usize,
    ) -> Result<usize, StoreError> {
        let (lent, from) = (self.lent.cases(), self.prune_from);
        let (removed, next) = match self.lease {
            Leased::Whole(_) => self.change(|conn| {
                prune::prune(conn, settled_before, limit, (&lent, from), Partitions::All)
            })?,
            Leased::Parts(_) => self.in_parts(|conn, parts| {
                let parts = Partitions::Some(parts);
                prune::prune(conn, settled_before, limit, (&lent, from), parts)
            })?,
        };
        self.on_line(|session, _, _| rule_minutes::forget(session))?;
        self.prune_from = next;
        Ok(removed)
    }

    /// Does what no loop decided, whole or not at all, by whoever holds the seat.
    pub(super) fn change<T>(
        &mut self,
        work: impl FnOnce(&dyn Tables) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let done = self.on_line(|session, lease, me| {
            let held = lease.held()?.clone();
            session.transact(|| {
                let by = Holder { session, me, held: &held };
                match commit::hold_the_seat(by)? {
                    Landed::Yes => work(session).map(Ok),
                    lost => Ok(Err(lost)),
                }
            })
        })?;
        match done {
            Ok(done) => Ok(done),
            Err(lost) => {
                self.unless_lost(lost)?;
                Err(StoreError::NotHeld { partition: Partition::SEAT, epoch: Epoch::default() })
            }
        }
    }

    /// Does what concerns the parts that are held, under all their leases, whole or not at all.
    fn in_parts<T>(
        &mut self,
        work: impl FnOnce(&dyn Tables, &[i16]) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let (done, landed) = self.on_line(|session, lease, me| {
            let held = lease.held()?.clone();
            session.transact(|| {
                let by = Holder { session, me, held: &held };
                let (parts, landed) = commit::hold_all(by)?;
                Ok((work(session, &parts)?, landed))
            })
        })?;
        self.unless_lost(landed)?;
        Ok(done)
    }

    /// Does what needs no lease where nodes share the store: rows that nobody else writes anew, like a message that
    /// could not be taken or a token, whichever node they come to. Of a store that is held as a whole, by who holds
    /// it.
    pub(super) fn add<T>(
        &mut self,
        work: impl FnOnce(&dyn Tables) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        match self.lease {
            Leased::Whole(_) => self.change(work),
            Leased::Parts(_) => self.on_line(|session, _, _| session.transact(|| work(session))),
        }
    }

    pub(super) fn set_leaving(&mut self, node: &str, leaving: bool) -> Result<bool, StoreError> {
        self.on_line(|session, _, _| nodes::set_leaving(session, node, leaving))
    }

    pub(super) fn claim(&mut self, most: usize) -> Result<Vec<Lease>, StoreError> {
        if most > 0 && !self.lease.is_whole() {
            self.ask_for_leases(|lease, session, me| lease.claim(session, me, most))?;
        }
        Ok(self.lease.leases())
    }

    pub(super) fn raise(&mut self) -> Result<Vec<Lease>, StoreError> {
        self.ask_for_leases(|lease, session, me| lease.raise(session, me))?;
        Ok(self.lease.leases())
    }

    pub(super) fn release(&mut self, partitions: &[Partition]) -> Result<(), StoreError> {
        self.on_line(|session, lease, me| lease.release(session, me, partitions))
    }

    pub(super) fn permits(
        &mut self,
        wanted: &[PermitsWanted],
    ) -> Result<Vec<PermitsHeld>, StoreError> {
        self.on_line(|session, _, me| permits::ask(session, me, wanted, PERMIT_TIME))
    }

    pub(super) fn letters(
        &mut self,
        wanted: &[LettersWanted],
    ) -> Result<Vec<LettersRead>, StoreError> {
        self.on_line(|session, _, _| letters::read(session, wanted))
    }
}

impl Writer for PgWriter {
    fn commit(&mut self, group: Vec<(Batch, Reply<Committed>)>) {
        // A share of before counts as lost, and with it would one of now in another batch of the group.
        if group.iter().any(|(batch, _)| self.lease.stale(batch).next().is_some()) {
            for (batch, reply) in group {
                let _ = reply.send(self.write(&[&batch]));
            }
        } else {
            write_group(group, |batches| self.write(batches));
        }
    }

    fn finish(mut self) {
        let left = self.on_line(|session, lease, me| {
            lease.release_all(session, me)?;
            permits::give_all_back(session, me)?;
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
