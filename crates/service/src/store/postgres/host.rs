//! What a host on PostgreSQL writes: asynchronous closures over the connection, inside of the kit's transaction.

use super::{Postgres, PostgresTx};
use crate::builder::KitBuilder;
use crate::config::KitError;
use crate::context::{ActionContext, Effect};
use crate::failure::{Failure, Refusal};
use crate::kit::Kit;
use crate::local_request::LocalRequest;
use crate::store::BoxFuture;
use crate::undo::{Notice, Undo};
use amends_protocol::SagaId;
use serde_json::Value;
use sqlx::{PgConnection, PgPool};

impl ActionContext<Postgres> {
    /// What the action does to the service's own tables. It runs after the handler, in one transaction with the
    /// request's History row: both are durable, or neither. Its value is the body of the 200 answer.
    ///
    /// The closure neither begins nor ends a transaction (`sqlx`'s own `begin` makes a savepoint of it), and waits for
    /// nothing but its statements: it holds a connection, and its saga's lock.
    pub fn effect(
        &self,
        run: impl for<'c> FnOnce(&'c mut PgConnection) -> BoxFuture<'c, Result<Value, Failure>>
        + Send
        + 'static,
    ) -> Effect<Postgres> {
        self.effect_within(move |tx: &mut PostgresTx| run(tx.connection()))
    }
}

impl KitBuilder<Postgres> {
    /// A forward action at `POST /{name}` that works in the service's own tables and does nothing else: no calls, no mail,
    /// no card. Its request, its effect and its end are one transaction, so it waits for the disk once, where
    /// [`action`](KitBuilder::action) waits twice; a crash leaves nothing of it. Its value is the body of the 200 answer;
    /// a failure is rolled back and reported as any other.
    ///
    /// The closure neither begins nor ends a transaction (`sqlx`'s own `begin` makes a savepoint of it), and waits for
    /// nothing but its statements: it holds a connection, and its saga's lock.
    ///
    /// # Panics
    /// When the name is taken or can't be part of a path.
    #[must_use]
    pub fn local_action(
        self,
        name: &'static str,
        work: impl for<'c> Fn(
            &'c mut PgConnection,
            &'c LocalRequest,
        ) -> BoxFuture<'c, Result<Value, Failure>>
        + Send
        + Sync
        + 'static,
    ) -> Self {
        self.local_action_within(name, move |tx: &mut PostgresTx, request| {
            work(tx.connection(), request)
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
        undo: impl for<'c> Fn(&'c mut PgConnection, &'c Undo) -> BoxFuture<'c, Result<(), Refusal>>
        + Send
        + Sync
        + 'static,
    ) -> Self {
        self.compensation_within(name, move |tx: &mut PostgresTx, told| undo(tx.connection(), told))
    }

    /// A (correcting) message that the supervisor may ask for with the verb `notify`; sent once per saga.
    ///
    /// # Panics
    /// When the name is taken or can't be part of a path.
    #[must_use]
    pub fn notice(
        self,
        name: &'static str,
        send: impl for<'c> Fn(&'c mut PgConnection, &'c Notice) -> BoxFuture<'c, Result<(), Refusal>>
        + Send
        + Sync
        + 'static,
    ) -> Self {
        self.notice_within(name, move |tx: &mut PostgresTx, told| send(tx.connection(), told))
    }
}

impl Kit<Postgres> {
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
        work: impl for<'c> FnOnce(&'c mut PgConnection) -> BoxFuture<'c, Result<(), Refusal>>
        + Send
        + 'static,
    ) -> Result<bool, KitError> {
        self.finish_undo_within(saga, action, move |tx: &mut PostgresTx| work(tx.connection()))
            .await
    }

    /// The connections, for the host's own queries.
    #[must_use]
    pub fn pool(&self) -> &PgPool {
        self.store().pool()
    }
}
