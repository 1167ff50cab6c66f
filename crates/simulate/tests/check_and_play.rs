//! Whoever judges a rulebook says the same: `check`, the proof that it rests on, an oracle that shares nothing with the
//! proof but the engine, and samples of every order and disturbance; and what `derive` writes leaves nothing behind.
//! Shown on rulebooks that are made up; the example `agreement` does the same with any number of larger ones.

use amends_simulate::agreement::{Look, Skipped, agreement, text};

const SEEDS: std::ops::Range<u64> = 0..300;

fn all_say_the_same(first: usize) {
    let (mut clean, mut not, mut too_large) = (0, 0, 0);
    for seed in SEEDS.skip(first).step_by(2) {
        let samples = if seed % 50 == 0 { 30 } else { 0 };
        let look = Look { samples, derived: seed % 5 == 0, ..Look::QUICK };
        // Of a report that contradicts itself, and the like, there is no rulebook.
        let one = match agreement(seed, &look) {
            Ok(one) => one,
            Err(why) => {
                too_large += u32::from(why != Skipped::NoRulebook);
                continue;
            }
        };
        for (difference, story) in &one.differences {
            let text = text(seed, &look).unwrap_or_default();
            assert!(difference.is_allowed(), "seed {seed}: {difference:?}\n{text}\n{story}");
        }
        match one.is_clean {
            true => clean += 1,
            false => not += 1,
        }
    }
    // Of 150 that are drawn; a reader that refuses what is right would go unnoticed.
    assert!(
        clean + not > 125 && not > 4 && too_large < 5,
        "{clean} clean, {not} not, {too_large} too large"
    );
}

/// The long runs themselves are made by the example.
#[test]
fn the_page_tells_of_a_hundred_thousand_of_which_hardly_any_was_too_large() {
    let page = include_str!("../../../docs/internals/growth.md");
    let table = page.split("<!-- agreement -->").nth(1).expect("the table is marked");
    let table = table.split("<!-- end -->").next().expect("it ends");
    let rows: Vec<Vec<u64>> = table
        .lines()
        .filter(|line| line.starts_with("| "))
        .skip(2)
        .map(|row| row.split('|').skip(2).filter_map(number).collect())
        .collect();
    for row in &rows {
        let [drawn, none, large, compared, cut, clean, ..] = row[..] else { panic!("{row:?}") };
        assert_eq!(drawn, none + large + compared, "{row:?}");
        assert!(cut <= compared && clean <= compared && 1_000 * large <= drawn, "{row:?}");
    }
    assert!(rows.first().is_some_and(|row| row[0] >= 100_000), "{rows:?}");
}

fn number(cell: &str) -> Option<u64> {
    cell.trim().replace(',', "").parse().ok()
}

#[test]
fn all_who_judge_a_rulebook_say_the_same() {
    all_say_the_same(0);
}

#[test]
fn all_who_judge_another_rulebook_say_the_same() {
    all_say_the_same(1);
}
