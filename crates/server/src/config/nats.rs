//! Reports by NATS.

use super::value::Reader;
use crate::ingest::{Channel, NatsOptions};
use std::path::PathBuf;
use std::time::Duration;
use url::Url;

const SERVERS: &str = "nats.servers";

pub(super) fn read(read: &mut Reader<'_>, channels: Vec<Channel>) -> Option<NatsOptions> {
    let servers = read.list(SERVERS);
    let mut file =
        |key: &str| Some(read.text(key)).filter(|path| !path.is_empty()).map(PathBuf::from);
    let (credentials, password) = (file("nats.credentials"), file("nats.password_file"));
    let (authorities, certificate, key) =
        (file("nats.authorities"), file("nats.certificate"), file("nats.key"));
    let user = read.text("nats.user");
    if servers.is_empty() {
        return None;
    }
    let options = NatsOptions {
        servers,
        stream: read.text("nats.stream"),
        durable: read.text("nats.durable"),
        ack_wait: read.duration("nats.ack_wait"),
        channels,
        user: password.clone().filter(|_| !user.is_empty()).map(|file| (user.clone(), file)),
        // Both commonly stand in one file.
        identity: certificate.clone().map(|own| (own.clone(), key.clone().unwrap_or(own))),
        credentials,
        authorities,
    };
    for file in options
        .credentials
        .iter()
        .chain(&password)
        .chain(options.identity.iter().map(|(_, key)| key))
    {
        read.holds_a_secret(file);
    }
    check(&options, read);
    if user.is_empty() != password.is_none() {
        read.mistake("nats.user", "a name needs `nats.password_file`, and the other way round");
    }
    if key.is_some() && certificate.is_none() {
        read.mistake("nats.key", "there is no `nats.certificate` that it could belong to");
    }
    Some(options)
}

fn check(options: &NatsOptions, read: &mut Reader<'_>) {
    if cfg!(not(feature = "nats")) {
        read.mistake(SERVERS, "this build speaks no NATS; build it with the feature `nats`");
    }
    for server in &options.servers {
        if let Err(why) = address(server) {
            read.mistake(SERVERS, &why);
        }
    }
    for (key, name) in [("nats.stream", &options.stream), ("nats.durable", &options.durable)] {
        // https://docs.nats.io/nats-concepts/jetstream/streams: what NATS itself demands of them.
        let is_name = !name.is_empty()
            && name
                .bytes()
                .all(|b| b.is_ascii_graphic() && !matches!(b, b'.' | b'*' | b'>' | b'/' | b'\\'));
        if !is_name {
            read.mistake(key, "it must be a name without spaces, `.`, `*`, `>`, `/` and `\\`");
        }
    }
    if options.ack_wait < Duration::from_secs(1) {
        read.mistake("nats.ack_wait", "it must be 1s or more");
    }
    if options.credentials.is_some() && options.user.is_some() {
        read.mistake("nats.credentials", "`nats.user` says another name; give one of them");
    }
}

/// `nats://host:port` or `tls://host:port`. A password in it would be shown by logs.
fn address(text: &str) -> Result<(), String> {
    let url = Url::parse(text).map_err(|error| format!("`{text}` is no address: {error}"))?;
    if !matches!(url.scheme(), "nats" | "tls") || url.host_str().is_none_or(str::is_empty) {
        return Err(format!("`{text}` must be `nats://host:port` or `tls://host:port`"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(
            "an address holds no name and no password: use `nats.user` and `nats.password_file`"
                .to_owned(),
        );
    }
    Ok(())
}
