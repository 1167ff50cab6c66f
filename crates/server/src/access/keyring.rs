//! Tokens and sessions: made, known again by their digests, revoked, forgotten. What is shown is never kept.

use super::kept::{Digest, KeptSession, cut, digest, hex, session_row, token_row};
use crate::random::{self, NoRandomness};
use amends_api::access::{
    GRANTS_LIMIT, Grant, Principal, PrincipalKind, SessionView, TokenMade, TokenView,
};
use amends_protocol::Timestamp;
use amends_store::{
    CredentialKind, CredentialRow, Credentials, SqliteOptions, SqliteStore, StoreError,
};
use std::collections::HashMap;
use std::net::IpAddr;
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// Most tokens that are kept; those that ended long ago make room by themselves.
const TOKENS_LIMIT: usize = 10_000;
/// Most sessions at once.
const SESSIONS_LIMIT: usize = 10_000;
/// How long a token works unless told otherwise, in seconds: 90 days.
const COMMON_LIFE: u64 = 90 * 86_400;
/// Longest life of a token, in seconds: ten years.
const LONGEST_LIFE: u64 = 10 * 365 * 86_400;
/// How long an ended token is still listed, in milliseconds: 90 days.
const REMEMBERED: i64 = 90 * 86_400_000;
/// Longest name of a token, in bytes.
const NAME_LIMIT: usize = 64;
/// Longest name of a browser that is kept, in bytes.
const BROWSER_LIMIT: usize = 200;
/// Uses are told to the minute, so that they cost no write each.
const MINUTE: i64 = 60_000;

/// In place of an id, for a token of the configuration.
const FIXED: &str = "(configuration)";

/// Everybody who is known by something that they show. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Keyring(Arc<RwLock<Inner>>);

#[derive(Debug, Default)]
struct Inner {
    tokens: HashMap<Digest, Token>,
    sessions: HashMap<Digest, Session>,
    /// Tokens of the configuration.
    fixed: HashMap<Digest, Principal>,
}

#[derive(Debug)]
struct Token {
    view: TokenView,
    /// Used since it was written.
    used: bool,
}

#[derive(Debug)]
struct Session {
    id: String,
    kept: KeptSession,
    used: bool,
}

/// Somebody who is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Known {
    pub(crate) principal: Principal,
    pub(crate) expires_at: Option<Timestamp>,
    /// The session's public id.
    pub(crate) session: Option<String>,
    /// The token's id.
    pub(crate) token: Option<String>,
    /// Every use is to be told loudly.
    pub(crate) break_glass: bool,
    /// Of what was shown; none where nobody here can take it back.
    pub(crate) digest: Option<[u8; 32]>,
}

impl Known {
    /// By a certificate, which the connection has checked.
    pub(crate) fn by_certificate(principal: Principal) -> Self {
        Self {
            principal,
            expires_at: None,
            session: None,
            token: None,
            break_glass: false,
            digest: None,
        }
    }
}

/// Why somebody is not known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum NotKnown {
    /// It is none of ours.
    Stranger,
    /// It has expired.
    Expired { id: String, at: Timestamp },
    /// It was revoked.
    Revoked { id: String, at: Timestamp },
    /// The session is over.
    SessionOver,
}

impl NotKnown {
    /// What is wrong, and what helps.
    pub(crate) fn sentence(&self) -> String {
        match self {
            Self::Stranger => {
                "this token is not known here: it is of another supervisor, or was cut when it was copied; \
                 `amends token list` tells which there are"
                    .to_owned()
            }
            Self::Expired { id, at } => {
                format!("the token `amends_{id}_…` has expired at {at}; make a new one")
            }
            Self::Revoked { id, at } => {
                format!("the token `amends_{id}_…` was revoked at {at}; make a new one")
            }
            Self::SessionOver => "the session is over; log in again".to_owned(),
        }
    }
}

/// A token to be made.
#[derive(Clone, Debug)]
pub struct NewToken {
    /// Whose it is.
    pub name: String,
    /// What it allows.
    pub grants: Vec<Grant>,
    /// How long it works, in seconds; none: 90 days.
    pub expires_in: Option<u64>,
    /// Whether every use is told loudly.
    pub break_glass: bool,
    /// Who makes it.
    pub made_by: String,
}

/// A session to be begun.
#[derive(Clone, Debug)]
pub(crate) struct NewSession {
    pub(crate) principal: Principal,
    pub(crate) address: Option<IpAddr>,
    pub(crate) browser: Option<String>,
    /// The token that began it, by its id.
    pub(crate) token: Option<String>,
    /// When it ends at the latest.
    pub(crate) ends_at: Timestamp,
    /// How long it lives without being used, in milliseconds.
    pub(crate) idle: i64,
    /// What its maker needs to end it elsewhere too.
    pub(crate) note: Option<String>,
}

/// Why a token can't be made or revoked.
#[derive(Debug, thiserror::Error)]
pub enum TokenMistake {
    /// What is wanted is wrong.
    #[error("{0}")]
    Wrong(String),
    /// There is no such token.
    #[error("there is no token `{0}`")]
    Unknown(String),
    /// There are too many.
    #[error("there are {TOKENS_LIMIT} tokens already; revoke some")]
    TooMany,
    /// Nothing can be drawn by chance.
    #[error("{0}")]
    Random(#[from] NoRandomness),
    /// The store.
    #[error("{0}")]
    Store(#[from] StoreError),
}

impl Keyring {
    /// Reads all that is kept. A row that says nothing readable lets nobody in, and is told of.
    ///
    /// # Errors
    /// When the store can't be read.
    pub async fn load(store: &impl Credentials) -> Result<Self, StoreError> {
        let mut inner = Inner::default();
        for CredentialRow { kind, id, digest, state } in store.credentials().await? {
            let read = match kind {
                CredentialKind::Token => serde_json::from_str(&state).map(|view: TokenView| {
                    inner.tokens.insert(digest, Token { view, used: false });
                }),
                CredentialKind::Session => serde_json::from_str(&state).map(|kept| {
                    let session = Session { id: id.clone(), kept, used: false };
                    inner.sessions.insert(digest, session);
                }),
            };
            if let Err(error) = read {
                tracing::warn!(kind = kind.as_str(), id, %error, "a credential can't be read, and lets nobody in");
            }
        }
        Ok(Self(Arc::new(RwLock::new(inner))))
    }

    /// Takes the tokens of the configuration in place of those of before: what is shown, and who shows it.
    pub fn set_fixed(&self, all: impl IntoIterator<Item = (String, Principal)>) {
        let all = all.into_iter().map(|(shown, who)| (digest(&shown), who)).collect();
        self.write().fixed = all;
    }

    /// Whether anybody can be known at all.
    pub(crate) fn is_empty(&self) -> bool {
        let inner = self.read();
        inner.tokens.is_empty() && inner.fixed.is_empty()
    }

    /// Who shows this token.
    pub(crate) fn token(&self, shown: &str, now: Timestamp) -> Result<Known, NotKnown> {
        let digest = digest(shown);
        let inner = self.read();
        if let Some(principal) = inner.fixed.get(&digest) {
            let principal = principal.clone();
            let token = Some(FIXED.to_owned());
            let (expires_at, session, break_glass) = (None, None, false);
            let digest = Some(digest);
            return Ok(Known { principal, expires_at, session, token, break_glass, digest });
        }
        let token = inner.tokens.get(&digest).ok_or(NotKnown::Stranger)?;
        let view = &token.view;
        live(view, now)?;
        let known = Known {
            principal: principal_of(view),
            expires_at: Some(view.expires_at),
            session: None,
            token: Some(view.id.clone()),
            break_glass: view.break_glass,
            digest: Some(digest),
        };
        let is_news = view.last_used_at.is_none_or(|at| now.0 - at.0 >= MINUTE);
        drop(inner);
        if is_news && let Some(token) = self.write().tokens.get_mut(&digest) {
            token.view.last_used_at = Some(now);
            token.used = true;
        }
        Ok(known)
    }

    /// Whose session this is.
    pub(crate) fn session(&self, shown: &str, now: Timestamp) -> Result<Known, NotKnown> {
        let digest = digest(shown);
        let inner = self.read();
        let session = inner.sessions.get(&digest).ok_or(NotKnown::SessionOver)?;
        inner.check(session, now)?;
        let kept = &session.kept;
        let known = Known {
            principal: kept.principal(),
            expires_at: Some(kept.ends_at),
            session: Some(session.id.clone()),
            token: kept.token.clone(),
            break_glass: false,
            digest: Some(digest),
        };
        let is_news = now.0 - kept.last_used_at.0 >= MINUTE;
        drop(inner);
        if is_news && let Some(session) = self.write().sessions.get_mut(&digest) {
            session.kept.last_used_at = now;
            session.used = true;
        }
        Ok(known)
    }

    /// Whether what has this digest is still something that is known.
    pub(crate) fn is_live(&self, digest: &[u8; 32], now: Timestamp) -> bool {
        let inner = self.read();
        if let Some(token) = inner.tokens.get(digest) {
            return live(&token.view, now).is_ok();
        }
        if let Some(session) = inner.sessions.get(digest) {
            return inner.check(session, now).is_ok();
        }
        inner.fixed.contains_key(digest)
    }

    /// Makes a token and keeps its digest; its text is told this once.
    ///
    /// # Errors
    /// What is wrong with it, or what the store says; nothing is kept then.
    pub async fn make_token(
        &self,
        store: &impl Credentials,
        wanted: NewToken,
        now: Timestamp,
    ) -> Result<TokenMade, TokenMistake> {
        let life = checked(&wanted)?;
        if self.read().tokens.len() >= TOKENS_LIMIT {
            return Err(TokenMistake::TooMany);
        }
        let id = hex(&random::bytes::<6>()?);
        let token = format!("amends_{id}_{}", random::text()?);
        let view = TokenView {
            id,
            name: wanted.name,
            grants: wanted.grants,
            made_at: now,
            made_by: wanted.made_by,
            expires_at: Timestamp(now.0.saturating_add((life * 1_000).cast_signed())),
            last_used_at: None,
            revoked_at: None,
            break_glass: wanted.break_glass,
        };
        let digest = digest(&token);
        store.put_credential(token_row(digest, &view)).await?;
        self.write().tokens.insert(digest, Token { view: view.clone(), used: false });
        Ok(TokenMade { token, view })
    }

    /// All tokens, the newest first.
    pub(crate) fn tokens(&self) -> Vec<TokenView> {
        let mut all: Vec<_> = self.read().tokens.values().map(|token| token.view.clone()).collect();
        all.sort_by(|a, b| b.made_at.cmp(&a.made_at).then_with(|| a.id.cmp(&b.id)));
        all
    }

    /// One of them.
    pub(crate) fn token_of(&self, id: &str) -> Option<TokenView> {
        self.read().tokens.values().find(|token| token.view.id == id).map(|t| t.view.clone())
    }

    /// Lets a token work no more, and with it the sessions that it began. One that is revoked already stays so.
    ///
    /// # Errors
    /// When there is none, or what the store says: then it still works.
    pub async fn revoke(
        &self,
        store: &impl Credentials,
        id: &str,
        now: Timestamp,
    ) -> Result<TokenView, TokenMistake> {
        let found = self.read().tokens.iter().find_map(|(digest, token)| {
            (token.view.id == id).then(|| (*digest, token.view.clone()))
        });
        let (digest, mut view) = found.ok_or_else(|| TokenMistake::Unknown(id.to_owned()))?;
        if view.revoked_at.is_none() {
            view.revoked_at = Some(now);
            store.put_credential(token_row(digest, &view)).await?;
            if let Some(token) = self.write().tokens.get_mut(&digest) {
                token.view.revoked_at = Some(now);
            }
        }
        Ok(view)
    }

    /// Begins a session; gives what the browser is to show.
    ///
    /// # Errors
    /// What the store says; nothing has begun then.
    pub(crate) async fn begin_session(
        &self,
        store: &impl Credentials,
        new: NewSession,
        now: Timestamp,
    ) -> Result<String, TokenMistake> {
        if self.read().sessions.len() >= SESSIONS_LIMIT {
            self.tidy(store, now).await?;
            if self.read().sessions.len() >= SESSIONS_LIMIT {
                let what = format!("there are {SESSIONS_LIMIT} sessions already; end some");
                return Err(TokenMistake::Wrong(what));
            }
        }
        let (id, shown) = (hex(&random::bytes::<6>()?), random::text()?);
        let kept = KeptSession {
            name: new.principal.name,
            kind: new.principal.kind,
            grants: new.principal.grants,
            begun_at: now,
            last_used_at: now,
            ends_at: new.ends_at,
            idle: new.idle,
            address: new.address.map(|address| address.to_canonical().to_string()),
            browser: new.browser.map(|name| cut(name, BROWSER_LIMIT)),
            token: new.token,
            note: new.note,
        };
        let digest = digest(&shown);
        store.put_credential(session_row(digest, &id, &kept)).await?;
        self.write().sessions.insert(digest, Session { id, kept, used: false });
        Ok(shown)
    }

    /// Sessions that are not over, the last used first; of one principal if given.
    pub(crate) fn sessions(
        &self,
        of: Option<&str>,
        current: Option<&str>,
        now: Timestamp,
    ) -> Vec<SessionView> {
        let inner = self.read();
        let all = inner.sessions.values().filter(|session| !session.kept.is_over(now));
        let meant = all.filter(|session| of.is_none_or(|name| session.kept.name == name));
        let mut views: Vec<_> = meant.map(|session| session.view(current)).collect();
        views.sort_by(|a, b| b.last_used_at.cmp(&a.last_used_at).then_with(|| a.id.cmp(&b.id)));
        views
    }

    /// Ends a session; gives whose it was and its maker's note. One that is over already is ended.
    ///
    /// # Errors
    /// What the store says: then it goes on.
    pub(crate) async fn end_session(
        &self,
        store: &impl Credentials,
        id: &str,
    ) -> Result<Option<(String, Option<String>)>, StoreError> {
        let found = self.read().sessions.iter().find_map(|(digest, session)| {
            let told = || (session.kept.name.clone(), session.kept.note.clone());
            (session.id == id).then(|| (*digest, told()))
        });
        let Some((digest, told)) = found else { return Ok(None) };
        store.drop_credential(CredentialKind::Session, id.to_owned()).await?;
        self.write().sessions.remove(&digest);
        Ok(Some(told))
    }

    /// Writes down what was used, and forgets what ended long ago. To be called about once a minute.
    ///
    /// # Errors
    /// What the store says; the rest is done the next time.
    pub(crate) async fn tidy(
        &self,
        store: &impl Credentials,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let (rows, gone) = self.due(now);
        for row in rows {
            store.put_credential(row).await?;
        }
        for (kind, id, digest) in gone {
            store.drop_credential(kind, id).await?;
            let mut inner = self.write();
            match kind {
                CredentialKind::Token => drop(inner.tokens.remove(&digest)),
                CredentialKind::Session => drop(inner.sessions.remove(&digest)),
            }
        }
        Ok(())
    }

    /// What is to be written, and what to be forgotten.
    #[allow(clippy::type_complexity)] // the two lists of one caller
    fn due(&self, now: Timestamp) -> (Vec<CredentialRow>, Vec<(CredentialKind, String, Digest)>) {
        let (mut rows, mut gone) = (Vec::new(), Vec::new());
        let mut inner = self.write();
        for (digest, token) in &mut inner.tokens {
            let ended = token.view.revoked_at.unwrap_or(token.view.expires_at);
            if now.0.saturating_sub(ended.0) > REMEMBERED {
                gone.push((CredentialKind::Token, token.view.id.clone(), *digest));
            } else if std::mem::take(&mut token.used) {
                rows.push(token_row(*digest, &token.view));
            }
        }
        for (digest, session) in &mut inner.sessions {
            if session.kept.is_over(now) {
                gone.push((CredentialKind::Session, session.id.clone(), *digest));
            } else if std::mem::take(&mut session.used) {
                rows.push(session_row(*digest, &session.id, &session.kept));
            }
        }
        (rows, gone)
    }

    fn read(&self) -> RwLockReadGuard<'_, Inner> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Inner> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    /// That a session goes on: not over itself, and what began it not taken back.
    fn check(&self, session: &Session, now: Timestamp) -> Result<(), NotKnown> {
        let kept = &session.kept;
        if kept.is_over(now) {
            return Err(NotKnown::SessionOver);
        }
        match kept.token.as_deref() {
            None => Ok(()),
            // Taken out of the configuration, its sessions are over.
            Some(FIXED) => {
                let still = self.fixed.values().any(|principal| *principal == kept.principal());
                still.then_some(()).ok_or(NotKnown::SessionOver)
            }
            Some(id) => {
                let token = self.tokens.values().find(|token| token.view.id == id);
                live(&token.ok_or(NotKnown::SessionOver)?.view, now)
            }
        }
    }
}

impl Session {
    fn view(&self, current: Option<&str>) -> SessionView {
        let kept = &self.kept;
        SessionView {
            id: self.id.clone(),
            name: kept.name.clone(),
            begun_at: kept.begun_at,
            last_used_at: kept.last_used_at,
            ends_at: kept.ends_at,
            address: kept.address.clone(),
            browser: kept.browser.clone(),
            current: current == Some(self.id.as_str()),
        }
    }
}

/// Makes a token in the store of a supervisor that does not run.
///
/// # Errors
/// [`StoreError::Locked`] when one runs there, or as [`Keyring::make_token`].
pub async fn offline_token(
    data: &Path,
    wanted: NewToken,
    now: Timestamp,
) -> Result<TokenMade, TokenMistake> {
    token_in(&SqliteStore::open(data, &SqliteOptions { readers: 1 })?, wanted, now).await
}

/// Makes a token in a store that is held here, and not by a supervisor.
///
/// # Errors
/// What is wrong with it, or what the store says; nothing is kept then.
pub async fn token_in(
    store: &impl Credentials,
    wanted: NewToken,
    now: Timestamp,
) -> Result<TokenMade, TokenMistake> {
    Keyring::load(store).await?.make_token(store, wanted, now).await
}

fn live(view: &TokenView, now: Timestamp) -> Result<(), NotKnown> {
    if let Some(at) = view.revoked_at {
        return Err(NotKnown::Revoked { id: view.id.clone(), at });
    }
    if now >= view.expires_at {
        return Err(NotKnown::Expired { id: view.id.clone(), at: view.expires_at });
    }
    Ok(())
}

/// Its life in seconds, if all that is wanted can be.
fn checked(wanted: &NewToken) -> Result<u64, TokenMistake> {
    let wrong = |what: String| Err(TokenMistake::Wrong(what));
    let name = &wanted.name;
    let fits = |b: u8| b.is_ascii_alphanumeric() || b".-_".contains(&b);
    if name.is_empty() || name.len() > NAME_LIMIT || !name.bytes().all(fits) {
        return wrong(format!(
            "`name` is `{name}`; write 1 to {NAME_LIMIT} letters, digits, `.`, `-` and `_`"
        ));
    }
    if wanted.grants.is_empty() || wanted.grants.len() > GRANTS_LIMIT {
        return wrong(format!("`grants` has {}; give 1 to {GRANTS_LIMIT}", wanted.grants.len()));
    }
    match wanted.expires_in.unwrap_or(COMMON_LIFE) {
        0 => wrong("`expiresIn` is 0; such a token never works".to_owned()),
        life if life > LONGEST_LIFE => {
            wrong(format!("`expiresIn` is {life} s; at most {LONGEST_LIFE} s, ten years"))
        }
        life => Ok(life),
    }
}

fn principal_of(view: &TokenView) -> Principal {
    Principal {
        name: format!("token:{}", view.name),
        kind: PrincipalKind::Token,
        grants: view.grants.clone(),
    }
}

#[cfg(test)]
#[path = "keyring_tests.rs"]
mod tests;
