//! Large and hostile rulebooks: they are read, or refused with a word, in time that grows with their length.

use amends_rulebook::{FILE_LIMIT_BYTES, Facts, Loaded, SourceFile, load, load_sources, render};
use serde_json::{Map, json};
use std::fmt::Write as _;

const HEAD: &str = "rulebook: x\nservices: { s: { url: 'http://s', actions: { do: { compensation: undo } } } }\nrules:\n  - { on: '*/*', compensate: all }\n";

fn load_text(text: String) -> Loaded {
    load(SourceFile { path: "x.yaml".to_owned(), text: text.into() }, &mut |_| {
        Err("no such file".to_owned())
    })
}

fn codes(loaded: &Loaded) -> Vec<&'static str> {
    loaded.diagnostics.iter().map(|d| d.code).collect()
}

fn with_rules(count: usize, when: impl Fn(usize) -> String) -> String {
    let mut text = HEAD.to_owned();
    for n in 0..count {
        writeln!(text, "  - {{ on: s/c, when: {{ {} }}, compensate: all }}", when(n))
            .expect("writes to a text");
    }
    text
}

#[test]
fn a_hundred_thousand_rules_on_one_code_are_checked_and_found() {
    let loaded = load_text(with_rules(100_000, |n| format!("data.k: {n}")));
    assert_eq!(codes(&loaded), Vec::<&str>::new());
    let book = loaded.rulebook.expect("without mistakes");
    for n in [0u32, 1, 54_321, 99_999] {
        let data = Map::from_iter([("k".to_owned(), json!(n))]);
        let facts = Facts {
            service: "s",
            code: "c",
            action: None,
            entry: None,
            caller: None,
            message: None,
            data: &data,
        };
        assert_eq!(book.matching(&facts).map(|id| id.0), Some(n + 1));
    }
}

#[test]
fn a_hundred_thousand_equal_rules_are_reported_up_to_the_limit() {
    let loaded = load_text(with_rules(100_000, |_| "data.k: 1".to_owned()));
    assert_eq!(loaded.diagnostics.len(), 501);
    let last = loaded.diagnostics.last().expect("there are some");
    assert_eq!(
        (last.code, last.message.as_str()),
        ("too-large", "99499 more mistakes are not shown")
    );
    assert!(render(&loaded.diagnostics, &loaded.sources, false).ends_with("501 errors\n"));
}

#[test]
fn rules_that_share_no_field_are_refused_when_there_are_too_many() {
    let loaded =
        load_text(with_rules(20_000, |n| format!("data.k: {{ gte: {n}, lt: {} }}", n + 1)));
    assert_eq!(codes(&loaded), ["conditions-too-entangled"]);
    assert!(loaded.diagnostics[0].help.is_some());
    let few = load_text(with_rules(1_000, |n| format!("data.k: {{ gte: {n}, lt: {} }}", n + 1)));
    assert!(few.rulebook.is_some());
}

#[test]
fn lists_of_values_in_many_fields_do_not_multiply() {
    let list =
        |from: usize| (from..from + 40).map(|v| v.to_string()).collect::<Vec<_>>().join(", ");
    let fields = ["a", "b", "c", "d", "e", "f"];
    let when = |n: usize| {
        let all: Vec<_> =
            fields.iter().map(|f| format!("data.{f}: {{ one_of: [{}] }}", list(n * 40))).collect();
        all.join(", ")
    };
    assert!(load_text(with_rules(300, when)).rulebook.is_some());
    let same = load_text(with_rules(300, |_| when(0)));
    assert_eq!(same.diagnostics.len(), 299, "each overlaps an earlier one");
}

#[test]
fn deep_and_long_texts_are_refused() {
    for (open, close) in [("[", "]"), ("{ a: ", "}")] {
        let text =
            format!("rulebook: x\nrules: {}{}\n", open.repeat(100_000), close.repeat(100_000));
        assert!(codes(&load_text(text)).contains(&"too-large"));
    }
    let blocks: String = (0..2_000).map(|n| format!("{}a:\n", " ".repeat(n))).collect();
    assert!(codes(&load_text(blocks)).contains(&"too-large"));
    assert_eq!(codes(&load_text("#".repeat(FILE_LIMIT_BYTES + 1))), ["too-large"]);
}

#[test]
fn a_line_that_is_too_long_to_draw_is_named() {
    let loaded = load_text(format!(
        "rulebook: x\nrules: [{}, 7]\n",
        "{ on: '*/*', compensate: all }, ".repeat(1_000)
    ));
    let shown = render(&loaded.diagnostics, &loaded.sources, false);
    assert!(shown.contains("x.yaml:2:"), "{}", &shown[..500]);
    assert!(shown.lines().all(|line| line.len() < 3_000));
}

#[test]
fn a_chain_of_ten_thousand_calls_is_followed() {
    let mut text = "rulebook: x\nrules:\n  - { on: '*/*', compensate: all }\nservices:\n  s:\n    url: 'http://s'\n    actions:\n".to_owned();
    for n in 0..10_000 {
        writeln!(text, "      a{n}: {{ compensation: undo, calls: [s.a{}] }}", n + 1)
            .expect("writes to a text");
    }
    let circle = text.clone() + "      a10000: { compensation: undo, calls: [s.a0] }\n";
    text += "      a10000: { compensation: undo }\n";
    let book = load_text(text).rulebook.expect("without mistakes");
    let middle = book.action("s", "a5000").expect("there");
    assert_eq!((book.saga_reach(middle).len(), book.downstream(middle).len()), (10_001, 5_000));
    assert_eq!(codes(&load_text(circle)), ["call-cycle"]);
}

#[test]
fn ten_thousand_misspelt_names_are_refused_without_searching_for_each() {
    let loaded = load_text(
        HEAD.to_owned()
            + &"  - { on: s/c1, compensate: [s.ddddddddddddddddddddddddddddddddddddddddddo] }\n"
                .repeat(10_000),
    );
    assert_eq!(loaded.diagnostics.len(), 501);
}

#[test]
fn a_rulebook_is_read_again_from_its_sources() {
    let root = SourceFile {
        path: "books/shop.yaml".to_owned(),
        text:
            "rulebook: shop\nimport: [parts/pay.yaml]\nrules:\n  - { on: '*/*', compensate: all }\n"
                .into(),
    };
    let manifest = "service: payment\nurl: 'http://p'\nactions: { pay: { compensation: refund } }\nreports: { declined: { in: pay } }\n";
    let mut asked = Vec::new();
    let first = load(root, &mut |path| {
        asked.push(path.to_owned());
        Ok(manifest.to_owned())
    });
    assert_eq!((asked, codes(&first)), (vec!["parts/pay.yaml".to_owned()], vec![]));
    let book = first.rulebook.expect("without mistakes");
    let paths: Vec<_> = book.sources().iter().map(|s| s.path.as_str()).collect();
    assert_eq!(paths, ["books/shop.yaml", "books/parts/pay.yaml"]);
    assert!(book.report("payment", "declined").is_some());
    let again = load_sources(book.sources().to_vec()).rulebook.expect("the same text");
    assert_eq!(again.hash(), book.hash());
    assert_eq!(codes(&load_sources(book.sources()[..1].to_vec())), ["import-failed"]);
}

#[test]
fn a_mistake_in_a_manifest_is_shown_in_its_own_file() {
    let root = SourceFile {
        path: "books/shop.yaml".to_owned(),
        text: "rulebook: shop\nimport: pay.yaml\nrules:\n  - { on: '*/*', compensate: all }\n"
            .into(),
    };
    let loaded = load(root, &mut |_| {
        Ok("service: payment\nurl: 'http://p'\nactions: { pay: { compensate: refund } }\n"
            .to_owned())
    });
    let places: Vec<_> = loaded.diagnostics.iter().map(|d| d.to_json(&loaded.sources)).collect();
    assert_eq!(places[0]["file"], "books/pay.yaml");
    assert_eq!(
        (places[0]["line"].as_u64(), places[0]["code"].as_str()),
        (Some(3), Some("unknown-key"))
    );
    assert_eq!(
        (places[0]["column"].as_u64(), places[0]["help"].as_str()),
        (Some(19), Some("did you mean `compensation`?"))
    );
}

#[test]
fn ten_thousand_imports_are_not_read() {
    let list: String = (0..10_000).map(|n| format!("  - m{n}.yaml\n")).collect();
    let mut read = 0;
    let root = SourceFile {
        path: "x.yaml".to_owned(),
        text: format!("rulebook: x\nimport:\n{list}").into(),
    };
    let loaded = load(root, &mut |path| {
        read += 1;
        Ok(format!("service: {}\n", path.trim_end_matches(".yaml")))
    });
    assert_eq!((codes(&loaded), read), (vec!["too-large"], 1_000));
}
