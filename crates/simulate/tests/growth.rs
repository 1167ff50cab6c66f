//! The tables of `docs/internals/growth.md` say what the generator and the simulator say.

use amends_simulate::Options;
use amends_simulate::growth::{OPTIONS, SIZES, measure};

const PAGE: &str = include_str!("../../../docs/internals/growth.md");

fn rows(table: &str) -> Vec<&'static str> {
    let begin = format!("<!-- {table} -->");
    let after = PAGE.split(&begin).nth(1).expect("the table is marked");
    let table = after.split("<!-- end -->").next().expect("the table ends");
    table.lines().filter(|l| l.starts_with('|')).skip(2).collect()
}

#[test]
fn the_tables_on_the_page_are_what_is_measured_and_nothing_is_left_behind() {
    // A small budget: the page was made with more, and only its counts are compared.
    let options = Options { max_schedules: 300, ..Options::default() };
    for (table, shapes) in [("sizes", &SIZES[..]), ("options", &OPTIONS[..])] {
        let rows = rows(table);
        assert_eq!(rows.len(), shapes.len(), "{table}");
        for (row, shape) in rows.iter().zip(shapes) {
            let measured = measure(shape, &options).expect("valid rulebooks");
            let counts = measured.counts(shape);
            assert!(row.starts_with(&counts), "the page says {row}\nmeasured {counts}");
            let played = [Some(&measured.with_sets), measured.by_hand.as_ref()];
            for simulation in played.into_iter().flatten() {
                assert!(
                    simulation.schedules > 0 && simulation.failed == 0,
                    "{shape:?}: {simulation:#?}"
                );
            }
            assert!(!row.contains("| 0 / "), "every rulebook on the page was played");
        }
    }
}

/// The larger ones take longer than a test may.
#[test]
fn the_smallest_business_is_played_whole_as_the_page_says() {
    let options = Options { max_schedules: 20_000, ..Options::default() };
    let measured = measure(&SIZES[0], &options).expect("valid rulebooks");
    assert_eq!(rows("sizes")[0], format!("{}{}", measured.counts(&SIZES[0]), measured.played()));
}

#[test]
fn optional_calls_make_the_rules_by_hand_explode_and_leave_those_with_sets_alone() {
    let options = Options { max_schedules: 1, ..Options::default() };
    let of = |shape| measure(shape, &options).expect("valid rulebooks");
    let (few, many) = (of(&OPTIONS[0]), of(&OPTIONS[5]));
    assert!(many.rules_by_hand > 1_000 * few.rules_by_hand);
    assert_eq!(few.rules_with_sets, many.rules_with_sets);
}
