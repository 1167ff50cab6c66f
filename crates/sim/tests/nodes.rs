//! Several supervisors on one store: what each of them may do, and that together they do what one would.

use amends_sim::scenario::{Corpus, draw};
use amends_sim::{Switches, play, play_twice, shrink, tell};

fn all_hold(corpus: Corpus, nodes: usize, seeds: std::ops::Range<u64>) {
    for seed in seeds {
        let mut scenario = draw(seed, corpus).expect("a valid scenario");
        scenario.nodes = nodes;
        let Some(violation) = play(&scenario, Switches::default()).violation else { continue };
        let small = shrink(&scenario, Switches::default(), violation.checker);
        let story = tell(&small, Switches::default()).story.join("\n");
        panic!(
            "{violation}\n{story}\nagain: cargo xtask sim --seed {seed} --corpus {} --nodes {nodes} --trace",
            corpus.as_str()
        );
    }
}

#[test]
fn two_nodes_of_honest_services_leave_nothing() {
    all_hold(Corpus::Honest, 2, 0..5);
}

#[test]
fn three_nodes_hold_every_invariant_whatever_comes() {
    all_hold(Corpus::Hostile, 3, 0..6);
}

#[test]
fn five_nodes_hold_every_invariant_whatever_comes() {
    all_hold(Corpus::Hostile, 5, 40..43);
}

#[test]
fn a_seed_of_several_nodes_plays_the_same_run_again() {
    for seed in 100..102 {
        let mut scenario = draw(seed, Corpus::Hostile).expect("a valid scenario");
        scenario.nodes = 3;
        assert_eq!(play_twice(&scenario, Switches::default()).violation, None, "seed {seed}");
    }
}
