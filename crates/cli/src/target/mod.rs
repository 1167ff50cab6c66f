//! Which supervisor a command talks to, and how it identifies there: what the command line, the environment and the
//! contexts say, put together once. A context is used whole or not at all, so that its token goes only to its own address.

pub mod address;
pub mod contexts;
mod headers;
pub mod token;

use crate::failure::{Failure, Outcome};
use address::{Address, DEFAULT_URL};
use contexts::{Context, Contexts};
use http::{HeaderMap, header};
use std::path::PathBuf;
use token::{Token, TokenSource};

pub use headers::shown as shown_header;

/// The environment, or what a test says of it. A variable that is empty is not set.
pub type Variable<'a> = &'a dyn Fn(&str) -> Option<String>;

/// What the command line says of it.
#[derive(Clone, Debug, Default)]
pub struct Said {
    pub url: Option<String>,
    pub context: Option<String>,
    pub token_file: Option<PathBuf>,
    pub ca: Option<PathBuf>,
    pub cert: Option<PathBuf>,
    pub key: Option<PathBuf>,
    pub headers: Vec<String>,
    pub insecure_http: bool,
}

/// One supervisor, and how one identifies there.
#[derive(Clone, Debug)]
pub struct Target {
    /// Where it is.
    pub address: Address,
    /// Who says so, e.g. `context prod`.
    pub named_by: String,
    /// The token, and who says it.
    pub token: Option<(TokenSource, String)>,
    /// Certificates.
    pub tls: TlsFiles,
    /// What every request has beside.
    pub headers: HeaderMap,
}

/// The files of certificates, all PEM.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsFiles {
    /// Authorities that are trusted in place of the system's.
    pub ca: Option<PathBuf>,
    /// The client certificate and its key, which may lie in one file.
    pub identity: Option<(PathBuf, PathBuf)>,
}

/// A token as it is used, and who said it.
#[derive(Clone, Debug)]
pub struct Credential {
    pub token: Token,
    pub said_by: String,
}

impl Credential {
    /// `token amends_7f3a_… of context prod`.
    pub fn shown(&self) -> String {
        format!("the token `{}` of {}", self.token.shown(), self.said_by)
    }
}

impl Target {
    /// Puts together what is said. The contexts are read only where they count.
    pub fn resolve(
        said: &Said,
        variable: Variable<'_>,
        contexts: impl FnOnce() -> Outcome<Contexts>,
    ) -> Outcome<Self> {
        let place = ChosenAddress::find(said, variable, contexts)?;
        let address = Address::parse(&place.url)?;
        let context = place.context.unwrap_or_default();
        let levels = Levels { said, variable, context: &context, first: place.chosen_on_line };
        let token = levels.token(&place.named_by)?;
        let tls = levels.tls()?;
        let mut headers = headers::parse(&context.headers)?;
        for (name, value) in headers::parse(&said.headers)? {
            headers.extend(name.map(|name| (name, value)));
        }
        if token.is_some() && headers.contains_key(header::AUTHORIZATION) {
            let why = "both a token and a header `Authorization` are said, and only one of them can be sent; leave out \
                       one of them";
            return Err(Failure::Usage(why.to_owned()));
        }
        let target = Self { address, named_by: place.named_by, token, tls, headers };
        target.check(said.insecure_http || context.insecure_http)?;
        Ok(target)
    }

    /// What is secret stays secret on its way.
    fn check(&self, insecure_http: bool) -> Outcome {
        let secret = self.token.is_some() || headers::any_secret(&self.headers);
        if secret && self.address.is_open_to_others() && !insecure_http {
            return Err(Failure::Usage(format!(
                "a token would go to `{}` over plain http, where everybody on the way can take it; nothing was sent. Use \
                 the supervisor's https address, or, in a network that you trust, --insecure-http",
                self.address.as_str()
            )));
        }
        if self.tls.identity.is_some() && !self.address.is_secure() {
            let why =
                "a client certificate is shown over https only, and the address is an http one";
            return Err(Failure::Usage(why.to_owned()));
        }
        Ok(())
    }
}

/// Who says where the supervisor is.
struct ChosenAddress {
    url: String,
    context: Option<Context>,
    named_by: String,
    /// The context was named on the command line, so that it stands above the environment.
    chosen_on_line: bool,
}

impl ChosenAddress {
    fn find(
        said: &Said,
        variable: Variable<'_>,
        contexts: impl FnOnce() -> Outcome<Contexts>,
    ) -> Outcome<Self> {
        let plain = |url: String, named_by: &str| {
            let named_by = named_by.to_owned();
            Ok(Self { url, context: None, named_by, chosen_on_line: false })
        };
        if let Some(url) = &said.url {
            if said.context.is_some() {
                let why = "--url and --context exclude each other: a context's token goes only to its own address";
                return Err(Failure::Usage(why.to_owned()));
            }
            return plain(url.clone(), "--url");
        }
        if said.context.is_none()
            && let Some(url) = variable("AMENDS_URL")
        {
            return plain(url, "AMENDS_URL");
        }
        let all = contexts()?;
        let named = said.context.clone().or_else(|| variable("AMENDS_CONTEXT"));
        let Some(name) = named.or_else(|| all.current.clone()) else {
            return plain(DEFAULT_URL.to_owned(), "nobody, so it is the usual one");
        };
        let context = all.named(&name)?.clone();
        Ok(Self {
            url: context.url.clone(),
            context: Some(context),
            named_by: format!("context `{name}`"),
            chosen_on_line: said.context.is_some(),
        })
    }
}

/// The levels at which one thing can be said: the command line, a context that is named on it, the environment, a context
/// that is in use. The first that says it counts.
struct Levels<'a> {
    said: &'a Said,
    variable: Variable<'a>,
    context: &'a Context,
    /// Whether the context stands above the environment.
    first: bool,
}

impl Levels<'_> {
    fn token(&self, context: &str) -> Outcome<Option<(TokenSource, String)>> {
        if let Some(path) = &self.said.token_file {
            let by = format!("--token-file `{}`", path.display());
            return Ok(Some((TokenSource::File(path.clone()), by)));
        }
        let of_context = || self.context.token_source().map(|source| (source, context.to_owned()));
        if let Some(found) = of_context().filter(|_| self.first) {
            return Ok(Some(found));
        }
        Ok(self.token_of_environment()?.or_else(of_context))
    }

    fn token_of_environment(&self) -> Outcome<Option<(TokenSource, String)>> {
        let (value, file) = ((self.variable)("AMENDS_TOKEN"), (self.variable)("AMENDS_TOKEN_FILE"));
        match (value, file) {
            (Some(_), Some(_)) => Err(Failure::Usage(
                "AMENDS_TOKEN and AMENDS_TOKEN_FILE are both set; unset one of them".to_owned(),
            )),
            (Some(text), None) => {
                let token = Token::new(&text)
                    .map_err(|why| Failure::Usage(format!("AMENDS_TOKEN holds no token: {why}")))?;
                Ok(Some((TokenSource::Value(token), "AMENDS_TOKEN".to_owned())))
            }
            (None, Some(path)) => {
                let by = format!("AMENDS_TOKEN_FILE `{path}`");
                Ok(Some((TokenSource::File(path.into()), by)))
            }
            (None, None) => Ok(None),
        }
    }

    fn tls(&self) -> Outcome<TlsFiles> {
        let variable = |name: &str| (self.variable)(name).map(PathBuf::from);
        let Context { ca, cert, key, .. } = self.context;
        let context = (ca.clone(), cert.clone(), key.clone());
        let line = (self.said.ca.clone(), self.said.cert.clone(), self.said.key.clone());
        let environment = (variable("AMENDS_CA"), variable("AMENDS_CERT"), variable("AMENDS_KEY"));
        let levels = match self.first {
            true => [line, context, environment],
            false => [line, environment, context],
        };
        let mut found = TlsFiles::default();
        for (ca, cert, key) in levels {
            found.ca = found.ca.or(ca);
            found.identity = match (found.identity, cert, key) {
                (Some(above), ..) => Some(above),
                (None, Some(cert), key) => Some((cert.clone(), key.unwrap_or(cert))),
                (None, None, None) => None,
                (None, None, Some(_)) => {
                    let why = "a key is said without its certificate; say both in one place";
                    return Err(Failure::Usage(why.to_owned()));
                }
            };
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests;
