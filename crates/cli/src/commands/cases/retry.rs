//! `amends cases retry`: tries steps again now, whatever the backoff says; on request with other data.

use super::steps::{Deed, Selection};
use crate::client::Client;
use crate::failure::Outcome;
use crate::report_file::key_value;
use amends_protocol::resources::StepAct;
use serde_json::Map;

/// Options of `cases retry`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  amends cases retry c-17 --reason 'payment is back'\n  \
amends cases retry --service payment --reason 'payment is back' --yes\n\n\
Case ids and filters without --state mean steps that are stuck or wait for their next try.")]
pub struct RetryOptions {
    #[command(flatten)]
    selection: Selection,
    /// Send exactly these fields as the request's data instead of the report's: KEY=TEXT is a text exactly as written,
    /// KEY:=JSON a number, true, null, a list or an object. Repeatable
    #[arg(long, value_name = "KEY=TEXT|KEY:=JSON")]
    data: Vec<String>,
}

pub(super) async fn run(client: &Client, options: RetryOptions) -> Outcome {
    let reason = options.selection.reason.clone();
    let act = if options.data.is_empty() {
        StepAct::Retry { reason }
    } else {
        let data =
            options.data.iter().map(|pair| key_value(pair)).collect::<Outcome<Map<_, _>>>()?;
        StepAct::Edit { reason, data }
    };
    let deed = Deed { act, verb: "retry", done: "retried" };
    options.selection.perform(client, deed).await
}
