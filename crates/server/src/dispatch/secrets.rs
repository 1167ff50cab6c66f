//! Secrets that rulebooks name and never hold: each goes to the hosts that it is for, and is shown nowhere.
//!
//! A secret in a file may be changed while the supervisor runs, as access tokens are that live for hours: it is read
//! anew when the file has changed.

use crate::withheld::Withheld;
use amends_protocol::spelled;
use http::uri::Authority;
use std::collections::BTreeMap;
use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

/// Shortest secret, in bytes: a shorter one would be found in ordinary words when it is taken out of a text.
const SHORTEST: usize = 8;
/// Longest secret, in bytes.
const LONGEST: usize = 8_192;
/// Bytes of a file that are looked at: one more than may be in it, with the end of its line.
const FILE_LIMIT: u64 = LONGEST as u64 + 3;

/// Secrets by the name that rulebooks use.
#[derive(Clone, Default)]
pub struct Secrets {
    by_name: BTreeMap<String, Secret>,
    /// Their names stand in place of their values.
    masked: bool,
    /// Their values, and others that are never shown.
    withheld: Withheld,
}

#[derive(Clone)]
struct Secret {
    withheld: Withheld,
    hosts: Vec<String>,
    /// Where it is read anew; none if it can't change.
    file: Option<PathBuf>,
    read: Arc<Mutex<ReadSecret>>,
}

struct ReadSecret {
    value: String,
    /// The one before: a service may still send it back.
    before: Option<String>,
    /// When the file was changed, as far as it was read.
    changed: Option<SystemTime>,
}

impl Secrets {
    /// Takes one that does not change; `hosts` (`host` or `host:port`) are the only ones that it goes to.
    ///
    /// # Errors
    /// Says what is wrong, without the value.
    pub fn add(&mut self, name: &str, value: &str, hosts: Vec<String>) -> Result<(), String> {
        let read = ReadSecret { value: checked(value)?.to_owned(), before: None, changed: None };
        self.keep(name, hosts, None, read)
    }

    /// Takes one that is the text of a file, and is read anew when the file has changed.
    ///
    /// # Errors
    /// Says what is wrong, without the value.
    pub fn add_file(&mut self, name: &str, path: &Path, hosts: Vec<String>) -> Result<(), String> {
        let changed = changed(path);
        let read = ReadSecret { value: read_file(path)?, before: None, changed };
        self.keep(name, hosts, Some(path.to_owned()), read)
    }

    fn keep(
        &mut self,
        name: &str,
        hosts: Vec<String>,
        file: Option<PathBuf>,
        read: ReadSecret,
    ) -> Result<(), String> {
        if hosts.is_empty() {
            return Err("`hosts` must name the hosts that it may go to".to_owned());
        }
        self.withheld.add_secret(&read.value).map_err(|why| why.to_string())?;
        let withheld = self.withheld.clone();
        let secret = Secret { withheld, hosts, file, read: Arc::new(Mutex::new(read)) };
        self.by_name.insert(name.to_owned(), secret);
        Ok(())
    }

    /// The names of all.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.by_name.keys().map(String::as_str)
    }

    /// For requests that are shown: names stand in place of values.
    pub(super) fn masked() -> Self {
        Self { masked: true, ..Self::default() }
    }

    /// The value for a request to this host.
    ///
    /// # Errors
    /// There is no such secret, or it may not go there.
    pub(super) fn reveal(&self, name: &str, host: &Authority) -> Result<String, String> {
        if self.masked {
            return Ok(format!("{{secret.{name}}}"));
        }
        let Some(secret) = self.by_name.get(name) else {
            return Err(format!(
                "there is no secret `{name}`; add it to `secrets` of the configuration"
            ));
        };
        if !secret.hosts.iter().any(|allowed| super::route::names(allowed, host)) {
            return Err(format!(
                "the secret `{name}` may not go to `{host}`; if it should, add that to `secrets.{name}.hosts` of the configuration"
            ));
        }
        Ok(secret.now(name).value.clone())
    }

    /// What is never shown, these secrets among it.
    pub(crate) const fn withheld(&self) -> &Withheld {
        &self.withheld
    }

    /// A text of a service without the secrets that it may have sent back, in whatever way it wrote them down.
    pub(super) fn hide(&self, text: String) -> String {
        let named = self.by_name.iter().fold(text, |text, (name, secret)| {
            let read = secret.read();
            let values = std::iter::once(&read.value).chain(&read.before);
            values.fold(text, |text, value| replaced(text, value, &format!("{{secret.{name}}}")))
        });
        self.withheld.hide_in_text(&named)
    }
}

impl Secret {
    /// As it stands in its file now. What can't be read, or is no secret, leaves the one before in force.
    fn now(&self, name: &str) -> MutexGuard<'_, ReadSecret> {
        let mut read = self.read();
        let Some(path) = &self.file else { return read };
        let changed = changed(path);
        if changed.is_none() || changed == read.changed {
            return read;
        }
        read.changed = changed;
        let taken = read_file(path).and_then(|value| {
            // Before it is used: from its first use on, somebody may send it back.
            self.withheld.add_secret(&value).map_err(|why| why.to_string())?;
            Ok(value)
        });
        match taken {
            Ok(value) if value != read.value => {
                read.before = Some(std::mem::replace(&mut read.value, value));
                tracing::info!(secret = name, "a secret was read anew");
            }
            Ok(_) => {}
            Err(why) => {
                tracing::warn!(
                    secret = name,
                    why,
                    "a changed secret can't be used; the one before stays"
                );
            }
        }
        read
    }

    fn read(&self) -> MutexGuard<'_, ReadSecret> {
        self.read.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn checked(value: &str) -> Result<&str, String> {
    if !(SHORTEST..=LONGEST).contains(&value.len()) {
        let is = value.len();
        return Err(format!("it has {is} bytes; a secret has {SHORTEST} to {LONGEST}"));
    }
    if !value.bytes().all(|b| b == b' ' || b.is_ascii_graphic()) {
        return Err("it must be one line of printable ASCII".to_owned());
    }
    Ok(value)
}

fn changed(path: &Path) -> Option<SystemTime> {
    fs::metadata(path).and_then(|about| about.modified()).ok()
}

fn read_file(path: &Path) -> Result<String, String> {
    let read = || -> io::Result<String> {
        let mut text = String::new();
        File::open(path)?.take(FILE_LIMIT).read_to_string(&mut text)?;
        Ok(text)
    };
    let text = read().map_err(|e| format!("the file `{}` cannot be read: {e}", path.display()))?;
    checked(text.trim_end()).map(str::to_owned)
}

/// The text with something else wherever a secret stands.
fn replaced(text: String, secret: &str, by: &str) -> String {
    let mut shown = String::new();
    let mut rest = text.as_str();
    while let Some(at) = spelled::find(rest, secret) {
        shown.push_str(&rest[..at.start]);
        shown.push_str(by);
        rest = &rest[at.end..];
    }
    shown.push_str(rest);
    shown
}

/// Names alone.
impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.by_name.keys()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(text: &str) -> Authority {
        text.parse().expect("a host")
    }

    #[test]
    fn a_secret_goes_to_its_hosts_alone_and_is_never_shown() {
        let mut secrets = Secrets::default();
        let hosts = || vec!["pay.example".to_owned(), "bank.example:8443".to_owned()];
        secrets.add("pay", "sk_live_4711", hosts()).expect("a secret");
        for to in ["pay.example", "PAY.example:443", "bank.example:8443"] {
            assert_eq!(secrets.reveal("pay", &host(to)).as_deref(), Ok("sk_live_4711"), "{to}");
        }
        for to in ["evil.example", "pay.example.evil", "bank.example"] {
            let why = secrets.reveal("pay", &host(to)).expect_err(to);
            assert!(why.contains(to) && why.contains("secrets.pay.hosts"), "{why}");
        }
        assert!(secrets.reveal("other", &host("pay.example")).is_err());
        assert!(!format!("{secrets:?}").contains("4711"));
        let said = "no such key: sk_live_4711".to_owned();
        assert_eq!(secrets.hide(said), "no such key: {secret.pay}");
        let shown = Secrets::masked().reveal("pay", &host("pay.example"));
        assert_eq!(shown.as_deref(), Ok("{secret.pay}"));
    }

    #[test]
    fn a_secret_is_hidden_however_often_and_in_whatever_way_it_is_written() {
        let mut secrets = Secrets::default();
        secrets.add("pay", "sk+x/Yz0==", vec!["pay.example".to_owned()]).expect("a secret");
        let shown = secrets.hide("`sk+x/Yz0==`, `sk%2Bx%2FYz0%3D%3D`, sk+x/…".to_owned());
        assert_eq!(shown, "`{secret.pay}`, `{secret.pay}`, {secret.pay}");
    }

    #[test]
    fn a_file_that_has_changed_is_read_anew_and_one_that_is_broken_changes_nothing() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("token");
        let mut hours = 0;
        let mut write = |text: &str| {
            // A clock of the file system may be too coarse to tell two writes of a test apart.
            hours += 1;
            let at = SystemTime::now() + std::time::Duration::from_secs(hours * 3_600);
            fs::write(&path, text).expect("written");
            File::options().append(true).open(&path).and_then(|f| f.set_modified(at)).expect("set");
        };
        write("first-token\n");
        let mut secrets = Secrets::default();
        secrets.add_file("pay", &path, vec!["pay.example".to_owned()]).expect("a secret");
        let now = || secrets.reveal("pay", &host("pay.example")).expect("a secret");
        assert_eq!(now(), "first-token");
        write("second-token\n");
        assert_eq!(now(), "second-token");
        for broken in ["", "two\nlines-of-it", "short"] {
            write(broken);
            assert_eq!(now(), "second-token", "{broken:?}");
        }
        fs::remove_file(&path).expect("removed");
        assert_eq!(now(), "second-token");
        let said = "first-token or second-token".to_owned();
        assert_eq!(secrets.hide(said), "{secret.pay} or {secret.pay}");
    }

    #[test]
    fn what_is_no_secret_is_refused_without_showing_it() {
        let mut secrets = Secrets::default();
        for (value, hosts) in [
            ("short", vec!["a".to_owned()]),
            ("two\nlines of it", vec!["a".to_owned()]),
            ("long enough", vec![]),
        ] {
            let why = secrets.add("x", value, hosts).expect_err(value);
            assert!(!why.contains(value), "{why}");
        }
    }
}
