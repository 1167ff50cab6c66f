//! `amends rules diff --replay`: both rulebooks over the reports of real cases, and the cases whose plan would differ.
//! Nothing is sent.

use super::stored::{self, Export, Which};
use crate::commands::Connection;
use crate::failure::{Failure, Outcome};
use crate::output;
use amends_api::CaseDetail;
use amends_rulebook::Rulebook;
use amends_workbench::Replay;
use std::path::PathBuf;

/// Where the cases come from.
#[derive(Debug, Default, clap::Args)]
pub struct ReplayOptions {
    /// Plan the cases of a running supervisor with both, and count those whose plan differs. A retry counts as given up
    /// if the tries that it really had are enough, limits are counted as the reports came
    #[arg(long)]
    replay: bool,
    /// The same with the cases of a file: one case as JSON per line
    #[arg(long, value_name = "FILE", conflicts_with = "replay")]
    replay_file: Option<PathBuf>,
    /// Write the cases of the supervisor to a file for `--replay-file`
    #[arg(long, value_name = "FILE", requires = "replay")]
    save: Option<PathBuf>,
    #[command(flatten)]
    which: Which,
}

impl ReplayOptions {
    pub(super) fn is_wanted(&self) -> bool {
        self.replay || self.replay_file.is_some()
    }
}

pub(super) fn run(
    options: &ReplayOptions,
    connection: &Connection,
    old: &Rulebook,
    new: &Rulebook,
    as_json: bool,
    exit_code: bool,
) -> Outcome {
    let mut replay = Replay::new(old, new);
    match &options.replay_file {
        Some(path) => {
            stored::each_of_file(path, &mut |case| {
                replay.add(&case);
                Ok(())
            })?;
        }
        None => {
            let client = connection.client()?;
            let mut export = options.save.as_deref().map(Export::create).transpose()?;
            let mut see = |case: CaseDetail| {
                if let Some(export) = &mut export {
                    export.write(&case)?;
                }
                replay.add(&case);
                Ok(())
            };
            let which = &options.which;
            let cases = stored::each(&client, which, Some(old.name()), &mut see);
            crate::commands::block_on(cases)?;
            export.map_or(Ok(()), Export::finish)?;
        }
    }
    let found = replay.finish();
    if as_json {
        output::json(&found.to_json())?;
    } else {
        output::text(&found.to_text())?;
    }
    if exit_code && found.differ > 0 { Err(Failure::Findings) } else { Ok(()) }
}
