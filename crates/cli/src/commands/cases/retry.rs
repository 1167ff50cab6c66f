//! `amends cases retry`: tries steps again now, whatever the backoff says; on request with other data.

use super::steps::{Selection, StepActArgs};
use crate::client::Client;
use crate::failure::{Failure, Outcome};
use crate::report_file::key_value;
use amends_api::StepAct;
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
    /// Ask under a new idempotency key, as if the step had never been asked for. For one mapped step; other `--data`
    /// always go under a new key there
    #[arg(long, conflicts_with = "data")]
    new_key: bool,
    /// You know that a try under the old key may have run, and have made sure at the service that it did not
    #[arg(long)]
    may_have_run: bool,
}

pub(super) async fn run(client: &Client, options: RetryOptions) -> Outcome {
    let reason = options.selection.reason.clone();
    let act = if options.data.is_empty() {
        StepAct::Retry { reason, new_key: options.new_key, may_have_run: options.may_have_run }
    } else {
        let data =
            options.data.iter().map(|pair| key_value(pair)).collect::<Outcome<Map<_, _>>>()?;
        StepAct::Edit { reason, data, may_have_run: options.may_have_run }
    };
    if options.may_have_run && !options.new_key && options.data.is_empty() {
        return Err(Failure::Usage("`--may-have-run` goes with `--new-key` or `--data`".into()));
    }
    let args = StepActArgs { act, verb: "retry", done: "retried" };
    options.selection.perform(client, args).await
}
