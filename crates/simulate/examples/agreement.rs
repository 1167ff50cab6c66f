//! Compares on many made-up rulebooks all who judge them. `cargo run --profile sim -p amends-simulate --example
//! agreement -- 0 100000`, with `--tiny` or `--small` ones, `--quick` as in the tests, `--meanwhile`; one number tells
//! all about the rulebook of that seed.

use amends_simulate::agreement::{Agreement, Difference, Look, agreement};
use amends_simulate::made_up::{MadeUp, Size};
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
        [from, to] => many(*from, *to, &look),
        [seed] => one(*seed, &look),
        _ => many(0, 1_000, &look),
    }
}

fn one(seed: u64, look: &Look) {
    println!("{}", MadeUp::of(seed, look.size).text);
    match agreement(seed, look) {
        None => println!("is no rulebook"),
        Some(Agreement { is_clean, plays, looked, differences }) => {
            println!("clean: {is_clean}, {plays} plays, {looked} by the oracle");
            for (difference, story) in differences {
                println!("\n== {difference:?}\n{story}");
            }
        }
    }
}

fn many(from: u64, to: u64, look: &Look) {
    let start = Instant::now();
    let mut rulebooks = 0;
    let (mut clean, mut plays, mut looked) = (0, 0, 0);
    let mut seeds: BTreeMap<Difference, Vec<u64>> = BTreeMap::new();
    for seed in from..to {
        let Some(one) = agreement(seed, look) else { continue };
        rulebooks += 1;
        clean += usize::from(one.is_clean);
        plays += one.plays;
        looked += one.looked;
        for (difference, _) in one.differences {
            seeds.entry(difference).or_default().push(seed);
        }
    }
    println!(
        "{rulebooks} rulebooks of {} drawn, {clean} clean, {plays} plays, {looked} by the oracle, {} s",
        to - from,
        start.elapsed().as_secs()
    );
    for (difference, seeds) in seeds {
        println!("{difference:?}: {} {:?}", seeds.len(), &seeds[..seeds.len().min(16)]);
    }
}
