//! `amends rules simulate`: plays the sagas of a rulebook with failures in every place, through the real engine, and
//! tells as short stories what is left behind.

use crate::failure::{Failure, Outcome};
use crate::output;
use amends_simulate::{Options, Simulation, simulate};
use serde_json::json;
use std::path::PathBuf;
use std::time::Instant;

/// Options of `rules simulate`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  amends rules simulate rules.yaml\n  \
amends rules simulate rules.yaml --schedules 1000000 --seed 7 --json")]
pub struct SimulateOptions {
    /// A rulebook file
    #[arg(value_name = "PATH")]
    rules: PathBuf,
    /// Play at most so many schedules; what does not fit is sampled
    #[arg(long, default_value_t = 200_000, value_name = "N")]
    schedules: usize,
    /// Decides the samples: the same seed plays the same schedules
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// One failure at a time only
    #[arg(long)]
    single: bool,
    /// Stop after so many different stories
    #[arg(long, default_value_t = 5, value_name = "N")]
    stories: usize,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(options: &SimulateOptions) -> Outcome {
    let book = super::read_one(&options.rules)?;
    let start = Instant::now();
    let result = simulate(
        &book,
        &Options {
            max_schedules: options.schedules,
            seed: options.seed,
            pairs: !options.single,
            stop_after: options.stories,
        },
    );
    let elapsed_ms = u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX);
    if options.json {
        let mut all = serde_json::to_value(&result).map_err(anyhow::Error::from)?;
        all["elapsedMs"] = json!(elapsed_ms);
        output::json(&all)?;
    } else {
        print(&result, options.stories, elapsed_ms)?;
    }
    if result.counterexamples.is_empty() { Ok(()) } else { Err(Failure::Findings) }
}

fn print(result: &Simulation, stories: usize, elapsed_ms: u64) -> Outcome {
    for counterexample in &result.counterexamples {
        output::line(&counterexample.to_string())?;
    }
    let stopped = result.counterexamples.len() >= stories;
    if stopped {
        output::line(&format!("stopped after {stories} stories; --stories asks for more"))?;
    }
    for tier in result.tiers.iter().filter(|_| !stopped) {
        let all = if tier.played == tier.all { "all" } else { "a part" };
        output::line(&format!("{}: {} of {} schedules, {all}", tier.name, tier.played, tier.all))?;
    }
    let whole = if result.flows_complete { "" } else { " (a sample)" };
    output::line(&format!(
        "{} sagas{whole} of up to {} requests, {} faults: {} schedules in {}.{:03} s, {} ended badly",
        result.flows,
        result.longest,
        result.faults,
        result.schedules,
        elapsed_ms / 1000,
        elapsed_ms % 1000,
        result.failed
    ))
}
