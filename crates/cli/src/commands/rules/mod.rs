//! `amends rules`: everything about rulebooks. What speaks of a running supervisor (`list`, `status`, `activate`,
//! `rollback`, `hold`, `release`, `hits`, `drift`, `diff --replay`) asks its API, the rest needs files.

mod activate;
mod active;
mod check;
mod derive;
mod diff;
mod drift;
pub(super) mod explain;
mod fmt;
mod graph;
mod hits;
mod hold;
mod matrix;
mod proofs;
mod replay;
mod schema;
mod show;
mod simulate;
mod stored;
mod test;
mod versions;
mod watch;

pub(super) use explain::stage_text;

use crate::failure::{Failure, Outcome};
use crate::output;
use amends_rulebook::{Loaded, Rulebook};
use amends_server::books::{BookFile, BooksError, load_path};
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
    /// List the rulebooks of a running supervisor
    List(versions::ListOptions),
    /// Tell how a rulebook of a running supervisor stands: its versions, its file, what was wrong with it
    Status(versions::StatusOptions),
    /// Make a version of before the active one again
    Rollback(versions::RollbackOptions),
    /// Send nothing more that a rulebook or one of its rules asks for, over restarts too
    Hold(hold::HoldOptions),
    /// Send again what waits because it was held
    Release(hold::ReleaseOptions),
    /// Tell which calls and actions real cases show and a rulebook does not declare
    Drift(drift::DriftOptions),
    /// Tell which rules a running supervisor has used, when last, and which never
    Hits(hits::HitsOptions),
    /// Make a version the one that a running supervisor plans new cases with
    Activate(activate::ActivateOptions),
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
        RulesCommand::List(options) => versions::list(&options),
        RulesCommand::Status(options) => versions::status(&options),
        RulesCommand::Rollback(options) => versions::rollback(&options),
        RulesCommand::Hold(options) => hold::hold(&options),
        RulesCommand::Release(options) => hold::release(&options),
        RulesCommand::Drift(options) => drift::run(&options),
        RulesCommand::Hits(options) => hits::run(&options),
        RulesCommand::Activate(options) => activate::run(&options),
        RulesCommand::Fmt(options) => fmt::run(&options),
        RulesCommand::Schema(options) => schema::run(&options),
        RulesCommand::Show(options) => show::run(options),
        RulesCommand::Explain(options) => explain::run(&options),
    }
}

/// Reads the rulebooks of a file or folder.
fn read(path: &Path) -> Outcome<Vec<BookFile>> {
    let files = load_path(path).map_err(|error| match error {
        // The error of its own speaks of the configuration's `rules`.
        BooksError::Unreadable { path, source } => {
            anyhow!("`{}` cannot be read: {source}", path.display())
        }
        BooksError::TooMany(_) => error.into(),
    })?;
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
    let books: Vec<_> = read(path)?.into_iter().map(|file| good(file.loaded)).collect();
    // Only now, so that the mistakes of all of them are shown.
    books.into_iter().collect()
}

/// Reads the one rulebook of a file; shows its mistakes if it isn't good.
fn read_one(path: &Path) -> Outcome<Arc<Rulebook>> {
    good(load_one(path)?.loaded)
}

/// Reads the one rulebook of a file, with what was found in it.
fn load_one(path: &Path) -> Outcome<BookFile> {
    let mut files = read(path)?;
    if let [_, _, ..] = files.as_slice() {
        let names: Vec<_> = files.iter().map(|f| format!("`{}`", f.path.display())).collect();
        let place = path.display();
        return Err(Failure::Usage(format!(
            "`{place}` holds {} rulebooks, and this takes one: {}",
            names.len(),
            names.join(", ")
        )));
    }
    Ok(files.swap_remove(0))
}

fn good(loaded: Loaded) -> Outcome<Arc<Rulebook>> {
    loaded.rulebook.ok_or_else(|| {
        let drawn = output::drawn(&loaded.diagnostics, &loaded.sources);
        output::tell(drawn.trim_end());
        Failure::Findings
    })
}
