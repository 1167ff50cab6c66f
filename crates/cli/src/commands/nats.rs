//! `amends nats`: makes the stream that reports come by, looks whether all is as it should be there, sees what waits.

use super::brokers::{Kind, LookOptions, print};
use super::config::ConfigArguments;
use super::try_message::{self, TryOptions};
use crate::failure::Outcome;
use crate::output;
use amends_api::ReportWay;
use amends_server::NatsOptions;
use amends_server::nats;
use serde_json::json;

const NATS: Kind<NatsOptions> = Kind {
    options: |config| config.nats.as_ref(),
    addresses: |options| &options.servers,
    unnamed: "the configuration names no NATS: set `nats.servers`",
};

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
    Check(LookOptions),
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
    Lag(LookOptions),
}

pub(super) fn run(command: NatsCommand) -> Outcome {
    match command {
        NatsCommand::Init { config, replicas } => {
            let done =
                NATS.ask(&config, async |options, _| nats::init(options, replicas.into()).await)?;
            done.iter().try_for_each(|line| output::line(line))
        }
        NatsCommand::Check(look) => {
            let findings =
                NATS.ask(&look.config, async |options, keep| nats::check(options, keep).await)?;
            print(&findings, look.json)
        }
        NatsCommand::Try { message, subject } => {
            try_message::run(&message, ReportWay::Nats, subject.as_deref(), None)
        }
        NatsCommand::Lag(look) => {
            let lag = NATS.ask(&look.config, async |options, _| nats::lag(options).await)?;
            if look.json {
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
