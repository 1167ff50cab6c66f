//! Where the keys of an issuer come from: a file or an address. They are kept; they are read anew when they are old, or
//! when a token names a key that is not among them, but only a few times a minute, whoever sends what.

use super::keys::{KEYS_LIMIT, Keys, Seal};
use super::refused::Refused;
use crate::dispatch::WebClient;
use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION};
use http::{HeaderValue, Request, Uri};
use http_body_util::Full;
use std::collections::VecDeque;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

/// How long keys are used without a look whether they are still there: a key that its issuer has taken back dies then.
const FRESH: Duration = Duration::from_secs(10 * 60);
/// How long they are used while nobody can be asked for them. An issuer that is away a day long has other troubles.
const STALE: Duration = Duration::from_secs(24 * 3_600);
/// Most looks within a minute: tokens with made-up names of keys must not become requests to the issuer.
const MOST_LOOKS: usize = 6;
const MINUTE: Duration = Duration::from_secs(60);
/// How long an issuer may take to answer.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Where keys are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum KeysPlace {
    /// In a file, which is looked at as often.
    File(PathBuf),
    /// At an address, perhaps with a secret of the configuration that is shown there.
    Address { uri: Uri, secret: Option<String> },
}

/// The keys of one issuer.
pub(super) struct KeySource {
    place: KeysPlace,
    client: WebClient,
    kept: Mutex<Kept>,
    /// Whoever holds it asks; the others take what is there.
    asking: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct Kept {
    keys: Arc<Keys>,
    /// When they were read last, and when somebody looked.
    read: Option<Duration>,
    looks: VecDeque<Duration>,
    /// When the file was changed, as far as it was read.
    changed: Option<SystemTime>,
    /// Why they could not be read last.
    trouble: Option<String>,
}

impl KeySource {
    pub(super) fn new(place: KeysPlace, client: WebClient) -> Self {
        Self { place, client, kept: Mutex::default(), asking: tokio::sync::Mutex::default() }
    }

    /// The keys by which a token may have been signed.
    ///
    /// # Errors
    /// There are none, or they are too old to be believed.
    pub(super) async fn for_token(
        &self,
        seal: Seal<'_>,
        now: Duration,
    ) -> Result<Arc<Keys>, Refused> {
        if self.wants_a_look(seal, now) {
            let has_one = self.kept().keys.have_one_for(seal);
            let turn = match self.asking.try_lock() {
                Ok(turn) => Some(turn),
                // Somebody asks already, and what is there will do.
                Err(_) if has_one => None,
                Err(_) => Some(self.asking.lock().await),
            };
            // Whoever waited may find what the one before has brought.
            if turn.is_some() && self.wants_a_look(seal, now) {
                self.look(now).await;
            }
        }
        let kept = self.kept();
        match kept.read {
            Some(read) if now.saturating_sub(read) < STALE => Ok(Arc::clone(&kept.keys)),
            _ => Err(Refused::KeysAway(kept.trouble.clone().unwrap_or_default())),
        }
    }

    fn wants_a_look(&self, seal: Seal<'_>, now: Duration) -> bool {
        let kept = self.kept();
        let is_new = || match &self.place {
            KeysPlace::File(path) => changed(path) != kept.changed,
            KeysPlace::Address { .. } => false,
        };
        let is_fresh = kept.read.is_some_and(|read| now.saturating_sub(read) < FRESH);
        if is_fresh && kept.keys.have_one_for(seal) && !is_new() {
            return false;
        }
        kept.may_look(now)
    }

    async fn look(&self, now: Duration) {
        self.kept().looked(now);
        let (read, changed) = match &self.place {
            KeysPlace::File(path) => {
                let changed = changed(path);
                (read_file(path).and_then(|text| Keys::read(&text)), changed)
            }
            KeysPlace::Address { uri, secret } => (self.fetch(uri, secret.as_deref()).await, None),
        };
        let mut kept = self.kept();
        kept.changed = changed;
        match read {
            Ok(keys) => {
                kept.keys = Arc::new(keys);
                kept.read = Some(now);
                kept.trouble = None;
            }
            Err(why) => {
                let place = &self.place;
                tracing::warn!(%place, why, "the keys of an issuer can't be read; those before stay");
                kept.trouble = Some(why);
            }
        }
    }

    async fn fetch(&self, uri: &Uri, secret: Option<&str>) -> Result<Keys, String> {
        let mut request = Request::get(uri.clone()).header(ACCEPT, "application/json");
        if let Some(name) = secret {
            let host = uri.authority().ok_or("the address has no host")?;
            let value = format!("Bearer {}", self.client.secret(name, host)?);
            let mut value = HeaderValue::from_str(&value).map_err(|e| e.to_string())?;
            value.set_sensitive(true);
            request = request.header(AUTHORIZATION, value);
        }
        let request = request.body(Full::new(Bytes::new())).map_err(|e| e.to_string())?;
        let answer = self.client.fetch(request, TIMEOUT, KEYS_LIMIT).await?;
        match answer.status.as_u16() {
            200 => Keys::read(&answer.body),
            status => Err(format!("HTTP {status}")),
        }
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    fn may_look(&self, now: Duration) -> bool {
        let lately = self.looks.iter().filter(|look| now.saturating_sub(**look) < MINUTE);
        lately.count() < MOST_LOOKS
    }

    fn looked(&mut self, now: Duration) {
        if self.looks.len() == MOST_LOOKS {
            self.looks.pop_front();
        }
        self.looks.push_back(now);
    }
}

impl std::fmt::Display for KeysPlace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            Self::Address { uri, .. } => uri.fmt(f),
        }
    }
}

/// Whether a file holds keys.
///
/// # Errors
/// Says what is wrong with it.
pub(crate) fn check_key_file(path: &Path) -> Result<(), String> {
    let keys = read_file(path).and_then(|text| Keys::read(&text));
    keys.map(drop).map_err(|why| format!("`{}`: {why}", path.display()))
}

fn changed(path: &Path) -> Option<SystemTime> {
    std::fs::metadata(path).and_then(|about| about.modified()).ok()
}

fn read_file(path: &Path) -> Result<Vec<u8>, String> {
    let mut text = Vec::new();
    File::open(path)
        .and_then(|file| file.take(KEYS_LIMIT as u64 + 1).read_to_end(&mut text))
        .map_err(|e| format!("it cannot be read: {e}"))?;
    Ok(text)
}

#[cfg(test)]
#[cfg(feature = "tls")]
#[path = "key_source_tests.rs"]
mod tests;
