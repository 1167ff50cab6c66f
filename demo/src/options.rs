//! What `amends demo` takes on its command line, and what a service process takes on its own.

use crate::broker::BrokerKind;
use crate::business::Business;
use crate::businesses::{BUSINESSES, named};
use crate::database::StoreKind;
use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use std::path::PathBuf;

/// Options of `amends demo`.
#[derive(Clone, Debug, clap::Args)]
pub struct DemoOptions {
    /// Which business to run.
    #[arg(long, value_name = "NAME", default_value = BUSINESSES[0].name, value_parser = business())]
    pub business: &'static Business,
    /// How many orders to place; 300 with `--chaos`.
    #[arg(long, default_value_t = 200, default_value_if("chaos", "true", "300"), value_parser = clap::value_parser!(u32).range(1..=90_000))]
    pub orders: u32,
    /// Makes the plan: the same seed gives the same orders and faults. Drawn and printed if absent.
    #[arg(long)]
    pub seed: Option<u64>,
    /// Share of the orders with a planned fault, 0 to 1.
    #[arg(long, default_value_t = 0.35, value_parser = parse_rate)]
    pub fault_rate: f64,
    /// How many customers order at the same time.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=64))]
    pub clients: u32,
    /// Print one JSON object on standard output instead of tables.
    #[arg(long)]
    pub json: bool,
    /// Keep the databases and logs of the run.
    #[arg(long)]
    pub keep: bool,
    /// Put the databases and logs here (an empty or new folder) and keep them.
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Afterwards, leave everything up for a look at the console, until Ctrl-C; `stop payment`, `start payment` and
    /// `order 50` on standard input do what they say.
    #[arg(long, conflicts_with = "json")]
    pub stay: bool,
    /// One order per second, explained, so that a person can watch.
    #[arg(long)]
    pub slow: bool,
    /// Use this rulebook; `http://127.0.0.1:7101` and the ports behind it become the services' real addresses.
    #[arg(long, value_name = "FILE")]
    pub rules: Option<PathBuf>,
    /// Give these faults to the first orders, and none to the others.
    #[arg(long, value_delimiter = ',', value_name = "FAULT,…")]
    pub faults: Vec<String>,
    /// Kill the supervisor this many times during the run, and start it again on the same data.
    #[arg(long, default_value_t = 0, value_name = "TIMES")]
    pub kill_supervisor: u32,
    /// Kill random services and the supervisor with SIGKILL during the run, and start them again.
    #[arg(long, conflicts_with = "kill_supervisor")]
    pub chaos: bool,
    /// How often to kill in a run with `--chaos`; nobody is killed again before everybody was killed once.
    #[arg(long, default_value_t = 24, requires = "chaos", value_name = "TIMES", value_parser = clap::value_parser!(u32).range(7..=500))]
    pub kills: u32,
    /// Put a gateway before every service, and deploy each service three times: meanwhile its gateway answers for it
    /// with 404, 401 or 503. Every case must settle by itself. The orders are spread over all deploys.
    #[arg(long, conflicts_with_all = ["chaos", "kill_supervisor", "slow"])]
    pub gateways: bool,
    /// How long each deploy takes in a run with `--gateways`, in seconds; half of the services are deployed at a time.
    #[arg(long, default_value_t = 30, requires = "gateways", value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=600))]
    pub deploy_seconds: u64,
    /// Switch on all that keeps others out: TLS everywhere, by certificates of the run's own, which everybody has to
    /// show; a token for each service; nobody else is let in. In the end attacks are tried, and each must be refused.
    #[arg(long)]
    pub secure: bool,
    /// Have the services publish their reports to a broker of the run's own instead of posting them; with `--chaos` it
    /// is killed as well. Not with `--secure`: this broker lets in everybody who is on this machine, and a run with it
    /// would not be secured.
    #[arg(long, value_name = "BROKER", conflicts_with = "secure")]
    pub broker: Option<BrokerKind>,
    /// Where the supervisor keeps its cases: in a file, or in a PostgreSQL of the run's own, which needs a build with
    /// the feature `postgres`. With `--chaos` that is killed as well, and its connections are cut.
    #[arg(long, value_enum, value_name = "KIND", default_value = "sqlite")]
    pub store: StoreKind,
    /// How many supervisors share the work, each on a part of the orders: nodes on one PostgreSQL of the run's own,
    /// which needs a build with the feature `postgres`. Services report to any of them, through a balancer. With
    /// `--chaos` nodes are killed, stopped (SIGSTOP) until others have taken their place, and drained, one at a time;
    /// the orders are spread over all of that.
    #[arg(long, default_value_t = 1, value_name = "NUMBER", conflicts_with_all = ["secure", "kill_supervisor"], value_parser = clap::value_parser!(u32).range(1..=9))]
    pub nodes: u32,
    /// How long to wait for all cases to settle once the orders are placed, in seconds.
    #[arg(long, default_value_t = 120, value_name = "SECONDS")]
    pub patience: u64,
}

impl DemoOptions {
    /// Where cases are kept: several nodes can share a database alone.
    pub(crate) fn store(&self) -> StoreKind {
        if self.nodes > 1 { StoreKind::Postgres } else { self.store }
    }
}

/// Takes the name of a business, and lists them all where it isn't one.
fn business() -> impl TypedValueParser<Value = &'static Business> {
    let known = BUSINESSES.map(|one| PossibleValue::new(one.name).help(one.about));
    PossibleValuesParser::new(known).map(|name| named(&name).unwrap_or(BUSINESSES[0]))
}

fn parse_rate(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(rate) if (0.0..=1.0).contains(&rate) => Ok(rate),
        _ => Err(format!("`{text}` is not a share; give a number from 0 to 1, e.g. 0.35")),
    }
}

/// Options of one service process.
#[derive(Clone, Debug, clap::Args)]
pub struct ServiceArgs {
    /// Whose service to be.
    #[arg(long, value_parser = business())]
    pub business: &'static Business,
    /// Which of its services to be.
    #[arg(long)]
    pub service: String,
    /// Port on 127.0.0.1; 0 takes a free one.
    #[arg(long, default_value_t = 0)]
    pub port: u16,
    /// Folder of the service's database.
    #[arg(long)]
    pub data: PathBuf,
    /// How much it has of what it can run out of.
    #[arg(long, default_value_t = 0)]
    pub supply: u32,
    /// Whether it encrypts, and shows who it is; what it needs lies in the folder.
    #[arg(long)]
    pub secure: bool,
}
