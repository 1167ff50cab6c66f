//! Compares on many made-up rulebooks what `check` says without playing, what playing every single failure says, and
//! what playing samples of everything says; and plays what `derive` writes. `cargo run --release -p amends-simulate
//! --example agreement -- 0 100000`; one number prints the rulebook of that seed.

use amends_rulebook::{Rulebook, codes};
use amends_simulate::made_up::{self, Size};
use amends_simulate::{Options, Proof, prove, simulate};
use amends_workbench::{ExplicitPart, check, derive, explicit_rulebook};
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Instant;

fn proved(book: &Arc<Rulebook>) -> Proof {
    prove(book, 50_000, &mut |_| ControlFlow::Continue(()))
}

fn seen(book: &Rulebook) -> bool {
    check(book).iter().any(|d| d.code == codes::UNDER_COMPENSATION)
}

#[derive(Default)]
struct Counts {
    rulebooks: u64,
    clean: u64,
    plays: usize,
    not_whole: u64,
    false_alarms: Vec<u64>,
    missed: Vec<u64>,
    left_by_samples: Vec<u64>,
    derived_left: Vec<u64>,
}

impl Counts {
    fn add(&mut self, seed: u64) {
        let Ok(book) = Rulebook::from_yaml(&made_up::rulebook(seed, Size::LARGE)) else { return };
        let (proof, seen) = (proved(&book), seen(&book));
        self.rulebooks += 1;
        self.plays += proof.plays;
        self.not_whole += u64::from(!proof.is_whole());
        match (seen, proof.left_behind.is_empty()) {
            (true, true) => self.false_alarms.push(seed),
            (false, false) => self.missed.push(seed),
            _ => {}
        }
        if proof.left_behind.is_empty() {
            self.clean += 1;
            let options = Options { max_schedules: 100, seed, pairs: false, stop_after: 3 };
            let ends = simulate(&book, &options).counterexamples;
            if ends.iter().any(|c| c.finding.is_left_behind()) {
                self.left_by_samples.push(seed);
            }
        }
        self.derived(seed);
    }

    fn derived(&mut self, seed: u64) {
        let Ok(short) = Rulebook::from_yaml(&made_up::business(seed, Size::LARGE)) else { return };
        let text = explicit_rulebook(&short, &derive(&short), ExplicitPart::Whole);
        let clean = Rulebook::from_yaml(&text)
            .is_ok_and(|long| !seen(&long) && proved(&long).left_behind.is_empty());
        if !clean {
            self.derived_left.push(seed);
        }
    }
}

fn main() {
    let numbers: Vec<u64> = std::env::args().skip(1).filter_map(|a| a.parse().ok()).collect();
    let (from, to) = match numbers.as_slice() {
        [from, to] => (*from, *to),
        [seed] => return print!("{}", made_up::rulebook(*seed, Size::LARGE)),
        _ => (0, 1_000),
    };
    let start = Instant::now();
    let mut counts = Counts::default();
    for seed in from..to {
        counts.add(seed);
    }
    let few = |seeds: &[u64]| format!("{} {:?}", seeds.len(), &seeds[..seeds.len().min(12)]);
    println!(
        "{} rulebooks, {} clean, {} plays, {} too many plays, {} s",
        counts.rulebooks,
        counts.clean,
        counts.plays,
        counts.not_whole,
        start.elapsed().as_secs()
    );
    println!("seen without playing, and nothing is left: {}", few(&counts.false_alarms));
    println!("left, and not seen without playing: {}", few(&counts.missed));
    println!(
        "left in a sample of everything, and not by every single failure: {}",
        few(&counts.left_by_samples)
    );
    println!("what `derive` writes leaves something: {}", few(&counts.derived_left));
}
