//! What a host on SQLite writes: synchronous closures over the connection, inside of the kit's transaction.

use super::{Sqlite, SqliteTx};
use crate::builder::KitBuilder;
use crate::config::KitError;
use crate::context::{ActionContext, Effect};
use crate::failure::{Failure, Refusal};
use crate::kit::Kit;
use crate::local_request::LocalRequest;
use crate::store::HistoryStore as _;
use crate::undo::{Notice, Undo};
use amends_protocol::SagaId;
use rusqlite::Connection;
use serde_json::Value;
use std::future::ready;

impl ActionContext<Sqlite> {
    /// What the action does to the service's own tables. It runs after the handler, in one transaction with the
    /// request's History row: both are durable, or neither. Its value is the body of the 200 answer.
    ///
    /// The closure neither begins nor ends a transaction, and does nothing that lasts: all other requests of the process
    /// wait for it.
    pub fn effect(
        &self,
        run: impl FnOnce(&Connection) -> Result<Value, Failure> + Send + 'static,
    ) -> Effect<Sqlite> {
        self.effect_within(move |tx: &mut SqliteTx| Box::pin(ready(run(tx.connection()))))
    }
}

impl KitBuilder<Sqlite> {
    /// A forward action at `POST /{name}` that works in the service's own tables and does nothing else: no calls, no mail,
    /// no card. Its request, its effect and its end are one transaction, so it waits for the disk once, where
    /// [`action`](KitBuilder::action) waits twice; a crash leaves nothing of it. Its value is the body of the 200 answer;
    /// a failure is rolled back and reported as any other.
    ///
    /// The closure neither begins nor ends a transaction, and does nothing that lasts: all other requests of the process
    /// wait for it.
    ///
    /// # Panics
    /// When the name is taken or can't be part of a path.
    #[must_use]
    pub fn local_action(
        self,
        name: &'static str,
        work: impl Fn(&Connection, &LocalRequest) -> Result<Value, Failure> + Send + Sync + 'static,
    ) -> Self {
        self.local_action_within(name, move |tx: &mut SqliteTx, request| {
            Box::pin(ready(work(tx.connection(), request)))
        })
    }

    /// How the action `name` is undone. Runs in the transaction that also marks its requests compensated and puts up
    /// the fence. When it refuses (or panics), what it wrote is rolled back and the fence stays.
    ///
    /// # Panics
    /// When the action has one already.
    #[must_use]
    pub fn compensation(
        self,
        name: &'static str,
        undo: impl Fn(&Connection, &Undo) -> Result<(), Refusal> + Send + Sync + 'static,
    ) -> Self {
        self.compensation_within(name, move |tx: &mut SqliteTx, told| {
            Box::pin(ready(undo(tx.connection(), told)))
        })
    }

    /// A (correcting) message that the supervisor may ask for with the verb `notify`; sent once per saga.
    ///
    /// # Panics
    /// When the name is taken or can't be part of a path.
    #[must_use]
    pub fn notice(
        self,
        name: &'static str,
        send: impl Fn(&Connection, &Notice) -> Result<(), Refusal> + Send + Sync + 'static,
    ) -> Self {
        self.notice_within(name, move |tx: &mut SqliteTx, told| {
            Box::pin(ready(send(tx.connection(), told)))
        })
    }
}

impl Kit<Sqlite> {
    /// Ends an undo that [`Undo::answer_later`] began: what the closure does, History, and what is owed to the
    /// supervisor are one transaction. A final refusal is told as the outcome `refused`, and the next try of the step
    /// undoes anew. Gives whether there was anything to end.
    ///
    /// # Errors
    /// [`KitError`] when the database fails, or [`KitError::Unfinished`] when the closure refuses for now: nothing has
    /// changed, and it is still owed.
    pub async fn finish_undo(
        &self,
        saga: &SagaId,
        action: &str,
        work: impl FnOnce(&Connection) -> Result<(), Refusal> + Send + 'static,
    ) -> Result<bool, KitError> {
        self.finish_undo_within(saga, action, move |tx: &mut SqliteTx| {
            Box::pin(ready(work(tx.connection())))
        })
        .await
    }

    /// Runs one of the host's own queries; it sees everything committed before it began, and cannot write.
    ///
    /// # Errors
    /// [`KitError`] when the query fails.
    pub async fn read<T: Send + 'static>(
        &self,
        query: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, KitError> {
        self.store()
            .read(move |tx| Box::pin(ready(query(tx.connection()).map_err(KitError::from))))
            .await
    }
}
