//! `amends rules graph`: who calls whom, and how each call is undone; of one report, also what becomes of each action.

use crate::failure::{Failure, Outcome};
use crate::output;
use amends_protocol::ActionName;
use amends_rulebook::Rulebook;
use amends_workbench::{Chart, Matrix, Row};
use anyhow::anyhow;
use std::path::PathBuf;

/// Options of `rules graph`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  amends rules graph rules.yaml > calls.svg\n  \
amends rules graph rules.yaml --entry order.place --format mermaid\n  amends rules graph rules.yaml --report payment/report-1 --format mermaid\n  \
amends rules graph rules.yaml --report order/report-1 --given-up > undone.svg")]
pub struct GraphOptions {
    /// A rulebook file
    #[arg(value_name = "PATH")]
    path: PathBuf,
    /// What is undone, kept and run again when this declared report comes
    #[arg(long, value_name = "SERVICE/CODE")]
    report: Option<String>,
    /// The same once the retry that answers it has been given up
    #[arg(long, requires = "report")]
    given_up: bool,
    /// Only the sagas that begin with this action: it and all that it leads to
    #[arg(long, value_name = "SERVICE.ACTION", conflicts_with = "report")]
    entry: Option<ActionName>,
    /// How it is drawn
    #[arg(long, value_enum, default_value = "svg")]
    format: Form,
    /// Print JSON: the same as `--format json`
    #[arg(long, conflicts_with = "format")]
    json: bool,
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
    /// For programs
    Json,
}

pub(super) fn run(options: &GraphOptions) -> Outcome {
    let book = super::read_one(&options.path)?;
    let chart = match &options.report {
        None => match &options.entry {
            Some(entry) => of_entry(&book, entry)?,
            None => Chart::of_calls(&book),
        },
        Some(name) if options.given_up => given_up(&book, name)?,
        Some(name) => {
            Chart::of_report(&book, name, None).map_err(|why| Failure::Local(anyhow!(why)))?
        }
    };
    match if options.json { Form::Json } else { options.format } {
        Form::Svg => output::text(&chart.to_svg_file()),
        Form::Mermaid => output::text(&chart.to_mermaid()),
        Form::Dot => output::text(&chart.to_dot()),
        Form::Json => output::json(&chart.to_json()),
    }
}

fn of_entry(book: &Rulebook, entry: &ActionName) -> Outcome<Chart> {
    let Some(id) = book.action(&entry.service, &entry.action) else {
        let entries = book.action_ids().filter(|id| book.callers(*id).is_empty());
        let known: Vec<_> = entries.take(20).map(|id| format!("`{}`", book.get(id).name)).collect();
        let text =
            format!("no action `{entry}` is declared; sagas begin with {}", known.join(", "));
        return Err(Failure::Local(anyhow!(text)));
    };
    let mut actions = vec![id];
    actions.extend(book.downstream(id));
    Ok(Chart::of_actions(book, format!("sagas of {entry}"), &actions))
}

fn given_up(book: &Rulebook, name: &str) -> Outcome<Chart> {
    let matrix = Matrix::new(book, None);
    let of_it =
        |row: &&Row| row.given_up && row.report.is_some_and(|n| book.report_name(n) == name);
    let row = matrix.rows.iter().find(of_it).ok_or_else(|| {
        Failure::Local(anyhow!("no rule for a declared report `{name}` gives anything up"))
    })?;
    Ok(Chart::of_row(book, row))
}
