//! `amends cases resolve`: writes down an outcome that was reached outside, e.g. a refund by hand.

use super::steps::{Selection, StepActArgs};
use crate::client::Client;
use crate::failure::Outcome;
use amends_api::StepAct;
use amends_protocol::Outcome as StepOutcome;

/// Options of `cases resolve`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  amends cases resolve s-17-3-9f86d081884c7d65 --outcome compensated \\\n    \
--reason 'refunded in the bank portal, reference 4711'\n\n\
Case ids and filters without --state mean stuck steps."
)]
pub struct ResolveOptions {
    /// How it ended, e.g. compensated
    #[arg(long)]
    outcome: StepOutcome,
    #[command(flatten)]
    selection: Selection,
}

pub(super) async fn run(client: &Client, options: ResolveOptions) -> Outcome {
    let args = StepActArgs {
        act: StepAct::Record { reason: options.selection.reason.clone(), outcome: options.outcome },
        verb: "resolve",
        done: "resolved",
    };
    options.selection.perform(client, args).await
}
