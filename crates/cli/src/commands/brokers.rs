//! What both kinds of brokers are asked alike, and what was found there, in lines or as JSON.

use super::block_on;
use super::config::ConfigArguments;
use crate::failure::{Failure, Outcome};
use crate::output;
use amends_server::{BrokerError, Config, Finding, Severity};
use anyhow::anyhow;
use serde_json::json;
use std::time::Duration;

/// A kind of broker, by its part of the configuration.
pub(super) struct Kind<O> {
    pub(super) options: fn(&Config) -> Option<&O>,
    pub(super) addresses: fn(&O) -> &[String],
    /// What to set, if nothing is named.
    pub(super) unnamed: &'static str,
}

impl<O> Kind<O> {
    /// Asks the one that a configuration names; the question is told the shortest time that settled cases are kept,
    /// too.
    ///
    /// # Errors
    /// The configuration names none or has mistakes, it can't be reached, or it refuses.
    pub(super) fn ask<T>(
        &self,
        config: &ConfigArguments,
        question: impl AsyncFnOnce(&O, Option<Duration>) -> Result<T, BrokerError>,
    ) -> Outcome<T> {
        let config = config.read()?;
        let options =
            (self.options)(&config).ok_or_else(|| Failure::Usage(self.unnamed.to_owned()))?;
        let keep = config.keep_settled.shortest();
        block_on(async {
            let answer = question(options, keep).await;
            answer.map_err(|error| failure((self.addresses)(options), error))
        })
    }
}

/// Which configuration, and how it is told.
#[derive(Debug, clap::Args)]
pub struct LookOptions {
    #[command(flatten)]
    pub(super) config: Box<ConfigArguments>,
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
}

/// Prints findings.
///
/// # Errors
/// One of them means that reports don't come or can be lost.
pub(super) fn print(findings: &[Finding], as_json: bool) -> Outcome {
    let word = |severity| match severity {
        Severity::Good => "ok",
        Severity::Warning => "warn",
        Severity::Error => "fail",
    };
    if as_json {
        let all =
            findings.iter().map(|one| json!({ "verdict": word(one.severity), "text": one.text }));
        output::json(&all.collect::<Vec<_>>())?;
    } else {
        for finding in findings {
            output::line(&format!("{:<4} {}", word(finding.severity), finding.text))?;
        }
    }
    match findings.iter().any(|finding| finding.severity == Severity::Error) {
        false => Ok(()),
        true => Err(Failure::Findings),
    }
}

/// Why nothing was found.
fn failure(addresses: &[String], error: BrokerError) -> Failure {
    match error {
        BrokerError::Away(why) => Failure::Unreachable { url: addresses.join(", "), why },
        BrokerError::Refused(why) => Failure::Local(anyhow!("{why}")),
    }
}
