//! Proxies in front whose word counts: where their client is, and whether it came by `https://`. Nobody else can say
//! so: from all others these headers are nothing. Pure.

use super::peer::Peer;
use super::settings::Networks;
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use std::net::IpAddr;

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// Whoever a request really comes from: of a trusted proxy its client, of all others who is connected.
pub(crate) fn behind(proxies: &Networks, connected: Peer, headers: &HeaderMap) -> Peer {
    let Some(proxy) = connected.address.filter(|address| proxies.have(*address)) else {
        return connected;
    };
    let secure =
        connected.secure || last(headers, &FORWARDED_PROTO).is_some_and(|proto| proto == "https");
    // A certificate is the proxy's own: it says nothing of the client.
    let address = client(proxies, headers).unwrap_or(proxy);
    Peer { secure, ..Peer::at(address) }
}

/// The last address of `X-Forwarded-For` that is none of the proxies: each of them has added whom it saw, and what
/// stands before that may be made up. None if it is not there or can't be read.
fn client(proxies: &Networks, headers: &HeaderMap) -> Option<IpAddr> {
    let mut client = None;
    for text in all(headers, &FORWARDED_FOR).into_iter().rev() {
        let Some(address) = address(text) else { break };
        client = Some(address);
        if !proxies.have(address) {
            break;
        }
    }
    client
}

/// The parts of a list that may stand in several headers. A part that is no text is one all the same: it must not take
/// with it what a proxy has written behind it.
fn all<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Vec<&'h str> {
    let lines = headers.get_all(name).iter().map(HeaderValue::as_bytes);
    let parts = lines.flat_map(|line| line.split(|byte| *byte == b','));
    parts.map(|part| std::str::from_utf8(part).unwrap_or_default().trim()).collect()
}

fn last<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h str> {
    all(headers, name).pop()
}

/// `192.0.2.7`, `192.0.2.7:4711`, `2001:db8::7` or `[2001:db8::7]:4711`: some proxies add the port.
fn address(text: &str) -> Option<IpAddr> {
    let plain = || text.parse::<IpAddr>().ok();
    let bare = || text.strip_prefix('[')?.strip_suffix(']')?.parse::<IpAddr>().ok();
    let with_port = || text.parse::<std::net::SocketAddr>().ok().map(|address| address.ip());
    plain().or_else(bare).or_else(with_port).map(|address| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::PeerCertificate;
    use std::sync::Arc;

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    fn proxies() -> Networks {
        Networks::read(&["10.0.0.0/8".to_owned(), "fd00::1".to_owned()]).expect("proxies")
    }

    fn seen(from: &str, headers: &[(&'static str, &'static str)]) -> Peer {
        let lines = headers
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
        behind(&proxies(), Peer::at(ip(from)), &lines.collect())
    }

    #[test]
    fn what_is_no_text_does_not_hide_what_the_proxy_has_written_behind_it() {
        let mut headers = HeaderMap::new();
        let line = HeaderValue::from_bytes(b"\xff\xfe, 192.0.2.66").expect("a value");
        headers.insert(FORWARDED_FOR, line);
        let peer = behind(&proxies(), Peer::at(ip("10.0.0.7")), &headers);
        assert_eq!(peer.address, Some(ip("192.0.2.66")));
    }

    #[test]
    fn a_trusted_proxy_says_who_its_client_is() {
        for (told, client) in [
            ("192.0.2.7", "192.0.2.7"),
            ("192.0.2.7:4711", "192.0.2.7"),
            ("[2001:db8::7]:4711", "2001:db8::7"),
            ("[2001:db8::7]", "2001:db8::7"),
            ("::ffff:192.0.2.7", "192.0.2.7"),
            ("192.0.2.7, 10.1.1.1, 10.2.2.2", "192.0.2.7"),
        ] {
            let peer =
                seen("10.0.0.9", &[("x-forwarded-for", told), ("x-forwarded-proto", "https")]);
            assert_eq!(peer.address, Some(ip(client)), "{told}");
            assert!(peer.secure);
        }
    }

    #[test]
    fn nobody_else_can_say_who_they_are() {
        let claims = [("x-forwarded-for", "127.0.0.1"), ("x-forwarded-proto", "https")];
        for from in ["192.0.2.7", "127.0.0.1", "fd00::2", "11.0.0.1"] {
            assert_eq!(seen(from, &claims), Peer::at(ip(from)), "{from}");
        }
    }

    #[test]
    fn what_a_client_puts_before_the_proxys_word_does_not_count() {
        let made_up = [("x-forwarded-for", "127.0.0.1, 10.0.0.1, 192.0.2.7")];
        assert_eq!(seen("10.0.0.9", &made_up).address, Some(ip("192.0.2.7")));
        // In two headers: the last one is the proxy's.
        let two = [("x-forwarded-for", "127.0.0.1"), ("x-forwarded-for", "192.0.2.7")];
        assert_eq!(seen("10.0.0.9", &two).address, Some(ip("192.0.2.7")));
        let two = [("x-forwarded-proto", "https"), ("x-forwarded-proto", "http")];
        assert!(!seen("10.0.0.9", &two).secure);
    }

    #[test]
    fn a_proxy_that_says_nothing_sensible_is_the_client_itself() {
        for told in [&[][..], &[("x-forwarded-for", "unknown")], &[("x-forwarded-for", "")]] {
            let peer = seen("10.0.0.9", told);
            assert_eq!(peer.address, Some(ip("10.0.0.9")), "{told:?}");
            assert!(!peer.secure);
        }
    }

    #[test]
    fn a_proxys_certificate_is_not_its_clients() {
        let shown = PeerCertificate { names: vec!["dns:proxy.shop.svc".to_owned()] };
        let proxy = Peer { certificate: Some(Arc::new(shown)), ..Peer::at(ip("10.0.0.9")) };
        let seen = behind(&proxies(), proxy.clone(), &HeaderMap::new());
        assert_eq!(seen.certificate, None);
        let nobody = Networks::default();
        assert_eq!(behind(&nobody, proxy.clone(), &HeaderMap::new()), proxy);
    }
}
