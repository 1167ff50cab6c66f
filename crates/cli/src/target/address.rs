//! The address of a supervisor, checked: http or https, and no name or password in it.

use crate::failure::{Failure, Outcome};
use http::Uri;
use std::net::IpAddr;

/// Where the supervisor is looked for when nobody says otherwise.
pub const DEFAULT_URL: &str = "http://127.0.0.1:7100";

/// Where a supervisor is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    base: String,
    secure: bool,
    loopback: bool,
}

impl Address {
    /// Reads an address. What stands before an `@` is told of in no error.
    pub fn parse(text: &str) -> Outcome<Self> {
        let shown = shown(text);
        if authority(text).contains('@') {
            return Err(Failure::Usage(format!(
                "`{shown}` has a name or a password before its `@`, where lists of processes and logs show it; \
                 nothing was sent. Write the address without it. A token comes from AMENDS_TOKEN_FILE, AMENDS_TOKEN, \
                 --token-file or a context (`amends context set --help`); what a proxy in front wants comes by \
                 --header 'Authorization: Basic …' or from a context"
            )));
        }
        let base = text.trim_end_matches('/').to_owned();
        let uri: Uri = base.parse().map_err(|e| {
            Failure::Usage(format!("`{shown}` is not a URL: {e}; write e.g. `{DEFAULT_URL}`"))
        })?;
        let (secure, host) = match (uri.scheme_str(), uri.host()) {
            (Some("http"), Some(host)) => (false, host),
            (Some("https"), Some(host)) => (true, host),
            _ => {
                return Err(Failure::Usage(format!(
                    "`{shown}` is not an http URL; write e.g. `{DEFAULT_URL}`"
                )));
            }
        };
        let after_host = authority(&base).rsplit(']').next().unwrap_or_default();
        if after_host.contains(':') && uri.port_u16().is_none() {
            let why = "what follows the `:` of its host is no port";
            return Err(Failure::Usage(format!("`{shown}` is not a URL: {why}")));
        }
        if base.contains(['?', '#']) {
            return Err(Failure::Usage(format!(
                "`{shown}` has a `?` or a `#`; the address of a supervisor ends before them"
            )));
        }
        Ok(Self { loopback: is_loopback(host), base, secure })
    }

    /// As it is put before a path: without a slash at its end.
    pub fn as_str(&self) -> &str {
        &self.base
    }

    /// Whether it is spoken to by TLS.
    pub fn is_secure(&self) -> bool {
        self.secure
    }

    /// Whether what is sent there leaves this machine without TLS.
    pub fn is_open_to_others(&self) -> bool {
        !self.secure && !self.loopback
    }
}

/// The text without what may be a secret in it.
fn shown(text: &str) -> String {
    match text.rsplit_once('@') {
        Some((_, after)) => format!("…@{after}"),
        None => text.to_owned(),
    }
}

/// Host, port and whatever stands before them.
fn authority(text: &str) -> &str {
    let rest = text.split_once("://").map_or(text, |(_, rest)| rest);
    rest.split(['/', '?', '#']).next().unwrap_or(rest)
}

fn is_loopback(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    match bare.parse::<IpAddr>() {
        Ok(ip) => ip.to_canonical().is_loopback(),
        Err(_) => bare.eq_ignore_ascii_case("localhost"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> String {
        match Address::parse(text) {
            Err(Failure::Usage(why)) => why,
            other => panic!("`{text}` must be refused: {other:?}"),
        }
    }

    #[test]
    fn only_http_addresses_are_taken() {
        for bad in
            ["ftp://x", "127.0.0.1:7100", "http://", "x y", "http://a/?token=x", "http://a#b"]
        {
            refused(bad);
        }
        let address = Address::parse("http://127.0.0.1:7100/").expect("an address");
        assert_eq!(address.as_str(), "http://127.0.0.1:7100");
        assert!(Address::parse("https://amends.example/behind/").is_ok());
    }

    #[test]
    fn a_name_and_a_password_in_an_address_are_an_error_that_does_not_repeat_them() {
        for bad in [
            "https://kim:hunter2@amends.example",
            "https://hunter2@amends.example:7100/x",
            "http://kim:hunter2@127.0.0.1:7100",
            "kim:hunter2@amends.example",
            "http:/kim:hunter2@amends.example",
            "https://kim:hun/ter2@amends.example",
        ] {
            let why = refused(bad);
            assert!(!why.contains("hunter2") && !why.contains("ter2"), "{why}");
        }
        let why = refused("https://kim:hunter2@amends.example");
        assert!(why.contains("--token-file") && why.contains("--header"), "{why}");
        assert!(Address::parse("https://amends.example/teams/@ops").is_ok(), "a path may have one");
    }

    #[test]
    fn without_tls_only_loopback_stays_on_this_machine() {
        let open = |text: &str| Address::parse(text).expect("an address").is_open_to_others();
        for here in
            ["http://127.0.0.1:7100", "http://localhost", "http://[::1]:1", "http://127.9.9.9"]
        {
            assert!(!open(here), "{here}");
        }
        for there in [
            "http://10.0.0.1",
            "http://localhost.evil.example",
            "http://[fe80::1]",
            "http://0.0.0.0",
        ] {
            assert!(open(there), "{there}");
        }
        assert!(!open("https://amends.example"));
    }
}
