//! `amends serve`: the supervisor, until it is told to stop.

use super::block_on_all;
use super::config::ConfigArguments;
use crate::failure::{Failure, Outcome};
use crate::logging::{self, LogFormat};
use std::time::Duration;

/// Options of `serve`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  amends serve --rules rules.yaml\n  \
amends serve --config amends.toml --data /var/lib/amends --listen 0.0.0.0:7100\n\n\
Rulebook files are read again when they change. SIGTERM ends it in order.")]
pub struct ServeOptions {
    #[command(flatten)]
    config: ConfigArguments,
    /// How log lines look
    #[arg(long, value_enum, default_value = "auto", env = "AMENDS_LOG_FORMAT")]
    log_format: LogFormat,
    /// What is logged: a level, or levels by module
    #[arg(long, default_value = "info", env = "AMENDS_LOG", value_name = "FILTER")]
    log: String,
    /// End when standard input ends
    #[arg(long, hide = true)]
    exit_with_parent: bool,
}

/// How long the last log lines may take to be read.
const LAST_LINES: Duration = Duration::from_secs(1);

pub(super) fn run(options: ServeOptions) -> Outcome {
    logging::start(options.log_format, &options.log).map_err(Failure::Usage)?;
    let mut config = options.config.read()?;
    config.exit_with_parent = options.exit_with_parent;
    let served = block_on_all(async {
        amends_server::serve(config).await.map_err(|e| Failure::Local(e.into()))
    });
    amends_server::LogWriter::of_stderr().finish(LAST_LINES);
    served
}
