//! `amends kafka`: looks whether all is as it should be where reports come by, sees what waits. Changes nothing.

use super::brokers::{Kind, LookOptions, print};
use super::try_message::{self, TryOptions};
use crate::failure::Outcome;
use crate::output;
use amends_api::ReportWay;
use amends_server::KafkaOptions;
use amends_server::kafka;
use serde_json::json;

const KAFKA: Kind<KafkaOptions> = Kind {
    options: |config| config.kafka.as_ref(),
    addresses: |options| &options.brokers,
    unnamed: "the configuration names no Kafka: set `kafka.brokers`",
};

/// What to do.
#[derive(Debug, clap::Subcommand)]
pub enum KafkaCommand {
    /// Look at the topics, our rights and our group: what is kept, and how far we are
    #[command(
        after_help = "Example:\n  amends kafka check --config amends.toml\n\nExit code 1 if reports don't come or can be lost."
    )]
    Check(LookOptions),
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
    Lag(LookOptions),
}

pub(super) fn run(command: KafkaCommand) -> Outcome {
    match command {
        KafkaCommand::Check(look) => {
            let findings =
                KAFKA.ask(&look.config, async |options, keep| kafka::check(options, keep).await)?;
            print(&findings, look.json)
        }
        KafkaCommand::Try { message, topic, key } => {
            try_message::run(&message, ReportWay::Kafka, topic.as_deref(), key.as_deref())
        }
        KafkaCommand::Lag(look) => lag(&look),
    }
}

fn lag(look: &LookOptions) -> Outcome {
    let lag = KAFKA.ask(&look.config, async |options, _| kafka::lag(options).await)?;
    if look.json {
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
