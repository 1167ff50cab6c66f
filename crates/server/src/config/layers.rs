//! Where each value comes from: layers of flat keys, the strongest last. Knows which keys there are, not what they mean.

use super::ConfigError;
use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use toml::{Table, Value};

/// The default file, with a comment for every key.
pub const DEFAULT_CONFIG: &str = include_str!("../default-config.toml");

/// The table of signing keys, whose names are the user's.
pub(super) const SIGNING_KEYS: &str = "signing_keys";
/// The table of secrets, whose names are the user's.
pub(super) const SECRETS: &str = "secrets";
/// The table of certificate authorities, whose names are the user's.
pub(super) const CA: &str = "ca";
/// The table of our own certificates, whose names are the user's.
pub(super) const CLIENT_CERTIFICATES: &str = "client_certificates";
/// The table of tokens, whose names are the user's.
pub(super) const TOKENS: &str = "tokens";
/// The table of issuers of JWTs, whose names are the user's.
pub(super) const JWT: &str = "access.jwt";
/// The table of people's roles, whose names are their provider's.
pub(super) const ROLES: &str = "access.oidc.roles";
/// The table of what certificates allow, whose names are theirs.
pub(super) const CERTIFICATES: &str = "access.certificates";
/// The table of how long single rulebooks keep their settled cases.
pub(super) const OF_RULEBOOKS: &str = "retention.rulebooks";
/// The table of subjects of NATS, whose names are the broker's.
pub(super) const SUBJECTS: &str = "nats.subjects";
/// The table of topics of Kafka, whose names are the broker's.
pub(super) const TOPICS: &str = "kafka.topics";
/// The table of bridges, whose names are the user's.
pub(super) const BRIDGES: &str = "bridges";
/// Tables whose names are the user's.
const OPEN: [&str; 12] = [
    SIGNING_KEYS,
    SECRETS,
    CA,
    CLIENT_CERTIFICATES,
    TOKENS,
    JWT,
    ROLES,
    CERTIFICATES,
    OF_RULEBOOKS,
    SUBJECTS,
    TOPICS,
    BRIDGES,
];
/// Addresses that are secrets themselves.
pub(super) const SECRET_ADDRESSES: &str = "alerts.slack";
/// What environment variables of ours begin with.
const PREFIX: &str = "AMENDS_";

/// Where a value was set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Nowhere; it is the default.
    Default,
    /// In the configuration file.
    File(PathBuf),
    /// In this environment variable.
    Environment(String),
    /// By this flag.
    Flag(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(path) => write!(f, "file {}", path.display()),
            Self::Environment(name) => write!(f, "environment {name}"),
            Self::Flag(name) => write!(f, "flag --{name}"),
        }
    }
}

/// All values by flat key, e.g. `limits.report_queue`, each with its origin.
#[derive(Clone, Debug, PartialEq)]
pub struct Layers {
    pub(super) values: BTreeMap<String, (Value, Origin)>,
}

impl Layers {
    /// The embedded defaults.
    ///
    /// # Panics
    /// Never: the file is part of the program, and a test reads it.
    #[must_use]
    pub fn defaults() -> Self {
        let table: Table = DEFAULT_CONFIG.parse().expect("the embedded defaults are TOML");
        let mut values = BTreeMap::new();
        flatten("", table, &mut |key, value| {
            values.insert(key, (value, Origin::Default));
        });
        Self { values }
    }

    /// Lays a configuration file over what is there.
    ///
    /// # Errors
    /// The text is no TOML, or has unknown keys; all of them are named. The known ones are laid over nevertheless.
    pub fn file(&mut self, path: &Path, text: &str) -> Result<(), ConfigError> {
        let table: Table = text.parse().map_err(|e: toml::de::Error| {
            ConfigError(vec![format!("`{}` is not TOML: {e}", path.display())])
        })?;
        let mut given = Vec::new();
        flatten("", table, &mut |key, value| given.push((key, value)));
        let mut mistakes = Vec::new();
        for (key, value) in given {
            if self.knows(&key) {
                self.values.insert(key, (value, Origin::File(path.to_owned())));
            } else {
                mistakes.push(format!(
                    "unknown key `{key}` in `{}`; {}",
                    path.display(),
                    self.known_beside(&key)
                ));
            }
        }
        if mistakes.is_empty() { Ok(()) } else { Err(ConfigError(mistakes)) }
    }

    /// Lays environment variables over what is there. Names that are none of ours are left alone.
    pub fn environment(&mut self, variables: impl IntoIterator<Item = (String, String)>) {
        let names: BTreeMap<String, String> =
            self.values.keys().map(|key| (variable(key), key.clone())).collect();
        let keys = variable(SIGNING_KEYS) + "_";
        for (name, text) in variables {
            let origin = Origin::Environment(name.clone());
            if let Some(key) = names.get(&name) {
                let value = self.typed(key, &text);
                self.values.insert(key.clone(), (value, origin));
            } else if let Some(rest) = name.strip_prefix(&keys).filter(|rest| !rest.is_empty()) {
                let (rest, value) = match rest.strip_suffix("_FILE") {
                    Some(rest) => (
                        rest,
                        Value::Table(Table::from_iter([("file".to_owned(), Value::String(text))])),
                    ),
                    None => (rest, Value::String(text)),
                };
                // Rulebooks commonly write names in lower case with `-`; a name with `_` must be set in the file.
                let key = format!("{SIGNING_KEYS}.{}", rest.to_lowercase().replace('_', "-"));
                self.values.insert(key, (value, origin));
            }
        }
    }

    /// Lays a flag over what is there; `key` is one of the default file's.
    ///
    /// # Panics
    /// If there is no such key: the program's own mistake.
    pub fn flag(&mut self, flag: &str, key: &str, text: &str) {
        assert!(self.values.contains_key(key), "no configuration key `{key}`");
        let value = self.typed(key, text);
        self.values.insert(key.to_owned(), (value, Origin::Flag(flag.to_owned())));
    }

    /// The text that a key has, if it has one.
    #[must_use]
    pub fn text(&self, key: &str) -> Option<&str> {
        self.values.get(key).and_then(|(value, _)| value.as_str())
    }

    /// A text as the type that the key has; the check comes later, with the origin.
    fn typed(&self, key: &str, text: &str) -> Value {
        let text = || Value::String(text.to_owned());
        match self.values.get(key).map(|(value, _)| value) {
            Some(Value::Integer(_)) => {
                match text().as_str().and_then(|t| t.trim().replace('_', "").parse().ok()) {
                    Some(number) => Value::Integer(number),
                    None => text(),
                }
            }
            Some(Value::Boolean(_)) => match text().as_str().map(str::trim) {
                Some("true" | "on" | "1") => Value::Boolean(true),
                Some("false" | "off" | "0" | "") => Value::Boolean(false),
                _ => text(),
            },
            Some(Value::Array(_)) => {
                let all = text();
                let parts = all
                    .as_str()
                    .unwrap_or_default()
                    .split(',')
                    .map(str::trim)
                    .filter(|p| !p.is_empty());
                Value::Array(parts.map(|p| Value::String(p.to_owned())).collect())
            }
            _ => text(),
        }
    }

    fn knows(&self, key: &str) -> bool {
        self.values.contains_key(key) || is_open(key)
    }

    fn known_beside(&self, key: &str) -> String {
        let table = key.rsplit_once('.').map_or("", |(table, _)| table);
        let beside = |k: &&String| k.rsplit_once('.').map_or("", |(table, _)| table) == table;
        let known: Vec<_> = self.values.keys().filter(beside).map(String::as_str).collect();
        if known.is_empty() {
            let mut tables: Vec<_> =
                self.values.keys().filter_map(|k| k.rsplit_once('.').map(|(t, _)| t)).collect();
            tables.extend(OPEN);
            tables.dedup();
            return format!("there are the tables {}", tables.join(", "));
        }
        format!("known are {}", known.join(", "))
    }
}

/// The environment variable of a key.
fn variable(key: &str) -> String {
    format!("{PREFIX}{}", key.to_uppercase().replace('.', "_"))
}

/// Whether the key is one of the user's own.
pub(super) fn is_open(key: &str) -> bool {
    let is_in = |table: &str| key.strip_prefix(table).is_some_and(|rest| rest.starts_with('.'));
    OPEN.into_iter().any(is_in)
}

/// Whether the key is one of the user's own that holds no secret, whatever its type.
pub(super) fn is_shown(key: &str) -> bool {
    let is_in = |table: &str| key.strip_prefix(table).is_some_and(|rest| rest.starts_with('.'));
    [ROLES, CERTIFICATES, SUBJECTS, TOPICS, BRIDGES].into_iter().any(is_in)
}

/// Tables become dotted keys; a value of an open table is one value, whatever its type.
fn flatten(path: &str, table: Table, give: &mut dyn FnMut(String, Value)) {
    for (name, value) in table {
        let key = if path.is_empty() { name } else { format!("{path}.{name}") };
        match value {
            Value::Table(inner) if !OPEN.contains(&path) => flatten(&key, inner, give),
            value => give(key, value),
        }
    }
}
