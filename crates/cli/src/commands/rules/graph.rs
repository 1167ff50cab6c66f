//! `amends rules graph`: who calls whom, and how each call is undone; of one report, also what becomes of each action.

use crate::failure::{Failure, Outcome};
use crate::output;
use amends_rulebook::Chart;
use anyhow::anyhow;
use std::path::PathBuf;

/// Options of `rules graph`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  amends rules graph rules.yaml > calls.svg\n  \
amends rules graph rules.yaml --report payment/report-1 --format mermaid")]
pub struct GraphOptions {
    /// A rulebook file
    #[arg(value_name = "PATH")]
    path: PathBuf,
    /// What is undone, kept and run again when this declared report comes
    #[arg(long, value_name = "SERVICE/CODE")]
    report: Option<String>,
    /// How it is drawn
    #[arg(long, value_enum, default_value = "svg")]
    format: Form,
}

/// Forms of the picture.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Form {
    /// A picture
    Svg,
    /// For GitHub and other Markdown
    Mermaid,
    /// For Graphviz
    Dot,
}

pub(super) fn run(options: &GraphOptions) -> Outcome {
    let book = super::read_one(&options.path)?;
    let chart = match &options.report {
        None => Chart::of_calls(&book),
        Some(name) => {
            Chart::of_report(&book, name, None).map_err(|why| Failure::Local(anyhow!(why)))?
        }
    };
    output::text(&match options.format {
        Form::Svg => chart.to_svg(),
        Form::Mermaid => chart.to_mermaid(),
        Form::Dot => chart.to_dot(),
    })
}
