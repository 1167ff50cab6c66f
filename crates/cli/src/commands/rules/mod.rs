//! `amends rules`: everything about rulebook files. Only `hits` and `diff --replay` need a supervisor.

mod check;
mod derive;
mod diff;
mod explain;
mod fmt;
mod graph;
mod hits;
mod matrix;
mod replay;
mod schema;
mod show;
mod simulate;
mod stored;
mod test;

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
    /// Show reports down, actions across, and what becomes of each: the rulebook at a glance
    Matrix(matrix::MatrixOptions),
    /// Compute every failure point and what it needs, or write the rules that it takes without sets
    Derive(derive::DeriveOptions),
    /// Draw who calls whom, and what becomes of each action when a report comes
    Graph(graph::GraphOptions),
    /// Tell which reports get different plans under two rulebooks
    Diff(Box<diff::DiffOptions>),
    /// Play every failure in every place through the real engine, and tell what is left behind
    Simulate(simulate::SimulateOptions),
    /// Run the table tests beside rulebooks
    Test(test::TestOptions),
    /// Tell which rules a running supervisor has used, when last, and which never
    Hits(hits::HitsOptions),
    /// Bring rulebooks and manifests into one form, keeping comments
    Fmt(fmt::FmtOptions),
    /// Print the JSON Schema of rulebooks, for editors
    Schema(schema::SchemaOptions),
    /// Show services, actions and rules as tables
    Show(show::ShowOptions),
    /// Tell which rule answers a report, why, and what it asks for
    Explain(Box<explain::ExplainOptions>),
}

pub(super) fn run(command: RulesCommand) -> Outcome {
    match command {
        RulesCommand::Check(options) => check::run(options),
        RulesCommand::Matrix(options) => matrix::run(&options),
        RulesCommand::Derive(options) => derive::run(&options),
        RulesCommand::Graph(options) => graph::run(&options),
        RulesCommand::Diff(options) => diff::run(&options),
        RulesCommand::Simulate(options) => simulate::run(&options),
        RulesCommand::Test(options) => test::run(&options),
        RulesCommand::Hits(options) => hits::run(&options),
        RulesCommand::Fmt(options) => fmt::run(&options),
        RulesCommand::Schema(options) => schema::run(&options),
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

/// Reads the one rulebook of a file; shows its mistakes if it isn't good.
fn read_one(path: &Path) -> Outcome<Arc<Rulebook>> {
    let books = read_good(path)?;
    match books.as_slice() {
        [only] => Ok(Arc::clone(only)),
        many => {
            let names: Vec<_> = many.iter().map(|b| format!("`{}`", b.name())).collect();
            let place = path.display();
            Err(Failure::Usage(format!(
                "`{place}` holds {}; name the file of one",
                names.join(", ")
            )))
        }
    }
}
