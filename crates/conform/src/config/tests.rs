//! Configurations, good and bad: every mistake at once, with its place and what would mend it.

use super::{Config, Count, KeySource};
use amends_rulebook::{SourceFile, render};
use std::time::Duration;

fn read(text: &str) -> Result<Config, String> {
    let fetch = |source: &KeySource| match source {
        KeySource::Environment(name) if name == "KEY" => {
            Ok("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".to_owned())
        }
        other => Err(format!("there is no {other:?}")),
    };
    Config::read(text, &fetch).map_err(|mistakes| {
        let source = SourceFile { path: "participant.yaml".to_owned(), text: text.into() };
        render(&mistakes, &[source], false)
    })
}

/// The configuration of the reference page, which everybody copies.
fn page_example() -> &'static str {
    let page = include_str!("../../../../docs/reference/conformance.md");
    let (_, rest) = page.split_once("```yaml participant\n").expect("an example");
    rest.split_once("```").expect("its end").0
}

#[test]
fn the_example_of_the_reference_is_a_configuration() {
    let config = read(&page_example().replace("COUPON_SIGNING_KEY", "KEY")).expect("valid");
    assert_eq!(config.service, "coupon");
    assert_eq!(config.answer_timeout, Duration::from_secs(10));
    assert_eq!(config.supervisor.expect("given").port(), 7190);
    let [redeem, order] = config.actions.as_slice() else { panic!("two actions") };
    assert_eq!(redeem.fails_with.as_ref().expect("given").code, "expired");
    let count = &redeem.observe.as_ref().expect("given").count;
    assert_eq!(count, &Count::Pointer("/count".to_owned()));
    assert_eq!(order.calls.as_ref().expect("given").answer["paid"], true);
    assert!(config.signer.is_some() && config.notices.len() == 1);
    assert!(order.calls.as_ref().is_some_and(|calls| calls.twice.is_some()));
    let process = config.process.expect("given");
    assert_eq!(process.command, ["./coupon-service", "--port", "7103"]);
    assert_eq!(process.env["COUPON_DATABASE"], "/tmp/coupon.sqlite");
    assert_eq!(process.recovery_timeout, Duration::from_secs(90));
}

#[test]
fn a_service_and_an_action_are_enough() {
    let config = read("service: coupon\nactions: { redeem: {} }").expect("valid");
    assert_eq!(config.actions[0].method, http::Method::POST);
    assert!(config.supervisor.is_none() && config.signer.is_none());
}

#[test]
fn all_mistakes_are_shown_at_once_with_their_places() {
    let text = "\
servise: coupon
actions:
  redeem:
    methot: POST
    path: redeem
    body: { coupon: \"{uniqe}\" }
    fails_with: { body: {} }
    observe: { get: /x, count: count }
supervisor: { listen: \"127.0.0.1:0\" }
signing: { env: NO_SUCH, secret: whsec_x }
timeouts: { answer: 10 }
process: { command: python3 coupon.py }
";
    let shown = read(text).expect_err("eleven mistakes");
    for told in [
        "participant.yaml:1:1",
        "unknown key `servise`",
        "did you mean `service`?",
        "the configuration needs `service`",
        "did you mean `method`?",
        "`redeem` is not a path",
        "`{uniqe}` is no placeholder",
        "did you mean `unique`?",
        "`fails_with` needs `code`",
        "`count` is neither a JSON pointer nor `status`",
        "the participant has to know it before the kit starts",
        "`signing` has 2 keys",
        "its unit is missing",
        "`command` must be a list, not a single value",
    ] {
        assert!(shown.contains(told), "`{told}` is not in:\n{shown}");
    }
    assert!(shown.ends_with("11 errors\n"), "{shown}");
}

#[test]
fn what_is_no_yaml_or_no_mapping_is_said_once() {
    for (text, told) in [
        ("", "there is no configuration"),
        ("service: [", "this is not YAML"),
        ("- a\n- b", "must be a mapping, not a list"),
        ("service: x\nactions: {}", "at least one action"),
        ("service: &a x\nactions: { y: {} }", "anchors (`&…`) are not taken here"),
        ("service: x\nactions: { y: {} }\nactions: { y: {} }", "stands twice"),
    ] {
        let shown = read(text).expect_err(text);
        assert!(shown.contains(told), "`{told}` is not in:\n{shown}");
    }
}

#[test]
fn a_key_is_never_shown() {
    let text = "service: x\nactions: { y: {} }\nsigning: { env: OTHER }";
    assert!(read(text).expect_err("no key").contains("can't be had from `env`"));
    let config = read("service: x\nactions: { y: {} }\nsigning: { env: KEY }").expect("a key");
    assert!(!format!("{config:?}").contains("MfKQ"));
}

#[test]
fn the_two_stands_need_an_address_each() {
    let text = "service: x\nactions: { y: {} }\nsupervisor: { listen: \"127.0.0.1:7\" }\ndownstream: { listen: \"127.0.0.1:7\" }";
    assert!(read(text).expect_err("one address").contains("its own port"));
}
