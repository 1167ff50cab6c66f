//! What goes out: limits, keys, secrets, allowed hosts, proxies, certificates.

use super::value::{GivenKeys, Reader, Stands};
use crate::dispatch::{
    AllowedHosts, Authorities, Destinations, HttpOptions, Identities, MOST_KEYS_OF_A_NAME,
    OF_ENVIRONMENT, Proxies, Secrets, Signer,
};
use http::Uri;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

pub(super) fn read(read: &mut Reader<'_>) -> HttpOptions {
    let ms = |d: Duration| u64::try_from(d.as_millis()).unwrap_or(u64::MAX);
    let destinations = Destinations {
        signers: signers(read),
        allow_hosts: allow_hosts(read),
        secrets: Arc::new(secrets(read)),
        callbacks: callbacks(read),
    };
    let options = HttpOptions {
        idle_per_host: read.number("dispatch.idle_per_host", 0, 10_000),
        at_once: HttpOptions::default().at_once,
        connect_timeout_ms: ms(read.duration("dispatch.connect_timeout")),
        idle_timeout_ms: ms(read.duration("dispatch.idle_timeout")),
        answer_bytes: read.number("dispatch.answer_bytes", 1 << 10, 64 << 20),
        proxies: proxies(read, &destinations.secrets),
        authorities: authorities(read),
        identities: identities(read),
        destinations,
    };
    if options.connect_timeout_ms == 0 {
        read.mistake(
            "dispatch.connect_timeout",
            "no connection opens in no time; the default is 3s",
        );
    }
    options
}

/// Where services reach us: as told, else where people do.
fn callbacks(read: &mut Reader<'_>) -> Option<Arc<str>> {
    const KEY: &str = "dispatch.callback_url";
    let told = read.text(KEY);
    let url = if told.is_empty() { read.text("alerts.public_url") } else { told.clone() };
    let is_address = |uri: &Uri| {
        let is_http = matches!(uri.scheme_str(), Some("http" | "https"));
        is_http && uri.host().is_some() && uri.query().is_none()
    };
    match url.parse::<Uri>() {
        Ok(uri) if is_address(&uri) => Some(url.trim_end_matches('/').into()),
        _ if told.is_empty() => None,
        _ => {
            read.mistake(KEY, "it must be an address such as `http://amends:7100`");
            None
        }
    }
}

fn allow_hosts(read: &mut Reader<'_>) -> AllowedHosts {
    let list = read.list("dispatch.allow_hosts");
    AllowedHosts::read(&list).unwrap_or_else(|wrong| {
        wrong.iter().for_each(|why| read.mistake("dispatch.allow_hosts", why));
        AllowedHosts::default()
    })
}

fn proxies(read: &mut Reader<'_>, secrets: &Secrets) -> Proxies {
    let at = read.text("dispatch.proxy");
    let secret = read.text("dispatch.proxy_secret");
    let given = match at == OF_ENVIRONMENT {
        true => Proxies::of_environment(|name| std::env::var(name).ok(), &secret),
        false => Proxies::of_configuration(&at, &secret),
    };
    let list = read.list("dispatch.no_proxy");
    let found = given.unwrap_or_else(|why| {
        // Not the address itself: it may hold a password.
        read.mistake_of_secret("dispatch.proxy", &why);
        Proxies::default()
    });
    if at.is_empty() && !secret.is_empty() {
        read.mistake("dispatch.proxy_secret", "there is no `dispatch.proxy` that it could be for");
    }
    if let Err(why) = found.check(secrets) {
        read.mistake("dispatch.proxy_secret", &why);
    }
    found.except(&list).unwrap_or_else(|wrong| {
        wrong.iter().for_each(|why| read.mistake("dispatch.no_proxy", why));
        Proxies::default()
    })
}

fn authorities(read: &mut Reader<'_>) -> Authorities {
    let mut authorities = Authorities::default();
    for (key, given) in read.authorities_of("ca") {
        let name = key.trim_start_matches("ca.");
        let taken = given.map_err(|why| vec![why]).and_then(|given| {
            authorities.add(name, &given.file, given.hosts.as_deref(), given.only)
        });
        if let Err(wrong) = taken {
            wrong.iter().for_each(|why| read.mistake(&key, why));
        }
    }
    authorities
}

fn identities(read: &mut Reader<'_>) -> Identities {
    let mut identities = Identities::default();
    for (key, given) in read.identities_of("client_certificates") {
        let name = key.trim_start_matches("client_certificates.");
        let taken = given.map_err(|why| vec![why]).and_then(|given| {
            read.holds_a_secret(&given.key);
            identities.add(name, (&given.file, &given.key), given.hosts.as_deref())
        });
        if let Err(wrong) = taken {
            wrong.iter().for_each(|why| read.mistake(&key, why));
        }
    }
    identities
}

fn secrets(read: &mut Reader<'_>) -> Secrets {
    let mut secrets = Secrets::default();
    for (key, given) in read.secrets_of("secrets") {
        let name = key.trim_start_matches("secrets.");
        let taken = given.and_then(|given| match given.stands {
            Stands::Here(value) => secrets.add(name, &value, given.hosts),
            Stands::InFile(path) => {
                read.holds_a_secret(&path);
                secrets.add_file(name, &path, given.hosts)
            }
        });
        if let Err(why) = taken {
            read.mistake(&key, &why);
        }
    }
    secrets
}

fn signers(read: &mut Reader<'_>) -> BTreeMap<String, Signer> {
    let mut signers = BTreeMap::new();
    for (name, given) in read.keys_of("signing_keys") {
        let keys = match given {
            Ok(keys) => keys,
            Err(why) => {
                read.mistake(&name, &why);
                continue;
            }
        };
        let read_keys = match &keys {
            GivenKeys::Here(keys) => Signer::new(keys),
            GivenKeys::InFile(path) => {
                read.holds_a_secret(path);
                Signer::of_file(path)
            }
        };
        match read_keys {
            Ok(signer) => {
                signers.insert(name.trim_start_matches("signing_keys.").to_owned(), signer);
            }
            Err(why) => {
                read.mistake(&name, &format!("{why} (at most {MOST_KEYS_OF_A_NAME} keys per name)"))
            }
        }
    }
    signers
}
