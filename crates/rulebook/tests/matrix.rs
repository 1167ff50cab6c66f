//! The matrix of the demo reads like the list that it comes from, and is drawn in every form.

use amends_rulebook::{Chart, Matrix, Rulebook};
use std::sync::Arc;

const TEXT: &str = include_str!("../../../demo/rulebook/food-order.yaml");

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
    assert!(
        narrow.lines().take_while(|l| !l.starts_with("undo  ")).all(|l| l.chars().count() <= 50),
        "{narrow}"
    );
    assert_eq!(narrow.matches("REPORT").count(), 3, "{narrow}");
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
    shown!("food-order-html", matrix.to_html());
    shown!("food-order-svg", matrix.to_svg());
    let hostile = book(
        "rulebook: x\nservices: { s: { url: 'http://s', actions: { do: { compensation: undo } } } }\nrules: [{ on: 's/<script>alert(1)&\"', compensate: all }, { on: '*/*', compensate: all }]\n",
    );
    let matrix = Matrix::new(&hostile, None);
    for page in [matrix.to_html(), matrix.to_svg()] {
        assert!(!page.contains("<script"), "{page}");
    }
}

#[test]
fn the_graph_of_calls_is_drawn_three_ways() {
    let book = book(TEXT);
    let chart = Chart::of_calls(&book);
    shown!("calls-mermaid", chart.to_mermaid());
    shown!("calls-dot", chart.to_dot());
    let one = Chart::of_report(&book, "payment/report-1", None).expect("declared");
    shown!("report-mermaid", one.to_mermaid());
    shown!("report-svg", one.to_svg());
    let error = Chart::of_report(&book, "payment/report-7", None).expect_err("not declared");
    assert!(
        error.contains("`payment/report-7`") && error.contains("`payment/report-1`"),
        "{error}"
    );
}
