//! Where the database is, and as which node this store takes part in it.

use crate::StoreError;
use sqlx::postgres::{PgConnectOptions, PgSslMode};
use std::{fmt, path::PathBuf, str::FromStr, time::Duration};

/// How a store in PostgreSQL is opened.
#[derive(Clone)]
pub struct PostgresOptions {
    /// `postgres://user@host:port/database`, or with `?host=/folder/of/the/socket`. The database is the store's own:
    /// its tables lie in the schema `amends` there.
    pub address: String,
    /// The password of that user; none where the server asks for none, or if it stands in the address.
    pub password: Option<String>,
    /// Whether the connection is encrypted and whom it trusts; none is what the address says (`sslmode=…`), or
    /// `prefer`. All but `disable` and `prefer` need the feature `postgres-tls`.
    pub tls: Option<PostgresTls>,
    /// Certificates that are trusted, in PEM, in place of the system's.
    pub tls_authorities: Option<PathBuf>,
    /// The name of this node: 1 to 40 of `a`–`z`, `A`–`Z`, `0`–`9`, `-`, `_` and `.`. A node that starts again keeps
    /// its name, and so takes at once what it held before. No two that run may have the same.
    pub node: String,
    /// Connections for reading; at least 1. Each holds a thread. Two more are for commits and for showing that the
    /// node lives.
    pub readers: usize,
    /// A node that has not shown itself for this long counts as dead, and a node has to have lived for this long
    /// before it takes what was a dead one's.
    pub lease_time: Duration,
    /// How much of the store it takes.
    pub taking: Taking,
}

/// How much of a store a node takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Taking {
    /// All or nothing, shown as [`Partition::WHOLE`](crate::Partition::WHOLE).
    #[default]
    Whole,
    /// Each partition by itself, and [`Partition::SEAT`](crate::Partition::SEAT) as one more. The first node that does
    /// so makes the store one that is shared, for ever: nobody takes it as a whole any more.
    Parts,
}

impl PostgresOptions {
    /// The usual: what the address says of TLS, two connections for reading, dead after 5 s, the whole store or
    /// nothing.
    #[must_use]
    pub fn new(address: &str, node: &str) -> Self {
        Self {
            address: address.to_owned(),
            password: None,
            tls: None,
            tls_authorities: None,
            node: node.to_owned(),
            readers: 2,
            lease_time: Duration::from_secs(5),
            taking: Taking::default(),
        }
    }

    /// For messages: `` `database` at `host` ``.
    #[must_use]
    pub fn place(&self) -> String {
        match self.parsed() {
            Ok(parsed) => {
                let socket = parsed.get_socket().map(|path| path.display().to_string());
                let host = socket.unwrap_or_else(|| parsed.get_host().to_owned());
                format!("`{}` at `{host}`", parsed.get_database().unwrap_or("?"))
            }
            Err(_) => "of this address".to_owned(),
        }
    }

    fn parsed(&self) -> Result<PgConnectOptions, String> {
        PgConnectOptions::from_str(&self.address).map_err(|error| error.to_string())
    }

    /// As the driver has it.
    pub(crate) fn connect(&self) -> Result<PgConnectOptions, StoreError> {
        let unusable = |why: String| StoreError::Unusable { database: self.place(), why };
        let name_is_plain = |name: &str| {
            let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
            (1..=40).contains(&name.len()) && name.bytes().all(plain)
        };
        if !name_is_plain(&self.node) {
            return Err(unusable(format!(
                "`{}` can't be the name of a node; give it 1 to 40 letters, digits, `-`, `_` or `.`",
                self.node
            )));
        }
        let mut connect = self.parsed().map_err(|why| {
            unusable(format!(
                "the address is wrong: {why}; write it as `postgres://user@host/database`"
            ))
        })?;
        if let Some(password) = &self.password {
            connect = connect.password(password);
        }
        if let Some(tls) = self.tls {
            connect = connect.ssl_mode(tls.mode());
        }
        if let Some(path) = &self.tls_authorities {
            connect = connect.ssl_root_cert(path);
        }
        Ok(connect)
    }
}

/// Never with the password, which may also stand in the address.
impl fmt::Debug for PostgresOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresOptions")
            .field("database", &self.place())
            .field("node", &self.node)
            .finish_non_exhaustive()
    }
}

/// How a connection is encrypted, in the words of PostgreSQL's `sslmode`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PostgresTls {
    /// Not at all.
    Disable,
    /// If the server can; whoever stands in between may talk it out of it.
    Prefer,
    /// Always, whoever the server is.
    Require,
    /// Always, and the server shows a certificate of an authority that is trusted.
    VerifyCa,
    /// The same, and the certificate is of the host's name.
    VerifyFull,
}

impl PostgresTls {
    /// Each of them.
    pub const ALL: [Self; 5] =
        [Self::Disable, Self::Prefer, Self::Require, Self::VerifyCa, Self::VerifyFull];

    /// Its word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Disable => "disable",
            Self::Prefer => "prefer",
            Self::Require => "require",
            Self::VerifyCa => "verify-ca",
            Self::VerifyFull => "verify-full",
        }
    }

    const fn mode(self) -> PgSslMode {
        match self {
            Self::Disable => PgSslMode::Disable,
            Self::Prefer => PgSslMode::Prefer,
            Self::Require => PgSslMode::Require,
            Self::VerifyCa => PgSslMode::VerifyCa,
            Self::VerifyFull => PgSslMode::VerifyFull,
        }
    }
}

impl FromStr for PostgresTls {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|mode| mode.as_str() == text).ok_or_else(|| {
            let words = Self::ALL.map(Self::as_str).join(", ");
            format!("unknown sslmode `{text}`; one of: {words}")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_used_is_told_without_the_password() {
        let wrong_name = PostgresOptions::new("postgres://kim:geheim@db/amends", "a/b");
        let wrong_address = PostgresOptions::new("postgres//kim:geheim@db/amends", "a");
        for (options, told) in [(wrong_name, "`a/b`"), (wrong_address, "the address is wrong")] {
            let error = options.connect().expect_err(told).to_string();
            assert!(error.contains(told) && !error.contains("geheim"), "{error}");
            assert!(!format!("{options:?}").contains("geheim"));
        }
    }

    #[test]
    fn every_sslmode_has_its_word() {
        for mode in PostgresTls::ALL {
            assert_eq!(mode.as_str().parse(), Ok(mode));
        }
        assert!("yes".parse::<PostgresTls>().is_err());
    }
}
