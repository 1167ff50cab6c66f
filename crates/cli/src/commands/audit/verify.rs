//! `amends audit verify`: whether every entry of the audit still is what it was when it was written.

use crate::client::{Client, Query};
use crate::failure::{Failure, Outcome};
use crate::output;
use crate::printing::Printing;
use amends_api::audit::{ChainCheck, ChainLink, ChainReport};
use amends_api::{ActView, AuditHead, Page};
use amends_store::{FILE_NAME, verify_audit};
use anyhow::anyhow;
use std::path::{Path, PathBuf};

/// Readings of the whole audit, if retention removes some of it meanwhile.
const TRIES: u32 = 5;

/// Options of `audit verify`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  amends audit verify\n  amends audit verify --data /var/lib/amends\n  \
amends audit verify --anchor 1204:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08\n\n\
Exits with 1 if an entry was changed, removed, moved or added. The last line that it prints is an anchor: kept where \
nobody who can write the store can write, it also finds a chain that was made anew as a whole."
)]
pub struct VerifyOptions {
    /// The store of this folder, beside a supervisor that may be using it, rather than what the supervisor tells
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// What an earlier run printed: the entry of this number must still have this digest
    #[arg(long, value_name = "NUMBER:DIGEST")]
    anchor: Option<ChainLink>,
}

/// Checks the audit of a folder, or of a running supervisor.
pub(super) async fn run(
    options: &VerifyOptions,
    client: impl FnOnce() -> Outcome<Client>,
    printing: Printing,
) -> Outcome {
    let report = match &options.data {
        Some(dir) => of_folder(dir, options.anchor)?,
        None => of_supervisor(&client()?, options.anchor).await?,
    };
    printing.done(&report, show)?;
    if report.broken.is_some() { Err(Failure::Findings) } else { Ok(()) }
}

fn of_folder(dir: &Path, anchor: Option<ChainLink>) -> Outcome<ChainReport> {
    let report = verify_audit(dir, anchor).map_err(anyhow::Error::new)?;
    report.ok_or_else(|| {
        let place = dir.join(FILE_NAME);
        anyhow!("there is no store at `{}`; name its folder with --data", place.display()).into()
    })
}

/// The entries that there are now, oldest first: digests are computed here, from what is shown.
async fn of_supervisor(client: &Client, anchor: Option<ChainLink>) -> Outcome<ChainReport> {
    for _ in 0..TRIES {
        let head: AuditHead = client.get("/v1/acts/head").await?;
        let last = ChainLink { number: head.number, digest: head.digest };
        let mut check = ChainCheck::new(head.removed, anchor);
        let mut cursor: Option<String> = None;
        loop {
            let mut query = Query::default();
            query.push("sort", "oldest");
            query.push("limit", &super::LARGEST_PAGE.to_string());
            query.push_opt("cursor", cursor.as_ref());
            let page: Page<ActView> =
                client.get_as_sent(&format!("/v1/acts{}", query.as_str())).await?;
            // What is written meanwhile is looked at the next time.
            let entries = page.items.iter().filter(|act| act.number <= last.number);
            entries.for_each(|act| check.take(act.chained(), act.digest));
            let is_past = page.items.last().is_some_and(|act| act.number >= last.number);
            cursor = page.next;
            if cursor.is_none() || is_past {
                break;
            }
        }
        let after: AuditHead = client.get("/v1/acts/head").await?;
        // Retention may have removed what was about to be read.
        if after.removed == head.removed {
            return Ok(check.finish(last));
        }
    }
    Err(anyhow!(
        "retention removes entries faster than they are read; try again later, or use --data"
    )
    .into())
}

fn show(report: &ChainReport) -> Outcome {
    let ChainReport { entries, first, last, broken } = report;
    let looked_at = match first {
        None => "the audit is empty".to_owned(),
        Some(first) => format!("{entries} entries looked at, {first} to {}", last.number),
    };
    match broken {
        None => output::line(&format!("{looked_at}: all as they were written"))?,
        Some(broken) => output::line(&format!("{looked_at}: {broken}"))?,
    }
    // What is broken is no anchor.
    if broken.is_none() {
        output::line(&format!("anchor {last}"))?;
    }
    Ok(())
}
