//! `amends cases list`: one line per case, newest first.

use super::filters::CaseFilters;
use super::progress;
use crate::client::Client;
use crate::failure::Outcome;
use crate::moment::{clock, now, relative};
use crate::output::{self, Grid};
use amends_api::{CaseSummary, Page, Totals, amounts_in_words, totals_in_words};

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
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// How to print: `wide` also says whom a case concerns, what, and how much
    #[arg(short, long, value_name = "SHAPE", conflicts_with = "json")]
    output: Option<Shape>,
}

/// How a list is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Shape {
    Table,
    Wide,
    Json,
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
    let mut items: Vec<CaseSummary> = Vec::new();
    let mut cursor: Option<String> = None;
    let searched_until = loop {
        let mut query = options.filters.query();
        query.push("limit", &if options.all { LARGEST_PAGE } else { options.limit }.to_string());
        query.push_opt("cursor", cursor.as_ref());
        let page: Page<CaseSummary> = client.get(&format!("/v1/cases{}", query.as_str())).await?;
        // A page may be empty although there is more: its search was cut short, and goes on from there.
        let more = !page.items.is_empty() || page.searched_until.is_some();
        cursor = page.next.filter(|_| more);
        items.extend(page.items);
        if !options.all || cursor.is_none() {
            break page.searched_until;
        }
    };
    if options.json || options.output == Some(Shape::Json) {
        return output::json(&items);
    }
    if let Some(until) = searched_until.filter(|_| cursor.is_some()) {
        let until = clock(until);
        output::tell(&format!("searched as far as cases of {until}; go on with --all or a filter"));
        cursor = None;
    } else if items.is_empty() {
        output::tell("no case matches");
    }
    if items.is_empty() {
        return Ok(());
    }
    print(&items, options.output == Some(Shape::Wide))?;
    tell_sum(&items);
    if cursor.is_some() {
        output::tell(&format!(
            "there are more than {}; use --all, a larger --limit or a filter",
            items.len()
        ));
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
