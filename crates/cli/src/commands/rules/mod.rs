//! `amends rules`: everything about rulebook files. Needs no supervisor.

mod check;
mod explain;
mod show;

pub(super) use explain::stage_text;

use crate::failure::{Failure, Outcome};
use crate::output;
use amends_rulebook::{Rulebook, render};
use amends_server::books::{BookFile, load_path};
use anyhow::anyhow;
use std::path::Path;
use std::sync::Arc;

/// What to do with rulebooks.
#[derive(Debug, clap::Subcommand)]
pub enum RulesCommand {
    /// Find every mistake of rulebook files
    Check(check::CheckOptions),
    /// Show services, actions and rules as tables
    Show(show::ShowOptions),
    /// Tell which rule answers a report, why, and what it asks for
    Explain(Box<explain::ExplainOptions>),
}

pub(super) fn run(command: RulesCommand) -> Outcome {
    match command {
        RulesCommand::Check(options) => check::run(options),
        RulesCommand::Show(options) => show::run(options),
        RulesCommand::Explain(options) => explain::run(&options),
    }
}

/// Reads the rulebooks of a file or folder.
fn read(path: &Path) -> Outcome<Vec<BookFile>> {
    let files = load_path(path).map_err(anyhow::Error::from)?;
    if files.is_empty() {
        let place = path.display();
        return Err(Failure::Local(anyhow!(
            "`{place}` has no rulebook; its *.yaml and *.yml files are looked at"
        )));
    }
    Ok(files)
}

/// Reads rulebooks that must be good; shows their mistakes otherwise.
fn read_good(path: &Path) -> Outcome<Vec<Arc<Rulebook>>> {
    let mut books = Vec::new();
    let mut bad = false;
    for file in read(path)? {
        let loaded = file.loaded;
        bad |= loaded.rulebook.is_none();
        if loaded.rulebook.is_none() {
            output::tell(
                render(&loaded.diagnostics, &loaded.sources, output::color_on_stderr()).trim_end(),
            );
        }
        books.extend(loaded.rulebook);
    }
    if bad { Err(Failure::Findings) } else { Ok(books) }
}
