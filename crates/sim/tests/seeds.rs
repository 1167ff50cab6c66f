//! A part of what `cargo xtask sim` plays, small enough for every test run.

use amends_sim::scenario::{Corpus, draw};
use amends_sim::{Switches, play, play_twice, shrink, tell};

/// Plays seeds of one corpus; a failure comes with its story and the command that plays it again.
fn all_hold(corpus: Corpus, seeds: std::ops::Range<u64>) {
    for seed in seeds {
        let scenario = draw(seed, corpus).expect("a valid scenario");
        let run = play(&scenario, Switches::default());
        let Some(violation) = run.violation else { continue };
        let small = shrink(&scenario, Switches::default(), violation.checker);
        let story = tell(&small, Switches::default()).story.join("\n");
        panic!(
            "{violation}\n{story}\nagain: cargo xtask sim --seed {seed} --corpus {} --trace",
            corpus.as_str()
        );
    }
}

#[test]
fn honest_services_raise_no_question_and_leave_nothing() {
    all_hold(Corpus::Honest, 0..150);
}

#[test]
fn honest_services_raise_no_question_and_leave_nothing_once_more() {
    all_hold(Corpus::Honest, 150..300);
}

#[test]
fn whatever_services_and_people_do_every_invariant_holds() {
    all_hold(Corpus::Hostile, 0..150);
}

#[test]
fn whatever_services_and_people_do_every_invariant_holds_once_more() {
    all_hold(Corpus::Hostile, 150..300);
}

/// Invariant 8, for the whole loop.
#[test]
fn a_seed_plays_the_same_run_again() {
    let mut hashes = std::collections::BTreeSet::new();
    for seed in 0..20 {
        let scenario = draw(seed, Corpus::Hostile).expect("a valid scenario");
        let run = play_twice(&scenario, Switches::default());
        assert_eq!(run.violation, None, "seed {seed}");
        let told = tell(&scenario, Switches::default());
        assert_eq!(told.hash, run.hash, "seed {seed}: telling a run changes nothing");
        hashes.insert(run.hash);
    }
    assert!(hashes.len() > 15, "runs of different seeds differ");
}
