//! `amends rules matrix`: the rulebook at a glance: reports down, actions across.

use crate::failure::Outcome;
use crate::output;
use amends_workbench::Matrix;
use std::path::PathBuf;

/// Columns of a terminal that doesn't say how many it has.
const WIDTH: usize = 80;

/// Options of `rules matrix`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  amends rules matrix rules.yaml\n  amends rules matrix rules.yaml --only payment/\n  \
amends rules matrix rules.yaml --format html > rules.html"
)]
pub struct MatrixOptions {
    /// A rulebook file
    #[arg(value_name = "PATH")]
    path: PathBuf,
    /// How it is drawn
    #[arg(long, value_enum, default_value = "text")]
    format: Form,
    /// Only rows that contain this text, and the columns that they reach
    #[arg(long, value_name = "TEXT")]
    only: Option<String>,
    /// Columns that no row reaches, too; programs (JSON) always get them
    #[arg(long)]
    all_columns: bool,
    /// Fold the table to so many characters [default: COLUMNS, or 80]
    #[arg(long, value_name = "N")]
    width: Option<usize>,
    /// Without colours, also in a terminal
    #[arg(long)]
    no_color: bool,
    /// Print JSON: the same as `--format json`
    #[arg(long, conflicts_with = "format")]
    json: bool,
}

/// Forms of the table.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Form {
    /// For a terminal
    Text,
    /// One sentence per row
    List,
    /// For GitHub and other Markdown
    Markdown,
    /// A page of its own
    Html,
    /// A picture
    Svg,
    /// For programs
    Json,
}

pub(super) fn run(options: &MatrixOptions) -> Outcome {
    let book = super::read_one(&options.path)?;
    let matrix = Matrix::new(&book, options.only.as_deref());
    let form = if options.json { Form::Json } else { options.format };
    let whole = options.all_columns || matches!(form, Form::Json);
    let matrix = if whole { matrix } else { matrix.folded() };
    match form {
        Form::Text => {
            let color = output::color_on_stdout() && !options.no_color;
            output::text(&matrix.to_text(options.width.unwrap_or_else(columns), color))
        }
        Form::List => matrix.as_list().iter().try_for_each(|line| output::line(line)),
        Form::Markdown => output::text(&matrix.to_markdown()),
        Form::Html => output::text(&matrix.to_html_page()),
        Form::Svg => output::text(&matrix.to_svg_file()),
        Form::Json => output::json(&matrix.to_json()),
    }
}

fn columns() -> usize {
    let set = std::env::var("COLUMNS").ok().and_then(|text| text.parse().ok());
    set.filter(|n| *n >= 20).unwrap_or(WIDTH)
}
