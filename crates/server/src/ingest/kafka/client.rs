//! How we come to a Kafka: what the C library is told.

use crate::ingest::{Channel, KafkaOptions};
use rdkafka::ClientConfig;
use rdkafka::config::RDKafkaLogLevel;
use std::path::Path;

/// How often topics and partitions are looked for that are new.
const LOOK_MS: &str = "10000";
/// Most KiB that the library reads ahead.
const AHEAD_KIB: &str = "16384";

/// What every client is told.
///
/// # Errors
/// A file that can't be read.
pub(super) fn client(options: &KafkaOptions) -> Result<ClientConfig, String> {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", options.brokers.join(","));
    config.set("client.id", "amends");
    config.set("topic.metadata.refresh.interval.ms", LOOK_MS);
    config.set_log_level(RDKafkaLogLevel::Warning);
    let protocol = match (options.tls, &options.sasl) {
        (false, None) => "plaintext",
        (true, None) => "ssl",
        (false, Some(_)) => "sasl_plaintext",
        (true, Some(_)) => "sasl_ssl",
    };
    config.set("security.protocol", protocol);
    let path = |path: &Path| path.display().to_string();
    if let Some(file) = &options.authorities {
        config.set("ssl.ca.location", path(file));
    }
    if let Some((certificate, key)) = &options.identity {
        config.set("ssl.certificate.location", path(certificate));
        config.set("ssl.key.location", path(key));
    }
    if let Some(sasl) = &options.sasl {
        let password = std::fs::read_to_string(&sasl.password_file)
            .map_err(|error| format!("`kafka.password_file`: {error}"))?;
        config.set("sasl.mechanism", &sasl.mechanism);
        config.set("sasl.username", &sasl.user);
        config.set("sasl.password", password.trim_end());
    }
    Ok(config)
}

/// What our consumer is told besides.
///
/// # Errors
/// As [`client`].
pub(super) fn consumer(options: &KafkaOptions) -> Result<ClientConfig, String> {
    let mut config = client(options)?;
    config.set("group.id", &options.group);
    // The new protocol stalls in this version of the library.
    config.set("group.protocol", "classic");
    config.set("partition.assignment.strategy", "cooperative-sticky");
    config.set("session.timeout.ms", options.session_timeout.as_millis().to_string());
    config.set("heartbeat.interval.ms", (options.session_timeout.as_millis() / 4).to_string());
    // What is done is known to us alone.
    config.set("enable.auto.commit", "false");
    config.set("enable.auto.offset.store", "false");
    // `latest` would lose reports: those of a new group, of added partitions, of days without any.
    config.set("auto.offset.reset", "earliest");
    config.set("allow.auto.create.topics", "false");
    config.set("isolation.level", "read_committed");
    config.set("queued.max.messages.kbytes", AHEAD_KIB);
    // Lag and connection are told of as often.
    config.set("statistics.interval.ms", "5000");
    Ok(config)
}

/// What is subscribed to for a channel: a topic, or an expression where a part of its name may be any.
pub(super) fn subscription(channel: &Channel) -> String {
    let pattern = &channel.pattern;
    if !is_pattern(channel) {
        return pattern.clone();
    }
    let words = pattern.split('.').map(|word| match word {
        "*" => "[^.]+",
        ">" => ".+",
        word => word,
    });
    format!("^{}$", words.collect::<Vec<_>>().join("[.]"))
}

/// Whether a part of a topic's name may be any.
pub(super) fn is_pattern(channel: &Channel) -> bool {
    channel.pattern.split('.').any(|word| matches!(word, "*" | ">"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ingest::Sasl;
    use rdkafka::consumer::BaseConsumer;
    use std::time::Duration;

    #[test]
    fn this_build_speaks_what_clusters_in_production_do() {
        let built = ClientConfig::new().create_native_config().expect("a configuration");
        let features = built.get("builtin.features").expect("it says so");
        for wanted in ["ssl", "sasl_scram", "gzip", "snappy", "lz4", "zstd"] {
            assert!(features.split(',').any(|one| one == wanted), "{wanted}: {features}");
        }
        let folder = tempfile::tempdir().expect("a folder");
        let password_file = folder.path().join("password");
        std::fs::write(&password_file, "secret\n").expect("written");
        let (mechanism, user) = ("SCRAM-SHA-512".to_owned(), "amends".to_owned());
        let mut options = KafkaOptions {
            brokers: vec!["127.0.0.1:1".to_owned()],
            group: "amends".to_owned(),
            session_timeout: Duration::from_secs(10),
            channels: Vec::new(),
            tls: true,
            authorities: None,
            identity: None,
            sasl: Some(Sasl { mechanism, user, password_file }),
        };
        let config = consumer(&options).expect("read");
        assert_eq!(config.get("sasl.password"), Some("secret"));
        let made: Result<BaseConsumer, _> = config.create();
        made.expect("the library takes it");
        options.authorities = Some(folder.path().join("none.pem"));
        let made: Result<BaseConsumer, _> = consumer(&options).expect("read").create();
        assert!(made.is_err(), "a file that is not there");
    }

    #[test]
    fn a_pattern_becomes_an_expression_and_a_name_stays_one() {
        let of = |pattern: &str| {
            subscription(&Channel::read(pattern, &["*".to_owned()]).expect("a channel"))
        };
        assert_eq!(of("amends.reports"), "amends.reports");
        assert_eq!(of("amends.reports.*"), "^amends[.]reports[.][^.]+$");
        assert_eq!(of("legacy.>"), "^legacy[.].+$");
    }
}
