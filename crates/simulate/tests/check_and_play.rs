//! Whoever judges a rulebook says the same: `check`, the play that leaves out what makes no difference, and samples of
//! the one that leaves out nothing; and what `derive` writes leaves nothing behind. Shown on rulebooks that are made
//! up; the example `agreement` does the same with any number of larger ones, and counts what is not seen without
//! playing.

use amends_rulebook::{Diagnostic, Rulebook, codes};
use amends_simulate::made_up::{self, Size};
use amends_simulate::{Options, Proof, check_by_proof, prove, simulate};
use amends_workbench::{CheckSettings, ExplicitPart, check, derive, explicit_rulebook};
use std::ops::ControlFlow;
use std::sync::Arc;

const SEEDS: std::ops::Range<u64> = 0..300;

fn proved(book: &Arc<Rulebook>) -> Proof {
    // More plays than any of them takes.
    prove(book, 50_000, &mut |_| ControlFlow::Continue(()))
}

fn is_left_behind(found: &[Diagnostic]) -> bool {
    found.iter().any(|d| d.code == codes::UNDER_COMPENSATION)
}

fn story(proof: &Proof) -> String {
    proof.left_behind.first().map(ToString::to_string).unwrap_or_default()
}

#[test]
fn check_is_clean_just_if_the_play_leaves_nothing() {
    let (mut clean, mut not) = (0, 0);
    for seed in SEEDS {
        let text = made_up::rulebook(seed, Size::SMALL);
        // Of a report that contradicts itself, and the like, there is no rulebook.
        let Ok(book) = Rulebook::from_yaml(&text) else { continue };
        let proof = proved(&book);
        assert!(proof.is_whole(), "seed {seed}: {}\n{text}", proof.plays);
        let left = !proof.left_behind.is_empty();
        let found = check_by_proof(&book, &CheckSettings::default(), &proof);
        assert_eq!(is_left_behind(&found), left, "seed {seed}\n{text}{}", story(&proof));
        if left {
            not += 1
        } else {
            clean += 1
        }
        if !left && seed % 10 == 0 {
            all_orders_leave_nothing(seed, &book);
        }
    }
    assert!(clean > 50 && not > 30, "{clean} clean, {not} not");
}

/// Every order, every spacing, each report twice, every errand disturbed: a sample of that.
fn all_orders_leave_nothing(seed: u64, book: &Arc<Rulebook>) {
    let options = Options { max_schedules: 100, seed, pairs: false, stop_after: 5 };
    let ends = simulate(book, &options).counterexamples;
    let left = ends.iter().find(|c| c.finding.is_left_behind()).map(ToString::to_string);
    assert_eq!(left, None, "seed {seed}");
}

#[test]
fn what_derive_writes_leaves_nothing_behind() {
    for seed in SEEDS.step_by(6) {
        let short = Rulebook::from_yaml(&made_up::business(seed, Size::SMALL)).expect("valid");
        let text = explicit_rulebook(&short, &derive(&short), ExplicitPart::Whole);
        let long = Rulebook::from_yaml(&text).unwrap_or_else(|f| panic!("{seed}\n{text}{f:#?}"));
        assert!(!is_left_behind(&check(&long)), "seed {seed}\n{text}{:#?}", check(&long));
        let proof = proved(&long);
        assert!(proof.left_behind.is_empty(), "seed {seed}\n{text}{}", story(&proof));
    }
}
