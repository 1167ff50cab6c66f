//! `amends nats try`, `amends kafka try`: what would become of a message: the report that it is or that a bridge makes
//! of it, and what the rulebooks would do. Connects to nobody.

use super::config::ConfigArguments;
use super::rules::explain::{self, explain_report};
use crate::failure::{Failure, Outcome};
use crate::output;
use amends_api::ReportWay;
use amends_protocol::{REPORT_TYPE, Report};
use amends_server::{Channels, Config, Tried, TriedMessage};
use amends_workbench::Explanation;
use anyhow::Context as _;
use serde_json::{Value, json};
use std::fs::File;
use std::io::{self, Read as _};
use std::path::PathBuf;

/// Longest message: brokers take no longer one.
const LIMIT: u64 = 1 << 20;

/// A message, whatever its broker.
#[derive(Debug, clap::Args)]
pub struct TryOptions {
    #[command(flatten)]
    config: Box<ConfigArguments>,
    /// What the message holds; `-` reads standard input
    #[arg(long, value_name = "FILE")]
    file: PathBuf,
    /// A header of it. Repeatable
    #[arg(long = "header", value_name = "NAME=VALUE", value_parser = header)]
    headers: Vec<(String, String)>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

fn header(text: &str) -> Result<(String, String), String> {
    let parts = text.split_once('=').filter(|(name, _)| !name.is_empty());
    let (name, value) = parts.ok_or("write it as NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

/// Tries a message that came on a subject or topic; without one, on the only one that there is.
pub(super) fn run(
    options: &TryOptions,
    way: ReportWay,
    channel: Option<&str>,
    key: Option<&str>,
) -> Outcome {
    let config = options.config.read()?;
    let channel = match channel {
        Some(channel) => channel.to_owned(),
        None => only_channel(&config.channels, way)?,
    };
    let text = |(name, value): &(String, String)| (name.clone(), value.clone().into_bytes());
    let message = TriedMessage {
        channel,
        key: key.map(|key| key.as_bytes().to_vec()),
        headers: options.headers.iter().map(text).collect(),
        body: body(options)?,
    };
    let tried = config.channels.try_message(way, &message);
    if options.json { as_json(&config, &tried) } else { told(&config, &tried) }
}

fn body(options: &TryOptions) -> Outcome<Vec<u8>> {
    let mut body = Vec::new();
    let read = match options.file.to_str() {
        Some("-") => io::stdin().take(LIMIT).read_to_end(&mut body),
        _ => File::open(&options.file).and_then(|file| file.take(LIMIT).read_to_end(&mut body)),
    };
    read.with_context(|| format!("cannot read `{}`", options.file.display()))?;
    Ok(body)
}

/// The subject or topic of a bridge, if there is one alone.
fn only_channel(channels: &Channels, way: ReportWay) -> Outcome<String> {
    let all: Vec<&str> = channels
        .bridges
        .iter()
        .flat_map(|bridge| bridge.channels(way))
        .map(|c| &*c.pattern)
        .collect();
    match all.as_slice() {
        [only] if !only.contains(['*', '>']) => Ok((*only).to_owned()),
        _ => {
            let flag = match way {
                ReportWay::Kafka => "--topic",
                ReportWay::Nats => "--subject",
            };
            Err(Failure::Usage(format!(
                "say with {flag} where it came; bridges read {}",
                all.join(", ")
            )))
        }
    }
}

fn told(config: &Config, tried: &Tried) -> Outcome {
    let (report, bridge, left_out) = match tried {
        Tried::Report { report, bridge, left_out } => (report, bridge, left_out),
        Tried::Skipped(why) => {
            return output::line(&format!("it tells of no failure, and is skipped: {why}"));
        }
        Tried::Rejected(code, why) => {
            output::line(&format!("it would be put aside for people ({}): {why}", code.as_str()))?;
            return Err(Failure::Findings);
        }
    };
    output::line(&match bridge {
        Some(bridge) => format!("the bridge `{bridge}` makes this report of it:"),
        None => "it is this report:".to_owned(),
    })?;
    output::json(&event(report))?;
    left_out.iter().try_for_each(|why| output::line(&format!("left out: {why}")))?;
    let Some(rules) = &config.rules else {
        output::tell("rulebooks say what is done about it: give them with --rules");
        return Ok(());
    };
    output::line("")?;
    let (book, explained) = explain_report(rules, report)?;
    explain::print(&book, &explained)?;
    answered(&explained)
}

fn as_json(config: &Config, tried: &Tried) -> Outcome {
    match tried {
        Tried::Skipped(why) => output::json(&json!({ "skipped": why })),
        Tried::Rejected(code, why) => {
            output::json(&json!({ "rejected": { "code": code.as_str(), "detail": why } }))?;
            Err(Failure::Findings)
        }
        Tried::Report { report, bridge, left_out } => {
            let mut told =
                json!({ "report": event(report), "bridge": bridge, "leftOut": left_out });
            let Some(rules) = &config.rules else { return output::json(&told) };
            let (book, explained) = explain_report(rules, report)?;
            told["explained"] = explained.to_json(&book);
            output::json(&told)?;
            answered(&explained)
        }
    }
}

/// A report that no rule answers is a finding.
fn answered(explained: &Explanation) -> Outcome {
    match explained.considered.iter().any(|one| one.chosen) {
        true => Ok(()),
        false => Err(Failure::Findings),
    }
}

/// A report as the event that it would be in our own form.
fn event(report: &Report) -> Value {
    let mut event = json!({
        "specversion": "1.0", "type": REPORT_TYPE, "source": report.source, "id": report.id,
        "subject": report.saga_id.as_str(), "data": report.data,
    });
    if let Some(time) = report.time {
        event["time"] = json!(time);
    }
    if let Some(trace) = &report.traceparent {
        event["traceparent"] = json!(trace);
    }
    event
}
