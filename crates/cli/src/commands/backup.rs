//! `amends backup`: copies the store of a stopped supervisor into one file. It never overwrites and never changes the original.

use super::block_on;
use crate::failure::{Failure, Outcome};
use crate::output;
use amends_store::{FILE_NAME, SqliteOptions, SqliteStore, Store};
use anyhow::anyhow;
use std::path::PathBuf;

/// Options of `backup`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  amends backup --data amends-data backups/2026-11-23.sqlite\n\n\
To restore, put the file into an empty folder as amends.sqlite and start `amends serve --data` on it."
)]
pub struct BackupOptions {
    /// Folder of the store; its supervisor must be stopped
    #[arg(long, value_name = "DIR", default_value = "amends-data", env = "AMENDS_DATA")]
    data: PathBuf,
    /// The file to write; must not exist
    #[arg(value_name = "FILE")]
    to: PathBuf,
}

pub(super) fn run(options: BackupOptions) -> Outcome {
    let original = options.data.join(FILE_NAME);
    if !original.is_file() {
        let place = original.display();
        return Err(Failure::Local(anyhow!(
            "there is no store at `{place}`; name its folder with --data"
        )));
    }
    block_on(async {
        let store = SqliteStore::open(&options.data, &SqliteOptions::default())
            .map_err(anyhow::Error::from)?;
        store.backup(&options.to).await.map_err(anyhow::Error::from)?;
        Ok(())
    })?;
    output::tell(&format!("backed up `{}` to `{}`", original.display(), options.to.display()));
    Ok(())
}
