//! How those who ask are known: tokens and sessions, by digests of what they show.

use crate::StoreError;
use std::future::Future;

/// What a credential is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum CredentialKind {
    /// Of a program, or of a person at the command line.
    Token,
    /// Of a person's browser.
    Session,
}

impl CredentialKind {
    /// Each of them.
    pub const ALL: [Self; 2] = [Self::Token, Self::Session];

    /// Its word in the store.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Token => "token",
            Self::Session => "session",
        }
    }
}

/// A credential. The store never holds what is shown, only its digest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CredentialRow {
    /// Which.
    pub kind: CredentialKind,
    /// Its public name; the key, with the kind.
    pub id: String,
    /// SHA-256 of what is shown; two never have the same.
    pub digest: [u8; 32],
    /// Everything else. What it means is its maker's affair.
    pub state: String,
}

/// Tokens and sessions. Few are written, all are read at a start; they never wait for the loop.
pub trait Credentials: Clone + Send + Sync + 'static {
    /// All of them, by kind and id.
    ///
    /// # Errors
    /// When the store can't be read.
    fn credentials(&self) -> impl Future<Output = Result<Vec<CredentialRow>, StoreError>> + Send;

    /// Keeps one. Of one that is known, only the state is replaced: a digest never changes.
    ///
    /// # Errors
    /// When it can't be written, and when another one has its digest.
    fn put_credential(
        &self,
        row: CredentialRow,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Forgets one; one that is not there is forgotten already.
    ///
    /// # Errors
    /// When it can't be written.
    fn drop_credential(
        &self,
        kind: CredentialKind,
        id: String,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;
}
