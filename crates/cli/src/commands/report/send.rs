//! `amends report send`: one report as a structured CloudEvent. Prints the receipt once the supervisor has it for good.

use crate::client::Client;
use crate::commands::block_on;
use crate::failure::Outcome;
use crate::output;
use crate::report_file::{ReportArguments, cloud_event};
use amends_protocol::ReportReceipt;

/// Options of `report send`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  amends report send report.json\n  \
amends report send --source payment --saga order-1 --code report-2 --data amount:=12\n\n\
Sent again with the same --source and --id, nothing is doubled.")]
pub struct SendOptions {
    #[command(flatten)]
    report: ReportArguments,
    /// Print the receipt as JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(client: &Client, options: SendOptions) -> Outcome {
    let report = options.report.read(None)?;
    let receipt: ReportReceipt = block_on(client.post_as(
        "/v1/reports",
        "application/cloudevents+json; charset=UTF-8",
        &cloud_event(&report),
    ))?;
    if options.json {
        return output::json(&receipt);
    }
    let how = if receipt.duplicate { "was there already" } else { "is durable" };
    match receipt.case_id {
        Some(case) => {
            output::tell(&format!("report {} {how}; see `amends cases show {case}`", report.id));
            output::line(&case.to_string())
        }
        None => {
            output::tell(&format!(
                "report {} {how}; another supervisor works on its case, see `amends cases list --saga {}`",
                report.id, report.saga_id
            ));
            Ok(())
        }
    }
}
