//! `amends doctor`: looks at everything that a supervisor needs, one line each, and says how to mend what is wrong. It
//! changes nothing: no store is opened for writing, and services are only asked whether they are there.

mod access;
#[cfg(any(feature = "kafka", feature = "nats"))]
mod brokers;
#[cfg(feature = "postgres")]
mod database;
mod machine;
mod network;

use super::config::ConfigArguments;
use super::{Connection, block_on};
use crate::failure::{Failure, Outcome};
use crate::moment::now;
use crate::output;
use amends_server::Config;
use amends_server::dispatch::{HttpOptions, Probe};
use serde::Serialize;

/// Options of `doctor`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  amends doctor --config amends.toml\n  amends doctor --rules rules.yaml --json\n\n\
Exit code 1 if anything fails; warnings don't count."
)]
pub struct DoctorOptions {
    #[command(flatten)]
    connection: Connection,
    #[command(flatten)]
    config: ConfigArguments,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// How one check ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Verdict {
    Ok,
    Warn,
    Fail,
}

/// One check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Finding {
    /// What was looked at, e.g. `service payment`.
    check: String,
    verdict: Verdict,
    /// What was seen.
    text: String,
    /// How to mend it.
    #[serde(skip_serializing_if = "Option::is_none")]
    help: Option<String>,
}

impl Finding {
    fn ok(check: &str, text: impl Into<String>) -> Self {
        Self { check: check.to_owned(), verdict: Verdict::Ok, text: text.into(), help: None }
    }

    fn warn(check: &str, text: impl Into<String>, help: impl Into<String>) -> Self {
        let (text, help) = (text.into(), Some(help.into()));
        Self { check: check.to_owned(), verdict: Verdict::Warn, text, help }
    }

    fn fail(check: &str, text: impl Into<String>, help: impl Into<String>) -> Self {
        Self { verdict: Verdict::Fail, ..Self::warn(check, text, help) }
    }
}

pub(super) fn run(options: DoctorOptions) -> Outcome {
    let mut found = Vec::new();
    let mut services = Vec::new();
    let mut way_out = HttpOptions::default();
    match options.config.check()? {
        Ok(config) => {
            found.push(Finding::ok("configuration", "every value is valid"));
            found.extend(machine::inbound(&config, now()));
            found.extend(machine::outbound(&config));
            found.extend(machine::rules(&config, &mut services));
            found.extend(store(&config));
            found.push(machine::disk(&config));
            #[cfg(any(feature = "kafka", feature = "nats"))]
            found.extend(block_on(async { Ok(brokers::look(&config).await) })?);
            way_out = config.outbound;
        }
        Err(mistakes) => found.extend(mistakes.0.into_iter().map(|mistake| {
            Finding::fail(
                "configuration",
                mistake,
                "`amends config show` tells where each value comes from",
            )
        })),
    }
    let client = access::look(&options.connection, &mut found);
    let look = async { Ok(network::look(client.as_ref(), services, &Probe::new(&way_out)).await) };
    found.extend(block_on(look)?);
    if options.json {
        output::json(&found)?;
    } else {
        for finding in &found {
            output::line(&line(finding))?;
        }
    }
    match found.iter().any(|finding| finding.verdict == Verdict::Fail) {
        true => Err(Failure::Findings),
        false => Ok(()),
    }
}

/// Where cases are kept.
fn store(config: &Config) -> Vec<Finding> {
    #[cfg(feature = "postgres")]
    if let Some(cluster) = &config.cluster {
        return database::look(cluster);
    }
    vec![machine::store(config)]
}

/// `✓ ok    disk space      12.3 GiB are free`, and below it how to mend it.
fn line(finding: &Finding) -> String {
    let word = match finding.verdict {
        Verdict::Ok => "✓ ok  ",
        Verdict::Warn => "! warn",
        Verdict::Fail => "✗ fail",
    };
    let help = finding.help.as_deref().map_or(String::new(), |help| format!("\n         {help}"));
    format!("{word}  {}: {}{help}", finding.check, finding.text)
}
