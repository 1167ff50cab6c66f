//! Where `tracing` goes: standard error, as lines for people on a terminal and as JSON for machines elsewhere.

use crate::output::color_on_stderr;
use amends_server::LogWriter;
use std::io::{self, IsTerminal};
use tracing_subscriber::EnvFilter;

/// How a log line looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// Human on a terminal, JSON otherwise.
    Auto,
    /// Lines for people.
    Human,
    /// One JSON object per line.
    Json,
}

/// Begins logging.
///
/// # Errors
/// When `filter` is none; says what one looks like.
pub fn start(format: LogFormat, filter: &str) -> Result<(), String> {
    let filter = EnvFilter::try_new(filter).map_err(|e| {
        format!("`{filter}` is no log filter: {e}; write e.g. `info` or `warn,amends_server=debug`")
    })?;
    let human = match format {
        LogFormat::Auto => io::stderr().is_terminal(),
        LogFormat::Human => true,
        LogFormat::Json => false,
    };
    let base = tracing_subscriber::fmt().with_env_filter(filter).with_writer(LogWriter::of_stderr);
    if human {
        base.with_ansi(color_on_stderr()).init();
    } else {
        base.json().flatten_event(true).init();
    }
    Ok(())
}
