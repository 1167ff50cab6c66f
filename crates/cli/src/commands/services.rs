//! `amends services`: how each service is doing, and what operators set for it: pauses and limits.

use super::{Connection, block_on};
use crate::client::Client;
use crate::failure::Outcome;
use crate::output::{self, Grid};
use amends_api::signs::breaker_sign;
use amends_api::{LimitsWanted, ReasonGiven, ServiceView};
use amends_protocol::wire::percent;

/// What to do with services, and where.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  amends services\n  amends services pause payment --reason 'maintenance until ten'\n  \
amends services limit payment --per-second 20 --reason 'it is slow today'\n  \
amends services limit payment --reason 'as the rulebook says again'"
)]
pub struct ServicesOptions {
    #[command(flatten)]
    connection: Connection,
    #[command(subcommand)]
    command: Option<ServicesCommand>,
    /// Print JSON
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, clap::Subcommand)]
enum ServicesCommand {
    /// List services [default]
    List,
    /// Send nothing more to a service, over restarts too
    Pause(Why),
    /// Send again
    Resume(Why),
    /// Set limits in place of the rulebook's; without any, the rulebook's hold again
    Limit(Limit),
}

#[derive(Debug, clap::Args)]
struct Why {
    /// Which service
    service: String,
    /// Why, for the audit
    #[arg(long, value_name = "TEXT")]
    reason: String,
}

#[derive(Debug, clap::Args)]
struct Limit {
    #[command(flatten)]
    why: Why,
    /// Most requests at once
    #[arg(long, value_name = "N")]
    concurrency: Option<u32>,
    /// Most requests a second
    #[arg(long, value_name = "N")]
    per_second: Option<u32>,
}

pub(super) fn run(options: ServicesOptions) -> Outcome {
    let client = options.connection.client()?;
    block_on(async {
        let views = match options.command.unwrap_or(ServicesCommand::List) {
            ServicesCommand::List => client.get("/v1/services").await?,
            ServicesCommand::Pause(why) => vec![decide(&client, why, "pause").await?],
            ServicesCommand::Resume(why) => vec![decide(&client, why, "resume").await?],
            ServicesCommand::Limit(limit) => {
                let path = format!("/v1/services/{}/limits", percent::part(&limit.why.service));
                let (concurrency, per_second) = (limit.concurrency, limit.per_second);
                let wanted = LimitsWanted { concurrency, per_second, reason: limit.why.reason };
                vec![client.post(&path, &wanted).await?]
            }
        };
        show(&views, options.json)
    })
}

async fn decide(client: &Client, why: Why, word: &str) -> Outcome<ServiceView> {
    let path = format!("/v1/services/{}/{word}", percent::part(&why.service));
    client.post(&path, &ReasonGiven { reason: why.reason }).await
}

fn show(views: &[ServiceView], json: bool) -> Outcome {
    if json {
        return output::json(&views);
    }
    if views.is_empty() {
        output::tell("no rulebook is active, so there are no services");
        return Ok(());
    }
    let heads = [
        "service",
        "state",
        "queue",
        "done",
        "waived",
        "waiting",
        "in flight",
        "retrying",
        "stuck",
        "errors",
        "p50",
        "p99",
        "limits",
    ];
    let mut grid = Grid::new(&heads);
    for view in views {
        let progress = &view.progress;
        let ms = |ms: Option<f64>| ms.map_or("-".to_owned(), |ms| format!("{ms:.1} ms"));
        grid.row(vec![
            view.name.clone(),
            state(view),
            view.queued.to_string(),
            progress.done.to_string(),
            progress.waived.to_string(),
            progress.waiting.to_string(),
            progress.in_flight.to_string(),
            progress.retrying.to_string(),
            progress.stuck.to_string(),
            format!("{:.0} %", view.attempts.error_rate * 100.0),
            ms(view.attempts.p50_ms),
            ms(view.attempts.p99_ms),
            limits(view),
        ]);
    }
    grid.print()
}

/// `● healthy`, `⊗ out of reach`, `‖ paused by ann: maintenance`.
pub(super) fn state(view: &ServiceView) -> String {
    match &view.pause {
        Some(pause) => format!("‖ paused by {}: {}", pause.by, pause.reason),
        None => {
            let sign = breaker_sign(&view.breaker);
            format!("{} {}", sign.shape, sign.word)
        }
    }
}

fn limits(view: &ServiceView) -> String {
    let mut text = format!("{} at once", view.concurrency);
    if let Some(n) = view.per_second {
        text.push_str(&format!(", {n} a second"));
    }
    if let Some(limits) = &view.limits {
        text.push_str(&format!(" by {}: {}", limits.decision.by, limits.decision.reason));
    }
    text
}
