//! Who asks, and whether they may. What each route needs stands in one table (`routes.rs`), and one function judges it
//! (`amends_api::access::may`); how somebody is known is here: tokens, sessions, whatever else proves who comes.

use crate::identity::Believed;
use amends_api::access::{Principal, PrincipalKind};
use amends_protocol::wire::bearer;
use amends_store::{Credentials, StoreError};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

mod caller;
mod certificates;
mod exposure;
mod kept;
mod keyring;
mod pace;
pub(crate) mod peer;
pub(crate) mod proxies;
mod routes;
mod settings;
mod shown;
pub(crate) mod side;
mod stay;

pub use certificates::CertificateGrants;
pub use exposure::Exposure;
pub use keyring::{Keyring, NewToken, TokenMistake, offline_token, token_in};
pub use peer::{Peer, PeerCertificate};
pub use settings::{AccessOptions, FixedToken, Networks, Required};

pub(crate) use caller::Caller;
pub(crate) use keyring::{Known, NewSession};
pub(crate) use pace::{Asker, Pace, TooOften};
#[cfg(test)]
pub(crate) use routes::ROUTES;
pub(crate) use routes::{About, Needs, needs, waits_in_line};
pub(crate) use shown::{LOCAL_COOKIE, SECURE_COOKIE, Shown, shown, unauthorized};
pub(crate) use stay::Stay;

/// Nobody can be let in.
#[derive(Debug, thiserror::Error)]
pub enum AccessError {
    /// Tokens and sessions can't be read.
    #[error("{0}")]
    Store(#[from] StoreError),
    /// A token of the configuration can't be had.
    #[error("the token `{name}` of [tokens] can't be had: {why}")]
    Token {
        /// Its name.
        name: String,
        /// What is wrong, and what to do.
        why: String,
    },
}

/// Whether a path is one of those that tell only whether we live.
pub(crate) fn is_probe(path: &str) -> bool {
    matches!(path, "/livez" | "/readyz" | "/healthz")
}

/// Shortest token that stands in a file, in bytes: it must not be guessed.
const SHORTEST_TOKEN: usize = 32;

/// What the gate knows. Clones share their keys.
#[derive(Clone, Debug)]
pub struct Access {
    /// Whether who comes must be known. Otherwise whoever comes may do everything.
    pub is_required: bool,
    /// Tokens and sessions.
    pub keys: Keyring,
    /// Whose word about who somebody is counts.
    pub believed: Believed,
    /// Whose word about who acts counts.
    pub trusted_proxies: Networks,
    /// What certificates allow.
    pub certificates: CertificateGrants,
    /// TLS ends at a proxy in front.
    pub behind_proxy: bool,
    /// What is not secure by somebody's word; said on every page.
    pub insecure: Option<Arc<str>>,
    /// How long a session lives without being used.
    pub session_idle: Duration,
    /// How long a session lives.
    pub session_end: Duration,
}

impl Default for Access {
    /// Of a supervisor that nobody but this machine reaches.
    fn default() -> Self {
        Self {
            is_required: false,
            keys: Keyring::default(),
            believed: Believed::default(),
            trusted_proxies: Networks::default(),
            certificates: CertificateGrants::default(),
            behind_proxy: false,
            insecure: None,
            session_idle: AccessOptions::default().session_idle,
            session_end: AccessOptions::default().session_end,
        }
    }
}

impl Access {
    /// Of a supervisor that listens at these addresses.
    ///
    /// # Errors
    /// When the store or a file of a token can't be read.
    pub async fn open(
        store: &impl Credentials,
        options: &AccessOptions,
        listening: &[SocketAddr],
    ) -> Result<Self, AccessError> {
        let keys = Keyring::load(store).await?;
        read_tokens(&keys, &options.tokens)?;
        // Where one of them is open to others, whoever comes to any must be known.
        let is_required = listening.iter().any(|address| options.required.at(*address));
        if !is_required {
            tracing::warn!(
                ?listening,
                "access is not controlled: whoever reaches this address may do everything; set `access.required`"
            );
        } else if keys.is_empty() {
            tracing::warn!(
                "nobody can be known yet: make a first token by `amends token create --admin --data DIR` while no supervisor runs there"
            );
        }
        Ok(Self {
            is_required,
            keys,
            believed: Believed::default(),
            trusted_proxies: options.trusted_proxies.clone(),
            certificates: options.certificates.clone(),
            behind_proxy: options.behind_proxy,
            insecure: None,
            session_idle: options.session_idle,
            session_end: options.session_end,
        })
    }

    /// With the issuers and the provider of the configuration.
    #[must_use]
    pub fn believing(mut self, believed: Believed) -> Self {
        self.believed = believed;
        self
    }

    /// Whether a browser at the other end has TLS.
    pub(crate) fn is_secure(&self, peer: &Peer) -> bool {
        peer.secure || self.behind_proxy
    }
}

/// Takes the tokens of the configuration as their files hold them now; with a mistake in one, all stay as they were.
///
/// # Errors
/// The first mistake.
pub(crate) fn read_tokens(keys: &Keyring, tokens: &[FixedToken]) -> Result<(), AccessError> {
    let all = tokens.iter().map(fixed).collect::<Result<Vec<_>, _>>()?;
    keys.set_fixed(all);
    Ok(())
}

fn fixed(token: &FixedToken) -> Result<(String, Principal), AccessError> {
    let FixedToken { name, file, grants } = token;
    let wrong = |why: String| AccessError::Token { name: name.clone(), why };
    let text = std::fs::read_to_string(file)
        .map_err(|error| wrong(format!("`{}` can't be read: {error}", file.display())))?;
    let make_one = format!(
        "it must be at least {SHORTEST_TOKEN} characters long; `openssl rand -hex 32` makes one"
    );
    let text = bearer::token(&text)
        .map_err(|why| wrong(format!("`{}` holds no token: {why}; {make_one}", file.display())))?;
    if text.len() < SHORTEST_TOKEN {
        return Err(wrong(format!("the token in `{}` is too short: {make_one}", file.display())));
    }
    let principal = Principal {
        name: format!("token:{name}"),
        kind: PrincipalKind::Token,
        grants: grants.clone(),
    };
    Ok((text.to_owned(), principal))
}

#[cfg(test)]
mod tests {
    use super::*;
    use amends_protocol::Timestamp;

    #[test]
    fn a_token_that_stands_in_a_file_can_be_renewed_and_a_broken_one_changes_nothing() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("payment");
        let grants = vec!["report:payment".parse().expect("a grant")];
        let tokens = [FixedToken { name: "payment".to_owned(), file: file.clone(), grants }];
        let keys = Keyring::default();
        let (old, new) = ("o".repeat(SHORTEST_TOKEN), "n".repeat(SHORTEST_TOKEN));
        let is_known = |shown: &str| keys.token(shown, Timestamp(0)).is_ok();
        std::fs::write(&file, format!("{old}\n")).expect("written");
        read_tokens(&keys, &tokens).expect("a token");
        assert!(is_known(&old) && !is_known(&new));
        for broken in
            ["", "too short", &" ".repeat(40), &format!("{new} {new}"), &format!("{new}#")]
        {
            std::fs::write(&file, broken).expect("written");
            let told = read_tokens(&keys, &tokens).expect_err(broken).to_string();
            assert!(told.contains("`payment`") && !told.contains(&new), "{told}");
            assert!(is_known(&old), "{broken}");
        }
        std::fs::write(&file, &new).expect("written");
        read_tokens(&keys, &tokens).expect("a token");
        assert!(is_known(&new) && !is_known(&old), "the old one works no more");
    }
}
