//! `amends config show`: every key, its value, and on request where it was set. Secrets are not shown.

use super::ConfigArguments;
use crate::failure::Outcome;
use crate::output::{self, Grid};
use serde_json::json;

/// Options of `config show`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  amends config show --origin --config amends.toml")]
pub struct ShowOptions {
    #[command(flatten)]
    config: ConfigArguments,
    /// Say where each value was set
    #[arg(long)]
    origin: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(options: ShowOptions) -> Outcome {
    let layers = options.config.layers()?;
    let shown = layers.shown();
    if options.json {
        let rows: Vec<_> = shown
            .iter()
            .map(|(key, value, origin)| json!({ "key": key, "value": value, "origin": origin.to_string() }))
            .collect();
        return output::json(&rows);
    }
    let mut grid =
        Grid::new(if options.origin { &["key", "value", "origin"] } else { &["key", "value"] });
    for (key, value, origin) in shown {
        let mut row = vec![key, value];
        if options.origin {
            row.push(origin.to_string());
        }
        grid.row(row);
    }
    grid.print()
}
