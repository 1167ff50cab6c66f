//! `amends cases plan`: adds steps to a case by hand, or answers its reports anew with the active rulebook.

use super::show::header;
use super::which::WhichCase;
use crate::client::Client;
use crate::complete;
use crate::failure::{Failure, Outcome};
use crate::moment::now;
use crate::output;
use amends_api::{CaseAct, CaseDetail};
use amends_protocol::ActionName;
use clap_complete::ArgValueCompleter;

/// Options of `cases plan`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  amends cases plan c-17 --compensate payment.pay --reason 'no rule yet'\n  \
amends cases plan c-17 --again --reason 'the rulebook is mended'"
)]
pub struct PlanOptions {
    /// Which case: its id or its saga's
    #[arg(value_name = "CASE", add = ArgValueCompleter::new(complete::cases))]
    case: WhichCase,
    /// Undo this action: SERVICE.ACTION. Repeatable
    #[arg(long, value_name = "ACTION")]
    compensate: Vec<ActionName>,
    /// Run this action again: SERVICE.ACTION. Repeatable
    #[arg(long, value_name = "ACTION")]
    retry: Vec<ActionName>,
    /// Send this notice: SERVICE.ACTION. Repeatable
    #[arg(long, value_name = "ACTION")]
    notify: Vec<ActionName>,
    /// Answer the case's reports anew with the active rulebook
    #[arg(long, conflicts_with_all = ["compensate", "retry", "notify"])]
    again: bool,
    /// Why, for the audit
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(client: &Client, options: PlanOptions) -> Outcome {
    let act = if options.again {
        CaseAct::replan(options.reason)
    } else if options.compensate.is_empty() && options.retry.is_empty() && options.notify.is_empty()
    {
        return Err(Failure::Usage(
            "nothing to plan; give --compensate, --retry, --notify or --again".to_owned(),
        ));
    } else {
        CaseAct::Plan {
            reason: options.reason,
            compensate: options.compensate,
            retry: options.retry,
            notify: options.notify,
        }
    };
    let id = options.case.id(client).await?;
    let case: CaseDetail = client.post(&format!("/v1/cases/{id}/acts"), &act).await?;
    if options.json { output::json(&case) } else { output::line(&header(&case, now())) }
}
