//! `amends cases waive`: a person decides to go without a step. It is never shown as done by the service.

use super::steps::{Selection, StepActArgs};
use crate::client::Client;
use crate::failure::Outcome;
use amends_api::StepAct;

/// Options of `cases waive`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  amends cases waive s-17-3-9f86d081884c7d65 --reason 'refunded by the bank'\n  \
amends cases waive --service sms --dry-run --reason 'the gateway is gone'\n\n\
Case ids and filters without --state mean stuck steps."
)]
pub struct WaiveOptions {
    #[command(flatten)]
    selection: Selection,
}

pub(super) async fn run(client: &Client, options: WaiveOptions) -> Outcome {
    let args = StepActArgs {
        act: StepAct::Waive { reason: options.selection.reason.clone() },
        verb: "waive",
        done: "waived",
    };
    options.selection.perform(client, args).await
}
