//! Addresses of services: two services behind one, secrets on their way without TLS.

use super::findings::Findings;
use amends_protocol::Verb;
use amends_rulebook::{Diagnostic, Rulebook, Service, codes};
use core::net::IpAddr;
use std::collections::BTreeMap;

pub(super) fn check(book: &Rulebook, found: &mut Findings<'_>) {
    let mut by_address: BTreeMap<String, &Service> = BTreeMap::new();
    for service in book.services() {
        let Some(url) = &service.url else { continue };
        secret_in_clear(book, service, url, found);
        if speaks_the_protocol(book, service) {
            let first = *by_address.entry(normal(url)).or_insert(service);
            shared(first, service, url, found);
        }
    }
}

/// Several mapped services may well stand behind one gateway; of two that are asked by the protocol one is mostly a
/// copy whose address was forgotten.
fn speaks_the_protocol(book: &Rulebook, service: &Service) -> bool {
    let mapped = |n: &&amends_rulebook::ActionId| {
        Verb::ALL.iter().any(|verb| book.get(**n).endpoints.get(*verb).is_some())
    };
    service.actions.iter().any(|id| !mapped(&id))
}

fn shared(first: &Service, second: &Service, url: &str, found: &mut Findings<'_>) {
    if first.name == second.name {
        return;
    }
    let message = format!("`{}` has the address of `{}`: {url}", second.name, first.name);
    found.add(
        Diagnostic::new(codes::SHARED_ADDRESS, second.span, message)
            .with_label("its steps go where those of the other go")
            .with_place(first.span, "the same address")
            .with_help("give it its own `url`; if one process serves both, let it"),
    );
}

/// One spelling of an address: small letters, without the port that its scheme means anyway.
fn normal(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
    let (host, path) = rest.find('/').map_or((rest, ""), |slash| rest.split_at(slash));
    let host = host.to_ascii_lowercase();
    let scheme = scheme.to_ascii_lowercase();
    let port = if scheme == "https" { ":443" } else { ":80" };
    let host = host.strip_suffix(port).unwrap_or(&host);
    format!("{scheme}://{host}{}", path.trim_end_matches('/'))
}

/// On the way to a public name everybody between reads along; inside of a cluster TLS is mostly somebody else's work.
fn secret_in_clear(book: &Rulebook, service: &Service, url: &str, found: &mut Findings<'_>) {
    let Some(rest) = url.strip_prefix("http://") else { return };
    if !is_public(host_of(rest)) {
        return;
    }
    for id in &service.actions {
        let action = book.get(*id);
        let mut requests = Verb::ALL.iter().filter_map(|verb| action.endpoints.get(*verb));
        let secret = requests.find_map(|endpoint| {
            let mut names = endpoint.placeholders().into_iter();
            let name = names.find(|name| name.starts_with("secret."))?;
            Some((name.trim_start_matches("secret."), endpoint.place_of(name)))
        });
        if let Some((secret, at)) = secret {
            let message = format!("`{{secret.{secret}}}` goes to {url} without TLS");
            found.add(
                Diagnostic::new(codes::SECRET_IN_CLEAR, at, message)
                    .with_label("the request sends it")
                    .with_place(service.span, "its `url` begins with `http://`")
                    .with_help("write `https://`"),
            );
            return;
        }
    }
}

fn host_of(rest: &str) -> &str {
    let authority = rest.split('/').next().unwrap_or_default();
    match authority.strip_prefix('[') {
        Some(v6) => v6.split(']').next().unwrap_or_default(),
        None => authority.split(':').next().unwrap_or_default(),
    }
}

/// Endings of names that never leave a network of one's own: RFC 2606, 6761, 6762, 8375, 9476, and what clusters use.
const OWN_ENDINGS: &[&str] =
    &["local", "localhost", "internal", "svc", "lan", "test", "home.arpa", "intranet", "alt"];

fn is_public(host: &str) -> bool {
    if let Ok(address) = host.parse::<IpAddr>() {
        return match address {
            IpAddr::V4(v4) => !(v4.is_private() || v4.is_loopback() || v4.is_link_local()),
            IpAddr::V6(v6) => {
                !(v6.is_loopback() || v6.is_unique_local() || v6.is_unicast_link_local())
            }
        };
    }
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    let own = |ending: &&str| {
        host.strip_suffix(*ending).is_some_and(|before| before.is_empty() || before.ends_with('.'))
    };
    host.contains('.') && !OWN_ENDINGS.iter().any(own)
}

#[cfg(test)]
mod tests {
    use super::{host_of, is_public, normal};

    #[test]
    fn one_address_has_many_spellings() {
        for same in ["http://Stock", "http://stock:80", "http://stock/", "HTTP://stock:80/"] {
            assert_eq!(normal(same), "http://stock", "{same}");
        }
        assert_ne!(normal("http://stock:8080"), normal("http://stock"));
        assert_ne!(normal("http://stock/a"), normal("http://stock/A"), "paths have capitals");
    }

    #[test]
    fn public_are_names_that_others_resolve_too() {
        for public in ["pay.example.com", "8.8.8.8", "2001:4860::1"] {
            assert!(is_public(public), "{public}");
        }
        let own = ["payment", "payment.shop.svc", "payment.shop.svc.cluster.local", "10.0.0.7"];
        for own in own.into_iter().chain(["127.0.0.1", "::1", "fd00::1", "localhost"]) {
            assert!(!is_public(own), "{own}");
        }
        assert_eq!(host_of("[::1]:80/x"), "::1");
        assert_eq!(host_of("pay.example:80/x"), "pay.example");
    }
}
