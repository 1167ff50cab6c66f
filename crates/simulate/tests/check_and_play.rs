//! Whoever judges a rulebook says the same: `check`, with and without playing, the play that leaves out what makes no
//! difference, and the one that leaves out nothing. Shown on rulebooks that are made up.

use amends_rulebook::{Diagnostic, Rulebook, codes};
use amends_simulate::{Options, Proof, check_by_proof, made_up, prove, simulate};
use amends_workbench::{CheckSettings, ExplicitPart, check, derive, explicit_rulebook};
use std::ops::ControlFlow;
use std::sync::Arc;

const SEEDS: std::ops::Range<u64> = 0..300;

/// More than any of them takes.
const PLAYS: usize = 50_000;

fn proved(book: &Arc<Rulebook>) -> Proof {
    prove(book, PLAYS, &mut |_| ControlFlow::Continue(()))
}

fn is_left_behind(found: &[Diagnostic]) -> bool {
    found.iter().any(|d| d.code == codes::UNDER_COMPENSATION)
}

/// Of a report that contradicts itself, and the like, there is no rulebook.
fn made(seed: u64) -> Option<(String, Arc<Rulebook>)> {
    let text = made_up::rulebook(seed);
    Rulebook::from_yaml(&text).ok().map(|book| (text, book))
}

#[test]
fn check_is_clean_just_if_the_play_leaves_nothing() {
    let (mut clean, mut not) = (0, 0);
    for (seed, (text, book)) in SEEDS.filter_map(|seed| Some((seed, made(seed)?))) {
        let proof = proved(&book);
        assert!(proof.is_whole(), "seed {seed}: {}\n{text}", proof.plays);
        let found = check_by_proof(&book, &CheckSettings::default(), &proof);
        assert_eq!(
            is_left_behind(&found),
            !proof.left_behind.is_empty(),
            "seed {seed}\n{text}\n{found:#?}\n{:#?}",
            proof.left_behind
        );
        if proof.left_behind.is_empty() { clean += 1 } else { not += 1 }
    }
    assert!(clean > 50 && not > 50, "{clean} clean, {not} not");
}

#[test]
fn what_is_seen_without_playing_is_what_playing_shows() {
    let mut wrong = Vec::new();
    for (seed, (text, book)) in SEEDS.filter_map(|seed| Some((seed, made(seed)?))) {
        let (proof, seen) = (proved(&book), is_left_behind(&check(&book)));
        if seen == proof.left_behind.is_empty() {
            let story = proof.left_behind.first().map(ToString::to_string).unwrap_or_default();
            wrong.push(format!("seed {seed}: seen {seen}\n{text}{story}"));
        }
    }
    assert!(wrong.is_empty(), "{} differ\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn what_derive_writes_leaves_nothing_behind() {
    for seed in SEEDS {
        let short = Rulebook::from_yaml(&made_up::business(seed)).expect("valid");
        let text = explicit_rulebook(&short, &derive(&short), ExplicitPart::Whole);
        let long = Rulebook::from_yaml(&text).unwrap_or_else(|f| panic!("{seed}\n{text}{f:#?}"));
        assert!(!is_left_behind(&check(&long)), "seed {seed}\n{text}{:#?}", check(&long));
        let left = proved(&long).left_behind;
        let story = left.first().map(ToString::to_string).unwrap_or_default();
        assert!(left.is_empty(), "seed {seed}\n{text}{story}");
    }
}

/// Every order, every spacing, each report twice, every errand disturbed: as far as a budget goes.
#[test]
fn what_playing_leaves_out_makes_no_difference() {
    for (seed, (text, book)) in SEEDS.step_by(10).filter_map(|seed| Some((seed, made(seed)?))) {
        let proof = proved(&book);
        if !proof.left_behind.is_empty() {
            continue;
        }
        let options = Options { max_schedules: 300, seed, pairs: false, stop_after: 5 };
        let left = simulate(&book, &options).counterexamples;
        let left: Vec<_> = left.iter().filter(|c| c.finding.is_left_behind()).collect();
        let story = left.first().map(ToString::to_string).unwrap_or_default();
        assert!(left.is_empty(), "seed {seed}\n{text}{story}");
    }
}
