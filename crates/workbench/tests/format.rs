//! `format`: what people write in YAML's less usual forms keeps its meaning, its comments and their places, and its width.

use amends_workbench::{as_json, format};
use proptest::prelude::*;

/// Formats, and makes sure that it means the same, that a second time changes nothing, and that no comment is lost.
fn formatted(text: &str) -> String {
    let once = format(text).unwrap_or_else(|mistake| panic!("{mistake:?}\n{text}"));
    assert_eq!(as_json(&once), as_json(text), "{once}");
    assert_eq!(format(&once).as_deref(), Ok(once.as_str()), "formatted twice:\n{text}");
    assert_eq!(once.matches('#').count(), text.matches('#').count(), "{once}");
    once
}

#[test]
fn a_plain_text_with_paragraphs_keeps_them() {
    let text = "why: First paragraph,\n  still the first.\n\n  Second one. # said\nowner: a\n  b\n";
    let wanted =
        "why: >-  # said\n  First paragraph,\n  still the first.\n\n  Second one.\nowner: a b\n";
    assert_eq!(formatted(text), wanted);
}

#[test]
fn a_comment_behind_the_sign_of_a_block_stays_there() {
    let text = "why: | # for the auditors\n      First.\n\n      # no comment\nowner: a\n";
    let wanted = "why: |  # for the auditors\n  First.\n\n  # no comment\nowner: a\n";
    assert_eq!(formatted(text), wanted);
}

#[test]
fn blocks_of_every_kind_can_be_formatted() {
    assert_eq!(formatted("? |\n  a\n: 1\n"), "\"a\\n\": 1\n");
    for head in ["|", "|-", "|+", ">", ">-", ">+", "|2", ">2-"] {
        for body in [
            "",
            "\n",
            "\n\n\n",
            "  one\n",
            "  one\n  two\n\n    three\n  four\n\n",
            "\n\n   one\n  two\n",
        ] {
            for tail in ["", "b: 1 # end\n", "# end\n"] {
                let text = format!("a: {head}\n{body}{tail}");
                if as_json(&text).is_ok() {
                    formatted(&text);
                    formatted(&format!(
                        "x:\n  - - {}",
                        text.replace('\n', "\n      ").trim_end_matches(' ')
                    ));
                }
            }
        }
    }
}

#[test]
fn a_comment_behind_a_dash_stands_above_what_it_speaks_of() {
    let text = "rules:\n- # first\n  on: a/b\n  why: |\n    Text.\n- # second\n  on: c/d\n";
    let wanted =
        "rules:\n  # first\n  - on: a/b\n    why: |\n      Text.\n  # second\n  - on: c/d\n";
    assert_eq!(formatted(text), wanted);
    let nested =
        "rules: # all\n- # a\n  - # b\n    on\n  - [ # c\n      d, e ] # f\n-\n  # g\n- # h\n";
    formatted(nested);
    assert_eq!(
        formatted("a:\n- | # b\n  c\n- - >- # d\n    e\n    f\n"),
        "a:\n  - |  # b\n    c\n  - - >-  # d\n      e\n      f\n"
    );
    assert_eq!(formatted("- # a\n  - # b\n    on\n"), "# a\n# b\n- - on\n");
}

#[test]
fn folded_texts_keep_their_folding() {
    let text = "rules:\n- on: a/b\n  why: >-\n      One line,\n      and more of it.\n\n        indented\n\n      The end.\n";
    let wanted = "rules:\n  - on: a/b\n    why: >-\n      One line,\n      and more of it.\n\n        indented\n\n      The end.\n";
    assert_eq!(formatted(text), wanted);
}

fn line() -> impl Strategy<Value = String> {
    let begin = prop::sample::select(vec!["", "- ", "- - ", "k: ", "l: ", "- m: ", "? "]);
    let value = prop::sample::select(vec![
        "",
        "x",
        "x y",
        "|",
        ">-",
        ">+",
        "[a, b]",
        "[a,",
        "{ n: 1, o:",
        "b }",
        "]",
        "'q",
        "q'",
        "\"two\"",
        ": v",
    ]);
    let end = prop::sample::select(vec!["", "", "", " # said", "# own", "\n"]);
    (0usize..5, begin, value, end).prop_map(|(indent, begin, value, end)| {
        format!("{}{begin}{value}{end}\n", "  ".repeat(indent))
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_can_be_read_can_be_formatted(lines in prop::collection::vec(line(), 1..8)) {
        let text = lines.concat();
        if as_json(&text).is_ok() {
            formatted(&text);
        }
    }
}

#[test]
fn lines_end_as_most_of_them_did_and_a_byte_order_mark_stays() {
    let text = "rulebook:   shop # the shop\nrules:\n - {on: '*/*',   compensate: recorded}\n";
    let wanted = "rulebook: shop  # the shop\nrules:\n  - { on: '*/*', compensate: recorded }\n";
    let windows = |text: &str| text.replace('\n', "\r\n");
    assert_eq!(formatted(&windows(text)), windows(wanted));
    assert_eq!(format(&windows(wanted)).as_deref(), Ok(&*windows(wanted)), "nothing to change");
    let marked = format!("\u{feff}{text}");
    assert_eq!(format(&marked), Ok(format!("\u{feff}{wanted}")));
    // A stray line of another system follows the others.
    assert_eq!(format(&text.replacen('\n', "\r\n", 1)).as_deref(), Ok(wanted));
    let block = "why: |\n    One.\n\n    Two.\nowner:   a\n";
    assert_eq!(formatted(&windows(block)), windows("why: |\n  One.\n\n  Two.\nowner: a\n"));
}

#[test]
fn a_mistake_stands_where_it_is_whatever_ends_the_lines() {
    let text = "rulebook: shop\n# a comment\nowner: [a\nwhy: &x b\n";
    let place = |text: &str| {
        let mistake = format(text).expect_err("an open bracket");
        amends_rulebook::position(text, mistake.at.start)
    };
    assert_eq!(place(&text.replace('\n', "\r\n")), place(text));
    let anchor = "rulebook: shop\nwhy: &x b\n";
    assert_eq!(place(anchor), (2, 9));
    assert_eq!(place(&anchor.replace('\n', "\r\n")), (2, 9));
}
