//! `amends services`: how each service is doing, and what operators set for it: pauses and limits.

use super::{Connection, block_on};
use crate::client::Client;
use crate::complete;
use crate::failure::{Failure, Outcome};
use crate::moment::{clock, now, relative};
use crate::output::{self, Grid};
use crate::printing::{Printing, Width};
use crate::sealed::{Lines, seal};
use amends_api::signs::Signed;
use amends_api::{GroupView, LimitsWanted, ReasonGiven, ServiceView};
use amends_protocol::wire::percent;
use amends_protocol::{Problem, ProblemCode};
use clap_complete::ArgValueCompleter;

/// What to do with services, and where.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  amends services\n  amends services show payment\n  amends services pause payment --reason 'maintenance until ten'\n  \
amends services limit payment --per-second 20 --reason 'it is slow today'\n  \
amends services limit payment --reason 'as the rulebook says again'"
)]
pub struct ServicesOptions {
    #[command(flatten)]
    connection: Connection,
    #[command(subcommand)]
    command: Option<ServicesCommand>,
    #[command(flatten)]
    printing: Printing,
}

#[derive(Debug, clap::Subcommand)]
enum ServicesCommand {
    /// List services [default]
    List,
    /// Say how one service is doing, and what waits for it
    Show {
        /// Which service
        #[arg(add = ArgValueCompleter::new(complete::services))]
        service: String,
    },
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
    #[arg(add = ArgValueCompleter::new(complete::services))]
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
    let printing = options.printing;
    block_on(async {
        let view = match options.command.unwrap_or(ServicesCommand::List) {
            ServicesCommand::List => {
                return printing
                    .list(async || all(&client).await, |all, width| show(all, width))
                    .await;
            }
            ServicesCommand::Show { service } => {
                let read = async || Ok(WithGroups::read(&client, &service).await?);
                return printing.one(read, WithGroups::tell).await;
            }
            ServicesCommand::Pause(why) => decide(&client, why, "pause", printing).await?,
            ServicesCommand::Resume(why) => decide(&client, why, "resume", printing).await?,
            ServicesCommand::Limit(limit) => {
                let path = format!("/v1/services/{}/limits", percent::part(&limit.why.service));
                let (concurrency, per_second) = (limit.concurrency, limit.per_second);
                let wanted = LimitsWanted { concurrency, per_second, reason: limit.why.reason };
                printing.act_as_json()?;
                client.post(&path, &wanted).await?
            }
        };
        printing.done(&[view], |views| show(views, Width::Usual))
    })
}

async fn all(client: &Client) -> Outcome<Vec<ServiceView>> {
    client.get("/v1/services").await
}

async fn decide(client: &Client, why: Why, word: &str, printing: Printing) -> Outcome<ServiceView> {
    // Before it is done: how it is printed must be possible.
    printing.act_as_json()?;
    let path = format!("/v1/services/{}/{word}", percent::part(&why.service));
    client.post(&path, &ReasonGiven { reason: why.reason }).await
}

/// A service, and the groups of open work that wait for it.
#[derive(serde::Serialize)]
struct WithGroups {
    #[serde(flatten)]
    service: ServiceView,
    groups: Vec<GroupView>,
}

impl WithGroups {
    async fn read(client: &Client, name: &str) -> Outcome<Self> {
        let service = all(client).await?.into_iter().find(|view| view.name == name);
        let service = service.ok_or_else(|| {
            let detail = format!(
                "there is no service `{}`; `amends services` lists them",
                seal(name, Lines::One)
            );
            Failure::Problem(Box::new(Problem::new(ProblemCode::NotFound, detail)))
        })?;
        let mut groups: Vec<GroupView> = client.get("/v1/groups").await?;
        groups.retain(|group| group.service == name);
        Ok(Self { service, groups })
    }

    fn tell(&self) -> Outcome {
        let (view, now) = (&self.service, now());
        let at = view
            .url
            .as_deref()
            .map_or("nowhere: it is not asked".to_owned(), |url| format!("at {url}"));
        let p = &view.progress;
        let mut lines = vec![
            format!("{} of rulebook {} is {}, {at}", view.name, view.rulebook, state(view)),
            format!(
                "limits: {}; {} requests under way, {} waiting for their turn",
                limits(view),
                view.in_flight,
                view.queued
            ),
            format!(
                "its steps in cases that are not settled: {} done, {} waived, {} waiting, {} in flight, {} retrying, {} stuck",
                p.done, p.waived, p.waiting, p.in_flight, p.retrying, p.stuck
            ),
            format!(
                "its answers lately: {} errors, half within {}, 99 % within {}",
                errors(view),
                ms(view.attempts.p50_ms),
                ms(view.attempts.p99_ms)
            ),
        ];
        if let Some(message) = &view.message {
            let row = if view.failures > 0 {
                format!(" ({} in a row)", view.failures)
            } else {
                String::new()
            };
            lines.push(format!("last error{row}: {message}"));
        }
        if let Some(since) = view.histories_unavailable_since {
            let why = view.histories_message.as_deref().unwrap_or_default();
            lines.push(format!("no History of it could be read since {}: {why}", clock(since)));
        }
        output::line(&lines.join("\n"))?;
        if self.groups.is_empty() {
            return output::line("nothing waits for it");
        }
        output::line("\nWhat waits for it")?;
        let mut grid = Grid::new(&["group", "what", "next try", "example", "error"]);
        for group in &self.groups {
            grid.row(vec![
                group.id.clone(),
                format!("{} {}", group.cause.sign().shape, group.title),
                group.next_try_at.map_or("-".to_owned(), |at| relative(at, now)),
                group.example_case.to_string(),
                group.error.clone().unwrap_or_default(),
            ]);
        }
        grid.print()
    }
}

fn ms(ms: Option<f64>) -> String {
    ms.map_or("-".to_owned(), |ms| format!("{ms:.1} ms"))
}

fn errors(view: &ServiceView) -> String {
    format!("{:.0} %", view.attempts.error_rate * 100.0)
}

fn show(views: &[ServiceView], width: Width) -> Outcome {
    if views.is_empty() {
        output::tell("no rulebook is active, so there are no services");
        return Ok(());
    }
    let mut heads = vec![
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
        "last error",
    ];
    if width == Width::Wide {
        heads.extend(["rulebook", "address"]);
    }
    let mut grid = Grid::new(&heads);
    for view in views {
        let progress = &view.progress;
        let mut row = vec![
            view.name.clone(),
            state(view),
            view.queued.to_string(),
            progress.done.to_string(),
            progress.waived.to_string(),
            progress.waiting.to_string(),
            progress.in_flight.to_string(),
            progress.retrying.to_string(),
            progress.stuck.to_string(),
            errors(view),
            ms(view.attempts.p50_ms),
            ms(view.attempts.p99_ms),
            limits(view),
            view.message.clone().unwrap_or_default(),
        ];
        if width == Width::Wide {
            row.extend([view.rulebook.clone(), view.url.clone().unwrap_or_default()]);
        }
        grid.row(row);
    }
    grid.print()
}

/// `● healthy`, `⊗ out of reach`, `‖ paused by ann: maintenance`.
pub(super) fn state(view: &ServiceView) -> String {
    let sign = view.health.sign();
    let state = format!("{} {}", sign.shape, sign.word);
    match &view.pause {
        Some(pause) => format!("{state} by {}: {}", pause.by, pause.reason),
        None => state,
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
