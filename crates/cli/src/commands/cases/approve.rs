//! `amends cases approve`: approves steps of a rule that asks first.

use super::steps::{Selection, StepActArgs};
use crate::client::Client;
use crate::failure::Outcome;
use amends_api::StepAct;

/// Options of `cases approve`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  amends cases approve c-17 --reason 'checked with the customer'\n\n\
Case ids and filters mean steps that await approval."
)]
pub struct ApproveOptions {
    #[command(flatten)]
    selection: Selection,
}

pub(super) async fn run(client: &Client, options: ApproveOptions) -> Outcome {
    let args = StepActArgs {
        act: StepAct::Approve { reason: options.selection.reason.clone() },
        verb: "approve",
        done: "approved",
    };
    options.selection.perform(client, args).await
}
