//! Where requests may go: hosts that the configuration names, and addresses that are refused whatever name leads there.
//! Pure; a name is judged before it is looked up, and each address that it leads to afterwards.

use crate::networks::Net;
use http::Uri;
use http::uri::Scheme;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use url::Host;

/// Hosts as a configuration names them: `pay.example`, `*.example`, `10.0.0.0/8`, each perhaps with a port, or `*`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct HostPattern {
    host: Hosts,
    port: Option<u16>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Hosts {
    All,
    Name(String),
    /// The part after `*.`.
    Below(String),
    Net(Net),
}

/// Whom a request is for. An address in an odd spelling (`0x7f.1`, `2130706433`) is the address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Target {
    host: Named,
    port: u16,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Named {
    Name(String),
    Address(IpAddr),
}

/// What the configuration allows. Without any name all hosts are allowed, but not all addresses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AllowedHosts {
    patterns: Vec<HostPattern>,
    /// Nothing is judged, since nothing is sent.
    unjudged: bool,
}

/// Why a request does not go where it should. Nothing was sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The configuration names the hosts that are allowed, and not this one.
    #[error("`{0}` is not in `dispatch.allow_hosts` of the configuration")]
    NotNamed(String),
    /// No request goes there unless the address is named.
    #[error(
        "{}{what}: no request goes there, unless `dispatch.allow_hosts` of the configuration names the address",
        leads(host, address)
    )]
    Address {
        /// As it was asked for.
        host: String,
        /// What it leads to.
        address: IpAddr,
        /// What is there.
        what: &'static str,
    },
    /// A name by which a cloud's machines learn who they are.
    #[error(
        "`{0}` is where a cloud's machines get their credentials: no request goes there, unless `dispatch.allow_hosts` of the configuration names it"
    )]
    Metadata(String),
}

/// `` `a.example` is 1.2.3.4, ``, or of an address itself `` `1.2.3.4` is ``.
fn leads(host: &str, address: &IpAddr) -> String {
    match host == address.to_string() {
        true => format!("`{host}` is "),
        false => format!("`{host}` is {address}, "),
    }
}

const LINK_LOCAL: &str =
    "a link-local address, where clouds keep the credentials of their machines";
const METADATA: &str = "where a cloud's machines get their credentials";
const MULTICAST: &str = "a multicast address";
const NOBODY: &str = "the address of nobody";

/// Networks that no service is in. Loopback and private ones are not among them: services live there.
const REFUSED: &[(Net, &str)] = &[
    (Net::v4([0, 0, 0, 0], 8), NOBODY),
    (Net::v4([169, 254, 0, 0], 16), LINK_LOCAL),
    (Net::v4([224, 0, 0, 0], 4), MULTICAST),
    (Net::v4([255, 255, 255, 255], 32), "the broadcast address"),
    // Azure, Alibaba Cloud, Oracle Cloud: theirs are not link-local, or not only.
    (Net::v4([168, 63, 129, 16], 32), METADATA),
    (Net::v4([100, 100, 100, 200], 32), METADATA),
    (Net::v4([192, 0, 0, 192], 32), METADATA),
    (Net::v6([0, 0, 0, 0, 0, 0, 0, 0], 128), NOBODY),
    (Net::v6([0xfe80, 0, 0, 0, 0, 0, 0, 0], 10), LINK_LOCAL),
    (Net::v6([0xff00, 0, 0, 0, 0, 0, 0, 0], 8), MULTICAST),
    // AWS, Google Cloud.
    (Net::v6([0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254], 128), METADATA),
    (Net::v6([0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254], 128), METADATA),
];

/// Names of the same. Their addresses are refused anyway; but a proxy looks names up by itself.
const METADATA_NAMES: &[&str] =
    &["metadata.google.internal", "metadata.goog", "instance-data", "instance-data.ec2.internal"];

impl HostPattern {
    /// Reads the hosts that something is for, if it is not for all; adds what is wrong with them.
    pub(super) fn read_all(hosts: &[String], wrong: &mut Vec<String>) -> Vec<Self> {
        if hosts.is_empty() {
            wrong.push("`hosts` is empty; leave it out for all hosts".to_owned());
        }
        let read = hosts.iter().map(|text| Self::read(text));
        let (good, bad): (Vec<_>, Vec<_>) = read.partition(Result::is_ok);
        wrong.extend(bad.into_iter().filter_map(Result::err));
        good.into_iter().flatten().collect()
    }

    /// Reads one.
    ///
    /// # Errors
    /// Says what is wrong with it, and how it is written.
    pub(super) fn read(text: &str) -> Result<Self, String> {
        let (host, port) = split(text)?;
        let host = host.to_ascii_lowercase();
        let host = if host == "*" {
            Hosts::All
        } else if let Some(parent) = host.strip_prefix("*.") {
            Hosts::Below(name(text, parent)?)
        } else if host.contains("://") {
            Hosts::Name(name(text, &host)?)
        } else if let Some((address, bits)) = host.split_once('/') {
            Hosts::Net(Net::read(text, address, bits)?)
        } else if let Ok(address) = host.parse::<IpAddr>() {
            Hosts::Net(Net::of(address))
        } else {
            Hosts::Name(name(text, &host)?)
        };
        Ok(Self { host, port })
    }

    /// Whether it says the name (or `*`); an address is no name.
    fn says(&self, target: &Target) -> bool {
        let fits = match (&self.host, &target.host) {
            (Hosts::All, _) => true,
            (Hosts::Name(one), Named::Name(name)) => one == name,
            (Hosts::Below(parent), Named::Name(name)) => {
                name.strip_suffix(&**parent).is_some_and(|rest| rest.ends_with('.'))
            }
            _ => false,
        };
        fits && self.is_for(target)
    }

    fn is_for(&self, target: &Target) -> bool {
        self.port.is_none_or(|port| port == target.port)
    }

    /// The network that it names for this target's port.
    fn net(&self, target: &Target) -> Option<&Net> {
        match &self.host {
            Hosts::Net(net) if self.is_for(target) => Some(net),
            _ => None,
        }
    }

    /// Whether the target is named, as it stands there: by its name, or by its own address.
    pub(super) fn names(&self, target: &Target) -> bool {
        match &target.host {
            Named::Address(address) => {
                self.says(target) || self.net(target).is_some_and(|net| net.contains(*address))
            }
            Named::Name(_) => self.says(target),
        }
    }
}

/// `host:port`, `[v6]:port`, or either without a port.
fn split(text: &str) -> Result<(String, Option<u16>), String> {
    let port = |digits: &str| {
        let port = digits.parse::<u16>().ok().filter(|port| *port > 0);
        port.ok_or_else(|| format!("`{text}`: `{digits}` is not a port"))
    };
    if let Some((inside, after)) = text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        let (bits, digits) = match after.split_once(':') {
            Some((bits, digits)) => (bits, Some(port(digits)?)),
            None => (after, None),
        };
        return Ok((format!("{inside}{bits}"), digits));
    }
    match text.split_once(':') {
        Some((host, digits)) if !digits.contains(':') && !digits.starts_with('/') => {
            Ok((host.to_owned(), Some(port(digits)?)))
        }
        _ => Ok((text.to_owned(), None)),
    }
}

fn name(text: &str, name: &str) -> Result<String, String> {
    let letters = |b: u8| b.is_ascii_alphanumeric() || b"-._".contains(&b);
    match Host::parse(name.trim_end_matches('.')) {
        Ok(Host::Domain(domain)) if domain.bytes().all(letters) && !domain.starts_with('.') => {
            Ok(domain)
        }
        Ok(Host::Ipv4(address)) => Err(format!("`{text}` is an address; write it as `{address}`")),
        _ => Err(format!(
            "`{text}` names no host; write `pay.example`, `*.example`, `10.0.0.0/8`, each with `:port` if need be, or `*`"
        )),
    }
}

impl Target {
    /// Of a request's address; none if it names no host.
    pub(super) fn of(uri: &Uri) -> Option<Self> {
        let secure = uri.scheme() == Some(&Scheme::HTTPS);
        let port = uri.port_u16().unwrap_or(if secure { 443 } else { 80 });
        let text = uri.host()?;
        let host = match Host::parse(text) {
            Ok(Host::Ipv4(v4)) => Named::Address(v4.into()),
            Ok(Host::Ipv6(v6)) => Named::Address(v6.into()),
            Ok(Host::Domain(name)) => Named::Name(name.trim_end_matches('.').to_owned()),
            Err(_) => Named::Name(text.trim_end_matches('.').to_ascii_lowercase()),
        };
        Some(Self { host, port })
    }

    /// The address, if it is one.
    pub(super) fn address(&self) -> Option<IpAddr> {
        match &self.host {
            Named::Address(address) => Some(*address),
            Named::Name(_) => None,
        }
    }

    /// The host without the port, as a resolver wants it.
    pub(super) fn host(&self) -> String {
        match &self.host {
            Named::Address(address) => address.to_string(),
            Named::Name(name) => name.clone(),
        }
    }

    pub(super) const fn port(&self) -> u16 {
        self.port
    }

    /// This machine itself.
    pub(super) fn is_here(&self) -> bool {
        match &self.host {
            Named::Address(address) => plain(*address).is_loopback(),
            Named::Name(name) => name == "localhost" || name.ends_with(".localhost"),
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            Named::Address(IpAddr::V6(v6)) => write!(f, "[{v6}]:{}", self.port),
            Named::Address(address) => write!(f, "{address}:{}", self.port),
            Named::Name(name) => write!(f, "{name}:{}", self.port),
        }
    }
}

impl AllowedHosts {
    /// Reads the list of the configuration.
    ///
    /// # Errors
    /// What is wrong with each entry that can't be read.
    pub fn read(list: &[String]) -> Result<Self, Vec<String>> {
        let (patterns, wrong): (Vec<_>, Vec<_>) =
            list.iter().map(|text| HostPattern::read(text)).partition(Result::is_ok);
        let wrong: Vec<String> = wrong.into_iter().filter_map(Result::err).collect();
        match wrong.is_empty() {
            true => {
                Ok(Self { patterns: patterns.into_iter().flatten().collect(), unjudged: false })
            }
            false => Err(wrong),
        }
    }

    /// Whether any host may be asked.
    #[must_use]
    pub fn is_open(&self) -> bool {
        let all = HostPattern { host: Hosts::All, port: None };
        self.patterns.is_empty() || self.patterns.contains(&all)
    }

    /// The same for requests to addresses of the configuration itself, which names them by that.
    pub(super) fn with(&self, own: &[Uri]) -> Self {
        let mut patterns = self.patterns.clone();
        if patterns.is_empty() {
            patterns.push(HostPattern { host: Hosts::All, port: None });
        }
        patterns.extend(own.iter().filter_map(Target::of).map(|target| HostPattern {
            port: Some(target.port),
            host: match target.host {
                Named::Name(name) => Hosts::Name(name),
                Named::Address(address) => Hosts::Net(Net::of(address)),
            },
        }));
        Self { patterns, unjudged: self.unjudged }
    }

    /// For requests that are only shown.
    pub(super) fn unjudged() -> Self {
        Self { unjudged: true, ..Self::default() }
    }

    /// What can be said of a request before a name is looked up.
    ///
    /// # Errors
    /// It does not go there.
    pub fn judge(&self, uri: &Uri) -> Result<(), Refusal> {
        Target::of(uri).map_or(Ok(()), |target| self.target(&target))
    }

    pub(super) fn target(&self, target: &Target) -> Result<(), Refusal> {
        if self.unjudged {
            return Ok(());
        }
        let name = match &target.host {
            Named::Address(address) => return self.address(target, *address),
            Named::Name(name) => name,
        };
        let says_it = |pattern: &&HostPattern| matches!(pattern.host, Hosts::Name(_));
        let named = self.patterns.iter().filter(says_it).any(|pattern| pattern.says(target));
        if METADATA_NAMES.contains(&&**name) && !named {
            return Err(Refusal::Metadata(target.to_string()));
        }
        // Whether a name leads into a network that is allowed shows when it has been looked up.
        let by_address = self.patterns.iter().any(|pattern| pattern.net(target).is_some());
        match self.says(target) || by_address {
            true => Ok(()),
            false => Err(Refusal::NotNamed(target.to_string())),
        }
    }

    /// What can be said once it is known where the target's name leads.
    ///
    /// # Errors
    /// It does not go there.
    pub(super) fn address(&self, target: &Target, address: IpAddr) -> Result<(), Refusal> {
        let means = plain(address);
        let nets = || self.patterns.iter().filter_map(|pattern| pattern.net(target));
        let holds = |net: &Net| net.contains(means) || net.contains(address);
        for (refused, what) in REFUSED {
            // A wide network such as 0.0.0.0/0 does not name what lies in it.
            let named = || nets().any(|net| holds(net) && net.lies_in(refused));
            if refused.contains(means) && !named() {
                let host = target.host();
                return Err(Refusal::Address { host, address: means, what });
            }
        }
        match self.says(target) || nets().any(holds) {
            true => Ok(()),
            false => Err(Refusal::NotNamed(target.to_string())),
        }
    }

    fn says(&self, target: &Target) -> bool {
        self.is_open() || self.patterns.iter().any(|pattern| pattern.says(target))
    }
}

/// The IPv4 address that an IPv6 address carries a request to; any other as it is.
fn plain(address: IpAddr) -> IpAddr {
    let IpAddr::V6(v6) = address else { return address };
    let [a, b, c, d, e, f, g, h] = v6.segments();
    let v4 = |high: u16, low: u16| Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low));
    match (a, b) {
        // RFC 4291: mapped, and the older compatible; not `::` and `::1`.
        (0, 0) if (c, d, e, f) == (0, 0, 0, 0xffff) => v4(g, h).into(),
        (0, 0) if (c, d, e, f) == (0, 0, 0, 0) && g != 0 => v4(g, h).into(),
        // RFC 6052: through a translator. RFC 3056: 6to4.
        (0x64, 0xff9b) if (c, d, e, f) == (0, 0, 0, 0) => v4(g, h).into(),
        (0x2002, _) => v4(b, c).into(),
        _ => address,
    }
}

#[cfg(test)]
#[path = "allowed_tests.rs"]
mod tests;
