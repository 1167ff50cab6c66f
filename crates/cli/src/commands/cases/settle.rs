//! `amends cases settle`: closes a case by hand; the supervisor refuses while a step has not ended.

use super::show::header;
use super::which::WhichCase;
use crate::client::Client;
use crate::complete;
use crate::failure::Outcome;
use crate::moment::now;
use crate::output;
use amends_api::{CaseAct, CaseDetail};
use clap_complete::ArgValueCompleter;

/// Options of `cases settle`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  amends cases settle c-17 --reason 'nothing happened, checked by hand'"
)]
pub struct SettleOptions {
    /// Which case: its id or its saga's
    #[arg(value_name = "CASE", add = ArgValueCompleter::new(complete::cases))]
    case: WhichCase,
    /// Why, for the audit
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(client: &Client, options: SettleOptions) -> Outcome {
    let act = CaseAct::Settle { reason: options.reason };
    let id = options.case.id(client).await?;
    let case: CaseDetail = client.post(&format!("/v1/cases/{id}/acts"), &act).await?;
    if options.json { output::json(&case) } else { output::line(&header(&case, now())) }
}
