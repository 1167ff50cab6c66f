//! The names by which the supervisor may be reached.

use std::net::IpAddr;
use std::sync::Arc;

/// Ends of names that nobody can register in the public DNS: those of a machine, of a cluster and of a private network
/// (RFC 6761 for `localhost`, ICANN's reserved `internal`, Kubernetes' service names).
const PRIVATE_ENDS: [&str; 4] = [".localhost", ".svc", ".cluster.local", ".internal"];

/// Our names besides those that nobody outside can have.
#[derive(Clone, Debug, Default)]
pub(crate) struct OwnNames(Arc<[String]>);

impl OwnNames {
    /// The names of the configuration, and the host of the address at which people reach the console.
    pub(crate) fn new(names: &[String], public_url: &str) -> Self {
        let given = names.iter().map(|name| without_port(name).to_owned());
        Self(given.chain(host_of(public_url)).collect())
    }

    /// With the host of one more address, if it has one.
    pub(crate) fn and_host_of(self, url: &str) -> Self {
        Self(self.0.iter().cloned().chain(host_of(url)).collect())
    }

    pub(super) fn has(&self, name: &str) -> bool {
        let is_address = name.trim_matches(['[', ']']).parse::<IpAddr>().is_ok();
        let lower = name.to_ascii_lowercase();
        let is_private = !lower.is_empty()
            && (!lower.contains('.') || PRIVATE_ENDS.iter().any(|end| lower.ends_with(end)));
        // An address of digits is nobody's to point elsewhere, and neither is a name that only this network knows.
        is_address || is_private || self.0.iter().any(|own| own.eq_ignore_ascii_case(name))
    }
}

/// The host of an address such as `https://amends.example:8443/path`; none if it has none.
fn host_of(url: &str) -> Option<String> {
    let (_, rest) = url.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next()?;
    Some(without_port(authority).to_owned()).filter(|host| !host.is_empty())
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        // In `[::1]` the last colon is the address's own.
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
        _ => host,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_public_address_names_a_host() {
        assert_eq!(host_of("https://amends.example:8443/x").as_deref(), Some("amends.example"));
        assert_eq!(host_of("http://[::1]:7100").as_deref(), Some("[::1]"));
        assert_eq!(host_of(""), None);
    }
}
