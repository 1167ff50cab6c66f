//! `amends cases settle`: closes a case by hand; the supervisor refuses while a step has not ended.

use super::show::header;
use crate::client::Client;
use crate::failure::Outcome;
use crate::moment::now;
use crate::output;
use amends_api::{CaseAct, CaseDetail};
use amends_protocol::CaseId;

/// Options of `cases settle`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  amends cases settle c-17 --reason 'nothing happened, checked by hand'"
)]
pub struct SettleOptions {
    /// Which case
    case: CaseId,
    /// Why, for the audit
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(client: &Client, options: SettleOptions) -> Outcome {
    let act = CaseAct::Settle { reason: options.reason };
    let case: CaseDetail = client.post(&format!("/v1/cases/{}/acts", options.case), &act).await?;
    if options.json { output::json(&case) } else { output::line(&header(&case, now())) }
}
