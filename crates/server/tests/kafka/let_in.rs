//! A Kafka that lets in only whom it knows, by TLS, with a name and a password.

use super::broker::Broker;
use super::brokers::{connected, named, sagas};
use amends_private_server::Keys;
use amends_server::kafka::check;
use amends_server::{Severity, start};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_the_right_password_it_comes_in_also_when_that_was_written_down_later() {
    let keys = Keys::new();
    let broker = Broker::secured("secured", &keys).await;
    keys.put("renewed", "not-the-password\n");
    let config = broker.secured_config(&keys, "renewed");
    let options = config.kafka.clone().expect("set");
    broker.report(1);
    let refused = check(&options, None).await.expect_err("not let in").to_string();
    assert!(refused.contains("uthentication"), "{refused}");
    let running = start(config).await.expect("started");
    connected(&running, "kafka", false).await;
    // What the file says now is taken without a start.
    keys.put("renewed", Keys::PASSWORD);
    connected(&running, "kafka", true).await;
    broker.is_read().await;
    assert_eq!(sagas(&running).await, named([1]));
    let findings = check(&options, None).await.expect("let in");
    assert!(findings.iter().all(|one| one.severity != Severity::Error), "{findings:#?}");
    running.stop().await.expect("ended in order");
}
