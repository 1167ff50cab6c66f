//! `amends config show`: every key, its value, and on request where it was set. Secrets are not shown.

use super::ConfigArguments;
use crate::commands::block_on;
use crate::failure::Outcome;
use crate::output::Grid;
use crate::printing::{Printing, Width};
use amends_server::config::Origin;

/// Options of `config show`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  amends config show --origin --config amends.toml")]
pub struct ShowOptions {
    #[command(flatten)]
    config: ConfigArguments,
    /// Say where each value was set
    #[arg(long)]
    origin: bool,
    #[command(flatten)]
    printing: Printing,
}

/// One key with its value.
#[derive(serde::Serialize)]
struct Shown {
    key: String,
    value: String,
    origin: String,
}

pub(super) fn run(options: ShowOptions) -> Outcome {
    let read = async || {
        let shown = options.config.layers()?.shown().into_iter();
        let one =
            |(key, value, origin): (_, _, Origin)| Shown { key, value, origin: origin.to_string() };
        Ok(shown.map(one).collect::<Vec<_>>())
    };
    let show = |shown: &Vec<Shown>, width| tell(shown, options.origin || width == Width::Wide);
    block_on(options.printing.list(read, show))
}

fn tell(shown: &[Shown], with_origin: bool) -> Outcome {
    let mut grid =
        Grid::new(if with_origin { &["key", "value", "origin"] } else { &["key", "value"] });
    for one in shown {
        let mut row = vec![one.key.clone(), one.value.clone()];
        if with_origin {
            row.push(one.origin.clone());
        }
        grid.row(row);
    }
    grid.print()
}
