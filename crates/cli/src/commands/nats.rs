//! `amends nats`: makes the stream that reports come by, looks whether all is as it should be there, sees what waits.

use super::block_on;
use super::brokers::{failure, print};
use super::config::ConfigArguments;
use super::try_message::{self, TryOptions};
use crate::failure::{Failure, Outcome};
use crate::output;
use amends_api::ReportWay;
use amends_server::nats;
use amends_server::{Config, NatsOptions};
use serde_json::json;

/// What to do.
#[derive(Debug, clap::Subcommand)]
pub enum NatsCommand {
    /// Make the stream and our consumer, if they are not there; nothing that is there is changed
    #[command(after_help = "Example:\n  amends nats init --config amends.toml --replicas 3")]
    Init {
        #[command(flatten)]
        config: Box<ConfigArguments>,
        /// On how many servers of the cluster the stream lies
        #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=5))]
        replicas: u8,
    },
    /// Look at the stream and our consumer: what is held, on disk, for how long
    #[command(
        after_help = "Example:\n  amends nats check --config amends.toml\n\nExit code 1 if reports don't come or can be lost."
    )]
    Check {
        #[command(flatten)]
        config: Box<ConfigArguments>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// See what would become of a message: the report that it makes, and what the rulebooks would do
    #[command(
        after_help = "Example:\n  amends nats try --config amends.toml --rules shop.yaml --subject payment.failed --file event.json\n\n\
It connects to nobody. Exit code 1 if the message would be put aside, or if no rule answers its report."
    )]
    Try {
        #[command(flatten)]
        message: TryOptions,
        /// Where it came [default: the only one that a bridge reads]
        #[arg(long)]
        subject: Option<String>,
    },
    /// See how many messages wait there
    #[command(after_help = "Example:\n  amends nats lag --config amends.toml --json")]
    Lag {
        #[command(flatten)]
        config: Box<ConfigArguments>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

pub(super) fn run(command: NatsCommand) -> Outcome {
    match command {
        NatsCommand::Init { config, replicas } => {
            let (_, options) = there(&config)?;
            let done = block_on(async {
                nats::init(&options, replicas.into())
                    .await
                    .map_err(|error| failure(&options.servers, error))
            })?;
            done.iter().try_for_each(|line| output::line(line))
        }
        NatsCommand::Check { config, json } => check(&config, json),
        NatsCommand::Try { message, subject } => {
            try_message::run(&message, ReportWay::Nats, subject.as_deref(), None)
        }
        NatsCommand::Lag { config, json } => {
            let (_, options) = there(&config)?;
            let lag = block_on(async {
                nats::lag(&options).await.map_err(|error| failure(&options.servers, error))
            })?;
            if json {
                return output::json(&json!({
                    "waiting": lag.waiting, "inHand": lag.in_hand, "held": lag.held,
                }));
            }
            output::line(&format!(
                "{} wait, {} are in hand; the stream holds {}",
                lag.waiting, lag.in_hand, lag.held
            ))
        }
    }
}

fn check(config: &ConfigArguments, as_json: bool) -> Outcome {
    let (config, options) = there(config)?;
    let keep = config.keep_settled.shortest();
    let findings = block_on(async {
        nats::check(&options, keep).await.map_err(|error| failure(&options.servers, error))
    })?;
    print(&findings, as_json)
}

/// The configuration, and the NATS that it names.
fn there(config: &ConfigArguments) -> Outcome<(Config, NatsOptions)> {
    let config = config.read()?;
    let options = config.nats.clone().ok_or_else(|| {
        Failure::Usage("the configuration names no NATS: set `nats.servers`".to_owned())
    })?;
    Ok((config, options))
}
