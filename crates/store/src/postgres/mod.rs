//! The store in PostgreSQL: the schema `amends` of one database, which nodes share. One connection commits, a few read,
//! one shows that the node lives; each has a thread of its own.
//!
//! INVARIANT: a commit is refused by the database, not by a clock, once what it needs has gone to another: it locks the
//! rows of its leases and writes only if their epochs are the ones that were claimed. What is held belongs to a
//! connection: with a new one, or after a commit of unknown end, `raise` comes first, which waits for a commit that is
//! still under way and refuses one that has not begun.

mod batch_rows;
mod call_words;
mod calls;
#[cfg(test)]
mod calls_tests;
mod columns;
mod commit;
mod copy;
mod counting;
mod examine;
#[cfg(test)]
mod figures_tests;
mod heart;
mod identity;
mod lease;
mod leased;
mod letters;
#[cfg(test)]
mod letters_tests;
mod lingering;
#[cfg(test)]
mod lingering_tests;
#[cfg(test)]
mod newer_tests;
mod nodes;
mod options;
#[cfg(test)]
mod outage_tests;
mod parts;
#[cfg(test)]
mod parts_tests;
mod permits;
#[cfg(test)]
mod permits_tests;
#[cfg(test)]
mod plans_tests;
#[cfg(test)]
mod races_tests;
mod reader;
mod refused;
mod rehearsal;
mod rule_minutes;
#[cfg(test)]
mod rule_minutes_tests;
pub(crate) mod schema;
#[cfg(test)]
mod schema_tests;
pub(crate) mod session;
#[cfg(test)]
mod settings_tests;
mod statement;
mod status;
mod tables;
mod talk;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod tls_tests;
mod together;
mod writer;

pub use examine::ServerSeen;
pub use options::{PostgresOptions, PostgresTls, Taking};
pub use status::{LeasesSeen, PostgresSeen, TableSeen};

use crate::closing::Closing;
use crate::{
    Call, Calls, ClusterSeen, Hearing, LetterId, Letters, LettersRead, LettersWanted, Listening,
    NodeSeen, Nodes, PermitsHeld, PermitsWanted,
    roles::{names::*, roles},
    threads::{Reading, Writing},
};
use calls::Line;
use heart::Heart;
use reader::PgReader;
use sqlx::postgres::PgConnectOptions;
use std::thread;
use tokio::sync::oneshot;
use writer::PgWriter;

/// A store in PostgreSQL. Clones share it; when the last is dropped, queued commits are finished and what it holds is
/// given back (this blocks for that long).
///
/// With [`Taking::Whole`] it is held as one partition, [`Partition::WHOLE`], by one node at a time; others that
/// have it open wait. After [`open`](Self::open) it is held if nobody else who lives holds it; else call
/// [`Leases::claim`] about once a second until it gives the lease, and only then
/// [`Ledger::load`](crate::Ledger::load). From the first call of [`Leases::beat`] on, the node counts as living
/// only as long as that is called at least every 3 seconds, so call it from the loop whose work would be missed.
#[derive(Clone)]
pub struct PostgresStore {
    shared: Arc<Shared>,
}

struct Shared {
    place: String,
    node: Arc<str>,
    connects: PgConnectOptions,
    // Dropped in this order: a beat after the writer has taken its leave would show the node as living again.
    reading: Reading<PgReader>,
    /// Of a store that nodes share; one that holds everything has nobody to call.
    line: Option<Line>,
    heart: Heart,
    writing: Writing<PgWriter>,
    closing: Closing,
}

impl std::fmt::Debug for PostgresStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PostgresStore").field("place", &self.shared.place).finish_non_exhaustive()
    }
}

impl PostgresStore {
    /// Opens the store of a database, or begins one there; brings its tables up to date, shows that this node lives,
    /// and takes what nobody else holds. Blocks until that is done, some seconds at most.
    ///
    /// # Errors
    /// [`StoreError::Unusable`] when the database can't be one of a store, e.g. because it is a standby or the address
    /// is wrong, or can't be reached; [`StoreError::NewerSchema`] when a newer version wrote it; otherwise what
    /// PostgreSQL says.
    pub fn open(options: &PostgresOptions) -> Result<Self, StoreError> {
        let (connect, place) = (options.connect()?, options.place());
        let writer = on_a_thread({
            let (options, place) = (options.clone(), place.clone());
            move || PgWriter::open(&options, connect, place)
        })?;
        let failed = |error: std::io::Error| thread_failed(&place, &error);
        let connects = writer.connects();
        let line = match options.taking {
            Taking::Whole => None,
            Taking::Parts => Some(Line::start(&connects).map_err(failed)?),
        };
        let node = writer.me().node.as_str().into();
        let heart = Heart::start(connects.clone(), writer.me().clone()).map_err(failed)?;
        let readers =
            (0..options.readers.max(1)).map(|_| PgReader::new(connects.clone(), place.clone()));
        let reading = Reading::start(readers).map_err(failed)?;
        let writing = Writing::start(writer).map_err(failed)?;
        let closing = Closing::new();
        let shared = Shared { place, node, connects, reading, line, heart, writing, closing };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// Looks at the store of a database from outside, beside nodes that may be using it; none if there is none. Changes
    /// nothing.
    ///
    /// # Errors
    /// [`StoreError::Unusable`], [`StoreError::NewerSchema`], or that it can't be read.
    pub fn status(options: &PostgresOptions) -> Result<Option<PostgresSeen>, StoreError> {
        let (connect, place) = (options.connect()?, options.place());
        on_a_thread(move || {
            let session = session::reach(&connect, &place, session::READING)?;
            let seen = status::look(&session);
            session.close();
            seen
        })
    }

    /// Writes a copy of the store of a database, as it is at one moment, into a new SQLite file that only its owner may
    /// read; beside nodes that may be using it. Changes nothing there. Blocks until that is done.
    ///
    /// # Errors
    /// [`StoreError::Unusable`] when there is no store, or one that is not whole yet; [`StoreError::NewerSchema`];
    /// [`StoreError::Exists`] when the file is there; otherwise that it can't be read or written.
    pub fn copy(options: &PostgresOptions, to: &Path) -> Result<(), StoreError> {
        let (connect, place, to) = (options.connect()?, options.place(), to.to_owned());
        on_a_thread(move || {
            let session = session::reach(&connect, &place, session::READING)?;
            match schema::version(&session)? {
                Some(found) if found > schema::SCHEMA => {
                    return Err(StoreError::NewerSchema { found, known: schema::SCHEMA });
                }
                Some(_) => schema::refuse_moving(&session, &place)?,
                None => {
                    let why = "there is no store in it".to_owned();
                    return Err(StoreError::Unusable { database: place, why });
                }
            }
            session.close();
            copy::copy(&connect, &place, &to)
        })
    }

    /// Tells a node that has the store of a database open to give back all that it holds and to take nothing more, or
    /// to go on; until its process ends. False if no node of this name lives.
    ///
    /// # Errors
    /// As [`status`](Self::status), and when it can't be written.
    pub fn set_leaving(
        options: &PostgresOptions,
        node: &str,
        leaving: bool,
    ) -> Result<bool, StoreError> {
        let (connect, place, node) = (options.connect()?, options.place(), node.to_owned());
        on_a_thread(move || {
            let session = session::reach(&connect, &place, session::COMMITTING)?;
            let told = match schema::refuse_other(&session)? {
                true => nodes::set_leaving(&session, &node, leaving),
                false => Ok(false),
            };
            session.close();
            told
        })
    }

    /// Looks at the server of a database, for whoever wants to know whether a store does well there. Changes nothing.
    ///
    /// # Errors
    /// [`StoreError::Unusable`] when it can't be reached, else what PostgreSQL says.
    pub fn examine(options: &PostgresOptions) -> Result<ServerSeen, StoreError> {
        let options = options.clone();
        on_a_thread(move || examine::examine(&options))
    }
}

/// Does something that waits on a thread of its own: whoever opens a store may be within a runtime, where nothing may
/// wait.
fn on_a_thread<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    thread::spawn(work).join().unwrap_or(Err(StoreError::Closed))
}

fn thread_failed(place: &str, error: &std::io::Error) -> StoreError {
    let why = format!("a thread can't be started: {error}");
    StoreError::Unusable { database: place.to_owned(), why }
}

impl PostgresStore {
    /// Ends when the last clone is gone and what this node held is given back. Does not keep the store open.
    pub fn closed(&self) -> impl Future<Output = ()> + Send + use<> {
        self.shared.closing.closed()
    }

    fn writing(&self) -> &Writing<PgWriter> {
        &self.shared.writing
    }

    fn reading(&self) -> &Reading<PgReader> {
        &self.shared.reading
    }

    async fn show_life(&self) -> Result<Beat, StoreError> {
        self.shared.heart.beat().await
    }

    fn tell_settings(&self, version: u64) {
        self.shared.heart.saw_settings(version);
    }

    /// A consistent copy in a SQLite file.
    async fn copy_to(&self, to: &Path) -> Result<(), StoreError> {
        let Shared { connects, place, .. } = &*self.shared;
        let (connects, place, to) = (connects.clone(), place.clone(), to.to_owned());
        let (reply, done) = oneshot::channel();
        thread::Builder::new()
            .name("amends-backup".to_owned())
            .spawn(move || {
                let _ = reply.send(copy::copy(&connects, &place, &to));
            })
            .map_err(|error| thread_failed(&self.shared.place, &error))?;
        done.await.map_err(|_| StoreError::Closed)?
    }
}

impl PostgresStore {
    /// Looks at the nodes that share it, and at what waits between them.
    ///
    /// # Errors
    /// When the store can't be read.
    pub async fn cluster(&self) -> Result<ClusterSeen, StoreError> {
        self.reading().ask(nodes::cluster).await
    }

    /// As [`set_leaving`](Self::set_leaving), by a node that has the store open.
    ///
    /// # Errors
    /// When the store can't be written.
    pub async fn tell_leaving(&self, node: String, leaving: bool) -> Result<bool, StoreError> {
        self.writing().order(move |writer| writer.set_leaving(&node, leaving)).await
    }
}

impl Calls for PostgresStore {
    fn own_name(&self) -> Option<Arc<str>> {
        self.shared.line.is_some().then(|| Arc::clone(&self.shared.node))
    }

    fn say(&self, text: String) {
        if let Some(line) = &self.shared.line {
            line.say(text);
        }
    }

    fn listen(&self) -> Listening {
        self.shared
            .line
            .as_ref()
            .map_or_else(Listening::to_nobody, |line| Listening::to(line.listen()))
    }

    fn call(&self, call: Call) {
        if let Some(line) = &self.shared.line {
            line.call(call);
        }
    }

    fn hear(&self) -> Hearing {
        self.shared.line.as_ref().map_or_else(Hearing::nothing, |line| Hearing::of(line.hear()))
    }
}

impl Nodes for PostgresStore {
    fn is_shared(&self) -> bool {
        self.shared.line.is_some()
    }

    async fn nodes(&self) -> Result<Vec<NodeSeen>, StoreError> {
        self.reading().ask(nodes::all).await
    }

    async fn highest_sequence(&self) -> Result<u64, StoreError> {
        self.reading().ask(nodes::highest_sequence).await
    }

    async fn permits(&self, wanted: Vec<PermitsWanted>) -> Result<Vec<PermitsHeld>, StoreError> {
        self.writing().order(move |writer| writer.permits(&wanted)).await
    }
}

impl Letters for PostgresStore {
    async fn letters(&self, wanted: Vec<LettersWanted>) -> Result<Vec<LettersRead>, StoreError> {
        self.writing().order(move |writer| writer.letters(&wanted)).await
    }

    async fn letter_waits(&self, id: LetterId) -> Result<bool, StoreError> {
        self.reading().ask(move |session| letters::waits(session, id)).await
    }

    async fn letters_waiting(&self) -> Result<Vec<(Partition, u64)>, StoreError> {
        self.reading().ask(letters::waiting).await
    }
}

roles!(PostgresStore);
