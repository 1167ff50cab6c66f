//! What strangers and mishaps could cost reports: headers that are no text, messages that are removed unread.

use super::broker::Broker;
use super::brokers::{event, metric, named, rejected, sagas, until};
use amends_server::Severity;
use amends_server::nats::check;
use async_nats::jetstream::stream::DiscardPolicy;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// Publishes with headers of any bytes, by NATS' own text protocol.
async fn publish_raw(broker: &Broker, headers: &[u8], body: &str) {
    let mut stream =
        TcpStream::connect(("127.0.0.1", broker.server.port())).await.expect("connected");
    let mut text = b"CONNECT {\"verbose\":false,\"headers\":true}\r\n".to_vec();
    let sizes = (headers.len(), headers.len() + body.len());
    text.extend(format!("HPUB amends.reports.payment {} {}\r\n", sizes.0, sizes.1).as_bytes());
    text.extend([headers, body.as_bytes(), b"\r\nPING\r\n"].concat());
    stream.write_all(&text).await.expect("sent");
    let mut said = Vec::new();
    while !said.ends_with(b"PONG\r\n") {
        assert!(stream.read_buf(&mut said).await.expect("it answers") > 0, "{said:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn headers_that_are_no_text_are_put_aside_and_hold_up_nobody() {
    let broker = Broker::open().await;
    let running = broker.supervisor().await;
    broker.report(1).await;
    let body = event("payment", 2).to_string();
    for headers in [
        &b"NATS/1.0\r\ntrace: \xe4\r\n\r\n"[..],
        b"NATS/1.0 408 x\r\n\r\n",
        b"NATS/1.0\r\na b: c\r\n\r\n",
    ] {
        publish_raw(&broker, headers, &body).await;
    }
    broker.report(3).await;
    broker.is_read().await;
    assert_eq!(sagas(&running).await, named([1, 3]));
    let rows = rejected(&running).await;
    assert_eq!(rows.len(), 3, "{rows:#?}");
    let says = ["not UTF-8", "as only a server's own", "`name: value`"];
    for ((place, detail), says) in rows.iter().zip(says) {
        assert!(detail.contains(says), "{says}: {detail}");
        assert!(place.ends_with("/amends.reports.payment"), "{place}");
    }
    running.stop().await.expect("ended in order");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_stream_has_removed_unread_is_told() {
    const RESETS: &str = "amends_offset_resets_total{way=\"nats\"}";
    let broker = Broker::open().await;
    let running = broker.supervisor().await;
    broker.report(1).await;
    broker.is_read().await;
    assert_eq!(metric(&running, RESETS).await, 0);
    running.stop().await.expect("ended in order");
    for n in 2..=10 {
        broker.report(n).await;
    }
    // Somebody has given it limits, by which the oldest go.
    let mut config = broker
        .context
        .get_stream(&broker.options.stream)
        .await
        .expect("a stream")
        .cached_info()
        .config
        .clone();
    (config.max_messages, config.discard) = (2, DiscardPolicy::Old);
    broker.context.update_stream(config).await.expect("set");
    let found = check(&broker.options, None).await.expect("answers");
    let told = found.iter().find(|one| one.text.contains("up to 7 of them, from 2 on"));
    assert!(told.is_some_and(|one| one.severity == Severity::Error), "{found:#?}");
    let running = broker.supervisor().await;
    until("the rest comes", async || sagas(&running).await == named([1, 9, 10])).await;
    assert_eq!(metric(&running, RESETS).await, 1);
    broker.is_read().await;
    running.stop().await.expect("ended in order");
    let found = check(&broker.options, None).await.expect("answers");
    assert!(
        found.iter().all(|one| one.severity != Severity::Error),
        "told until it has read: {found:#?}"
    );
}
