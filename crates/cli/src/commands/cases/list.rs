//! `amends cases list`: one line per case, newest first.

use super::progress;
use crate::client::{Client, Query};
use crate::failure::Outcome;
use crate::moment::{now, relative};
use crate::output::{self, Grid};
use amends_protocol::resources::{CaseSummary, Page};
use amends_protocol::{ActionName, CaseState, SagaId};

/// Options of `cases list`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  amends cases list --state stuck,unmatched\n  \
amends cases list --report 'payment/*' --all --json")]
pub struct ListOptions {
    /// Only cases in these states: open, stuck, unmatched, settled
    #[arg(long, value_delimiter = ',')]
    state: Vec<CaseState>,
    /// Only the case of this saga
    #[arg(long)]
    saga: Option<SagaId>,
    /// Only cases of this rulebook
    #[arg(long)]
    rulebook: Option<String>,
    /// Only cases with this report: SERVICE/CODE or SERVICE/*
    #[arg(long)]
    report: Option<String>,
    /// Only cases with a step of this service
    #[arg(long)]
    service: Option<String>,
    /// Only cases with a step of this action: SERVICE.ACTION
    #[arg(long)]
    action: Option<ActionName>,
    /// Only cases with this text in the saga id or message
    #[arg(long, value_name = "TEXT")]
    find: Option<String>,
    /// Only cases opened after this time (RFC 3339)
    #[arg(long, value_name = "TIME")]
    opened_after: Option<String>,
    /// Only cases opened before this time (RFC 3339)
    #[arg(long, value_name = "TIME")]
    opened_before: Option<String>,
    /// At most so many
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=500))]
    limit: u32,
    /// All pages, however many
    #[arg(long, conflicts_with = "limit")]
    all: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Rows per page when all are wanted: the API's limit.
const LARGEST_PAGE: u32 = 500;

pub(super) async fn run(client: &Client, options: ListOptions) -> Outcome {
    let mut items: Vec<CaseSummary> = Vec::new();
    let mut cursor: Option<String> = None;
    loop {
        let mut query = filters(&options);
        query.push("limit", &if options.all { LARGEST_PAGE } else { options.limit }.to_string());
        query.push_opt("cursor", cursor.as_ref());
        let page: Page<CaseSummary> = client.get(&format!("/v1/cases{}", query.as_str())).await?;
        // A page that is empty but promises more would go round for ever.
        cursor = page.next.filter(|_| !page.items.is_empty());
        items.extend(page.items);
        if !options.all || cursor.is_none() {
            break;
        }
    }
    if options.json {
        return output::json(&items);
    }
    if items.is_empty() {
        output::tell("no case matches");
        return Ok(());
    }
    let now = now();
    let mut grid = Grid::new(&["case", "state", "report", "saga", "steps", "opened", "message"]);
    for case in &items {
        grid.row(vec![
            case.id.to_string(),
            case.state.to_string(),
            case.report.clone(),
            case.saga_id.to_string(),
            progress(&case.steps),
            relative(case.opened_at, now),
            case.message.clone().unwrap_or_default(),
        ]);
    }
    grid.print()?;
    if cursor.is_some() {
        output::tell(&format!(
            "there are more than {}; use --all, a larger --limit or a filter",
            items.len()
        ));
    }
    Ok(())
}

fn filters(options: &ListOptions) -> Query {
    let mut query = Query::default();
    for state in &options.state {
        query.push("state", state.as_str());
    }
    query.push_opt("saga", options.saga.as_ref());
    query.push_opt("rulebook", options.rulebook.as_ref());
    query.push_opt("report", options.report.as_ref());
    query.push_opt("service", options.service.as_ref());
    query.push_opt("action", options.action.as_ref());
    query.push_opt("q", options.find.as_ref());
    query.push_opt("opened_after", options.opened_after.as_ref());
    query.push_opt("opened_before", options.opened_before.as_ref());
    query
}
