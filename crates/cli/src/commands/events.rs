//! `amends events`: what happens, as it happens, one line each, until Ctrl-C.

use super::cases::watch::{Wanted, follow};
use super::cases::which::WhichCase;
use super::{Connection, block_on};
use crate::complete;
use crate::failure::Outcome;
use clap_complete::ArgValueCompleter;

/// Options of `events`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  amends events\n  amends events --kind step,breaker\n  \
amends events --json | jq .state\n\n\
`amends cases watch c-17` follows one case and ends when it is settled.")]
pub struct EventsOptions {
    #[command(flatten)]
    connection: Connection,
    /// Only of this case: its id or its saga's
    #[arg(long, value_name = "CASE", add = ArgValueCompleter::new(complete::cases))]
    case: Option<WhichCase>,
    /// Only of these kinds: report, plan, step, case, history, act, question, breaker, histories, quarantine, rulebook
    #[arg(long, value_name = "KIND", value_delimiter = ',')]
    kind: Vec<String>,
    /// Print one JSON object per line
    #[arg(long)]
    json: bool,
}

pub(super) fn run(options: EventsOptions) -> Outcome {
    let client = options.connection.client()?;
    block_on(async {
        let case = match &options.case {
            Some(which) => Some(which.id(&client).await?),
            None => None,
        };
        let wanted = Wanted { case, kinds: options.kind, until_settled: false, json: options.json };
        tokio::select! {
            _ = tokio::signal::ctrl_c() => Ok(()),
            ended = follow(&client, &wanted) => ended,
        }
    })
}
