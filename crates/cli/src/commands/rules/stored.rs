//! Cases of a running supervisor, or of a file with one case as JSON per line, for commands that look at what really
//! happened. Reads only.

use crate::client::{Client, Query};
use crate::failure::{Failure, Outcome};
use amends_api::{CaseDetail, CaseSummary, Page};
use amends_protocol::CaseId;
use amends_protocol::causes::of_json;
use anyhow::{Context, anyhow};
use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::Path;

/// Rows per page: the API's limit.
const LARGEST_PAGE: u32 = 500;

/// Longest line of an export: a case with a thousand reports of the largest size would be longer, and is refused.
const LINE_LIMIT_BYTES: u64 = 64 << 20;

/// Which cases.
#[derive(Debug, Default, clap::Args)]
pub struct Which {
    /// Only cases opened after this time (RFC 3339)
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// The newest so many cases at most; each is one request
    #[arg(long, default_value_t = 10_000, value_name = "N")]
    cases: usize,
}

/// Hands each case to `see`, newest first; gives their number.
pub(super) async fn each(
    client: &Client,
    which: &Which,
    rulebook: Option<&str>,
    see: &mut dyn FnMut(CaseDetail) -> Outcome,
) -> Outcome<usize> {
    let rows = rows(client, which, rulebook).await?;
    for row in &rows {
        see(whole(client, row.id).await?)?;
    }
    Ok(rows.len())
}

/// The rows of the cases alone, newest first.
pub(super) async fn rows(
    client: &Client,
    which: &Which,
    rulebook: Option<&str>,
) -> Outcome<Vec<CaseSummary>> {
    let mut rows = Vec::new();
    let mut cursor: Option<String> = None;
    loop {
        let mut query = Query::default();
        query.push_opt("rulebook", rulebook.map(str::to_owned).as_ref());
        query.push_opt("opened_after", which.since.as_ref());
        query.push("limit", &LARGEST_PAGE.to_string());
        query.push_opt("cursor", cursor.as_ref());
        let page: Page<CaseSummary> = client.get(&format!("/v1/cases{}", query.as_str())).await?;
        rows.extend(page.items.into_iter().take(which.cases - rows.len()));
        match page.next {
            Some(next) if rows.len() < which.cases => cursor = Some(next),
            Some(_) | None => return Ok(rows),
        }
    }
}

/// A case with all that its reports brought: the answer about a very large one leaves some of it out.
async fn whole(client: &Client, id: CaseId) -> Outcome<CaseDetail> {
    let mut case: CaseDetail = client.get_as_sent(&format!("/v1/cases/{id}")).await?;
    for (position, report) in case.reports.iter_mut().enumerate().filter(|(_, r)| r.cut) {
        *report = client.get_as_sent(&format!("/v1/cases/{id}/reports/{position}")).await?;
    }
    Ok(case)
}

/// The same from a file with one case as JSON per line.
pub(super) fn each_of_file(
    path: &Path,
    see: &mut dyn FnMut(CaseDetail) -> Outcome,
) -> Outcome<usize> {
    let place = path.display();
    let file = File::open(path).with_context(|| format!("cannot read `{place}`"))?;
    let mut reader = BufReader::new(file);
    let mut seen = 0;
    for number in 1.. {
        let mut line = String::new();
        let mut limited = std::io::Read::take(&mut reader, LINE_LIMIT_BYTES);
        if limited.read_line(&mut line).with_context(|| format!("cannot read `{place}`"))? == 0 {
            break;
        }
        if line.trim().is_empty() {
            continue;
        }
        let case = serde_json::from_str(&line).map_err(|error| {
            Failure::Local(anyhow!(
                "`{place}`:{number} is no case: {}; write one case as JSON per line, as `--save` does",
                of_json(&error)
            ))
        })?;
        see(case)?;
        seen += 1;
    }
    Ok(seen)
}

/// Writes cases, one as JSON per line.
pub(super) struct Export(BufWriter<File>);

impl Export {
    pub(super) fn create(path: &Path) -> Outcome<Self> {
        let place = path.display();
        let file = File::create(path).with_context(|| format!("cannot write `{place}`"))?;
        Ok(Self(BufWriter::new(file)))
    }

    pub(super) fn write(&mut self, case: &CaseDetail) -> Outcome {
        serde_json::to_writer(&mut self.0, case).map_err(anyhow::Error::from)?;
        Ok(self.0.write_all(b"\n")?)
    }

    /// Makes sure that everything is written.
    pub(super) fn finish(mut self) -> Outcome {
        Ok(self.0.flush()?)
    }
}
