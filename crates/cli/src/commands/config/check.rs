//! `amends config check`: all mistakes of the configuration at once. Opens neither the store nor the port.

use super::ConfigArguments;
use crate::failure::Outcome;
use crate::output;

/// Options of `config check`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  amends config check --config amends.toml")]
pub struct CheckOptions {
    #[command(flatten)]
    config: ConfigArguments,
}

pub(super) fn run(options: CheckOptions) -> Outcome {
    options.config.read()?;
    output::tell("the configuration is valid");
    Ok(())
}
