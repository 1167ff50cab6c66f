//! `amends backup`: copies a store into one file. A running supervisor is asked to make the copy; the store of a stopped
//! one is copied here. Never overwrites and never changes the original.

use super::{Connection, block_on};
use crate::failure::{Failure, Outcome};
use crate::output;
use amends_api::{BackupView, BackupWanted};
use amends_store::{FILE_NAME, SqliteOptions, SqliteStore, Upkeep};
use anyhow::anyhow;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long a running supervisor may take: a copy runs at some hundred megabytes a second, so this is far more than any
/// store needs.
const BACKUP_LIMIT: Duration = Duration::from_secs(3600);

/// Options of `backup`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  amends backup\n  amends backup --name before-upgrade.sqlite\n  \
amends backup --data amends-data --to 2026-11-23.sqlite\n\n\
A running supervisor writes into the folder `backups` beside its store; the path is printed. With --data, the store of \
a stopped supervisor is copied.\n\n\
To restore, put the file into an empty folder as amends.sqlite and start `amends serve --data` on it."
)]
pub struct BackupOptions {
    #[command(flatten)]
    connection: Connection,
    /// Name of the file in the supervisor's folder, `….sqlite` [default: by the time]
    #[arg(long, value_name = "NAME", conflicts_with = "data")]
    name: Option<String>,
    /// Why, for the audit
    #[arg(long, value_name = "TEXT", conflicts_with = "data")]
    reason: Option<String>,
    /// Print the answer as JSON
    #[arg(long, conflicts_with = "data")]
    json: bool,
    /// Folder of the store of a stopped supervisor
    #[arg(long, value_name = "DIR", requires = "to")]
    data: Option<PathBuf>,
    /// The file to copy it to; must not exist
    #[arg(long, value_name = "FILE", requires = "data")]
    to: Option<PathBuf>,
}

pub(super) fn run(options: BackupOptions) -> Outcome {
    match (&options.data, &options.to) {
        (Some(data), Some(to)) => copy(data, to),
        _ => ask(options),
    }
}

/// Has a running supervisor make the copy.
fn ask(options: BackupOptions) -> Outcome {
    let client = options.connection.client()?.with_answer_limit(BACKUP_LIMIT);
    let wanted = BackupWanted { name: options.name, reason: options.reason };
    let made: BackupView = block_on(client.post("/v1/backups", &wanted))?;
    if options.json {
        return output::json(&made);
    }
    output::tell(&format!("backed up {} bytes on the supervisor's machine", made.bytes));
    output::line(&made.path)
}

/// Copies the store of a stopped supervisor.
fn copy(data: &Path, to: &Path) -> Outcome {
    let original = data.join(FILE_NAME);
    if !original.is_file() {
        let place = original.display();
        return Err(Failure::Local(anyhow!(
            "there is no store at `{place}`; name its folder with --data"
        )));
    }
    block_on(async {
        let store =
            SqliteStore::open(data, &SqliteOptions::default()).map_err(anyhow::Error::from)?;
        store.backup(to).await.map_err(anyhow::Error::from)?;
        Ok(())
    })?;
    output::tell(&format!("backed up `{}` to `{}`", original.display(), to.display()));
    output::line(&to.display().to_string())
}
