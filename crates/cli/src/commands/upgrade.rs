//! `amends upgrade`: what this version of the program would change in a store, before it is started on it.

use super::block_on;
use super::config::ConfigArguments;
use crate::failure::{Failure, Outcome};
use crate::moment::now;
use crate::output;
use amends_api::CaseState;
use amends_protocol::{CaseId, Timestamp};
use amends_simulate::{Previewed, UpgradePreview};
use amends_store::{
    Archive, CaseFilter, FILE_NAME, Ledger, LookupRequest, PageRequest, Partition, SqliteOptions,
    SqliteStore, copy_store,
};
use anyhow::{Context, anyhow};
use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Cases that are read at once.
const PAGE: u32 = 200;
const DAY_MS: u64 = 86_400_000;

/// What of an upgrade.
#[derive(Debug, clap::Subcommand)]
pub enum UpgradeCommand {
    /// Judge the cases of a store anew, and say what this version would change
    Preview(PreviewOptions),
}

/// Options of `upgrade preview`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  amends upgrade preview --data /var/lib/amends\n  amends upgrade preview --config amends.toml\n  \
amends upgrade preview --data amends-data --days 7 --output json --exit-code\n\n\
Works on a copy in the folder for temporary files, beside the supervisor of before, and needs room for it. Nothing is \
sent, and nothing of the store changes. Open cases are judged as they are on their next input, whatever their age; \
settled ones as if they were heard of again. Open questions are counted by rulebook and kind: `holds the case` are cases \
that would be stuck, `only noted` those that would be if the rulebook held them. A service that keeps a History is asked for it once more before it is contradicted, so such \
questions are counted only where that was done before."
)]
pub struct PreviewOptions {
    /// Folder of the store
    #[arg(long, value_name = "DIR", required_unless_present = "config", conflicts_with = "config")]
    data: Option<PathBuf>,
    /// Configuration that names the store: a folder, or a database
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Settled cases that were opened in the last so many days
    #[arg(long, default_value_t = 30, value_name = "DAYS")]
    days: u32,
    /// How it is written
    #[arg(long, value_enum, default_value = "text")]
    output: Format,
    /// Exit with 1 if anything would change
    #[arg(long)]
    exit_code: bool,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Format {
    /// For people
    Text,
    /// One JSON object
    Json,
}

pub(super) fn run(command: UpgradeCommand) -> Outcome {
    let UpgradeCommand::Preview(options) = command;
    let copy = match options.data {
        Some(data) => Copy::of(&data)?,
        None => Copy::of_configured(options.config)?,
    };
    let since = now().minus_ms(u64::from(options.days).saturating_mul(DAY_MS));
    let found = block_on(preview(&copy.0, since))?;
    match options.output {
        Format::Text => output::text(&found.to_text())?,
        Format::Json => output::json(&found.to_json())?,
    }
    if options.exit_code && !found.is_clean() { Err(Failure::Findings) } else { Ok(()) }
}

async fn preview(folder: &Path, since: Timestamp) -> Outcome<Previewed> {
    let store =
        SqliteStore::open(folder, &SqliteOptions::default()).map_err(anyhow::Error::from)?;
    let loaded = store.load().await.map_err(anyhow::Error::from)?;
    let mut preview =
        UpgradePreview::new(&loaded.settings.rulebooks, loaded.clock.unwrap_or_else(now));
    let open = vec![CaseState::Open, CaseState::Stuck, CaseState::Unmatched];
    let filters = [
        CaseFilter { state: open, ..CaseFilter::default() },
        CaseFilter {
            state: vec![CaseState::Settled],
            opened_after: Some(since),
            ..CaseFilter::default()
        },
    ];
    let mut meant = Vec::new();
    for filter in filters {
        let mut page = PageRequest::first(PAGE);
        loop {
            let found =
                store.cases(filter.clone(), page.clone()).await.map_err(anyhow::Error::from)?;
            meant.extend(found.items.iter().map(|item| item.case.id));
            match found.next {
                Some(next) => page.cursor = Some(next),
                None => break,
            }
        }
    }
    let mut progress = Progress::of(meant.len());
    for some in meant.chunks(PAGE as usize) {
        judge(&store, &mut preview, some.iter().copied()).await?;
        progress.add(some.len())?;
    }
    progress.end()?;
    // Lists leave out what can't be read.
    for broken in broken(&store).await? {
        preview.add_broken(&broken);
    }
    Ok(preview.finish())
}

async fn broken(store: &SqliteStore) -> Outcome<Vec<amends_store::BrokenCase>> {
    let mut broken = Vec::new();
    let mut next = Some(amends_store::OpenPlace::default());
    while let Some(after) = next {
        let page = store
            .open(Partition::WHOLE, after, PAGE as usize)
            .await
            .map_err(anyhow::Error::from)?;
        broken.extend(page.broken);
        next = page.next;
    }
    Ok(broken)
}

async fn judge(
    store: &SqliteStore,
    preview: &mut UpgradePreview,
    cases: impl Iterator<Item = CaseId>,
) -> Outcome {
    let request = LookupRequest { cases: cases.collect(), ..LookupRequest::default() };
    let found = store.find(request).await.map_err(anyhow::Error::from)?;
    for stored in found.cases {
        if let Some(hash) = preview.needs(&stored)
            && let Some(row) =
                store.rulebook(Arc::clone(&hash)).await.map_err(anyhow::Error::from)?
        {
            preview.learn(&row);
        }
        preview.add(stored);
    }
    Ok(())
}

/// How many cases have been judged, as a bar on a terminal.
struct Progress {
    done: usize,
    all: usize,
    is_shown: bool,
}

impl Progress {
    /// Places of the bar.
    const BAR: usize = 30;

    fn of(all: usize) -> Self {
        Self { done: 0, all, is_shown: io::stderr().is_terminal() }
    }

    fn add(&mut self, some: usize) -> Outcome {
        self.done += some;
        if !self.is_shown {
            return Ok(());
        }
        let full = (self.done * Self::BAR).checked_div(self.all).unwrap_or(Self::BAR);
        let bar = format!("{}{}", "#".repeat(full), ".".repeat(Self::BAR - full));
        output::overwrite(&format!("[{bar}] {} of {} cases", self.done, self.all))
    }

    fn end(&self) -> Outcome {
        if self.is_shown { output::overwrite("") } else { Ok(()) }
    }
}

/// A copy of a store that goes away with this value.
struct Copy(PathBuf);

impl Copy {
    fn of(data: &Path) -> Outcome<Self> {
        let original = data.join(FILE_NAME);
        if !original.is_file() {
            let place = original.display();
            let why = anyhow!("there is no store at `{place}`; name its folder with --data");
            return Err(why.into());
        }
        let copy = Self::empty()?;
        copy_store(data, &copy.0).map_err(anyhow::Error::from)?;
        Ok(copy)
    }

    /// Of the store that a configuration names.
    fn of_configured(config: Option<PathBuf>) -> Outcome<Self> {
        let config = ConfigArguments::of_file(config).read()?;
        #[cfg(feature = "postgres")]
        if let Some(cluster) = &config.cluster {
            let copy = Self::empty()?;
            cluster.copy(&copy.0.join(FILE_NAME)).map_err(anyhow::Error::from)?;
            return Ok(copy);
        }
        Self::of(&config.data)
    }

    fn empty() -> Outcome<Self> {
        let name = format!("amends-preview-{}-{}", std::process::id(), now().0);
        let folder = std::env::temp_dir().join(name);
        std::fs::create_dir(&folder)
            .with_context(|| format!("cannot create `{}`", folder.display()))?;
        Ok(Self(folder))
    }
}

impl Drop for Copy {
    fn drop(&mut self) {
        // What is left lies among the temporary files, readable by its owner alone.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
