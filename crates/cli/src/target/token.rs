//! A token: where it comes from, and that it is never shown whole. It is read when it is needed, from a file or from what
//! a command prints, so that it need not lie anywhere else.

use crate::failure::{Failure, Outcome};
use amends_protocol::wire::bearer::{self, LONGEST};
use anyhow::anyhow;
use http::HeaderValue;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

/// Time for the command that prints a token: a password manager may ask a person.
const COMMAND_LIMIT: Duration = Duration::from_secs(60);

/// A token as it is sent.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

impl Token {
    /// Reads a token; the end of a line after it is no part of it. An error doesn't repeat it.
    pub fn new(text: &str) -> Result<Self, String> {
        let token = bearer::token(text).map_err(|why| why.to_string())?;
        Ok(Self(token.to_owned()))
    }

    /// As people may see it: whose it is, and never what proves that.
    pub fn shown(&self) -> String {
        let is_id = |id: &str| !id.is_empty() && id.bytes().all(|b| b.is_ascii_alphanumeric());
        if let Some((id, _)) = self.0.strip_prefix("amends_").and_then(|rest| rest.split_once('_'))
            && is_id(id)
        {
            return format!("amends_{id}_…");
        }
        let is_jwt = self.0.starts_with("eyJ") && self.0.matches('.').count() == 2;
        if is_jwt { "a JWT" } else { "a token of another kind" }.to_owned()
    }

    /// The header `Authorization`.
    pub fn header(&self) -> Outcome<HeaderValue> {
        let text = bearer::authorization(&self.0);
        let mut value = HeaderValue::from_str(&text).map_err(anyhow::Error::from)?;
        value.set_sensitive(true);
        Ok(value)
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown())
    }
}

impl Serialize for Token {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Token {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(&String::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}

/// Where a token comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TokenSource {
    /// It is known.
    Value(Token),
    /// It stands in a file.
    File(PathBuf),
    /// A command prints it.
    Command(Vec<String>),
}

impl TokenSource {
    /// The token.
    pub fn read(&self) -> Outcome<Token> {
        match self {
            Self::Value(token) => Ok(token.clone()),
            Self::File(path) => {
                let name = path.display();
                let text = file(path)
                    .map_err(|e| anyhow!("the token file `{name}` can't be read: {e}"))?;
                Token::new(&text)
                    .map_err(|why| anyhow!("the token file `{name}` holds no token: {why}").into())
            }
            Self::Command(words) => {
                let printed = printed(words, COMMAND_LIMIT)?;
                let name = &words[0];
                Token::new(&printed)
                    .map_err(|why| anyhow!("`{name}` printed no token: {why}").into())
            }
        }
    }

    /// If everybody on this machine may read it: that, and how to mend it.
    pub fn open_to_all(&self) -> Option<(String, String)> {
        match self {
            Self::File(path) if is_open_to_all(path) => {
                let name = path.display();
                let text = format!("everybody on this machine may read the token file `{name}`");
                Some((text, format!("`chmod 600 {name}` mends that")))
            }
            Self::File(_) | Self::Value(_) | Self::Command(_) => None,
        }
    }
}

#[cfg(unix)]
fn is_open_to_all(path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata(path).is_ok_and(|found| found.mode() & 0o004 != 0)
}

#[cfg(not(unix))]
fn is_open_to_all(_: &Path) -> bool {
    false
}

fn file(path: &Path) -> std::io::Result<String> {
    let mut text = String::new();
    File::open(path)?.take(LONGEST as u64 * 2).read_to_string(&mut text)?;
    Ok(text)
}

/// What a command prints. Its standard input is ours, so that it can ask a person; it has a time to end in.
fn printed(words: &[String], limit: Duration) -> Outcome<String> {
    let (name, arguments) = words
        .split_first()
        .ok_or_else(|| Failure::Usage("the command for a token has no words".to_owned()))?;
    let mut child = Command::new(name)
        .args(arguments)
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|e| anyhow!("`{name}`, which should print a token, can't be started: {e}"))?;
    let read = reader(&mut child);
    match read.recv_timeout(limit) {
        Ok(Ok(text)) => {
            let status = child.wait()?;
            if !status.success() {
                return Err(
                    anyhow!("`{name}`, which should print a token, failed: {status}").into()
                );
            }
            Ok(text)
        }
        Ok(Err(e)) => {
            end(&mut child);
            Err(anyhow!("what `{name}` prints can't be read: {e}").into())
        }
        Err(_) => {
            end(&mut child);
            let limit = limit.as_secs();
            Err(anyhow!("`{name}`, which should print a token, did not end within {limit} s")
                .into())
        }
    }
}

/// Reads all that a child prints on a thread of its own.
fn reader(child: &mut Child) -> mpsc::Receiver<std::io::Result<String>> {
    let (told, read) = mpsc::channel();
    let stdout = child.stdout.take();
    std::thread::spawn(move || {
        let mut text = String::new();
        let most = LONGEST as u64 * 2;
        let all = stdout.map_or(Ok(0), |from| from.take(most).read_to_string(&mut text));
        // Nobody waits any more when this fails.
        let _ = told.send(all.map(|_| text));
    });
    read
}

fn end(child: &mut Child) {
    // It may have ended by itself meanwhile.
    let _ = child.kill();
    let _ = child.wait();
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "s3cr3tRandomPart";

    #[test]
    fn a_token_is_shown_by_its_id_alone() {
        let shown = |text: &str| {
            let token = Token::new(text).expect("a token");
            assert!(!format!("{token:?}").contains(SECRET));
            token.shown()
        };
        assert_eq!(shown(&format!("amends_7f3a_{SECRET}\n")), "amends_7f3a_…");
        assert_eq!(shown(&format!("eyJhbGciOiJSUzI1NiJ9.{SECRET}.{SECRET}")), "a JWT");
        assert_eq!(shown(SECRET), "a token of another kind");
        assert_eq!(shown(&format!("amends__{SECRET}")), "a token of another kind");
        assert_eq!(shown(&format!("amends_{SECRET}")), "a token of another kind");
    }

    #[test]
    fn what_is_no_token_is_refused_without_being_repeated() {
        for bad in ["", " \n", "two s3cr3t words", "s3cr3t\nInjected: header", "s3cr3tü"] {
            let why = Token::new(bad).expect_err("no token");
            assert!(!why.contains("s3cr3t"), "{why}");
        }
        assert!(Token::new(&"x".repeat(LONGEST + 1)).is_err());
    }

    #[test]
    fn the_header_is_marked_as_secret() {
        let header = Token::new(SECRET).expect("a token").header().expect("a header");
        assert!(header.is_sensitive());
        assert_eq!(header.to_str().expect("text"), format!("Bearer {SECRET}"));
    }

    #[test]
    fn a_command_prints_the_token_and_has_a_time_to_end_in() {
        let words = |line: &str| vec!["sh".to_owned(), "-c".to_owned(), line.to_owned()];
        let read = |line: &str| TokenSource::Command(words(line)).read();
        assert_eq!(read("echo amends_1_x").expect("a token").shown(), "amends_1_…");
        for (line, why) in [
            ("echo s3cr3t; exit 3", "exit status: 3"),
            ("true", "it is empty"),
            ("echo two s3cr3t", "one word"),
        ] {
            let failed = read(line).expect_err("no token").lines().join(" ");
            assert!(failed.contains(why) && !failed.contains("s3cr3t"), "{failed}");
        }
        let failed = printed(&words("exec sleep 600"), Duration::from_millis(50));
        let failed = failed.expect_err("too late").lines().join(" ");
        assert!(failed.contains("did not end"), "{failed}");
        let nobody = TokenSource::Command(vec!["/nonexistent/amends-token".to_owned()]);
        assert!(nobody.read().expect_err("no command").lines()[0].contains("can't be started"));
    }
}
