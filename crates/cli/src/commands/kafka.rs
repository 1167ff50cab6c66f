//! `amends kafka`: looks whether all is as it should be where reports come by, sees what waits. Changes nothing.

use super::block_on;
use super::brokers::{failure, print};
use super::config::ConfigArguments;
use super::try_message::{self, TryOptions};
use crate::failure::{Failure, Outcome};
use crate::output;
use amends_api::ReportWay;
use amends_server::kafka;
use amends_server::{Config, KafkaOptions};
use serde_json::json;

/// What to do.
#[derive(Debug, clap::Subcommand)]
pub enum KafkaCommand {
    /// Look at the topics, our rights and our group: what is kept, and how far we are
    #[command(
        after_help = "Example:\n  amends kafka check --config amends.toml\n\nExit code 1 if reports don't come or can be lost."
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
        after_help = "Example:\n  amends kafka try --config amends.toml --rules shop.yaml --topic payment.events --key order-17 --file event.json\n\n\
It connects to nobody. Exit code 1 if the message would be put aside, or if no rule answers its report."
    )]
    Try {
        #[command(flatten)]
        message: TryOptions,
        /// Where it came [default: the only one that a bridge reads]
        #[arg(long)]
        topic: Option<String>,
        /// Its key
        #[arg(long)]
        key: Option<String>,
    },
    /// See how many messages wait there
    #[command(after_help = "Example:\n  amends kafka lag --config amends.toml --json")]
    Lag {
        #[command(flatten)]
        config: Box<ConfigArguments>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

pub(super) fn run(command: KafkaCommand) -> Outcome {
    match command {
        KafkaCommand::Check { config, json } => {
            let (config, options) = there(&config)?;
            let keep = config.keep_settled.shortest();
            let findings = block_on(async {
                kafka::check(&options, keep).await.map_err(|error| failure(&options.brokers, error))
            })?;
            print(&findings, json)
        }
        KafkaCommand::Try { message, topic, key } => {
            try_message::run(&message, ReportWay::Kafka, topic.as_deref(), key.as_deref())
        }
        KafkaCommand::Lag { config, json } => lag(&config, json),
    }
}

fn lag(config: &ConfigArguments, as_json: bool) -> Outcome {
    let (_, options) = there(config)?;
    let lag = block_on(async {
        kafka::lag(&options).await.map_err(|error| failure(&options.brokers, error))
    })?;
    if as_json {
        let partitions = lag.partitions.iter().map(|one| {
            json!({
                "topic": one.topic, "partition": one.partition, "committed": one.committed, "first": one.first,
                "end": one.end, "waiting": one.waiting(),
            })
        });
        let partitions: Vec<_> = partitions.collect();
        return output::json(&json!({ "waiting": lag.waiting(), "partitions": partitions }));
    }
    output::line(&format!("{} wait in {} partitions", lag.waiting(), lag.partitions.len()))?;
    for one in lag.partitions.iter().filter(|one| one.waiting() > 0) {
        let at = one
            .committed
            .map_or_else(|| "nothing read yet".to_owned(), |at| format!("read to {at}"));
        output::line(&format!(
            "  {}/{}: {} ({at}; Kafka has {} to {})",
            one.topic,
            one.partition,
            one.waiting(),
            one.first,
            one.end
        ))?;
    }
    Ok(())
}

/// The configuration, and the Kafka that it names.
fn there(config: &ConfigArguments) -> Outcome<(Config, KafkaOptions)> {
    let config = config.read()?;
    let options = config.kafka.clone().ok_or_else(|| {
        Failure::Usage("the configuration names no Kafka: set `kafka.brokers`".to_owned())
    })?;
    Ok((config, options))
}
