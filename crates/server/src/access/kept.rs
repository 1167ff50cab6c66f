//! What is kept of tokens and sessions, as rows of the store.

use amends_api::access::{Grant, Principal, PrincipalKind, TokenView};
use amends_protocol::Timestamp;
use amends_store::{CredentialKind, CredentialRow};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// SHA-256 of what is shown.
pub(super) type Digest = [u8; 32];

/// A session as it is stored.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct KeptSession {
    pub(super) name: String,
    pub(super) kind: PrincipalKind,
    pub(super) grants: Vec<Grant>,
    pub(super) begun_at: Timestamp,
    pub(super) last_used_at: Timestamp,
    pub(super) ends_at: Timestamp,
    /// How long it lives without being used, in milliseconds.
    pub(super) idle: i64,
    #[serde(default)]
    pub(super) address: Option<String>,
    #[serde(default)]
    pub(super) browser: Option<String>,
    /// The token that began it, by its id: revoked, the session is over.
    #[serde(default)]
    pub(super) token: Option<String>,
    /// What its maker needs to end it elsewhere too.
    #[serde(default)]
    pub(super) note: Option<String>,
}

impl KeptSession {
    pub(super) fn is_over(&self, now: Timestamp) -> bool {
        now >= self.ends_at || now.0.saturating_sub(self.last_used_at.0) >= self.idle
    }

    pub(super) fn principal(&self) -> Principal {
        Principal { name: self.name.clone(), kind: self.kind, grants: self.grants.clone() }
    }
}

pub(super) fn token_row(digest: Digest, view: &TokenView) -> CredentialRow {
    let state = serde_json::to_string(view).unwrap_or_default();
    CredentialRow { kind: CredentialKind::Token, id: view.id.clone(), digest, state }
}

pub(super) fn session_row(digest: Digest, id: &str, kept: &KeptSession) -> CredentialRow {
    let state = serde_json::to_string(kept).unwrap_or_default();
    CredentialRow { kind: CredentialKind::Session, id: id.to_owned(), digest, state }
}

pub(super) fn digest(shown: &str) -> Digest {
    Sha256::digest(shown.as_bytes()).into()
}

pub(super) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}"); // a text takes everything
        text
    })
}

pub(super) fn cut(mut text: String, most: usize) -> String {
    let end = (0..=most.min(text.len())).rev().find(|n| text.is_char_boundary(*n)).unwrap_or(0);
    text.truncate(end);
    text
}
