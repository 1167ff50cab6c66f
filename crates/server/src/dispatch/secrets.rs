//! Secrets that rulebooks name and never hold: each goes to the hosts that it is for, and is shown nowhere.
//!
//! A secret in a file may be changed while the supervisor runs, as access tokens are that live for hours: it is read
//! anew when the file has changed.

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

/// Characters of a secret that give it away at the end of a text that was cut short.
const TELLING: usize = 4;

/// Secrets by the name that rulebooks use.
#[derive(Clone, Default)]
pub struct Secrets {
    by_name: BTreeMap<String, Secret>,
    /// Their names stand in place of their values.
    masked: bool,
}

#[derive(Clone)]
struct Secret {
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
        let secret = Secret { hosts, file, read: Arc::new(Mutex::new(read)) };
        self.by_name.insert(name.to_owned(), secret);
        Ok(())
    }

    /// For requests that are shown: names stand in place of values.
    pub(super) fn masked() -> Self {
        Self { by_name: BTreeMap::new(), masked: true }
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

    /// A text of a service without the secrets that it may have sent back, in whatever way it wrote them down.
    pub(super) fn hide(&self, text: String) -> String {
        self.by_name.iter().fold(text, |text, (name, secret)| {
            let read = secret.read();
            let values = std::iter::once(&read.value).chain(&read.before);
            values.fold(text, |text, value| replaced(text, value, &format!("{{secret.{name}}}")))
        })
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
        match read_file(path) {
            Ok(value) if value != read.value => {
                read.before = Some(std::mem::replace(&mut read.value, value));
                tracing::info!(secret = name, "a secret was read anew");
            }
            Ok(_) => {}
            Err(why) => {
                tracing::warn!(
                    secret = name,
                    why,
                    "a changed secret can't be read; the one before stays"
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

/// The text with each appearance of a secret replaced: as it is, percent-encoded, or escaped as in JSON or HTML.
fn replaced(text: String, secret: &str, by: &str) -> String {
    let mut shown = String::new();
    let mut rest = text.as_str();
    while let Some(first) = rest.chars().next() {
        if let Some(length) = length_of(secret, rest) {
            shown.push_str(by);
            rest = &rest[length..];
        } else {
            shown.push(first);
            rest = &rest[first.len_utf8()..];
        }
    }
    shown
}

/// How many bytes of the beginning of a text write down a secret; all of it, if the text ends within the secret.
fn length_of(secret: &str, text: &str) -> Option<usize> {
    let mut ends = vec![0];
    for (place, c) in secret.bytes().enumerate() {
        let is_cut = |end: &usize| matches!(&text[*end..], "" | "…");
        if place >= TELLING && ends.iter().any(is_cut) {
            return Some(text.len());
        }
        let mut next: Vec<usize> =
            ends.iter().flat_map(|end| spelled(c, &text[*end..]).map(move |n| end + n)).collect();
        next.sort_unstable();
        next.dedup();
        if next.is_empty() {
            return None;
        }
        ends = next;
    }
    ends.last().copied()
}

/// The lengths of all spellings of an ASCII character that a text begins with.
fn spelled(c: u8, text: &str) -> impl Iterator<Item = usize> {
    let named = match c {
        b'&' => "&amp;",
        b'<' => "&lt;",
        b'>' => "&gt;",
        b'"' => "&quot;",
        b'\'' => "&apos;",
        b' ' => "+",
        _ => "",
    };
    let begins = |with: &str| {
        let head = text.as_bytes().get(..with.len());
        head.is_some_and(|head| !with.is_empty() && head.eq_ignore_ascii_case(with.as_bytes()))
    };
    let mut lengths = Vec::new();
    if text.as_bytes().first() == Some(&c) {
        lengths.push(1);
    }
    // Whoever writes more than the character itself begins with one of these.
    if text.starts_with(['%', '\\', '&', '+']) {
        let plain = char::from(c);
        let spellings = [
            named.to_owned(),
            format!("%{c:02x}"),
            format!("%25{c:02x}"),
            format!("\\u{c:04x}"),
            format!("&#{c};"),
            format!("&#x{c:x};"),
            if c.is_ascii_punctuation() { format!("\\{plain}") } else { String::new() },
        ];
        lengths.extend(spellings.iter().filter(|it| begins(it)).map(String::len));
    }
    lengths.into_iter()
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
    fn a_secret_is_hidden_however_a_service_writes_it_down() {
        let mut secrets = Secrets::default();
        secrets.add("pay", "sk+x/Yz0\"a B==", vec!["pay.example".to_owned()]).expect("a secret");
        for said in [
            "sk+x/Yz0\"a B==",
            "sk%2Bx%2FYz0%22a%20B%3D%3D",
            "sk%2bx/Yz0%22a+B%3d%3d",
            r#"sk\u002bx\/Yz0\"a B=="#,
            "sk&#43;x&#x2F;Yz0&quot;a B==",
        ] {
            let shown = secrets.hide(format!("no `{said}`."));
            assert_eq!(shown, "no `{secret.pay}`.", "{said}");
        }
        assert_eq!(secrets.hide("cut: sk+x/Y…".to_owned()), "cut: {secret.pay}");
        for plain in ["a risk", "sk+x/ and more", "재고 sk"] {
            assert_eq!(secrets.hide(plain.to_owned()), plain);
        }
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
