//! The reference pages say what the program does: problems, configuration, API; and a guide what a bridge makes of an
//! event.

use amends_api::ReportWay;
use amends_protocol::ProblemCode;
use amends_server::config::{DEFAULT_CONFIG, Layers};
use amends_server::{Config, Tried, TriedMessage, openapi_json};
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::Path;

fn page(name: &str) -> String {
    let path = format!("{}/../../docs/reference/{name}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{path}: {e}"))
}

#[test]
fn every_problem_has_a_section_that_begins_with_its_status() {
    let page = page("problems.md");
    let sections: Vec<(&str, &str)> =
        page.split("\n## ").skip(1).filter_map(|s| s.split_once("\n\n")).collect();
    let codes: Vec<&str> = ProblemCode::ALL.iter().map(|c| c.as_str()).collect();
    assert_eq!(
        sections.iter().map(|(title, _)| *title).collect::<Vec<_>>(),
        codes,
        "one section each, in this order"
    );
    for (code, (_, text)) in ProblemCode::ALL.iter().zip(sections) {
        assert!(
            text.starts_with(&format!("{}. ", code.status())),
            "`{}` has the status {}",
            code.as_str(),
            code.status()
        );
    }
}

#[test]
fn the_configuration_page_holds_the_default_file_and_every_variable() {
    let page = page("config.md");
    assert!(
        page.contains(&format!("```toml\n{DEFAULT_CONFIG}```")),
        "copy crates/server/src/default-config.toml into docs/reference/config.md"
    );
    for (key, ..) in Layers::defaults().shown() {
        let row = format!("| `{key}` | `AMENDS_{}` |", key.to_uppercase().replace('.', "_"));
        assert!(page.contains(&row), "the table lacks: {row}");
    }
}

#[test]
fn the_api_page_shows_every_operation_and_no_other() {
    let document: Value = serde_json::from_str(&openapi_json()).expect("JSON");
    let paths: BTreeSet<String> =
        document["paths"].as_object().expect("paths").keys().cloned().collect();
    let page = page("api.md");
    let mut shown = BTreeSet::new();
    for text in page.split("http://127.0.0.1:7100").skip(1) {
        let end =
            text.find(|c: char| c.is_whitespace() || "'`?,".contains(c)).unwrap_or(text.len());
        let path = &text[..end];
        if path.is_empty() {
            continue;
        }
        let known = paths.iter().find(|template| fits(template, path));
        shown.insert(
            known.unwrap_or_else(|| panic!("`{path}` of api.md is no path of the API")).clone(),
        );
    }
    let missing: Vec<_> = paths.difference(&shown).collect();
    assert!(missing.is_empty(), "api.md has no example of {missing:?}");
}

/// Whether a path is one of a template; whole segments only, and words before placeholders.
fn fits(template: &str, path: &str) -> bool {
    let (wanted, given): (Vec<_>, Vec<_>) =
        (template.split('/').collect(), path.split('/').collect());
    let same = |(w, g): (&&str, &&str)| {
        w == g || (w.starts_with('{') && !g.is_empty() && !g.contains(':'))
    };
    wanted.len() == given.len() && wanted.iter().zip(&given).all(same)
}

/// The nth block of a kind that a page shows.
fn block<'p>(page: &'p str, kind: &str, nth: usize) -> &'p str {
    let begins = format!("```{kind}\n");
    let blocks = page.split(begins.as_str()).skip(1);
    let found = blocks.filter_map(|rest| rest.split("\n```").next()).nth(nth);
    found.unwrap_or_else(|| panic!("no block {nth} of `{kind}`"))
}

#[test]
fn the_bridge_of_the_guide_makes_a_report_of_its_event() {
    let page = include_str!("../../../docs/guides/our-services-publish-to-kafka.md");
    let message = block(page, "text", 0);
    let after = |name: &str| {
        let line = message.lines().find_map(|line| line.strip_prefix(name));
        line.unwrap_or_else(|| panic!("`{name}` in {message}")).trim().to_owned()
    };
    let header = after("header:");
    let (name, value) = header.split_once(": ").expect("name: value");
    let mut event = TriedMessage {
        channel: after("topic:"),
        key: Some(after("key:").into_bytes()),
        headers: vec![(name.to_owned(), value.as_bytes().to_vec())],
        body: block(page, "json", 0).as_bytes().to_vec(),
    };
    for nth in [0, 1] {
        // Builds without Kafka refuse its addresses, and need none to try.
        let bridges = block(page, "toml", nth).split_once("[bridges").expect("a bridge").1;
        let mut layers = Layers::defaults();
        layers.file(Path::new("a.toml"), &format!("[bridges{bridges}")).expect("known keys");
        let channels = Config::from_layers(&layers).expect("a valid configuration").channels;
        event.channel = channels.bridges[0].channels(ReportWay::Kafka)[0].pattern.clone();
        let Tried::Report { report, left_out, .. } = channels.try_message(ReportWay::Kafka, &event)
        else {
            panic!("no report by the bridge {nth}")
        };
        assert_eq!(left_out, [] as [String; 0]);
        assert_eq!((report.service(), report.saga_id.as_str()), ("payment", "order-17"));
        assert_eq!(report.data.code, "card-declined");
        assert_eq!(report.data.data.len(), 2 * nth, "the second one carries business data");
        event.headers.clear();
        let skipped = matches!(channels.try_message(ReportWay::Kafka, &event), Tried::Skipped(_));
        assert_eq!(skipped, nth == 1, "the second one looks at the class");
        event.headers = vec![(name.to_owned(), value.as_bytes().to_vec())];
    }
    assert_eq!(event.channel, after("topic:"));
}
