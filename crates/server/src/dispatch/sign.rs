//! The keys under one name of the configuration, and the value of `webhook-signature` that they make.

use crate::renewed::{Look, Renewed};
use amends_protocol::wire::signature::SigningKey;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// Longest key file, in bytes: a few lines.
const FILE_LIMIT: u64 = 4_096;

/// Keys under one name: the newest first; two while they are rotated, and a few more do no harm.
pub const MOST_KEYS_OF_A_NAME: usize = 4;

/// Signs with every key of one name, so that a receiver may know the old one or the new one.
#[derive(Clone)]
pub struct Signer {
    keys: Keys,
}

#[derive(Clone)]
enum Keys {
    Fixed(Vec<SigningKey>),
    InFile(Arc<FileOfKeys>),
}

/// A file with a key on each line; read anew when it has changed.
struct FileOfKeys {
    path: PathBuf,
    read: Mutex<Renewed<Vec<SigningKey>>>,
}

impl Signer {
    /// One without keys: what it makes is no signature, and is never sent.
    pub(super) const fn without_keys() -> Self {
        Self { keys: Keys::Fixed(Vec::new()) }
    }

    /// Reads keys as people write them: `whsec_` and base64 of 24 to 64 bytes.
    ///
    /// # Errors
    /// Says what is wrong, without the key.
    pub fn new(shown: &[impl AsRef<str>]) -> Result<Self, String> {
        Ok(Self { keys: Keys::Fixed(read_all(shown)?) })
    }

    /// Reads the keys of a file, one on each line, the newest first. The file is read anew when it has changed; what is
    /// broken then leaves the keys before in force.
    ///
    /// # Errors
    /// Says what is wrong, without the key.
    pub fn of_file(path: &Path) -> Result<Self, String> {
        let read = Renewed::read(vec![path.to_owned()], || read_file(path))?;
        let file = FileOfKeys { path: path.to_owned(), read: Mutex::new(read) };
        Ok(Self { keys: Keys::InFile(Arc::new(file)) })
    }

    /// The value of `webhook-signature` for `{id}.{seconds}.{body}`.
    #[must_use]
    pub fn sign(&self, id: &str, seconds: i64, body: &[u8]) -> String {
        match &self.keys {
            Keys::Fixed(keys) => signatures(keys, id, seconds, body),
            Keys::InFile(file) => {
                let mut read = file.read.lock().unwrap_or_else(PoisonError::into_inner);
                let path = file.path.display();
                match read.look(|| read_file(&file.path)) {
                    Look::Same => {}
                    Look::Renewed => tracing::info!(%path, "signing keys were read anew"),
                    Look::Broken(why) => {
                        tracing::error!(%path, why, "changed signing keys can't be used; those before stay");
                    }
                }
                signatures(read.value(), id, seconds, body)
            }
        }
    }
}

fn signatures(keys: &[SigningKey], id: &str, seconds: i64, body: &[u8]) -> String {
    let all: Vec<_> = keys.iter().map(|key| key.sign(id, seconds, body)).collect();
    all.join(" ")
}

fn read_all(shown: &[impl AsRef<str>]) -> Result<Vec<SigningKey>, String> {
    if shown.is_empty() || shown.len() > MOST_KEYS_OF_A_NAME {
        return Err(format!("there are {} keys; give 1 to {MOST_KEYS_OF_A_NAME}", shown.len()));
    }
    shown.iter().map(|one| SigningKey::read(one.as_ref())).collect()
}

fn read_file(path: &Path) -> Result<Vec<SigningKey>, String> {
    let mut text = String::new();
    File::open(path)
        .and_then(|file| file.take(FILE_LIMIT).read_to_string(&mut text))
        .map_err(|e| format!("the key file `{}` cannot be read: {e}", path.display()))?;
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    read_all(&lines.take(MOST_KEYS_OF_A_NAME + 1).collect::<Vec<_>>())
}

impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.keys {
            Keys::Fixed(keys) => write!(f, "Signer({} keys)", keys.len()),
            Keys::InFile(file) => write!(f, "Signer({})", file.path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;

    /// The example of the Standard Webhooks specification.
    const KEY: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

    #[test]
    fn each_key_of_a_rotation_signs() {
        let other = format!("whsec_{}", STANDARD.encode([7; 32]));
        let both = Signer::new(&[other.as_str(), KEY]).expect("keys").sign("a", 1, b"x");
        let single = Signer::new(&[KEY]).expect("a key").sign("a", 1, b"x");
        let (first, second) = both.split_once(' ').expect("two signatures");
        assert_eq!(second, single);
        assert_ne!(first, second);
    }

    #[test]
    fn a_file_of_keys_is_read_anew_and_a_broken_one_leaves_those_before() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("keys");
        let put = |text: &str| {
            let next = folder.path().join("next");
            std::fs::write(&next, text).expect("written");
            std::fs::rename(next, &path).expect("put in its place");
        };
        let other = format!("whsec_{}", STANDARD.encode([7; 32]));
        put(KEY);
        let signer = Signer::of_file(&path).expect("a key");
        let clone = signer.clone();
        let first = signer.sign("a", 1, b"x");
        put(&format!("{other}\n{KEY}\n"));
        let both = clone.sign("a", 1, b"x");
        assert!(both.ends_with(&format!(" {first}")), "the new one and the old one: {both}");
        put("whsec_broken\n");
        assert_eq!(signer.sign("a", 1, b"x"), both);
        put(&other);
        assert_eq!(format!("{} {first}", signer.sign("a", 1, b"x")), both);
    }

    #[test]
    fn a_bad_key_is_refused_without_being_shown() {
        for bad in ["MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_%%%secret", "whsec_c2hvcnQ="] {
            let error = Signer::new(&[bad]).expect_err("not a key");
            assert!(!error.contains("secret%") && !error.contains("MfKQ"), "{error}");
        }
        assert!(Signer::new(&[""; 0]).is_err());
        assert_eq!(format!("{:?}", Signer::new(&[KEY]).expect("a key")), "Signer(1 keys)");
    }
}
