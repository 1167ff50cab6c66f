//! `amends rules diff`: which reports get different plans under two rulebooks, and how; and how steps are asked for.
//! Text, order and comments don't count.

use crate::failure::{Failure, Outcome};
use crate::output;
use amends_workbench::compare;
use std::path::PathBuf;

/// Options of `rules diff`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  amends rules diff old.yaml new.yaml\n  \
amends rules diff old.yaml new.yaml --exit-code --json\n  \
amends rules diff old.yaml new.yaml --replay --since 2026-01-01T00:00:00Z")]
pub struct DiffOptions {
    /// The rulebook as it was
    #[arg(value_name = "OLD")]
    old: PathBuf,
    /// The rulebook as it is to be
    #[arg(value_name = "NEW")]
    new: PathBuf,
    /// End with exit code 1 if anything differs
    #[arg(long)]
    exit_code: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    replay: super::replay::ReplayOptions,
    #[command(flatten)]
    connection: crate::commands::Connection,
}

pub(super) fn run(options: &DiffOptions) -> Outcome {
    let (old, new) = (super::read_one(&options.old)?, super::read_one(&options.new)?);
    if options.replay.is_wanted() {
        let (json, exit_code) = (options.json, options.exit_code);
        return super::replay::run(
            &options.replay,
            &options.connection,
            &old,
            &new,
            json,
            exit_code,
        );
    }
    let found = compare(&old, &new);
    if options.json {
        output::json(&found.to_json())?;
    } else {
        output::text(&found.to_text())?;
    }
    if options.exit_code && !found.is_empty() { Err(Failure::Findings) } else { Ok(()) }
}
