//! `amends quarantine`: cases that the supervisor can't work on: why, their rows as a file, and putting them back.

use super::{Connection, block_on};
use crate::client::Client;
use crate::complete;
use crate::failure::{Failure, Outcome};
use crate::moment::{clock, now, relative};
use crate::output::{self, Grid};
use crate::printing::{Printing, Width};
use amends_api::{QuarantineAct, QuarantineView, QuarantinedView, RawCaseView, RawRowView};
use amends_protocol::causes::of_json;
use amends_protocol::{CaseId, Problem, ProblemCode};
use anyhow::{Context, anyhow};
use clap_complete::ArgValueCompleter;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::path::PathBuf;

/// What to do with quarantined cases, and where.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  amends quarantine\n  amends quarantine show c-17\n  \
amends quarantine export c-17 --to rows.json\n  \
amends quarantine repair c-17 rows.json --reason 'the memo was cut off'\n  \
amends quarantine discard c-17 --reason 'undone by hand, ticket 12'")]
pub struct QuarantineOptions {
    #[command(flatten)]
    connection: Connection,
    #[command(subcommand)]
    command: Option<QuarantineCommand>,
    #[command(flatten)]
    printing: Printing,
}

#[derive(Debug, clap::Subcommand)]
enum QuarantineCommand {
    /// List what can't be worked on, and why [default]
    List,
    /// Say what is wrong with one case
    Show {
        /// Which case, e.g. c-17
        #[arg(add = ArgValueCompleter::new(complete::quarantined))]
        case: CaseId,
    },
    /// Write the stored rows of a case, quarantined or not, as JSON
    Export(ExportRows),
    /// Put mended rows back: the case goes on with them, if they can be read
    Repair {
        /// Which case
        #[arg(add = ArgValueCompleter::new(complete::quarantined))]
        case: CaseId,
        /// The file that `export` wrote, mended
        file: PathBuf,
        /// Why, for the audit
        #[arg(long, value_name = "TEXT")]
        reason: String,
    },
    /// Give a case up: it is settled by hand, without its steps; its reports stay known
    Discard {
        /// Which case
        #[arg(add = ArgValueCompleter::new(complete::quarantined))]
        case: CaseId,
        /// Why, for the audit
        #[arg(long, value_name = "TEXT")]
        reason: String,
    },
}

#[derive(Debug, clap::Args)]
struct ExportRows {
    /// Which case
    #[arg(add = ArgValueCompleter::new(complete::cases))]
    case: CaseId,
    /// Into this file, which must not exist, rather than to standard output
    #[arg(long, value_name = "FILE")]
    to: Option<PathBuf>,
    /// Exactly as they lie in the store: JSON within a row stays a text
    #[arg(long)]
    raw: bool,
    /// With the values of secret fields, for support: the file must be kept like the secrets themselves
    #[arg(long)]
    with_secrets: bool,
}

pub(super) fn run(options: QuarantineOptions) -> Outcome {
    let client = options.connection.client()?;
    let printing = options.printing;
    block_on(async {
        match options.command.unwrap_or(QuarantineCommand::List) {
            QuarantineCommand::List => {
                let read = async || client.get::<QuarantineView>("/v1/quarantine").await;
                printing.list(read, list).await
            }
            QuarantineCommand::Show { case } => show(&client, case, printing).await,
            QuarantineCommand::Export(wanted) => export(&client, &wanted).await,
            QuarantineCommand::Repair { case, file, reason } => {
                let text = std::fs::read(&file)
                    .with_context(|| format!("cannot read `{}`", file.display()))?;
                let mended: RawCaseView = serde_json::from_slice(&text).map_err(|e| {
                    anyhow!("`{}` is not what `export` writes: {}", file.display(), of_json(&e))
                })?;
                let act = QuarantineAct::Repair { reason, rows: mended.rows };
                mend(&client, case, &act, printing.act_as_json()?).await
            }
            QuarantineCommand::Discard { case, reason } => {
                let act = QuarantineAct::Discard { reason };
                mend(&client, case, &act, printing.act_as_json()?).await
            }
        }
    })
}

fn list(found: &QuarantineView, _: Width) -> Outcome {
    if found.cases.is_empty() && found.rows.is_empty() {
        output::tell("nothing is quarantined");
        return Ok(());
    }
    let now = now();
    let mut grid = Grid::new(&["case", "saga", "reports", "found", "row", "why"]);
    for case in &found.cases {
        grid.row(vec![
            case.case_id.to_string(),
            saga(case),
            case.reports.to_string(),
            relative(case.since, now),
            case.broken.row.clone(),
            case.broken.why.clone(),
        ]);
    }
    for row in &found.rows {
        let none = || "-".to_owned();
        grid.row(vec![none(), none(), none(), none(), row.row.clone(), row.why.clone()]);
    }
    grid.print()
}

fn saga(case: &QuarantinedView) -> String {
    case.saga_id.as_ref().map_or_else(|| "(unreadable)".to_owned(), ToString::to_string)
}

async fn show(client: &Client, id: CaseId, printing: Printing) -> Outcome {
    let all: QuarantineView = client.get("/v1/quarantine").await?;
    let found = all.cases.into_iter().find(|case| case.case_id == id).ok_or_else(|| {
        let problem = Problem::new(ProblemCode::NotFound, format!("case {id} is not quarantined"));
        Failure::Problem(Box::new(problem))
    })?;
    let stored: RawCaseView = client.get(&format!("/v1/quarantine/{id}")).await?;
    printing.done(&found, |found| {
        let mut rows: BTreeMap<&str, u32> = BTreeMap::new();
        for row in &stored.rows {
            *rows.entry(&row.table).or_default() += 1;
        }
        let rows: Vec<_> = rows.iter().map(|(table, n)| format!("{n} in {table}")).collect();
        let since = clock(found.since);
        let lines = [
            format!("{id} of saga {} is quarantined since {since}", saga(found)),
            format!("{} can't be used: {}", found.broken.row, found.broken.why),
            format!("stored rows: {}", rows.join(", ")),
            format!(
                "to mend it: amends quarantine export {id} --to rows.json, correct the row, then"
            ),
            format!("            amends quarantine repair {id} rows.json --reason '...'"),
            format!("to give it up: amends quarantine discard {id} --reason '...'"),
        ];
        output::line(&lines.join("\n"))
    })
}

async fn export(client: &Client, wanted: &ExportRows) -> Outcome {
    let query = if wanted.with_secrets { "?secrets=shown" } else { "" };
    let path = format!("/v1/quarantine/{}{query}", wanted.case);
    if wanted.with_secrets {
        output::tell("these rows hold the values of secret fields in the clear");
    }
    let mut stored: RawCaseView = client.get_as_sent(&path).await?;
    if !wanted.raw {
        stored.rows = stored.rows.into_iter().map(RawRowView::spelled_out).collect();
    }
    let Some(path) = &wanted.to else { return output::json(&stored) };
    let mut text = serde_json::to_string_pretty(&stored).map_err(anyhow::Error::from)?;
    text.push('\n');
    let mut file =
        File::create_new(path).with_context(|| format!("cannot create `{}`", path.display()))?;
    Ok(file.write_all(text.as_bytes())?)
}

async fn mend(client: &Client, id: CaseId, act: &QuarantineAct, json: bool) -> Outcome {
    let left: QuarantineView = client.post(&format!("/v1/quarantine/{id}/acts"), act).await?;
    if json {
        return output::json(&left);
    }
    let done = match act {
        QuarantineAct::Repair { .. } => "goes on with the mended rows",
        QuarantineAct::Discard { .. } => "is settled by hand, without its steps",
    };
    output::line(&format!("case {id} {done}; {} left in quarantine", left.cases.len()))
}
