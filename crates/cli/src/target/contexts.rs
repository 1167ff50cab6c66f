//! The file of contexts: for each supervisor that a person works with, its address, and how one identifies there. Only
//! its owner may write it, and only its owner may read it where it holds a secret; else it is not used.

use super::address::Address;
use super::headers;
use super::token::{Token, TokenSource};
use crate::failure::{Failure, Outcome};
use anyhow::anyhow;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

/// Longest file: thousands of contexts.
const LONGEST: u64 = 1 << 20;

/// All contexts of a person.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Contexts {
    /// The one that is used when nobody names one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub current: Option<String>,
    /// All of them, by name.
    #[serde(default)]
    pub contexts: BTreeMap<String, Context>,
}

/// One supervisor, and how one identifies there.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Context {
    /// Its address.
    pub url: String,
    /// The token itself; at most one of the three says one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<Token>,
    /// A file that holds the token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_file: Option<PathBuf>,
    /// A command that prints the token: its name and its arguments.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_command: Option<Vec<String>>,
    /// PEM file of the authorities that are trusted in place of the system's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca: Option<PathBuf>,
    /// PEM file of the client certificate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cert: Option<PathBuf>,
    /// PEM file of its private key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<PathBuf>,
    /// Headers that every request gets, `Name: value`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<String>,
    /// Whether secrets may go over plain http beyond this machine.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub insecure_http: bool,
}

impl Context {
    /// Where its token comes from.
    pub fn token_source(&self) -> Option<TokenSource> {
        let value = self.token.clone().map(TokenSource::Value);
        let file = || self.token_file.clone().map(TokenSource::File);
        value.or_else(file).or_else(|| self.token_command.clone().map(TokenSource::Command))
    }

    /// Whether the file must be hidden from others because of it.
    fn holds_a_secret(&self) -> bool {
        self.token.is_some() || self.headers.iter().any(|header| headers::is_secret(header))
    }

    /// What is wrong with it.
    pub fn check(&self) -> Outcome {
        Address::parse(&self.url)?;
        headers::parse(&self.headers)?;
        let ways = [self.token.is_some(), self.token_file.is_some(), self.token_command.is_some()];
        if ways.iter().filter(|said| **said).count() > 1 {
            let why = "one context has one token: say `token`, `token_file` or `token_command`";
            return Err(Failure::Usage(why.to_owned()));
        }
        if self.token_command.as_ref().is_some_and(Vec::is_empty) {
            return Err(Failure::Usage("`token_command` has no words".to_owned()));
        }
        if self.key.is_some() && self.cert.is_none() {
            return Err(Failure::Usage("`key` belongs to a `cert`, and none is said".to_owned()));
        }
        Ok(())
    }

    /// Its paths from the folder that its file lies in.
    fn seen_from(&mut self, folder: &Path) {
        let paths = [&mut self.token_file, &mut self.ca, &mut self.cert, &mut self.key];
        for path in paths.into_iter().flatten() {
            *path = folder.join(&*path);
        }
    }
}

impl Contexts {
    /// The one of this name.
    pub fn named(&self, name: &str) -> Outcome<&Context> {
        self.contexts.get(name).ok_or_else(|| {
            let known: Vec<_> = self.contexts.keys().map(|known| format!("`{known}`")).collect();
            let known = match known.len() {
                0 => "there is none; `amends context set` makes one".to_owned(),
                _ => format!("there are {}", known.join(", ")),
            };
            Failure::Usage(format!("there is no context `{name}`: {known}"))
        })
    }
}

/// The file in which a person's contexts lie.
#[derive(Clone, Debug)]
pub struct ContextsFile(PathBuf);

impl ContextsFile {
    /// Where it lies by these variables of the environment; nowhere without a home.
    pub fn of(variable: &dyn Fn(&str) -> Option<String>) -> Option<Self> {
        let absolute = |name: &str| variable(name).map(PathBuf::from).filter(|p| p.is_absolute());
        let config = absolute("XDG_CONFIG_HOME");
        let folder = config.or_else(|| Some(absolute("HOME")?.join(".config")))?;
        Some(Self(folder.join("amends").join("contexts.toml")))
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Reads it; a file that is not there has no contexts.
    pub fn read(&self) -> Outcome<Contexts> {
        let name = self.0.display();
        let failed = |e: io::Error| anyhow!("the contexts in `{name}` can't be read: {e}");
        let file = match File::open(&self.0) {
            Ok(file) => file,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Contexts::default()),
            Err(e) => return Err(failed(e).into()),
        };
        let mut text = String::new();
        (&file).take(LONGEST).read_to_string(&mut text).map_err(failed)?;
        let mut all = parse(&text).map_err(|why| anyhow!("`{name}`: {why}"))?;
        let secret = all.contexts.values().any(Context::holds_a_secret);
        owner::check(&file, secret).map_err(|why| anyhow!("`{name}` is not used: {why}"))?;
        for (context, said) in &mut all.contexts {
            said.seen_from(self.0.parent().unwrap_or(Path::new("/")));
            if let Err(Failure::Usage(why)) = said.check() {
                return Err(anyhow!("context `{context}` in `{name}`: {why}").into());
            }
        }
        Ok(all)
    }

    /// Writes it whole, for its owner alone: whoever reads it meanwhile sees the old one or the new one.
    pub fn write(&self, all: &Contexts) -> Outcome {
        let text = toml::to_string(all).map_err(anyhow::Error::from)?;
        let name = self.0.display();
        self.replace(&text)
            .map_err(|e| anyhow!("the contexts can't be written to `{name}`: {e}").into())
    }

    fn replace(&self, text: &str) -> io::Result<()> {
        // A link stays one.
        let path = fs::canonicalize(&self.0).unwrap_or_else(|_| self.0.clone());
        let folder = path.parent().unwrap_or(Path::new("/"));
        owner::make_folder(folder)?;
        let beside = folder.join(format!(".contexts.toml.{}", std::process::id()));
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        owner::only(&mut options);
        // What an earlier process of this number left behind.
        let _ = fs::remove_file(&beside);
        let written = options.open(&beside).and_then(|mut file| {
            file.write_all(text.as_bytes())?;
            file.sync_all()?;
            fs::rename(&beside, &path)
        });
        if written.is_err() {
            let _ = fs::remove_file(&beside);
        }
        written
    }
}

/// Reads the text. An error names the line, and never what stands there: it may be a token.
fn parse(text: &str) -> Result<Contexts, String> {
    toml::from_str(text).map_err(|e| {
        let line =
            e.span().map_or(1, |span| text[..span.start.min(text.len())].lines().count().max(1));
        format!("line {line}: {}", without_values(e.message()))
    })
}

/// A message of the parser without the values that it repeats.
fn without_values(message: &str) -> String {
    match (message.find('"'), message.rfind('"')) {
        (Some(first), Some(last)) if first < last => {
            format!("{}…{}", &message[..first], &message[last + 1..])
        }
        _ => message.to_owned(),
    }
}

#[cfg(unix)]
mod owner {
    use std::fs::{DirBuilder, File, OpenOptions};
    use std::io;
    use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
    use std::path::Path;

    /// Whether only its owner, and nobody but us or root, can have written it, and read it if it is secret.
    pub(super) fn check(file: &File, secret: bool) -> Result<(), String> {
        let found = file.metadata().map_err(|e| e.to_string())?;
        let (mode, owner) = (found.mode() & 0o777, found.uid());
        if owner != 0 && owner != rustix::process::geteuid().as_raw() {
            return Err(
                "it belongs to somebody else, who could send your tokens elsewhere".to_owned()
            );
        }
        if mode & 0o022 != 0 {
            return Err(format!(
                "others may change it (its mode is {mode:03o}), and so send your tokens elsewhere; `chmod 600` it"
            ));
        }
        if secret && mode & 0o077 != 0 {
            return Err(format!(
                "others may read it (its mode is {mode:03o}), and it holds a secret; `chmod 600` it, and revoke the \
                 secret if somebody may have read it"
            ));
        }
        Ok(())
    }

    pub(super) fn only(options: &mut OpenOptions) {
        options.mode(0o600);
    }

    pub(super) fn make_folder(folder: &Path) -> io::Result<()> {
        DirBuilder::new().recursive(true).mode(0o700).create(folder)
    }
}

#[cfg(not(unix))]
mod owner {
    use std::fs::{File, OpenOptions};
    use std::io;
    use std::path::Path;

    pub(super) fn check(_: &File, _: bool) -> Result<(), String> {
        Ok(())
    }

    pub(super) fn only(_: &mut OpenOptions) {}

    pub(super) fn make_folder(folder: &Path) -> io::Result<()> {
        std::fs::create_dir_all(folder)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_lies_where_the_environment_says() {
        let of = |all: &[(&str, &str)]| {
            let all: BTreeMap<String, String> =
                all.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
            ContextsFile::of(&move |name| all.get(name).cloned()).map(|file| file.0)
        };
        let path = |text: &str| Some(PathBuf::from(text));
        assert_eq!(of(&[("HOME", "/home/kim")]), path("/home/kim/.config/amends/contexts.toml"));
        let set = [("HOME", "/home/kim"), ("XDG_CONFIG_HOME", "/etc/xdg")];
        assert_eq!(of(&set), path("/etc/xdg/amends/contexts.toml"));
        let relative = [("HOME", "/home/kim"), ("XDG_CONFIG_HOME", "here")];
        assert_eq!(of(&relative), path("/home/kim/.config/amends/contexts.toml"));
        assert_eq!(of(&[]), None);
    }

    #[test]
    fn a_mistake_is_told_with_its_line_and_without_what_stands_there() {
        for (text, why) in [
            ("[contexts.a]\nurl = \"http://x\"\ninsecure_http = \"amends_1_s3cr3t\"\n", "line 3"),
            ("[contexts.a]\nurl = \"http://x\"\nheaders = \"X: s3cr3t\"\n", "line 3"),
            ("[contexts.a]\nurl = \"http://x\"\ntoken = \"two s3cr3t\"\n", "line 3"),
            ("[contexts.a]\nurl = \"http://x\"\ntoken = amends_1_s3cr3t\n", "line 3"),
            ("[contexts.a]\nurl = \"http://x\"\ntokn = \"s3cr3t\"\n", "tokn"),
        ] {
            let found = parse(text).expect_err("a mistake");
            assert!(found.contains(why) && !found.contains("s3cr3t"), "{found}");
        }
    }

    #[test]
    fn a_context_says_one_token_and_a_whole_certificate() {
        let said = |text: &str| toml::from_str::<Context>(text).expect("a context").check();
        assert!(said("url = 'http://x'\ntoken = 'a'").is_ok());
        for bad in [
            "url = 'http://x'\ntoken = 'a'\ntoken_file = 'b'",
            "url = 'http://x'\ntoken_command = []",
            "url = 'http://x'\nkey = 'k'",
            "url = 'http://u:p@x'",
            "url = 'http://x'\nheaders = ['nothing']",
        ] {
            assert!(matches!(said(bad), Err(Failure::Usage(_))), "{bad}");
        }
    }
}
