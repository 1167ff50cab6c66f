//! What of the configuration is never shown, by its value. A key that holds something secret gets a line here.

use super::layers::{Layers, TOKENS};
use super::value::{GivenKeys, Reader, Stands};
use crate::withheld::Withheld;
use std::path::Path;
use toml::Value;

/// Variables with addresses of proxies, which may hold a password.
const PROXIES: [&str; 6] =
    ["HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"];

/// Takes all of it. What can't be read is somebody else's mistake to tell of.
pub(super) fn gather(withheld: &Withheld, layers: &Layers, read: &Reader<'_>) {
    for (_, keys) in read.keys_of("signing_keys") {
        let keys = match keys {
            Ok(GivenKeys::Here(keys)) => keys,
            Ok(GivenKeys::InFile(path)) => lines(&path),
            Err(_) => continue,
        };
        keys.iter().for_each(|key| withheld.add_key(key));
    }
    for (_, secret) in read.secrets_of("secrets") {
        if let Ok(Stands::Here(value)) = secret.map(|secret| secret.stands) {
            withheld.add(&value);
        }
    }
    for (_, given) in read.identities_of("client_certificates") {
        given.iter().for_each(|identity| withheld.add_private_keys(&identity.key));
    }
    for (_, given) in read.tokens_of(TOKENS) {
        given.iter().for_each(|(file, _)| withheld.add_file(file));
    }
    for (key, (value, _)) in &layers.values {
        match key.as_str() {
            "alerts.slack" => addresses(value, &mut |address| withheld.add_address(address, true)),
            "alerts.webhooks" | "dispatch.proxy" | "traces.endpoint" => {
                addresses(value, &mut |address| withheld.add_address(address, false));
            }
            // The private key that we serve with, and what proves us to an identity provider.
            "tls.key" => value
                .as_str()
                .into_iter()
                .for_each(|file| withheld.add_private_keys(Path::new(file))),
            key if key.ends_with("client_secret") => {
                value.as_str().into_iter().for_each(|secret| withheld.add(secret));
            }
            key if key.ends_with("client_secret_file") || key.ends_with("secret_file") => {
                value.as_str().into_iter().for_each(|file| withheld.add_file(Path::new(file)));
            }
            _ => {}
        }
    }
    for address in PROXIES.iter().filter_map(|name| std::env::var(name).ok()) {
        withheld.add_address(&address, false);
    }
}

/// The keys of a file, one on each line.
fn lines(path: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.lines().map(|line| line.trim().to_owned()).filter(|line| !line.is_empty()).collect()
}

fn addresses(value: &Value, take: &mut impl FnMut(&str)) {
    match value {
        Value::String(address) => take(address),
        Value::Array(all) => all.iter().filter_map(Value::as_str).for_each(take),
        _ => {}
    }
}
