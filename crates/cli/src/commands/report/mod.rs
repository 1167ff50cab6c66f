//! `amends report`: the reporting side of the API, and what came of it by a broker.

mod rejected;
mod send;

use super::Connection;
use crate::failure::Outcome;

/// What to do with reports, and where.
#[derive(Debug, clap::Args)]
pub struct ReportOptions {
    #[command(flatten)]
    connection: Connection,
    #[command(subcommand)]
    command: ReportCommand,
}

#[derive(Debug, clap::Subcommand)]
enum ReportCommand {
    /// See messages of brokers that could not be taken as reports, have them read once more
    Rejected(rejected::RejectedOptions),
    /// Send one report
    Send(send::SendOptions),
}

pub(super) fn run(options: ReportOptions) -> Outcome {
    let client = options.connection.client()?;
    match options.command {
        ReportCommand::Rejected(options) => rejected::run(&client, options),
        ReportCommand::Send(send) => send::run(&client, send),
    }
}
