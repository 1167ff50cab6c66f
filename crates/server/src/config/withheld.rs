//! What of the configuration is never shown, by its value. A key that holds something secret gets a line here.

use super::cluster::{DATABASE, passwords};
use super::layers::{Layers, TOKENS};
use super::value::{GivenKeys, Reader, Stands};
use crate::withheld::{NotWithheld, Withheld};
use std::path::Path;
use toml::Value;
use url::Url;

/// Variables with addresses of proxies, which may hold a password.
const PROXIES: [&str; 6] =
    ["HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"];

/// Takes all of it, and notes a mistake for what can't be withheld.
pub(super) fn withhold_all(withheld: &Withheld, layers: &Layers, read: &mut Reader<'_>) {
    for (key, why) in gather(withheld, layers, read) {
        read.mistake_of_secret(&key, &why.to_string());
    }
}

/// Takes all of it, and gives what can't be withheld, by its key: such a configuration must not be used. What can't be
/// read is somebody else's mistake to tell of.
pub(super) fn gather(
    withheld: &Withheld,
    layers: &Layers,
    read: &Reader<'_>,
) -> Vec<(String, NotWithheld)> {
    let mut wrong = Vec::new();
    let mut take = |key: String, taken: Result<(), NotWithheld>| {
        wrong.extend(taken.err().map(|why| (key, why)));
    };
    for (name, keys) in read.keys_of("signing_keys") {
        let keys = match keys {
            Ok(GivenKeys::Here(keys)) => keys,
            Ok(GivenKeys::InFile(path)) => lines(&path),
            Err(_) => continue,
        };
        let taken = keys.iter().try_for_each(|key| withheld.add_key(key));
        take(format!("signing_keys.{name}"), taken);
    }
    for (name, secret) in read.secrets_of("secrets") {
        if let Ok(Stands::Here(value)) = secret.map(|secret| secret.stands) {
            take(format!("secrets.{name}"), withheld.add(&value));
        }
    }
    for (name, given) in read.identities_of("client_certificates") {
        let taken = given.iter().try_for_each(|identity| withheld.add_private_keys(&identity.key));
        take(format!("client_certificates.{name}"), taken);
    }
    for (name, given) in read.tokens_of(TOKENS) {
        let taken = given.iter().try_for_each(|(file, _)| withheld.add_file(file));
        take(format!("{TOKENS}.{name}"), taken);
    }
    for (key, (value, _)) in &layers.values {
        take(key.clone(), of_key(withheld, key, value));
    }
    for (name, address) in PROXIES.iter().filter_map(|name| Some((name, std::env::var(name).ok()?)))
    {
        take((*name).to_owned(), withheld.add_address(&address, false));
    }
    wrong
}

fn of_key(withheld: &Withheld, key: &str, value: &Value) -> Result<(), NotWithheld> {
    let text = value.as_str().unwrap_or_default();
    match key {
        "alerts.slack" => addresses(value, |address| withheld.add_address(address, true)),
        "alerts.webhooks" | "dispatch.proxy" | "traces.endpoint" => {
            addresses(value, |address| withheld.add_address(address, false))
        }
        // The private key that we serve with, which may stand in the certificate's file, and what proves us to an
        // identity provider.
        "tls.key" | "tls.certificate" if !text.is_empty() => {
            withheld.add_private_keys(Path::new(text))
        }
        // What proves us to a broker.
        "kafka.key" | "kafka.certificate" | "nats.key" | "nats.certificate" if !text.is_empty() => {
            withheld.add_private_keys(Path::new(text))
        }
        "cluster.password_file"
        | "kafka.password_file"
        | "nats.credentials"
        | "nats.password_file"
            if !text.is_empty() =>
        {
            withheld.add_file(Path::new(text))
        }
        // None should be there; whoever writes one nevertheless is told without repeating it.
        DATABASE => match Url::parse(text) {
            Ok(url) => passwords(&url).try_for_each(|password| withheld.add(&password)),
            Err(_) => withheld.add_address(text, false),
        },
        key if key.ends_with("client_secret") => withheld.add(text),
        key if key.ends_with("secret_file") && !text.is_empty() => {
            withheld.add_file(Path::new(text))
        }
        _ => Ok(()),
    }
}

/// The keys of a file, one on each line.
fn lines(path: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.lines().map(|line| line.trim().to_owned()).filter(|line| !line.is_empty()).collect()
}

fn addresses(
    value: &Value,
    mut take: impl FnMut(&str) -> Result<(), NotWithheld>,
) -> Result<(), NotWithheld> {
    match value {
        Value::String(address) => take(address),
        Value::Array(all) => all.iter().filter_map(Value::as_str).try_for_each(take),
        _ => Ok(()),
    }
}
