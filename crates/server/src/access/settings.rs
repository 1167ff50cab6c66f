//! What the configuration says of access.

use super::certificates::CertificateGrants;
use crate::networks::Net;
use amends_api::access::Grant;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

/// Whether who comes must be known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Required {
    /// Where others than this machine can come.
    #[default]
    Auto,
    /// Always.
    On,
    /// Never: whoever reaches the address may do everything.
    Off,
}

impl FromStr for Required {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        match text {
            "auto" => Ok(Self::Auto),
            "on" => Ok(Self::On),
            "off" => Ok(Self::Off),
            _ => Err(()),
        }
    }
}

impl Required {
    /// Whether it is required of those who come to this address.
    #[must_use]
    pub fn at(self, listening: SocketAddr) -> bool {
        match self {
            Self::Auto => !listening.ip().to_canonical().is_loopback(),
            Self::On => true,
            Self::Off => false,
        }
    }
}

/// A token that stands in a file of the configuration's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FixedToken {
    /// Whose it is.
    pub name: String,
    /// Where it stands.
    pub file: PathBuf,
    /// What it allows.
    pub grants: Vec<Grant>,
}

/// Who is let in, and how.
#[derive(Clone, Debug)]
pub struct AccessOptions {
    /// Whether who comes must be known.
    pub required: Required,
    /// Whose word about who acts and where a request came from counts.
    pub trusted_proxies: Networks,
    /// TLS ends at a proxy in front.
    pub behind_proxy: bool,
    /// An address that others reach needs neither TLS nor that whoever comes is known.
    pub insecure: bool,
    /// What the names of certificates allow.
    pub certificates: CertificateGrants,
    /// Tokens of the configuration.
    pub tokens: Vec<FixedToken>,
    /// How long a session lives without being used.
    pub session_idle: Duration,
    /// How long a session lives.
    pub session_end: Duration,
}

impl Default for AccessOptions {
    fn default() -> Self {
        Self {
            required: Required::Auto,
            trusted_proxies: Networks::default(),
            behind_proxy: false,
            insecure: false,
            certificates: CertificateGrants::default(),
            tokens: Vec::new(),
            session_idle: Duration::from_secs(3_600),
            session_end: Duration::from_secs(12 * 3_600),
        }
    }
}

/// Addresses and networks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Networks(Vec<Net>);

impl Networks {
    /// Reads `10.0.0.7`, `10.0.0.0/8`, `fd00::/8`.
    ///
    /// # Errors
    /// What is wrong with each text that is none.
    pub fn read(texts: &[String]) -> Result<Self, Vec<String>> {
        let (nets, wrong): (Vec<_>, Vec<_>) =
            texts.iter().map(|text| Net::parse(text)).partition(Result::is_ok);
        match wrong.is_empty() {
            true => Ok(Self(nets.into_iter().flatten().collect())),
            false => Err(wrong.into_iter().filter_map(Result::err).collect()),
        }
    }

    /// Whether one of them has this address.
    #[must_use]
    pub fn have(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|net| net.contains(address))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn have(nets: &[&str], address: &str) -> bool {
        let nets: Vec<_> = nets.iter().map(|net| (*net).to_owned()).collect();
        Networks::read(&nets).expect("networks").have(address.parse().expect("an address"))
    }

    #[test]
    fn an_address_is_in_its_networks_only() {
        assert!(have(&["10.0.0.0/8"], "10.1.2.3"));
        assert!(have(&["10.0.0.7"], "10.0.0.7"));
        assert!(have(&["10.0.0.7"], "::ffff:10.0.0.7"), "the same address, written otherwise");
        assert!(have(&["fd00::/8"], "fd12::1"));
        assert!(!have(&["10.0.0.0/8"], "11.0.0.1"));
        assert!(!have(&["10.0.0.7"], "10.0.0.8"));
        assert!(!have(&["0.0.0.0/0"], "::1"));
        assert!(!have(&[], "127.0.0.1"));
    }

    #[test]
    fn what_is_no_network_is_told() {
        for wrong in
            ["", "proxy", "10.0.0.0/33", "10.0.0/8", "::/129", "10.0.0.0/-1", "10.0.0.1:80"]
        {
            assert!(Networks::read(&[wrong.to_owned()]).is_err(), "{wrong}");
        }
    }

    #[test]
    fn access_is_controlled_wherever_others_can_come() {
        let at = |text: &str, required: Required| required.at(text.parse().expect("an address"));
        for local in ["127.0.0.1:1", "127.9.9.9:1", "[::1]:1", "[::ffff:127.0.0.1]:1"] {
            assert!(!at(local, Required::Auto), "{local}");
            assert!(at(local, Required::On), "{local}");
        }
        for open in ["0.0.0.0:1", "[::]:1", "10.0.0.7:1", "192.168.1.1:1"] {
            assert!(at(open, Required::Auto), "{open}");
        }
    }
}
