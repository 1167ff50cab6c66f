//! Compares on many made-up rulebooks all who judge them. `cargo run --profile sim -p amends-simulate --example
//! agreement -- 0 100000`, with `--tiny` or `--small` ones, `--quick` as in the tests, `--meanwhile`; one number tells
//! all about the rulebook of that seed. `--until-found` stops at the first difference, for planted faults.

use amends_simulate::agreement::{Agreement, Difference, Look, Skipped, agreement, text};
use amends_simulate::made_up::Size;
use std::collections::BTreeMap;
use std::time::Instant;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let is = |word: &str| arguments.iter().any(|a| a == word);
    let numbers: Vec<u64> = arguments.iter().filter_map(|a| a.parse().ok()).collect();
    let mut look = if is("--quick") { Look::QUICK } else { Look::LONG };
    for (word, size) in [("--tiny", Size::TINY), ("--small", Size::SMALL)] {
        if is(word) {
            look.size = size;
        }
    }
    look.meanwhile = is("--meanwhile");
    match numbers.as_slice() {
        [from, to] if is("--until-found") => until_found(*from, *to, &look),
        [from, to] => many(*from, *to, &look),
        [seed] => one(*seed, &look),
        _ => many(0, 1_000, &look),
    }
}

fn one(seed: u64, look: &Look) {
    println!("{}", text(seed, look).unwrap_or_default());
    match agreement(seed, look) {
        Err(why) => println!("skipped: {why:?}"),
        Ok(Agreement { is_clean, plays, looked, taken_back, differences }) => {
            println!(
                "clean: {is_clean}, {plays} plays, {looked} by the oracle, {taken_back} calls taken back"
            );
            for (difference, story) in differences {
                println!("\n== {difference:?}\n{story}");
            }
        }
    }
}

/// One line: the seed of the first one about which they differ, how they differ, and how many it took.
fn until_found(from: u64, to: u64, look: &Look) {
    for seed in from..to {
        let Ok(one) = agreement(seed, look) else { continue };
        let mut found = one.differences.iter().map(|(difference, _)| difference);
        if let Some(difference) = found.find(|difference| !difference.is_allowed()) {
            return println!("{seed}\t{difference:?}\t{}", seed - from + 1);
        }
    }
    println!("-");
}

fn many(from: u64, to: u64, look: &Look) {
    let start = Instant::now();
    let mut rulebooks = 0;
    let (mut clean, mut plays, mut looked, mut taken_back) = (0, 0, 0, 0);
    let mut skipped: BTreeMap<Skipped, Vec<u64>> = BTreeMap::new();
    let mut seeds: BTreeMap<Difference, Vec<u64>> = BTreeMap::new();
    for seed in from..to {
        let one = match agreement(seed, look) {
            Ok(one) => one,
            Err(why) => {
                skipped.entry(why).or_default().push(seed);
                continue;
            }
        };
        rulebooks += 1;
        clean += usize::from(one.is_clean);
        plays += one.plays;
        looked += one.looked;
        taken_back += usize::from(one.taken_back > 0);
        for (difference, _) in one.differences {
            seeds.entry(difference).or_default().push(seed);
        }
        // Whoever waits for long wants to see that it goes on, and what was found by then.
        if (seed + 1 - from).is_multiple_of(1_000) {
            eprintln!(
                "{} of {}, {} s: {}",
                seed + 1 - from,
                to - from,
                start.elapsed().as_secs(),
                told(&seeds)
            );
        }
    }
    println!(
        "{rulebooks} rulebooks of {} drawn, {clean} clean, {taken_back} with calls taken back, {plays} plays, {looked} by the oracle, {} s",
        to - from,
        start.elapsed().as_secs()
    );
    for (why, seeds) in skipped {
        println!("skipped, {why:?}: {} {:?}", seeds.len(), &seeds[..seeds.len().min(16)]);
    }
    for (difference, seeds) in seeds {
        let allowed = if difference.is_allowed() { " (allowed)" } else { "" };
        println!("{difference:?}{allowed}: {} {:?}", seeds.len(), &seeds[..seeds.len().min(16)]);
    }
}

fn told(seeds: &BTreeMap<Difference, Vec<u64>>) -> String {
    let found = seeds.iter().filter(|(difference, _)| !difference.is_allowed());
    let found: Vec<String> = found.map(|(d, seeds)| format!("{d:?} {seeds:?}")).collect();
    if found.is_empty() { "nothing found".to_owned() } else { found.join(", ") }
}
