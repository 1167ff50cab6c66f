//! `amends rules derive`: every failure point of the declared business and what each needs; or the rulebook that a person
//! would have to write without sets and layers.

use crate::failure::Outcome;
use crate::output::{self, Grid};
use amends_protocol::Verb;
use amends_rulebook::Rulebook;
use amends_workbench::{Derived, ExplicitPart, FailurePoint, derive, explicit_rulebook};
use std::path::PathBuf;

/// Options of `rules derive`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  amends rules derive rules.yaml\n  amends rules derive rules.yaml --silent\n  \
amends rules derive rules.yaml --write rulebook > explicit.yaml"
)]
pub struct DeriveOptions {
    /// A rulebook file
    #[arg(value_name = "PATH")]
    path: PathBuf,
    /// Only the points of which no declared report speaks
    #[arg(long, conflicts_with = "write")]
    silent: bool,
    /// Write YAML instead: one report and one rule for each point, or the reports alone
    #[arg(long, value_enum, value_name = "WHAT")]
    write: Option<Written>,
    /// Print JSON
    #[arg(long, conflicts_with = "write")]
    json: bool,
}

/// What is written.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Written {
    /// The whole rulebook
    Rulebook,
    /// The reports that the services should declare
    Reports,
}

pub(super) fn run(options: &DeriveOptions) -> Outcome {
    let book = super::read_one(&options.path)?;
    let mut derived = derive(&book);
    let written_out = derived.points.len();
    let part = (derived.total > written_out as u128).then(|| {
        format!(
            "{} failure points, of which the first {written_out} are written out",
            derived.total
        )
    });
    if let Some(part) = &part {
        output::tell(&format!("note: {part}"));
    }
    if let Some(written) = options.write {
        let what = match written {
            Written::Rulebook => ExplicitPart::Whole,
            Written::Reports => ExplicitPart::Reports,
        };
        // Whoever reads the file later must know as well.
        let head = part.map_or(String::new(), |part| format!("# {part}.\n"));
        return output::text(&(head + &explicit_rulebook(&book, &derived, what)));
    }
    let silent = derived.silent().count();
    if options.silent {
        derived.points.retain(|p| !p.is_declared());
    }
    if options.json {
        return output::json(&derived.to_json(&book));
    }
    print(&book, &derived)?;
    let of_those = part.map_or(String::new(), |_| format!("; of the first {written_out}"));
    output::tell(&format!(
        "{} failure points{of_those}, {silent} without a report of their own",
        derived.total
    ));
    Ok(())
}

fn print(book: &Rulebook, derived: &Derived) -> Outcome {
    let mut grid = Grid::new(&["action", "fails", "needs", "reports"]);
    for point in &derived.points {
        let reports: Vec<_> = point.reports.iter().map(|n| book.report_name(*n)).collect();
        grid.row(vec![
            book.get(point.action).name.to_string(),
            point.in_words(book).replace('`', ""),
            needs(book, point),
            if reports.is_empty() { "-".to_owned() } else { reports.join(", ") },
        ]);
    }
    grid.print()
}

fn needs(book: &Rulebook, point: &FailurePoint) -> String {
    let of = |verb: Verb, word: &str| {
        let of_verb = point.needs.iter().filter(|s| s.0 == verb);
        let names: Vec<_> = of_verb.map(|(_, id)| book.get(*id).name.to_string()).collect();
        (!names.is_empty()).then(|| format!("{word} {}", names.join(", ")))
    };
    let parts: Vec<_> =
        [of(Verb::Compensate, "undo"), of(Verb::Retry, "retry"), of(Verb::Notify, "notify")]
            .into_iter()
            .flatten()
            .collect();
    if parts.is_empty() { "nothing".to_owned() } else { parts.join("; ") }
}
