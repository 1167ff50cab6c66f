//! `amends cases`: what the supervisor knows and does, and what a person decides. One file per command.

mod approve;
pub(super) mod filters;
mod groups;
mod list;
mod plan;
mod proof;
mod ramp;
mod replan;
mod resolve;
mod retry;
mod settle;
mod show;
mod steps;
mod wait;
mod waive;
pub(super) mod watch;
pub(super) mod which;

use super::Connection;
use crate::failure::Outcome;
use crate::output::Grid;
use amends_api::{MayStand, StepStateName};
use std::collections::BTreeMap;

/// What to do with cases, and where.
#[derive(Debug, clap::Args)]
pub struct CasesOptions {
    #[command(flatten)]
    connection: Connection,
    #[command(subcommand)]
    command: CasesCommand,
}

#[derive(Debug, clap::Subcommand)]
enum CasesCommand {
    /// List cases, newest first
    List(list::ListOptions),
    /// Say what open work waits for, by cause
    Groups(groups::GroupsOptions),
    /// Tell the whole story of one case
    Show(show::ShowOptions),
    /// Say what a case's closing word rests on: who said what and when
    Proof(proof::ProofOptions),
    /// Follow what happens, live
    Watch(watch::WatchOptions),
    /// Wait until a case stands as wanted, for scripts
    Wait(wait::WaitOptions),
    /// Try steps again now
    Retry(retry::RetryOptions),
    /// Go without steps, for a reason
    Waive(waive::WaiveOptions),
    /// Write down outcomes that were reached outside
    Resolve(resolve::ResolveOptions),
    /// Approve steps that wait for it
    Approve(approve::ApproveOptions),
    /// Add steps to a case, or plan it again with the active rulebook
    Plan(plan::PlanOptions),
    /// Answer the reports of many cases anew with the active rulebook
    Replan(replan::ReplanOptions),
    /// Close a case by hand
    Settle(settle::SettleOptions),
}

pub(super) fn run(options: CasesOptions) -> Outcome {
    let client = options.connection.client()?;
    super::block_on(async {
        match options.command {
            CasesCommand::List(list) => list::run(&client, list).await,
            CasesCommand::Groups(groups) => groups::run(&client, groups).await,
            CasesCommand::Show(show) => show::run(&client, show).await,
            CasesCommand::Proof(proof) => proof::run(&client, proof).await,
            CasesCommand::Watch(watch) => watch::run(&client, watch).await,
            CasesCommand::Wait(wait) => wait::run(&client, wait).await,
            CasesCommand::Retry(retry) => retry::run(&client, retry).await,
            CasesCommand::Waive(waive) => waive::run(&client, waive).await,
            CasesCommand::Resolve(resolve) => resolve::run(&client, resolve).await,
            CasesCommand::Approve(approve) => approve::run(&client, approve).await,
            CasesCommand::Plan(plan) => plan::run(&client, plan).await,
            CasesCommand::Replan(replan) => replan::run(&client, replan).await,
            CasesCommand::Settle(settle) => settle::run(&client, settle).await,
        }
    })
}

/// What may still stand, one line each.
fn left_behind(left: &[MayStand]) -> Outcome {
    let mut grid = Grid::new(&["action", "request", "known", "why"]);
    for one in left {
        grid.row(vec![
            one.name().to_string(),
            one.request_id.clone().unwrap_or_else(|| "-".to_owned()),
            one.state.to_string(),
            one.why.clone(),
        ]);
    }
    grid.print()
}

/// `2 done, 1 stuck`, in the order of the states.
fn progress(steps: &BTreeMap<StepStateName, u32>) -> String {
    let parts: Vec<_> = steps
        .iter()
        .map(|(state, n)| format!("{n} {}", state.as_str().replace('_', " ")))
        .collect();
    if parts.is_empty() { "no steps".to_owned() } else { parts.join(", ") }
}
