//! Makes a failing run smaller: items are left out, first in large parts, then one by one, as long as the same checker
//! still finds something.

use crate::check::DETERMINISTIC;
use crate::play::{play, play_twice};
use crate::scenario::Scenario;
use crate::switches::Switches;
use std::collections::BTreeSet;

/// Runs spent on one failure; each takes milliseconds.
const RUNS_LIMIT: usize = 600;

/// The smallest scenario found that the same checker fails.
#[must_use]
pub fn shrink(scenario: &Scenario, switches: Switches, checker: &str) -> Scenario {
    let mut best = scenario.clone();
    let mut kept: BTreeSet<usize> = scenario.kept_items().map(|(n, _)| n).collect();
    let mut runs = 0;
    let mut fails = |kept: &BTreeSet<usize>| {
        runs += 1;
        let smaller = Scenario { kept: Some(kept.clone()), ..scenario.clone() };
        let again = || match checker {
            DETERMINISTIC => play_twice(&smaller, switches),
            _ => play(&smaller, switches),
        };
        runs <= RUNS_LIMIT && again().violation.is_some_and(|found| found.checker == checker)
    };
    let mut part = kept.len().div_ceil(2).max(1);
    loop {
        let mut smaller = false;
        let order: Vec<usize> = kept.iter().rev().copied().collect();
        for chunk in order.chunks(part) {
            let rest: BTreeSet<usize> =
                kept.iter().filter(|n| !chunk.contains(n)).copied().collect();
            if rest.len() < kept.len() && fails(&rest) {
                kept = rest;
                smaller = true;
            }
        }
        if !smaller && part == 1 {
            break;
        }
        part = if smaller { part } else { part.div_ceil(2) };
    }
    best.kept = Some(kept);
    best
}
