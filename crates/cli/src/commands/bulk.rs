//! `amends bulk`: bulk acts of the supervisor, how far they have come, and stopping or starting them again.

use super::{Connection, block_on};
use crate::client::Client;
use crate::complete;
use crate::failure::{Failure, Outcome};
use crate::moment::{now, relative};
use crate::output::{self, Grid};
use crate::printing::{Printing, Width};
use amends_api::signs::Signed;
use amends_api::{BulkProgress, BulkState, BulkSteering, BulkView, ServiceView};
use amends_protocol::wire::percent;
use clap_complete::ArgValueCompleter;
use std::io::{self, IsTerminal};
use std::time::{Duration, Instant};

/// Pause between looks at a running bulk act.
const LOOK: Duration = Duration::from_millis(200);
/// How long nothing may move until it is asked whether a service is paused.
const STILL: Duration = Duration::from_secs(2);

/// What to do with bulk acts, and where.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  amends bulk list\n  amends bulk stop b-3 --reason 'wrong filter'\n  amends bulk watch b-3\n\n\
`amends cases retry`, `waive`, `approve` and `replan`, and `amends questions answer` make them."
)]
pub struct BulkOptions {
    #[command(flatten)]
    connection: Connection,
    #[command(subcommand)]
    command: BulkCommand,
}

#[derive(Debug, clap::Subcommand)]
enum BulkCommand {
    /// List the newest bulk acts
    List(Printing),
    /// Follow one to its end
    Watch(One),
    /// Let one go, or go on with what is left
    Start(One),
    /// Let nothing more of it go
    Stop(One),
}

#[derive(Debug, clap::Args)]
struct One {
    /// Which, e.g. b-3
    #[arg(add = ArgValueCompleter::new(complete::bulk))]
    id: String,
    /// Why, for the audit
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(options: BulkOptions) -> Outcome {
    let client = options.connection.client()?;
    block_on(async {
        match options.command {
            BulkCommand::List(printing) => {
                let read = async || client.get::<Vec<BulkView>>("/v1/bulk").await;
                printing.list(read, |all, width| list(all, width)).await
            }
            BulkCommand::Watch(one) => {
                let view = watch(&client, &one.path()).await?;
                outcome(&view, "done", one.json)
            }
            BulkCommand::Start(one) => {
                steer(&client, &one, "start").await?;
                let view = watch(&client, &one.path()).await?;
                outcome(&view, "done", one.json)
            }
            BulkCommand::Stop(one) => {
                let view = steer(&client, &one, "stop").await?;
                if one.json { output::json(&view) } else { output::line(&line(&view)) }
            }
        }
    })
}

impl One {
    fn path(&self) -> String {
        format!("/v1/bulk/{}", percent::part(&self.id))
    }
}

async fn steer(client: &Client, one: &One, word: &str) -> Outcome<BulkView> {
    let steering = BulkSteering { reason: one.reason.clone() };
    client.post(&format!("{}/{word}", one.path()), &steering).await
}

fn list(all: &[BulkView], width: Width) -> Outcome {
    if all.is_empty() {
        output::tell("there are no bulk acts");
        return Ok(());
    }
    let now = now();
    let mut heads = vec!["bulk", "state", "act", "progress", "made", "by", "reason", "why"];
    if width == Width::Wide {
        heads.extend(["failed", "unchanged", "wave"]);
    }
    let mut grid = Grid::new(&heads);
    for view in all {
        let progress = &view.progress;
        let mut row = vec![
            view.id.clone().unwrap_or_default(),
            view.state.as_str().to_owned(),
            view.act.to_string(),
            format!("{} of {}", view.matched - progress.left, view.matched),
            relative(view.made_at, now),
            view.actor.clone(),
            view.reason.clone(),
            view.why.clone().unwrap_or_default(),
        ];
        if width == Width::Wide {
            let counts = [progress.failed.to_string(), progress.unchanged.to_string()];
            row.extend(counts.into_iter().chain([progress.wave.to_string()]));
        }
        grid.row(row);
    }
    grid.print()
}

/// Follows a bulk act until it stands, or until only a person can make it go on; on a terminal with a line that tells
/// how far it is.
pub(super) async fn watch(client: &Client, path: &str) -> Outcome<BulkView> {
    let terminal = io::stderr().is_terminal();
    let mut moved: Option<(BulkProgress, Instant)> = None;
    loop {
        let view: BulkView = client.get(path).await?;
        if terminal {
            output::overwrite(&line(&view))?;
        }
        let held = match &moved {
            Some((then, since)) if *then == view.progress => since.elapsed() >= STILL,
            _ => {
                moved = Some((view.progress.clone(), Instant::now()));
                false
            }
        };
        let why = if held { paused(client, &view).await? } else { None };
        if view.state != BulkState::Running || why.is_some() {
            if terminal {
                output::tell("");
            }
            why.iter().for_each(|why| output::tell(why));
            return Ok(view);
        }
        if held {
            moved = None;
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// What to say of a bulk act that gets no answers because a person has paused a service that it is about.
async fn paused(client: &Client, view: &BulkView) -> Outcome<Option<String>> {
    let services: Vec<ServiceView> = client.get("/v1/services").await?;
    let concerns = |service: &ServiceView| view.counts.iter().any(|c| c.service == service.name);
    let mut paused = services.iter().filter(|service| service.paused && concerns(service));
    let (Some(service), Some(id)) = (paused.next(), &view.id) else { return Ok(None) };
    let name = &service.name;
    Ok(Some(format!(
        "{id} waits: {name} is {}\nhelp: `amends services resume {name} --reason ...` lets its steps go; then \
`amends bulk watch {id}`, or `amends bulk start {id}` if it has given up by then",
        super::services::state(service)
    )))
}

/// `► b-3 retry: 26 of 412 done, 1 failed, wave 4, 20 wait for an answer`.
fn line(view: &BulkView) -> String {
    let progress = &view.progress;
    let mut parts = vec![format!("{} of {} done", progress.succeeded, view.matched)];
    let counts = [
        (progress.failed, "failed"),
        (progress.unchanged, "unchanged"),
        (progress.waiting, "wait for an answer"),
    ];
    parts.extend(counts.iter().filter(|(n, _)| *n > 0).map(|(n, word)| format!("{n} {word}")));
    parts.push(format!("wave {}", progress.wave));
    let id = view.id.as_deref().unwrap_or_default();
    format!("{} {id} {}: {}", view.state.sign().shape, view.act, parts.join(", "))
}

/// Tells how it ended; an error when not everything was done.
pub(super) fn outcome(view: &BulkView, done: &str, json: bool) -> Outcome {
    if json {
        output::json(view)?;
    } else {
        let all = view.act.of(view.matched);
        output::line(&format!("{done} {} of {all}", view.progress.succeeded))?;
    }
    for failure in &view.failures {
        output::tell(&format!("error: {}: {}", failure.id, failure.detail));
    }
    if let (BulkState::Stopped, Some(id)) = (view.state, &view.id) {
        let why = view.why.as_deref().unwrap_or("stopped");
        output::tell(&format!(
            "{id} stopped with {} left: {why}\nhelp: go on with `amends bulk start {id}`",
            view.progress.left
        ));
    }
    match view.progress.succeeded < view.matched {
        true => Err(Failure::SomeRefused),
        false => Ok(()),
    }
}
