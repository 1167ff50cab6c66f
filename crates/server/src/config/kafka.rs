//! Reports by Apache Kafka.

use super::layers::TOPICS;
use super::value::Reader;
use crate::ingest::{Channel, KafkaOptions, Sasl};
use std::path::PathBuf;
use std::time::Duration;

const BROKERS: &str = "kafka.brokers";
const MECHANISMS: [&str; 3] = ["SCRAM-SHA-512", "SCRAM-SHA-256", "PLAIN"];
/// Longest name of a topic or a group that Kafka takes.
const NAME: usize = 249;

pub(super) fn read(read: &mut Reader<'_>, channels: Vec<Channel>) -> Option<KafkaOptions> {
    let brokers = read.list(BROKERS);
    let mut file =
        |key: &str| Some(read.text(key)).filter(|path| !path.is_empty()).map(PathBuf::from);
    let (authorities, certificate, key) =
        (file("kafka.authorities"), file("kafka.certificate"), file("kafka.key"));
    let password_file = file("kafka.password_file");
    let (user, mechanism) = (read.text("kafka.user"), read.text("kafka.sasl"));
    if brokers.is_empty() {
        return None;
    }
    if user.is_empty() != password_file.is_none() {
        read.mistake("kafka.user", "a name needs `kafka.password_file`, and the other way round");
    }
    if key.is_some() && certificate.is_none() {
        read.mistake("kafka.key", "there is no `kafka.certificate` that it could belong to");
    }
    let named = password_file.filter(|_| !user.is_empty());
    let options = KafkaOptions {
        brokers,
        group: read.text("kafka.group"),
        session_timeout: read.duration("kafka.session_timeout"),
        channels,
        tls: read.flag("kafka.tls"),
        authorities,
        // Both commonly stand in one file.
        identity: certificate.map(|own| (own.clone(), key.unwrap_or(own))),
        sasl: named.map(|password_file| Sasl { mechanism, user, password_file }),
    };
    let secrets = options.sasl.iter().map(|sasl| &sasl.password_file);
    for file in secrets.chain(options.identity.iter().map(|(_, key)| key)) {
        read.holds_a_secret(file);
    }
    check(&options, read);
    Some(options)
}

fn check(options: &KafkaOptions, read: &mut Reader<'_>) {
    if cfg!(not(feature = "kafka")) {
        read.mistake(BROKERS, "this build speaks no Kafka; build it with the feature `kafka`");
    }
    for broker in &options.brokers {
        if !is_address(broker) {
            read.mistake(BROKERS, &format!("`{broker}` must be `host:port`, as in `kafka-1:9092`"));
        }
    }
    if options.group.is_empty() || options.group.len() > NAME {
        read.mistake("kafka.group", &format!("it must be a name of at most {NAME} bytes"));
    }
    if options.session_timeout < Duration::from_secs(1)
        || options.session_timeout > Duration::from_secs(300)
    {
        read.mistake("kafka.session_timeout", "it must be 1s to 5m");
    }
    for channel in &options.channels {
        if let Err(why) = topic(&channel.pattern) {
            read.mistake(&format!("{TOPICS}.{}", channel.pattern), why);
        }
    }
    if !options.tls && (options.authorities.is_some() || options.identity.is_some()) {
        read.mistake("kafka.tls", "certificates are of no use without it; set it to true");
    }
    let Some(sasl) = &options.sasl else { return };
    if !MECHANISMS.contains(&sasl.mechanism.as_str()) {
        read.mistake("kafka.sasl", &format!("it must be one of {}", MECHANISMS.join(", ")));
    }
    if sasl.mechanism == "PLAIN" && !options.tls {
        read.mistake("kafka.sasl", "PLAIN sends the password as it is; it needs `kafka.tls`");
    }
}

/// `host:port`, or `[::1]:port`.
fn is_address(text: &str) -> bool {
    let parts = text.rsplit_once(':');
    parts.is_some_and(|(host, port)| {
        let is_host = !host.is_empty()
            && host.bytes().all(|b| b.is_ascii_graphic() && !matches!(b, b'/' | b'@' | b','))
            && (!host.contains(':') || host.starts_with('['));
        is_host && port.parse::<u16>().is_ok_and(|port| port > 0)
    })
}

/// Names of topics, a part of which may be `*`, and the last one `>`.
fn topic(pattern: &str) -> Result<(), &'static str> {
    let words: Vec<&str> = pattern.split('.').collect();
    let is_word =
        |word: &str| word.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'));
    let is_wild = |n: usize, word: &str| word == "*" || (word == ">" && n + 1 == words.len());
    let is_topic = !pattern.is_empty()
        && pattern.len() <= NAME
        && words.iter().enumerate().all(|(n, word)| is_word(word) || is_wild(n, word));
    is_topic.then_some(()).ok_or(
        "a topic is of letters, digits, `.`, `_` and `-`; a part between dots may be `*`, and the last one `>`",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_host_and_port() {
        for good in ["kafka-1:9092", "127.0.0.1:1", "[::1]:9092"] {
            assert!(is_address(good), "{good}");
        }
        for bad in [
            "kafka",
            "kafka:",
            ":9092",
            "kafka:0",
            "kafka:99999",
            "a@b:9092",
            "kafka://a:1",
            "::1:9092",
            "a b:1",
        ] {
            assert!(!is_address(bad), "{bad}");
        }
    }

    #[test]
    fn topics_are_names_or_patterns() {
        for good in ["reports", "amends.reports.*", "legacy.>", "a_b-c.D"] {
            assert!(topic(good).is_ok(), "{good}");
        }
        for bad in ["", "a b", "a.re*", ">.a", "a/b", "^a.*$"] {
            assert!(topic(bad).is_err(), "{bad}");
        }
    }
}
