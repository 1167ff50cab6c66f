//! What is read at brokers: subjects and topics with who may report there, and bridges for events in other words.

use super::layers::{BRIDGES, SUBJECTS, TOPICS};
use super::value::Reader;
use crate::ingest::{Bridge, Channel, Channels, read_bridges};
use amends_api::ReportWay;
use toml::Table;

/// Who may report at which broker. Where nothing is said: each service on a subject or topic that ends in its name.
pub(super) fn read(read: &mut Reader<'_>) -> Channels {
    let (kafka, nats) = (in_table(read, TOPICS), in_table(read, SUBJECTS));
    let channels = Channels { bridges: bridges(read), kafka, nats };
    for bridge in &channels.bridges {
        for (way, table) in [(ReportWay::Kafka, TOPICS), (ReportWay::Nats, SUBJECTS)] {
            for own in channels.of(way) {
                if bridge.channels(way).iter().any(|channel| channel.meets(own)) {
                    let pattern = &own.pattern;
                    let why = format!(
                        "`{pattern}` of `[{table}]` holds reports in our own form, and is read by this bridge as well; take it out of one of them"
                    );
                    read.mistake(&format!("{BRIDGES}.{}", bridge.name), &why);
                }
            }
        }
    }
    channels
}

/// What makes reports of events in other words.
fn bridges(read: &mut Reader<'_>) -> Vec<Bridge> {
    let given = read.tables_of::<Table>(BRIDGES).into_iter();
    let named = given.map(|(key, table)| (key[BRIDGES.len() + 1..].to_owned(), table));
    let (bridges, mistakes) = read_bridges(named.collect());
    for (name, why) in mistakes {
        read.mistake(&format!("{BRIDGES}.{name}"), &why);
    }
    bridges
}

fn in_table(read: &mut Reader<'_>, table: &str) -> Vec<Channel> {
    let mut channels = Vec::new();
    for (key, given) in read.lists_of(table) {
        let pattern =
            key.strip_prefix(table).and_then(|rest| rest.strip_prefix('.')).unwrap_or_default();
        let Some(services) = given else {
            read.mistake(&key, "it must be a list of services, as in [\"order\"], or [] for the one that `*` stands for");
            continue;
        };
        match Channel::read(pattern, &services) {
            Ok(channel) => channels.push(channel),
            Err(why) => read.mistake(&key, &why),
        }
    }
    if channels.is_empty() {
        channels.extend(Channel::read("amends.reports.*", &[]));
    }
    channels
}
