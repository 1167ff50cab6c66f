//! `amends cases wait`: waits until a case stands as wanted, for scripts. Changes nothing.

use super::which::WhichCase;
use crate::client::Client;
use crate::complete;
use crate::failure::{Failure, Outcome};
use crate::moment;
use crate::output;
use crate::printing::Printing;
use amends_api::CaseDetail;
use amends_api::CaseState;
use clap_complete::ArgValueCompleter;
use std::time::Duration;
use tokio::time::Instant;

/// Options of `cases wait`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  amends cases wait c-17 --timeout 10m\n  \
amends cases wait order-4711 --for settled,stuck --json\n\n\
Exit code 7 says that the time was over first.")]
pub struct WaitOptions {
    /// Which case: its id or its saga's
    #[arg(value_name = "CASE", add = ArgValueCompleter::new(complete::cases))]
    case: WhichCase,
    /// Until it is in one of these states: open, stuck, unmatched, settled
    #[arg(long = "for", value_name = "STATE", value_delimiter = ',', default_value = "settled")]
    states: Vec<CaseState>,
    /// Give up after this time: 90s, 15m, 2h [default: never]
    #[arg(long, value_name = "TIME", value_parser = moment::time_limit)]
    timeout: Option<Duration>,
    #[command(flatten)]
    printing: Printing,
}

/// Pause between looks.
const LOOK: Duration = Duration::from_millis(250);

pub(super) async fn run(client: &Client, options: WaitOptions) -> Outcome {
    let path = format!("/v1/cases/{}", options.case.id(client).await?);
    let deadline = options.timeout.and_then(|timeout| Instant::now().checked_add(timeout));
    let is_over = || deadline.is_some_and(|deadline| Instant::now() >= deadline);
    let mut last: Option<CaseDetail> = None;
    loop {
        match client.get::<CaseDetail>(&path).await {
            Ok(case) if options.states.contains(&case.summary.state) => {
                return options.printing.done(&case.summary, |s| {
                    output::line(&format!("{} is {}: {}", s.id, s.state, s.sentence))
                });
            }
            Ok(case) => last = Some(case),
            // A supervisor that was there may be started again.
            Err(Failure::Unreachable { .. }) if last.is_some() && !is_over() => {}
            Err(failure) => return Err(failure),
        }
        if let Some(case) = last.as_ref().filter(|_| is_over()) {
            let summary = &case.summary;
            return Err(Failure::TimedOut(format!(
                "{} is still {}: {}",
                summary.id, summary.state, summary.sentence
            )));
        }
        tokio::time::sleep(LOOK).await;
    }
}
