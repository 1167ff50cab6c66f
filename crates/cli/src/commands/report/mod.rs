//! `amends report`: the reporting side of the API.

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
    /// Send one report
    Send(send::SendOptions),
}

pub(super) fn run(options: ReportOptions) -> Outcome {
    let client = options.connection.client()?;
    match options.command {
        ReportCommand::Send(send) => send::run(&client, send),
    }
}
