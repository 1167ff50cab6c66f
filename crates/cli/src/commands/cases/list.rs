//! `amends cases list`: one line per case, newest first.

use super::filters::CaseFilters;
use super::progress;
use crate::client::Client;
use crate::failure::Outcome;
use crate::moment::{clock, now, relative};
use crate::output::{self, Grid};
use crate::printing::{Printing, Width};
use amends_api::{CaseSummary, Page};
use amends_api::{Totals, amounts_in_words, totals_in_words};
use amends_protocol::Timestamp;

/// Options of `cases list`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  amends cases list --state stuck,unmatched --sort oldest\n  \
amends cases list --report 'payment/*' --all --json\n  \
amends cases list --customer c-7 --amount-min 100 --currency EUR -o wide")]
pub struct ListOptions {
    #[command(flatten)]
    filters: CaseFilters,
    /// At most so many
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=500))]
    limit: u32,
    /// All pages, however many
    #[arg(long, conflicts_with = "limit")]
    all: bool,
    #[command(flatten)]
    printing: Printing,
}

/// What was found.
#[derive(serde::Serialize)]
#[serde(transparent)]
struct Found {
    cases: Vec<CaseSummary>,
    /// There are more.
    #[serde(skip)]
    more: bool,
    /// The search was cut short here.
    #[serde(skip)]
    searched_until: Option<Timestamp>,
}

/// Rows per page when all are wanted: the API's limit.
const LARGEST_PAGE: u32 = 500;

/// What `wide` adds.
const BUSINESS: [&str; 3] = ["customer", "key", "amount"];

/// What the listed cases are about together, by currency.
fn tell_sum(cases: &[CaseSummary]) {
    let mut totals = Totals::default();
    cases.iter().for_each(|case| totals.add(&case.amounts));
    let words = totals_in_words(&totals.amounts(), cases.len() as u64, totals.without());
    if !words.is_empty() {
        output::tell(&words);
    }
}

/// Its state; of a settled one, on what evidence.
fn state(case: &CaseSummary) -> String {
    case.closed_on.map_or(case.state.to_string(), |closed_on| format!("{} {closed_on}", case.state))
}

pub(super) async fn run(client: &Client, options: ListOptions) -> Outcome {
    options.printing.list(async || read(client, &options).await, show).await
}

async fn read(client: &Client, options: &ListOptions) -> Outcome<Found> {
    let mut cases: Vec<CaseSummary> = Vec::new();
    let mut cursor: Option<String> = None;
    loop {
        let mut query = options.filters.query();
        query.push("limit", &if options.all { LARGEST_PAGE } else { options.limit }.to_string());
        query.push_opt("cursor", cursor.as_ref());
        let page: Page<CaseSummary> = client.get(&format!("/v1/cases{}", query.as_str())).await?;
        // A page may be empty although there is more: its search was cut short, and goes on from there.
        let more = !page.items.is_empty() || page.searched_until.is_some();
        cursor = page.next.filter(|_| more);
        cases.extend(page.items);
        if !options.all || cursor.is_none() {
            let more = cursor.is_some();
            return Ok(Found { cases, more, searched_until: page.searched_until.filter(|_| more) });
        }
    }
}

fn show(found: &Found, width: Width) -> Outcome {
    if let Some(until) = found.searched_until {
        let until = clock(until);
        output::tell(&format!("searched as far as cases of {until}; go on with --all or a filter"));
    } else if found.cases.is_empty() {
        output::tell("no case matches");
    }
    if found.cases.is_empty() {
        return Ok(());
    }
    print(&found.cases, width == Width::Wide)?;
    tell_sum(&found.cases);
    if found.more && found.searched_until.is_none() {
        let n = found.cases.len();
        output::tell(&format!("there are more than {n}; use --all, a larger --limit or a filter"));
    }
    Ok(())
}

fn print(cases: &[CaseSummary], is_wide: bool) -> Outcome {
    let now = now();
    let mut names = vec!["case", "state", "report", "saga", "steps", "opened"];
    names.extend(BUSINESS.iter().filter(|_| is_wide));
    names.push("sentence");
    let mut grid = Grid::new(&names);
    for case in cases {
        let mut row = vec![
            case.id.to_string(),
            state(case),
            case.report.clone(),
            case.saga_id.to_string(),
            progress(&case.steps),
            relative(case.opened_at, now),
        ];
        if is_wide {
            row.push(case.customer.clone().unwrap_or_default());
            row.push(case.key.clone().unwrap_or_default());
            row.push(amounts_in_words(&case.amounts));
        }
        row.push(case.sentence.clone());
        grid.row(row);
    }
    grid.print()
}
