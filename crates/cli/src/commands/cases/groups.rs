//! `amends cases groups`: what open work waits for, one line per cause.

use crate::client::Client;
use crate::failure::Outcome;
use crate::moment::{clock, now, relative};
use crate::output::{self, Grid};
use crate::printing::{Printing, Width};
use amends_api::GroupView;
use amends_api::signs::Signed;
use amends_api::totals_in_words;

/// Options of `cases groups`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  amends cases groups\n  amends cases list --group g-9f86d081884c7d65\n  \
amends cases retry --group g-9f86d081884c7d65 --reason 'payment is back'"
)]
pub struct GroupsOptions {
    /// Also what is on its way
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    printing: Printing,
}

/// What is held up, and how much its cases are about.
fn what(group: &GroupView) -> String {
    let money = totals_in_words(&group.amounts, group.cases, group.without_amount);
    let money = if money.is_empty() { money } else { format!(" ({money})") };
    format!("{} {}{money}", group.cause.sign().shape, group.title)
}

pub(super) async fn run(client: &Client, options: GroupsOptions) -> Outcome {
    let read = async || {
        let mut groups: Vec<GroupView> = client.get("/v1/groups").await?;
        groups.retain(|group| options.all || group.cause.is_trouble());
        Ok(groups)
    };
    options.printing.list(read, |groups, width| show(groups, width)).await
}

fn show(groups: &[GroupView], width: Width) -> Outcome {
    if groups.is_empty() {
        output::tell("nothing is held up");
        return Ok(());
    }
    let now = now();
    let mut heads = vec!["group", "what", "asks", "next try", "example", "error"];
    if width == Width::Wide {
        heads.extend(["cases", "since"]);
    }
    let mut grid = Grid::new(&heads);
    for group in groups {
        let asks = match (group.verb, &group.action) {
            (Some(verb), Some(action)) => format!("{verb} {}.{action}", group.service),
            _ => "-".to_owned(),
        };
        let mut row = vec![
            group.id.clone(),
            what(group),
            asks,
            group.next_try_at.map_or("-".to_owned(), |at| relative(at, now)),
            group.example_case.to_string(),
            group.error.clone().unwrap_or_default(),
        ];
        if width == Width::Wide {
            row.extend([group.cases.to_string(), clock(group.since)]);
        }
        grid.row(row);
    }
    grid.print()
}
