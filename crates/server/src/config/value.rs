//! Reads single values with their type and bounds, and collects what is wrong.

use super::ConfigError;
use super::layers::{Layers, is_open};
use crate::duration::duration;
use crate::key_files::readable_by_others;
use crate::withheld::Withheld;
use serde::de::DeserializeOwned;
use std::path::{Path, PathBuf};
use std::time::Duration;
use toml::Value;

/// A secret, and the hosts that it may go to.
pub(super) struct GivenSecret {
    pub(super) stands: Stands,
    pub(super) hosts: Vec<String>,
}

/// A file of certificates, and the hosts that it is for.
pub(super) struct GivenAuthority {
    pub(super) file: PathBuf,
    pub(super) hosts: Option<Vec<String>>,
    pub(super) only: bool,
}

/// A file with a certificate of our own, one with its key, and the hosts that it is for.
pub(super) struct GivenIdentity {
    pub(super) file: PathBuf,
    pub(super) key: PathBuf,
    pub(super) hosts: Option<Vec<String>>,
}

/// A file with a token, and what it allows.
pub(super) type GivenToken = (PathBuf, Vec<String>);

/// Where signing keys stand.
pub(super) enum GivenKeys {
    Here(Vec<String>),
    /// One on each line.
    InFile(PathBuf),
}

/// Where a secret stands.
pub(super) enum Stands {
    Here(String),
    /// Its text is the secret.
    InFile(PathBuf),
}

/// Gives values of the layers; a wrong one is noted and some value given in its place.
pub(super) struct Reader<'a> {
    layers: &'a Layers,
    mistakes: Vec<String>,
    /// Files with secrets that others than their owner may use.
    loose: Vec<String>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(layers: &'a Layers) -> Self {
        Self { layers, mistakes: Vec::new(), loose: Vec::new() }
    }

    /// All mistakes, none of which repeats a secret: not even of another key.
    pub(super) fn finish(self, withheld: &Withheld) -> Result<(), ConfigError> {
        if self.mistakes.is_empty() {
            return Ok(());
        }
        let told = self.mistakes.iter().map(|mistake| withheld.hide_in_text(mistake));
        Err(ConfigError(told.collect()))
    }

    /// Notes that a file holds a secret; who may read it is told of.
    pub(super) fn holds_a_secret(&mut self, file: &Path) {
        self.loose.extend(readable_by_others(file));
    }

    /// What is to be told of such files.
    pub(super) fn loose(&self) -> Vec<String> {
        self.loose.clone()
    }

    /// Notes a mistake with the key, its value and its origin.
    pub(super) fn mistake(&mut self, key: &str, why: &str) {
        let text = match self.layers.values.get(key) {
            Some((_, origin)) if is_open(key) => {
                format!("`{key}` ({origin}): {why}")
            }
            Some((value, origin)) => format!("`{key}` is {value} ({origin}): {why}"),
            None => format!("`{key}`: {why}"),
        };
        self.mistakes.push(text);
    }

    /// Notes a mistake with the key and its origin, without its value.
    pub(super) fn mistake_of_secret(&mut self, key: &str, why: &str) {
        let origin = self.layers.values.get(key).map(|(_, origin)| format!(" ({origin})"));
        self.mistakes.push(format!("`{key}`{}: {why}", origin.unwrap_or_default()));
    }

    fn value(&self, key: &str) -> Option<&'a Value> {
        self.layers.values.get(key).map(|(value, _)| value)
    }

    pub(super) fn text(&mut self, key: &str) -> String {
        match self.value(key) {
            Some(Value::String(text)) => text.clone(),
            _ => {
                self.mistake(key, "it must be a text");
                String::new()
            }
        }
    }

    pub(super) fn number(&mut self, key: &str, least: usize, most: usize) -> usize {
        let number = match self.value(key) {
            Some(Value::Integer(n)) => usize::try_from(*n).ok(),
            _ => None,
        };
        match number.filter(|n| (least..=most).contains(n)) {
            Some(n) => n,
            None => {
                self.mistake(key, &format!("it must be a number from {least} to {most}"));
                least
            }
        }
    }

    pub(super) fn duration(&mut self, key: &str) -> Duration {
        match self.value(key) {
            Some(Value::String(text)) => match duration(text) {
                Some(duration) => duration,
                None => {
                    self.mistake(key, "it must be a duration, as in 500ms, 10s, 5m, 2h or 30d");
                    Duration::ZERO
                }
            },
            _ => {
                self.mistake(key, "it must be a duration in quotes, as in \"10s\"");
                Duration::ZERO
            }
        }
    }

    pub(super) fn flag(&mut self, key: &str) -> bool {
        match self.value(key) {
            Some(Value::Boolean(flag)) => *flag,
            _ => {
                self.mistake(key, "it must be true or false");
                false
            }
        }
    }

    pub(super) fn list(&mut self, key: &str) -> Vec<String> {
        match self.value(key).and_then(texts) {
            Some(list) => list,
            None => {
                self.mistake(key, "it must be a list of texts");
                Vec::new()
            }
        }
    }

    /// The keys of each name in the table; an error says why they can't be had.
    pub(super) fn keys_of(&self, table: &str) -> Vec<(String, Result<GivenKeys, String>)> {
        self.named(table).map(|(key, value)| (key.clone(), keys(value))).collect()
    }

    /// The texts of each name in a table; none where it is no list of texts.
    pub(super) fn lists_of(&self, table: &str) -> Vec<(String, Option<Vec<String>>)> {
        self.named(table).map(|(key, value)| (key.clone(), texts(value))).collect()
    }

    /// Value and hosts of each name in the table of secrets; an error says why they can't be had.
    pub(super) fn secrets_of(&self, table: &str) -> Vec<(String, Result<GivenSecret, String>)> {
        self.named(table).map(|(key, value)| (key.clone(), secret(value))).collect()
    }

    /// The file of each name in the table of authorities; an error says why it can't be had.
    pub(super) fn authorities_of(
        &self,
        table: &str,
    ) -> Vec<(String, Result<GivenAuthority, String>)> {
        self.named(table).map(|(key, value)| (key.clone(), authority(value))).collect()
    }

    /// The files of each name in the table of our own certificates; an error says why they can't be had.
    pub(super) fn identities_of(
        &self,
        table: &str,
    ) -> Vec<(String, Result<GivenIdentity, String>)> {
        self.named(table).map(|(key, value)| (key.clone(), identity(value))).collect()
    }

    /// The file and the grants of each name in the table of tokens; an error says why they can't be had.
    pub(super) fn tokens_of(&self, table: &str) -> Vec<(String, Result<GivenToken, String>)> {
        self.named(table).map(|(key, value)| (key.clone(), token(value))).collect()
    }

    /// The table under each name in a table, as `T`; an error says what is wrong with it.
    pub(super) fn tables_of<T: DeserializeOwned>(
        &self,
        table: &str,
    ) -> Vec<(String, Result<T, String>)> {
        let read = |value: &Value| value.clone().try_into().map_err(|e| e.message().to_owned());
        self.named(table).map(|(key, value)| (key.clone(), read(value))).collect()
    }

    /// The keys of a table whose names are the user's.
    pub(super) fn names_in(&self, table: &str) -> Vec<String> {
        self.named(table).map(|(key, _)| key.clone()).collect()
    }

    fn named(&self, table: &str) -> impl Iterator<Item = (&'a String, &'a Value)> {
        let prefix = format!("{table}.");
        let all = self.layers.values.iter().filter(move |(key, _)| key.starts_with(&prefix));
        all.map(|(key, (value, _))| (key, value))
    }
}

fn texts(value: &Value) -> Option<Vec<String>> {
    let Value::Array(all) = value else { return None };
    all.iter().map(|v| v.as_str().map(str::to_owned)).collect()
}

fn keys(value: &Value) -> Result<GivenKeys, String> {
    let wrong = || "it must be a key, a list of keys, or `{ file = \"…\" }`".to_owned();
    match value {
        Value::String(key) => Ok(GivenKeys::Here(vec![key.clone()])),
        Value::Array(_) => texts(value).map(GivenKeys::Here).ok_or_else(wrong),
        Value::Table(table) if table.len() == 1 => {
            let path = table.get("file").and_then(Value::as_str).ok_or_else(wrong)?;
            Ok(GivenKeys::InFile(path.into()))
        }
        _ => Err(wrong()),
    }
}

/// `{ file = "…", hosts = […] }`, or `env` or `credential` in place of `file`.
fn secret(value: &Value) -> Result<GivenSecret, String> {
    let wrong = || {
        "it must be `{ file = \"…\", hosts = [\"…\"] }`, with `env` or `credential` in place of `file` where that fits".to_owned()
    };
    let Value::Table(table) = value else { return Err(wrong()) };
    let hosts = table.get("hosts").and_then(texts).ok_or_else(wrong)?;
    let from = |key: &str| table.get(key).and_then(Value::as_str);
    let stands = match (from("file"), from("env"), from("credential")) {
        (Some(path), None, None) => Stands::InFile(path.into()),
        (None, Some(name), None) => {
            let value = std::env::var(name)
                .map_err(|_| format!("the environment has no variable `{name}`"))?;
            Stands::Here(value.trim_end().to_owned())
        }
        (None, None, Some(name)) => {
            let folder = std::env::var_os("CREDENTIALS_DIRECTORY").ok_or(
                "there are no credentials: systemd gives them to a unit with `LoadCredential=`",
            )?;
            Stands::InFile(Path::new(&folder).join(name))
        }
        _ => return Err(wrong()),
    };
    if table.len() != 2 {
        return Err(wrong());
    }
    Ok(GivenSecret { stands, hosts })
}

/// `{ file = "…" }`, perhaps with `hosts = […]` and `only = true`.
fn authority(value: &Value) -> Result<GivenAuthority, String> {
    let wrong = || {
        "it must be `{ file = \"…\" }`, with `hosts = [\"…\"]` if it is for some hosts, and `only = true` if these trust nobody else".to_owned()
    };
    let Value::Table(table) = value else { return Err(wrong()) };
    if table.keys().any(|key| !["file", "hosts", "only"].contains(&key.as_str())) {
        return Err(wrong());
    }
    let file = table.get("file").and_then(Value::as_str).ok_or_else(wrong)?;
    let hosts = match table.get("hosts") {
        None => None,
        Some(hosts) => Some(texts(hosts).ok_or_else(wrong)?),
    };
    let only = match table.get("only") {
        None => false,
        Some(only) => only.as_bool().ok_or_else(wrong)?,
    };
    Ok(GivenAuthority { file: file.into(), hosts, only })
}

/// `{ file = "…" }`, perhaps with `key = "…"` and `hosts = […]`.
fn identity(value: &Value) -> Result<GivenIdentity, String> {
    let wrong = || {
        "it must be `{ file = \"…\" }`, with `key = \"…\"` if the key stands in a file of its own, and `hosts = [\"…\"]` if it is for some hosts".to_owned()
    };
    let Value::Table(table) = value else { return Err(wrong()) };
    if table.keys().any(|key| !["file", "key", "hosts"].contains(&key.as_str())) {
        return Err(wrong());
    }
    let file = table.get("file").and_then(Value::as_str).ok_or_else(wrong)?;
    let key = match table.get("key") {
        None => file,
        Some(key) => key.as_str().ok_or_else(wrong)?,
    };
    let hosts = match table.get("hosts") {
        None => None,
        Some(hosts) => Some(texts(hosts).ok_or_else(wrong)?),
    };
    Ok(GivenIdentity { file: file.into(), key: key.into(), hosts })
}

/// `{ file = "…", grants = ["…"] }`
fn token(value: &Value) -> Result<GivenToken, String> {
    let wrong = || "it must be `{ file = \"…\", grants = [\"report:payment\"] }`".to_owned();
    let Value::Table(table) = value else { return Err(wrong()) };
    let file = table.get("file").and_then(Value::as_str).ok_or_else(wrong)?;
    let grants = table.get("grants").and_then(texts).ok_or_else(wrong)?;
    if table.len() != 2 {
        return Err(wrong());
    }
    Ok((file.into(), grants))
}
