//! `amends audit`: what people did, newest first: who, when, what and why; and whether that is still what was written.

mod verify;

use super::cases::which::WhichCase;
use super::{Connection, block_on};
use crate::client::{Client, Query};
use crate::complete;
use crate::failure::Outcome;
use crate::moment::clock;
use crate::output::{self, Grid};
use crate::printing::{Printing, Width};
use amends_api::{ActView, Hidden, Page};
use amends_protocol::CaseId;
use clap_complete::ArgValueCompleter;

/// Options of `audit`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  amends audit\n  amends audit --case c-17\n  \
amends audit --all -o csv > audit.csv\n  amends audit verify")]
pub struct AuditOptions {
    #[command(flatten)]
    connection: Connection,
    #[command(subcommand)]
    command: Option<AuditCommand>,
    /// Only what was done to this case: its id or its saga's
    #[arg(long, value_name = "CASE", add = ArgValueCompleter::new(complete::cases))]
    case: Option<WhichCase>,
    /// At most so many
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=500))]
    limit: u32,
    /// All pages, however many
    #[arg(long, conflicts_with = "limit")]
    all: bool,
    #[command(flatten)]
    printing: Printing,
}

/// What to do with the audit, beside reading it.
#[derive(Debug, clap::Subcommand)]
enum AuditCommand {
    /// Find out whether every entry still is what was written
    Verify(verify::VerifyOptions),
}

/// Rows per page when all are wanted: the API's limit.
const LARGEST_PAGE: u32 = 500;

/// The newest entries, and whether there are more.
#[derive(serde::Serialize)]
#[serde(transparent)]
struct Acts {
    acts: Vec<ActView>,
    #[serde(skip)]
    more: bool,
}

pub(super) fn run(options: AuditOptions) -> Outcome {
    if let Some(AuditCommand::Verify(verify)) = &options.command {
        let client = || options.connection.client();
        return block_on(verify::run(verify, client, options.printing));
    }
    let client = options.connection.client()?;
    let pages = if options.all { (LARGEST_PAGE, true) } else { (options.limit, false) };
    block_on(async {
        let case = match &options.case {
            Some(which) => Some(which.id(&client).await?),
            None => None,
        };
        options.printing.list(async || read(&client, case, pages).await, show).await
    })
}

async fn read(client: &Client, case: Option<CaseId>, (limit, all): (u32, bool)) -> Outcome<Acts> {
    let mut acts: Vec<ActView> = Vec::new();
    let mut cursor: Option<String> = None;
    loop {
        let mut query = Query::default();
        query.push_opt("case", case.as_ref());
        query.push("limit", &limit.to_string());
        query.push_opt("cursor", cursor.as_ref());
        let page: Page<ActView> = client.get(&format!("/v1/acts{}", query.as_str())).await?;
        acts.extend(page.items);
        cursor = page.next;
        if !all || cursor.is_none() {
            return Ok(Acts { acts, more: cursor.is_some() });
        }
    }
}

fn show(found: &Acts, width: Width) -> Outcome {
    if found.acts.is_empty() {
        output::tell("nobody has done anything yet");
        return Ok(());
    }
    let mut heads = vec!["when", "who", "what", "to", "why"];
    if width == Width::Wide {
        heads.extend(["as", "from", "details"]);
    }
    let mut grid = Grid::new(&heads);
    for act in &found.acts {
        let step = act.step_id.map(|step| step.to_string());
        let case = || act.case_id.map(|case| case.to_string());
        let mut row = vec![
            clock(act.at),
            act.actor.clone(),
            act.act.to_string(),
            step.or_else(case).unwrap_or_else(|| "-".to_owned()),
            shown_reason(act),
        ];
        if width == Width::Wide {
            row.extend(
                [act.principal.clone(), act.address.clone()]
                    .map(|text| text.unwrap_or_else(|| "-".to_owned())),
            );
            row.push(if act.detail.is_null() { "-".to_owned() } else { act.detail.to_string() });
        }
        grid.row(row);
    }
    grid.print()?;
    if found.more {
        let n = found.acts.len();
        output::tell(&format!("there is more than these {n}; use --all or a larger --limit"));
    }
    Ok(())
}

fn shown_reason(act: &ActView) -> String {
    match act.hidden {
        Some(Hidden::Erased) if act.reason.is_empty() => "(erased)".to_owned(),
        Some(Hidden::NeedsReadData) if act.reason.is_empty() => "(needs read:data)".to_owned(),
        _ => act.reason.clone(),
    }
}
