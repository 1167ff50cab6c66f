//! The options by which every command that asks a supervisor knows which one, and as whom.

use crate::client::Client;
use crate::failure::Outcome;
use crate::target::contexts::{Contexts, ContextsFile};
use crate::target::{Said, Target};
use clap::Args;
use std::path::PathBuf;

/// Which supervisor is asked, and as whom.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Which supervisor, and as whom")]
pub struct Connection {
    /// Address of the supervisor; no context is used then [env: AMENDS_URL] [default: that of the context in use, else
    /// http://127.0.0.1:7100]
    #[arg(long, global = true, value_name = "URL")]
    url: Option<String>,
    /// Use this context, whatever the environment says (see `amends context`) [env: AMENDS_CONTEXT]
    #[arg(long, global = true, value_name = "NAME")]
    context: Option<String>,
    /// File that holds the token [env: AMENDS_TOKEN_FILE, or AMENDS_TOKEN for the token itself]
    #[arg(long, global = true, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Who acts, where the supervisor asks nobody to identify [env: AMENDS_ACTOR] [default: $USER]
    #[arg(long, global = true, value_name = "NAME")]
    actor: Option<String>,
    /// PEM file of the authorities to trust, in place of the system's [env: AMENDS_CA]
    #[arg(long, global = true, value_name = "FILE", hide_short_help = true)]
    ca: Option<PathBuf>,
    /// PEM file of a client certificate [env: AMENDS_CERT]
    #[arg(long, global = true, value_name = "FILE", hide_short_help = true)]
    cert: Option<PathBuf>,
    /// PEM file of its private key, if it is not in the same file [env: AMENDS_KEY]
    #[arg(long, global = true, value_name = "FILE", hide_short_help = true)]
    key: Option<PathBuf>,
    /// Send this header too, e.g. for a proxy; may be given several times. Others on this machine can see it: put what
    /// is secret into a context
    #[arg(long, global = true, value_name = "NAME: VALUE", hide_short_help = true)]
    header: Vec<String>,
    /// Let a token go over plain http to another machine, where everybody on the way can take it
    #[arg(long, global = true, hide_short_help = true)]
    insecure_http: bool,
}

impl Connection {
    const WITH_VALUE: [&str; 7] =
        ["--url", "--context", "--token-file", "--ca", "--cert", "--key", "--header"];

    /// A client of the supervisor that is meant.
    pub fn client(&self) -> Outcome<Client> {
        self.client_of(&self.target()?)
    }

    /// A client of a supervisor that these options have named.
    pub fn client_of(&self, target: &Target) -> Outcome<Client> {
        Client::new(target, self.actor(target).as_deref())
    }

    /// Which supervisor is meant, and as whom it is asked.
    pub fn target(&self) -> Outcome<Target> {
        Target::resolve(&self.said(), &variable, contexts)
    }

    fn said(&self) -> Said {
        Said {
            url: self.url.clone(),
            context: self.context.clone(),
            token_file: self.token_file.clone(),
            ca: self.ca.clone(),
            cert: self.cert.clone(),
            key: self.key.clone(),
            headers: self.header.clone(),
            insecure_http: self.insecure_http,
        }
    }

    /// Who acts. Whoever identifies has a name already; what a person says beside is sent all the same, since a trusted
    /// proxy may want it.
    fn actor(&self, target: &Target) -> Option<String> {
        let said = self.actor.clone().or_else(|| variable("AMENDS_ACTOR"));
        let identifies = target.token.is_some() || target.tls.identity.is_some();
        let usual = || variable("USER").unwrap_or_else(|| "cli".to_owned());
        said.or_else(|| (!identifies).then(usual))
    }

    /// What a command line that is still being written says so far.
    pub fn begun(mut words: impl Iterator<Item = String>) -> Self {
        let mut found = Self::default();
        while let Some(word) = words.next() {
            let (name, value) = match word.split_once('=') {
                Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
                None => (word, None),
            };
            if name == "--insecure-http" {
                found.insecure_http = true;
            }
            if !Self::WITH_VALUE.contains(&name.as_str()) {
                continue;
            }
            let Some(value) = value.or_else(|| words.next()) else { break };
            match name.as_str() {
                "--url" => found.url = Some(value),
                "--context" => found.context = Some(value),
                "--token-file" => found.token_file = Some(value.into()),
                "--ca" => found.ca = Some(value.into()),
                "--cert" => found.cert = Some(value.into()),
                "--key" => found.key = Some(value.into()),
                _ => found.header.push(value),
            }
        }
        found
    }
}

/// A variable of the environment; one that is empty is not set.
pub fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|text| !text.is_empty())
}

/// The contexts of whoever runs this.
pub fn contexts() -> Outcome<Contexts> {
    ContextsFile::of(&variable).map_or(Ok(Contexts::default()), |file| file.read())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_is_being_written_says_which_supervisor_is_asked() {
        let line = |text: &str| Connection::begun(text.split(' ').map(str::to_owned));
        assert_eq!(
            line("amends cases show --url http://a:1 c-").url.as_deref(),
            Some("http://a:1")
        );
        let all = line("amends --url=http://b:2 --token-file t --ca=ca.pem --insecure-http cases");
        assert_eq!(all.url.as_deref(), Some("http://b:2"));
        assert_eq!((all.token_file, all.ca), (Some("t".into()), Some("ca.pem".into())));
        assert!(all.insecure_http);
        assert_eq!(line("amends --context prod cases").context.as_deref(), Some("prod"));
        assert_eq!(line("amends cases show --url").url, None);
    }
}
