//! What a configuration offers and what it doesn't: slow requests in the place of calls, little at all, several actions;
//! and participants that are not there, or go away.

mod paper;
mod rig;

use amends_conform::{CHECKS, Config, ConformError, Stands, Verdict, run};
use paper::{Answers, Participant};
use rig::{KEY, Ports, config, ended, examine, serve, story, unused_address};
use std::collections::BTreeSet;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

async fn start(ports: &Ports) -> String {
    serve(Participant::new(&ports.supervisor, Answers::AtOnce, None).router()).await.0
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_request_serves_where_none_calls() {
    let ports = Ports::free().await;
    let url = start(&ports).await;
    let text = format!(
        "\
service: coupon
actions:
  redeem:
    body: {{ coupon: \"C-{{unique}}\" }}
    slow: {{ body: {{ coupon: \"C-{{unique}}\", pause_ms: 600 }} }}
    observe: {{ get: \"/effects?saga={{saga}}\", count: /count }}
signing: {{ secret: {KEY} }}
"
    );
    let only = [
        "forward-running",
        "history-started",
        "compensate-nothing",
        "compensate-running",
        "retry-running",
    ];
    let examination = examine(&url, config(&text), Stands::default(), &only).await;
    assert_eq!(ended(&examination, "passed"), BTreeSet::from(only), "\n{}", story(&examination));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_configuration_gives_no_means_for_is_skipped_with_the_line_to_add() {
    let ports = Ports::free().await;
    let url = start(&ports).await;
    let text = format!(
        "service: coupon\nactions: {{ redeem: {{ body: {{ coupon: a }} }} }}\nsigning: {{ secret: {KEY} }}"
    );
    let examination = examine(&url, config(&text), Stands::default(), &[]).await;
    assert!(examination.is_conformant(), "\n{}", story(&examination));
    let skipped = ended(&examination, "skipped");
    for (check, add) in [
        ("failure-is-problem", Some("fails_with: { body: { … }, code: … }")),
        ("compensate-running", Some("slow: { body: { … } }")),
        ("call-context", Some("calls: { body: { … }, service: …, action: … }")),
        ("refuse-keeps", Some("refuses_with: { body: { … } }")),
        ("notify-once", Some("notices: { … }")),
        ("fence-without-undo", Some("fences: { … }")),
        ("forward-key-reused", Some("body: { … \"{unique}\" … }")),
        ("forward-other-action", Some("actions: { …, another: { … } }")),
        ("call-ordinal", Some("calls: { …, twice: { body: { … } } }")),
        ("restart-keeps", Some("process: { command: [ … ] }")),
        ("step-accepted", None),
    ] {
        assert!(skipped.contains(check), "{check}");
        let lacks = examination.results.iter().find(|result| result.check.id == check);
        let Some(Verdict::Skipped(lack)) = lacks.map(|result| &result.verdict) else {
            panic!("{check}")
        };
        assert_eq!(lack.add, add, "{check}");
    }
    let json = examination.to_json();
    assert_eq!(json["skipped"], skipped.len());
    assert_eq!(
        json["passed"].as_u64().expect("a count") as usize + skipped.len(),
        CHECKS.iter().count()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_turned_away_for_want_of_the_right_key_is_told_what_to_add() {
    let ports = Ports::free().await;
    let url = start(&ports).await;
    let of =
        |signing: &str| config(&format!("service: coupon\nactions: {{ redeem: {{}} }}\n{signing}"));
    let another = "signing: { secret: whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA }";
    for (signing, told) in [("", "add `signing: {"), (another, "compare the key of `signing`")] {
        let only = ["history-unknown-saga"];
        let examination = examine(&url, of(signing), Stands::default(), &only).await;
        let Verdict::Failed(finding) = &examination.results[0].verdict else { panic!("no key") };
        assert!(finding.help.is_some_and(|help| help.contains(told)), "{finding:?}");
        assert!(finding.lines().iter().any(|line| line.starts_with("help: ")), "{finding:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_action_is_tried_and_a_failure_of_one_blocks_no_other() {
    let ports = Ports::free().await;
    let url = start(&ports).await;
    let text = ports.config().replace("fences:", "  no-such-action: {}\nfences:");
    let only = ["forward-works", "forward-repeat"];
    let examination = examine(&url, config(&text), ports.stands, &only).await;
    let told: Vec<_> = examination
        .results
        .iter()
        .map(|result| {
            (result.check.id, result.on.as_deref().unwrap_or(""), result.verdict.as_str())
        })
        .collect();
    assert_eq!(
        told,
        [
            ("forward-works", "redeem", "passed"),
            ("forward-works", "no-such-action", "failed"),
            ("forward-repeat", "redeem", "passed"),
            ("forward-repeat", "no-such-action", "blocked"),
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_there_is_one_error() {
    let address = TcpListener::bind("127.0.0.1:0").await.expect("a port").local_addr();
    let url = format!("http://{}", address.expect("bound"));
    let error = try_on(&url, &[]).await.expect_err("nobody listens");
    assert!(matches!(&error, ConformError::Unreachable { .. }), "{error}");
    assert!(
        error.to_string().starts_with(&format!("cannot reach the participant at `{url}`")),
        "{error}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_goes_away_ends_the_run() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("bound"));
    tokio::spawn(async move {
        // The first question is whether anybody is there.
        let (mut first, _) = listener.accept().await.expect("a connection");
        let _ = first.read(&mut [0; 1_024]).await.expect("a request");
        let answer = b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
        first.write_all(answer).await.expect("sent");
        let second = listener.accept().await.expect("a connection");
        drop(listener);
        drop(second);
    });
    let error = try_on(&url, &[]).await.expect_err("it is gone");
    assert!(matches!(error, ConformError::Gone { after: "forward-works", .. }), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_address_and_no_check_is_refused() {
    let error = try_on("https://127.0.0.1:1", &[]).await.expect_err("no TLS");
    assert!(error.to_string().contains("must begin with `http://`"), "{error}");
    let error = try_on("http://127.0.0.1:1", &["forward-wroks"]).await.expect_err("no check");
    assert_eq!(error.to_string(), "there is no check `forward-wroks`; `--list` shows them all");
}

/// What a run says of a process that does not come up.
async fn start_of(url: &str, command: &str) -> String {
    let text = format!(
        "service: coupon\nactions: {{ redeem: {{}} }}\nprocess: {{ command: {command} }}\n\
         timeouts: {{ answer: 2s, start: 300ms }}"
    );
    let only = ["forward-works".to_owned()];
    let run = run(url, config(&text), Stands::default(), &only, |_| {}).await;
    let error = run.expect_err("it does not come up");
    assert!(matches!(error, ConformError::Process(_)), "{error}");
    error.to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_does_not_come_up_says_why() {
    let url = format!("http://{}", unused_address().await);
    for (command, told) in [
        ("[/no/such/program, --now]", "cannot start `/no/such/program --now`: No such file"),
        (
            "[sh, -c, 'echo no database >&2; exit 3']",
            "ended before it listened at `URL`: exit status: 3; it said: no database",
        ),
        ("[sleep, '60']", "`sleep 60` does not answer at `URL` after 300ms"),
    ] {
        let said = start_of(&url, command).await;
        assert!(said.contains(&told.replace("URL", &url)), "{said}");
    }
    let ports = Ports::free().await;
    let said = start_of(&start(&ports).await, "[sleep, '60']").await;
    assert!(said.contains("already; end it: with `process`"), "{said}");
}

async fn try_on(url: &str, only: &[&str]) -> Result<amends_conform::Examination, ConformError> {
    let only: Vec<String> = only.iter().map(|id| (*id).to_owned()).collect();
    run(url, little(), Stands::default(), &only, |_| {}).await
}

fn little() -> Config {
    config("service: coupon\nactions: { redeem: {} }\ntimeouts: { answer: 2s }")
}
