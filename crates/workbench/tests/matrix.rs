//! The matrix of the demo reads like the list that it comes from, and is drawn in every form.

use amends_rulebook::{ActionId, Rulebook};
use amends_workbench::{Annotate, Chart, ChartNode, Matrix, Note, Row};
use std::collections::BTreeSet;
use std::sync::Arc;

const TEXT: &str = include_str!("../../../demo/rulebook/food-order.yaml");
const MARKETPLACE: &str = include_str!("../../../demo/rulebook/marketplace.yaml");

fn book(text: &str) -> Arc<Rulebook> {
    Rulebook::from_yaml(text).unwrap_or_else(|found| panic!("{found:#?}"))
}

macro_rules! shown {
    ($name:literal, $text:expr) => {
        insta::with_settings!({ snapshot_path => "data/matrix", prepend_module_to_snapshot => false, omit_expression => true }, {
            insta::assert_snapshot!($name, $text);
        });
    };
}

/// The source's five rules: cancel the coupon, the delivery and the rider matching, re-send a cancellation text; the same
/// without the coupon; run the order again and keep what is below; and both once more with the payment.
#[test]
fn the_five_rules_read_as_their_source_lists_them() {
    let matrix = Matrix::new(&book(TEXT), Some("report-"));
    let list = matrix.as_list();
    let without_given_up: Vec<_> = list.iter().filter(|l| !l.contains("given up")).collect();
    assert_eq!(
        without_given_up,
        [
            "payment/report-1: undo coupon.redeem, delivery.request, rider.match; notify sms.send",
            "payment/report-2: undo delivery.request, rider.match; notify sms.send",
            "order/report-1: retry order.place; keep payment.pay, coupon.redeem, delivery.request, rider.match, sms.send",
            "order/report-2: undo payment.pay, delivery.request, rider.match; notify sms.send",
            "order/report-3: undo payment.pay, coupon.redeem, delivery.request, rider.match; notify sms.send",
        ]
    );
}

#[test]
fn the_table_fits_a_terminal() {
    let matrix = Matrix::new(&book(TEXT), None);
    let text = matrix.to_text(80, false);
    assert!(text.lines().all(|l| l.chars().count() <= 80), "{text}");
    assert!(!text.contains('\u{1b}'));
    shown!("food-order", text);
    let narrow = matrix.to_text(50, false);
    assert_eq!(narrow.matches("REPORT").count(), 3, "{narrow}");
    for width in [24, 30, 40, 50, 60, 200] {
        let text = matrix.to_text(width, false);
        assert!(text.lines().all(|l| l.chars().count() <= width), "{width}\n{text}");
    }
}

#[test]
fn each_part_of_a_wide_table_has_the_rows_that_reach_it() {
    let text = Matrix::new(&book(MARKETPLACE), None).folded().to_text(80, false);
    let parts: Vec<&str> = text.split("\n\n").filter(|part| part.starts_with("REPORT")).collect();
    assert!(parts.len() > 1, "{text}");
    for part in parts {
        let head = part.lines().next().expect("a head").chars().skip("REPORT".len());
        let label = "REPORT".len() + head.take_while(|c| *c == ' ').count();
        for line in part.lines() {
            let cells: String = line.chars().skip(label).collect();
            assert!(cells.trim().is_empty() || cells.chars().any(|c| !"· ".contains(c)), "{text}");
        }
    }
}

#[test]
fn colours_change_nothing_but_colours() {
    let matrix = Matrix::new(&book(TEXT), None);
    let colored = matrix.to_text(80, true);
    let mut plain = String::new();
    for (n, piece) in colored.split("\u{1b}[").enumerate() {
        plain.push_str(if n == 0 { piece } else { piece.split_once('m').expect("a colour").1 });
    }
    let trimmed: Vec<_> = plain.lines().map(str::trim_end).collect();
    let expected = matrix.to_text(80, false);
    assert_eq!(trimmed, expected.lines().collect::<Vec<_>>());
}

#[test]
fn a_gap_a_stage_and_a_step_too_many_are_marked() {
    let text = TEXT.replace("[delivery.request, rider.match]\n    notify: [sms.send-cancellation]\n    owner: payment team", "[coupon.redeem, delivery.request]\n    then: { notify: [sms.send-cancellation] }\n    owner: payment team");
    let matrix = Matrix::new(&book(&text), Some("payment/"));
    shown!("marked", matrix.to_text(80, false));
    assert!(matrix.to_markdown().contains("**GAP!**"));
}

#[test]
fn documents_hold_the_same_cells_and_nothing_executable() {
    let matrix = Matrix::new(&book(TEXT), Some("payment/report"));
    shown!("food-order-markdown", matrix.to_markdown());
    shown!("food-order-html", matrix.to_html_page());
    shown!("food-order-svg", matrix.to_svg_file());
    let hostile = book(
        "rulebook: x\nservices: { s: { url: 'http://s', actions: { do: { compensation: undo } } } }\nrules: [{ on: 's/<script>alert(1)&\"', compensate: all }, { on: '*/*', compensate: all }]\n",
    );
    let matrix = Matrix::new(&hostile, None);
    for page in [matrix.to_html_page(), matrix.to_svg_file()] {
        assert!(!page.contains("<script"), "{page}");
    }
}

/// A page with `Content-Security-Policy: style-src 'self'` holds the table and the pictures as they are.
#[test]
fn pictures_for_a_strict_page_hold_classes_and_nothing_else() {
    let book = book(TEXT);
    let matrix = Matrix::new(&book, None);
    let mut pictures = vec![
        matrix.to_html(&Hits),
        matrix.legend_html(),
        matrix.to_svg(&Hits),
        Chart::of_calls(&book).to_svg(&Hits),
    ];
    pictures.extend(matrix.rows.iter().map(|row| Chart::of_row(&book, row).to_svg(&())));
    for picture in pictures {
        for never in ["style", "<script", " id=", " on", "javascript", "url(", "fill=", "font"] {
            assert!(!picture.contains(never), "`{never}` in {picture}");
        }
        for class in picture.split("class=\"").skip(1).filter_map(|rest| rest.split('"').next()) {
            let all_ours = class.split(' ').all(|c| c.starts_with("am-") || c == "hot");
            assert!(all_ours, "`{class}` in {picture}");
        }
        assert!(roxmltree::Document::parse(&picture).is_ok(), "{picture}");
    }
    assert!(matrix.to_html_page().contains("<style>") && matrix.to_svg_file().contains("<style>"));
}

/// How often rules were used, as a caller would tell it.
struct Hits;

impl Annotate for Hits {
    fn row(&self, row: &Row) -> Note {
        let href = Some(format!("/graph?report={}&x=\"", row.label));
        Note { href, class: Some("hot".to_owned()), ..Note::of("17 <cases>") }
    }
    fn cell(&self, row: &Row, action: ActionId) -> Note {
        if row.label == "order/report-3" && action.0 == 0 {
            Note::of("3 stuck")
        } else {
            Note::default()
        }
    }
    fn node(&self, node: &ChartNode) -> Note {
        Note::of(format!("{} waiting", node.depth))
    }
}

#[test]
fn what_a_caller_adds_stands_in_its_place_and_is_escaped() {
    let book = book(TEXT);
    let matrix = Matrix::new(&book, Some("order/report-3"));
    let html = matrix.to_html(&Hits);
    let label = "<th scope=\"row\" class=\"am-label hot\"><a href=\"/graph?report=order/report-3&amp;x=&quot;\">order/report-3</a> <span class=\"am-note\">17 &lt;cases&gt;</span></th>";
    assert!(html.contains(label), "{html}");
    assert_eq!(html.matches("3 stuck").count(), 1);
    let svg = matrix.to_svg(&Hits);
    assert!(svg.contains(">17 &lt;cases&gt;</text>") && svg.contains(">3 stuck</text>"), "{svg}");
    let graph = Chart::of_row(&book, &matrix.rows[0]).to_svg(&Hits);
    assert!(graph.contains("0 waiting") && graph.contains("3 waiting"), "{graph}");
}

#[test]
fn a_row_is_drawn_as_a_graph_of_what_becomes_of_each_action() {
    let book = book(TEXT);
    let matrix = Matrix::new(&book, Some("order/report-1"));
    let kinds = |row: &Row| {
        let graph = Chart::of_row(&book, row).to_json();
        let nodes = graph["nodes"].as_array().expect("nodes").clone();
        nodes
            .iter()
            .map(|n| format!("{} {}", n["action"], n["kind"]).replace('"', ""))
            .collect::<Vec<_>>()
    };
    assert_eq!(
        kinds(&matrix.rows[0])[..2],
        ["order.place retry".to_owned(), "payment.pay kept".to_owned()]
    );
    assert_eq!(
        kinds(&matrix.rows[1])[..2],
        ["order.place own".to_owned(), "payment.pay compensate".to_owned()]
    );
}

#[test]
fn rules_that_are_not_simply_carried_out_say_so_in_every_form() {
    let text = TEXT
        .replacen("owner: payment team", "owner: payment team\n    mode: shadow", 1)
        .replacen("- on: order/report-2\n", "- on: order/report-2\n    mode: ask\n", 1)
        .replacen("- on: order/report-3\n", "- on: order/report-3\n    limit: 5 per minute\n", 1);
    let matrix = Matrix::new(&book(&text), None);
    let table = matrix.to_text(80, false);
    shown!("modes", table);
    assert!(table.lines().all(|l| l.chars().count() <= 80), "{table}");
    let list = matrix.as_list();
    assert!(list[0].starts_with("payment/report-1 (shadow): undo"), "{list:?}");
    assert!(list[4].starts_with("order/report-2 (ask): undo"), "{list:?}");
    assert!(matrix.to_markdown().contains("| order/report-3 | ask over 5/min |"));
    let html = matrix.to_html(&());
    assert!(html.contains("<tr class=\"am-row am-mode-shadow\">"), "{html}");
    assert!(html.contains("<td class=\"am-mode\">ask over 5/min</td>"), "{html}");
    assert!(matrix.to_svg(&()).contains(">ask over 5/min</text>"));
    assert_eq!(matrix.to_json()["rows"][0]["mode"], "shadow");
    assert_eq!(matrix.to_json()["rows"][5]["limitPerMinute"], 5);
}

/// Two rules that begin alike, two layers that ask the same of a report, and names longer than a column.
#[test]
fn no_two_rows_and_no_two_columns_look_the_same() {
    let text = r#"
rulebook: alike
services:
  s:
    url: "http://s"
    actions:
      a-very-long-name-of-an-action-for-hotels: { compensation: undo }
      a-very-long-name-of-an-action-for-flights: { compensation: undo }
reports:
  s/broken: { in: a-very-long-name-of-an-action-for-hotels }
rules:
  - { on: s/a-very-long-code-that-ends-in-north, compensate: all }
  - { on: s/a-very-long-code-that-ends-in-south, compensate: all }
  - { on: s/broken, when: { data.country: KR }, compensate: all }
  - { on: s/*, when: { data.country: KR }, compensate: all }
  - { on: s/x, when: { data.city: { one_of: [부산, 대구, 인천, 광주, 대전, 울산, 세종, 수원, 고양, 용인, 창원] }, data.kind: 1, data.zone: inner-city }, compensate: all }
  - { on: s/x, when: { data.city: { one_of: [부산, 대구, 인천, 광주, 대전, 울산, 세종, 수원, 고양, 용인, 창원] }, data.kind: 2, data.zone: inner-city }, compensate: all }
  - { on: "*/*", compensate: all }
"#;
    let matrix = Matrix::new(&book(text), None);
    let labels: BTreeSet<_> = matrix.rows.iter().map(|r| r.label.as_str()).collect();
    assert_eq!(labels.len(), matrix.rows.len(), "{labels:?}");
    let table = matrix.to_text(80, false);
    shown!("alike", table);
}

#[test]
fn the_graph_of_calls_is_drawn_three_ways() {
    let book = book(TEXT);
    let chart = Chart::of_calls(&book);
    shown!("calls-mermaid", chart.to_mermaid());
    shown!("calls-dot", chart.to_dot());
    let one = Chart::of_report(&book, "payment/report-1", None).expect("declared");
    shown!("report-mermaid", one.to_mermaid());
    shown!("report-svg", one.to_svg_file());
    let error = Chart::of_report(&book, "payment/report-7", None).expect_err("not declared");
    assert!(
        error.contains("`payment/report-7`") && error.contains("`payment/report-1`"),
        "{error}"
    );
}

#[test]
fn columns_that_no_row_reaches_are_folded_away_and_named() {
    let whole = Matrix::new(&book(TEXT), Some("payment/report-2"));
    let columns = whole.columns.len();
    let folded = whole.folded();
    assert_eq!(folded.folded, ["coupon.redeem"]);
    assert_eq!((folded.columns.len(), folded.heads.len()), (columns - 1, columns - 1));
    assert!(folded.rows.iter().all(|row| row.cells.len() == columns - 1));
    let text = folded.to_text(80, false);
    assert!(text.contains("not shown, because no row reaches them: coupon.redeem\n"), "{text}");
    assert!(!text.contains("redeem  "), "{text}");
}
