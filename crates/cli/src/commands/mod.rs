//! Every command, one file each. This file only names them and starts the right one.

mod audit;
mod backup;
#[cfg(any(feature = "kafka", feature = "nats"))]
mod brokers;
mod bulk;
mod cases;
#[cfg(feature = "postgres")]
mod cluster;
mod completions;
mod config;
mod conform;
mod context;
#[cfg(feature = "demo")]
mod demo;
#[cfg(feature = "demo")]
mod demo_service;
mod doctor;
mod erase;
mod events;
mod export;
#[cfg(feature = "kafka")]
mod kafka;
#[cfg(feature = "postgres")]
mod migrate;
#[cfg(feature = "nats")]
mod nats;
mod openapi;
mod quarantine;
mod questions;
mod report;
mod rules;
mod sagas;
mod serve;
mod services;
mod sessions;
mod store;
mod tokens;
mod top;
#[cfg(any(feature = "kafka", feature = "nats"))]
mod try_message;
mod upgrade;
mod whoami;

use crate::connection::Connection;
use crate::exit::Exit;
use crate::failure::{Failure, Outcome};
use clap::{Parser, Subcommand};
use std::future::Future;
use std::io::{self, IsTerminal};

/// A compensation supervisor for microservices: when a service fails, what the others did is undone or tried again,
/// until it is done.
#[derive(Debug, Parser)]
#[command(name = "amends", version, propagate_version = true, after_help = EXAMPLES)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "\
Examples:
  amends demo                                    real services that fail and compensate
  amends serve --rules rules.yaml --data data    run the supervisor
  amends rules check rules.yaml                  find every mistake in a rulebook
  amends top                                     what is going on, live
  amends cases groups                            what open work waits for
  amends cases list --state stuck                what needs a person
  amends cases show c-17                         the whole story of one case

Exit codes: 0 ok, 1 findings, 2 usage, 3 unreachable, 4 refused, 5 not found, 6 failed,\n7 timed out, 8 denied, 130 interrupted.";

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the supervisor
    Serve(serve::ServeOptions),
    /// Run a business of real services with planned faults, and prove that nothing half done remains
    #[cfg(feature = "demo")]
    Demo(amends_demo::DemoOptions),
    #[cfg(feature = "demo")]
    #[command(hide = true)]
    DemoService(amends_demo::ServiceArgs),
    /// Check, show and explain rulebooks
    #[command(subcommand)]
    Rules(rules::RulesCommand),
    /// See and steer cases of a running supervisor
    Cases(cases::CasesOptions),
    /// See what evidence leaves in doubt, and answer it
    Questions(questions::QuestionsOptions),
    /// See, repair and discard cases that can't be read or written
    Quarantine(quarantine::QuarantineOptions),
    /// Test a participant, in any language, against the protocol
    Conform(conform::ConformOptions),
    /// See and steer bulk acts
    Bulk(bulk::BulkOptions),
    /// See sagas that announced themselves, say that one has ended
    Sagas(sagas::SagasOptions),
    /// See services, pause them, set limits
    Services(services::ServicesOptions),
    /// Watch what is going on, live
    Top(top::TopOptions),
    /// Follow what happens, one line per event
    Events(events::EventsOptions),
    /// See what people did, and why
    Audit(audit::AuditOptions),
    /// Write cases as NDJSON or CSV
    Export(export::ExportOptions),
    /// Find what is wrong with the installation, and how to mend it
    Doctor(doctor::DoctorOptions),
    /// Name supervisors, and how you identify there; choose which one commands ask
    Context(context::ContextOptions),
    /// Say who you are to the supervisor, and what you may do there
    Whoami(whoami::WhoAmIOptions),
    /// Make, list and revoke tokens, by which services and people identify
    Token(Box<tokens::TokensOptions>),
    /// See who is logged in to the console, end sessions
    Session(sessions::SessionsOptions),
    /// Send a report to a running supervisor, see those of a broker that it could not take
    #[command(alias = "reports")]
    Report(report::ReportOptions),
    /// Let business data go for good, by saga or by a customer's name; see what went
    Erase(Box<erase::EraseOptions>),
    /// Look at the Kafka that reports come by
    #[cfg(feature = "kafka")]
    #[command(subcommand)]
    Kafka(kafka::KafkaCommand),
    /// Make and look at the NATS stream that reports come by
    #[cfg(feature = "nats")]
    #[command(subcommand)]
    Nats(nats::NatsCommand),
    /// See what kind of store there is, and who holds it
    #[command(subcommand)]
    Store(store::StoreCommand),
    /// See the nodes that have a store in PostgreSQL open, and what each holds; drain one
    #[cfg(feature = "postgres")]
    #[command(subcommand)]
    Cluster(cluster::ClusterCommand),
    /// Move the store of a stopped supervisor from its folder into PostgreSQL
    #[cfg(feature = "postgres")]
    Migrate(Box<migrate::MigrateOptions>),
    /// Copy the store of a running or a stopped supervisor into one file
    Backup(backup::BackupOptions),
    /// See what this version would change in a store, before it is started on it
    #[command(subcommand)]
    Upgrade(upgrade::UpgradeCommand),
    /// Show and check the configuration of `serve`
    #[command(subcommand)]
    Config(config::ConfigCommand),
    /// Print a completion script for a shell
    Completions(completions::CompletionsOptions),
    #[command(hide = true)]
    Openapi,
}

/// Runs what the command line asks for.
pub fn run(arguments: Arguments) -> Outcome<Exit> {
    match arguments.command {
        Command::Serve(options) => serve::run(options)?,
        #[cfg(feature = "demo")]
        Command::Demo(options) => return demo::run(options),
        #[cfg(feature = "demo")]
        Command::DemoService(options) => demo_service::run(options)?,
        Command::Rules(command) => rules::run(command)?,
        Command::Cases(options) => cases::run(options)?,
        Command::Questions(options) => questions::run(options)?,
        Command::Quarantine(options) => quarantine::run(options)?,
        Command::Conform(options) => conform::run(&options)?,
        Command::Bulk(options) => bulk::run(options)?,
        Command::Sagas(options) => sagas::run(options)?,
        Command::Services(options) => services::run(options)?,
        Command::Top(options) => top::run(options)?,
        Command::Events(options) => events::run(options)?,
        Command::Audit(options) => audit::run(options)?,
        Command::Export(options) => export::run(options)?,
        Command::Doctor(options) => doctor::run(options)?,
        Command::Context(options) => context::run(options)?,
        Command::Whoami(options) => whoami::run(options)?,
        Command::Token(options) => tokens::run(*options)?,
        Command::Session(options) => sessions::run(options)?,
        Command::Report(options) => report::run(options)?,
        Command::Erase(options) => erase::run(*options)?,
        #[cfg(feature = "kafka")]
        Command::Kafka(command) => kafka::run(command)?,
        #[cfg(feature = "nats")]
        Command::Nats(command) => nats::run(command)?,
        Command::Store(command) => store::run(command)?,
        #[cfg(feature = "postgres")]
        Command::Cluster(command) => cluster::run(command)?,
        #[cfg(feature = "postgres")]
        Command::Migrate(options) => migrate::run(*options)?,
        Command::Backup(options) => backup::run(options)?,
        Command::Upgrade(command) => upgrade::run(command)?,
        Command::Config(command) => config::run(command)?,
        Command::Completions(options) => completions::run(options)?,
        Command::Openapi => openapi::run()?,
    }
    Ok(Exit::Ok)
}

/// Asks on a terminal whether to do something; elsewhere the answer has to be on the command line.
fn confirm(what: &str) -> Outcome {
    confirm_or(what, "add --yes to do it, or --dry-run to see them")
}

/// The same, where something else is to be said of the command line.
fn confirm_or(what: &str, help: &str) -> Outcome {
    if !io::stdin().is_terminal() || !io::stderr().is_terminal() {
        return Err(Failure::Usage(format!("this would {what}; {help}")));
    }
    crate::output::prompt(&format!("{what}? [y/N] "))?;
    let mut answer = String::new();
    io::stdin().read_line(&mut answer)?;
    match answer.trim() {
        "y" | "Y" | "yes" => Ok(()),
        _ => Err(Failure::Usage("not confirmed; nothing was changed".to_owned())),
    }
}

/// Runs a command that only waits for the network: one thread is enough.
fn block_on<T>(work: impl Future<Output = Outcome<T>>) -> Outcome<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(Failure::from)?.block_on(work)
}

/// Runs a command that serves: all processors.
fn block_on_all<T>(work: impl Future<Output = Outcome<T>>) -> Outcome<T> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    runtime.map_err(Failure::from)?.block_on(work)
}

// The pages describe the whole program.
#[cfg(all(test, feature = "demo", feature = "kafka", feature = "nats", feature = "postgres"))]
#[path = "pages_test.rs"]
mod pages;
#[cfg(all(test, feature = "demo", feature = "kafka", feature = "nats", feature = "postgres"))]
#[path = "reference_test.rs"]
mod reference;
