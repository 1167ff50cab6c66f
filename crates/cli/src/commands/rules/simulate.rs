//! `amends rules simulate`: plays the sagas of a rulebook with failures in every place, through the real engine, and
//! tells as short stories what is left behind.

use crate::failure::{Failure, Outcome};
use crate::output;
use amends_simulate::{Options, Simulation, simulate};
use clap::builder::RangedU64ValueParser;
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
    #[arg(long, default_value_t = 200_000, value_name = "N", value_parser = at_least_one())]
    schedules: usize,
    /// Decides the samples: the same seed plays the same schedules
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// One failure at a time only
    #[arg(long)]
    single: bool,
    /// Stop after so many different stories
    #[arg(long, default_value_t = 5, value_name = "N", value_parser = at_least_one())]
    stories: usize,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// None of them would be a run that ends well without having played anything.
fn at_least_one() -> RangedU64ValueParser<usize> {
    RangedU64ValueParser::new().range(1..)
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
    warn_of_gaps(&result);
    if result.counterexamples.is_empty() { Ok(()) } else { Err(Failure::Findings) }
}

/// What a clean result doesn't speak of, to stderr, so that a script's log shows it too.
fn warn_of_gaps(result: &Simulation) {
    if !result.counterexamples.is_empty() {
        return;
    }
    if result.schedules == 0 {
        output::tell("warning: nothing was played: no action of this rulebook begins a saga");
    }
    for tier in result.tiers.iter().filter(|tier| tier.played < tier.all) {
        output::tell(&format!("warning: {}: only a part was played", tier.name));
    }
}

fn counted(n: usize, what: &str) -> String {
    format!("{n} {what}{}", if n == 1 { "" } else { "s" })
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
    if !stopped && !result.rules_not_reached.is_empty() {
        let rules = result.rules_not_reached.join(", ");
        output::line(&format!("never answered, so nothing is known of them: {rules}"))?;
    }
    let whole = if result.flows_complete { "" } else { " (a sample)" };
    output::line(&format!(
        "{}{whole} of up to {}, {}: {} in {}.{:03} s, {} ended badly",
        counted(result.flows, "saga"),
        counted(result.longest, "request"),
        counted(result.faults, "fault"),
        counted(result.schedules, "schedule"),
        elapsed_ms / 1000,
        elapsed_ms % 1000,
        result.failed
    ))
}
