//! `amends report rejected`: messages of brokers that could not be taken as reports, and what one node had taken in and
//! another refused: why, and having them read once more.

use crate::client::{Client, Query};
use crate::commands::{block_on, confirm};
use crate::complete;
use crate::failure::{Failure, Outcome};
use crate::moment::{clock, now, relative};
use crate::output::{self, Grid};
use crate::printing::{Printing, Width};
use amends_api::{
    Page, RejectedAct, RejectedBody, RejectedDone, RejectedId, RejectedMessage, RejectedView,
    RejectedWay,
};
use amends_protocol::Problem;
use clap_complete::ArgValueCompleter;
use serde::Serialize;
use std::collections::BTreeSet;

/// Messages of a page of `--all`; the most that a page has.
const PAGE: &str = "500";

/// What to do with rejected messages.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  amends report rejected\n  \
amends report rejected show r-9f86d081884c7d65\n  \
amends report rejected retry r-9f86d081884c7d65 --reason 'payment may report there now'\n  \
amends report rejected retry --all --source payment --reason 'version 12 reads it'\n  \
amends report rejected discard r-9f86d081884c7d65 --reason 'a test of the other team'")]
pub struct RejectedOptions {
    #[command(subcommand)]
    command: Option<RejectedCommand>,
    #[command(flatten)]
    printing: Printing,
}

#[derive(Debug, clap::Subcommand)]
enum RejectedCommand {
    /// List messages that could not be taken as reports, newest first, and why [default]
    List {
        #[command(flatten)]
        filters: Filters,
        /// Most messages [default: 50]
        #[arg(long, value_name = "N")]
        limit: Option<u32>,
    },
    /// Show one with its headers and its body
    Show {
        /// Which message, e.g. r-9f86d081884c7d65
        #[arg(add = ArgValueCompleter::new(complete::rejected))]
        message: RejectedId,
    },
    /// Have messages read once more, with the configuration and the rulebooks of now
    Retry(RetryOptions),
    /// Remove messages that nobody needs
    Discard {
        /// Which messages
        #[arg(required = true, value_name = "ID", add = ArgValueCompleter::new(complete::rejected))]
        messages: Vec<RejectedId>,
        /// Why, for the audit
        #[arg(long, value_name = "TEXT")]
        reason: String,
    },
}

#[derive(Debug, Default, clap::Args)]
struct Filters {
    /// That came so: nats, kafka, node
    #[arg(long)]
    way: Option<RejectedWay>,
    /// That say they come from there
    #[arg(long, value_name = "TEXT")]
    source: Option<String>,
}

#[derive(Debug, clap::Args)]
struct RetryOptions {
    /// Which messages
    #[arg(value_name = "ID", add = ArgValueCompleter::new(complete::rejected))]
    messages: Vec<RejectedId>,
    /// All that there are, or all that the filters find
    #[arg(long, conflicts_with = "messages")]
    all: bool,
    #[command(flatten)]
    filters: Filters,
    /// Why, for the audit
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// Only say which messages it would be
    #[arg(long)]
    dry_run: bool,
    /// Don't ask
    #[arg(long, short)]
    yes: bool,
}

/// What came of one of many.
#[derive(Serialize)]
struct One {
    id: RejectedId,
    #[serde(skip_serializing_if = "Option::is_none")]
    done: Option<RejectedDone>,
    #[serde(skip_serializing_if = "Option::is_none")]
    refused: Option<Box<Problem>>,
}

pub(super) fn run(client: &Client, options: RejectedOptions) -> Outcome {
    let printing = options.printing;
    let everything = || RejectedCommand::List { filters: Filters::default(), limit: None };
    block_on(async {
        match options.command.unwrap_or_else(everything) {
            RejectedCommand::List { filters, limit } => {
                let limit = limit.map(|rows| rows.to_string());
                let read = async || page(client, &filters, limit.as_deref(), None).await;
                printing.list(read, list).await
            }
            RejectedCommand::Show { message } => {
                let path = format!("/v1/reports/rejected/{message}");
                printing.one(async || client.get::<RejectedMessage>(&path).await, show).await
            }
            RejectedCommand::Retry(retry) => {
                let json = printing.act_as_json()?;
                let Some(ids) = which(client, &retry, json).await? else { return Ok(()) };
                act(client, &ids, &RejectedAct::Retry { reason: retry.reason }, json).await
            }
            RejectedCommand::Discard { messages, reason } => {
                let act_wanted = RejectedAct::Discard { reason };
                act(client, &messages, &act_wanted, printing.act_as_json()?).await
            }
        }
    })
}

async fn page(
    client: &Client,
    filters: &Filters,
    limit: Option<&str>,
    cursor: Option<&str>,
) -> Outcome<Page<RejectedView>> {
    let mut query = Query::default();
    query.push_opt("way", filters.way.as_ref());
    query.push_opt("source", filters.source.as_ref());
    query.push_opt("limit", limit.as_ref());
    query.push_opt("cursor", cursor.as_ref());
    client.get(&format!("/v1/reports/rejected{}", query.as_str())).await
}

fn list(found: &Page<RejectedView>, width: Width) -> Outcome {
    if found.items.is_empty() {
        output::tell("nothing is rejected");
        return Ok(());
    }
    let now = now();
    let mut heads = vec!["message", "way", "source", "saga", "since", "code", "why"];
    if width == Width::Wide {
        heads.extend(["place", "event", "bytes"]);
    }
    let mut grid = Grid::new(&heads);
    let or_none = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
    for message in &found.items {
        let mut row = vec![
            message.id.to_string(),
            message.way.to_string(),
            or_none(&message.source),
            or_none(&message.saga_id),
            relative(message.rejected_at, now),
            message.code.clone(),
            message.detail.clone(),
        ];
        if width == Width::Wide {
            let cut = if message.cut { " of more" } else { "" };
            row.extend([message.place.clone(), or_none(&message.event_id)]);
            row.push(format!("{}{cut}", message.bytes));
        }
        grid.row(row);
    }
    grid.print()?;
    if found.next.is_some() {
        output::tell("there are more; narrow the list, or raise --limit");
    }
    Ok(())
}

fn show(message: &RejectedMessage) -> Outcome {
    let RejectedMessage { summary, headers, body } = message;
    output::line(&format!("{}: {}", summary.code, summary.detail))?;
    output::line(&match summary.way.broker() {
        Some(way) => format!("it came by {way}: {}", summary.place),
        None => format!(
            "one node had taken it in, and the one that works on its saga refused it: {}",
            summary.place
        ),
    })?;
    let sent = summary.sent_at.map(|at| format!(", sent {}", clock(at))).unwrap_or_default();
    output::line(&format!("rejected {}{sent}", clock(summary.rejected_at)))?;
    let says =
        [("source", &summary.source), ("event", &summary.event_id), ("saga", &summary.saga_id)];
    let says: Vec<String> = says
        .into_iter()
        .filter_map(|(name, text)| Some(format!("{name} {}", text.as_ref()?)))
        .collect();
    output::line(&match (summary.way.broker(), says.is_empty()) {
        (Some(_), true) => "what it says of itself can't be read".to_owned(),
        (Some(_), false) => {
            format!("it says of itself (nobody has proved it): {}", says.join(", "))
        }
        (None, true) => "it names no saga".to_owned(),
        (None, false) => format!("it says of itself: {}", says.join(", ")),
    })?;
    if !headers.is_empty() {
        let mut grid = Grid::new(&["header", "value"]);
        for header in headers {
            grid.row(vec![header.name.clone(), header.value.clone()]);
        }
        grid.print()?;
    }
    match body {
        RejectedBody::Text(text) => output::line(text)?,
        RejectedBody::Base64(text) => output::line(&format!("in base64: {text}"))?,
        RejectedBody::Withheld(why) => output::tell(&format!("its body is not shown: {why}")),
    }
    if summary.cut {
        output::tell(&format!("these are its first {} bytes", summary.bytes));
    }
    let id = summary.id;
    output::line(&format!(
        "to have it read once more: amends report rejected retry {id} --reason '...'"
    ))?;
    output::line(&format!("to remove it: amends report rejected discard {id} --reason '...'"))
}

/// The messages that are meant; none if there is nothing to do.
async fn which(
    client: &Client,
    options: &RetryOptions,
    json: bool,
) -> Outcome<Option<Vec<RejectedId>>> {
    let is_filtered = options.filters.way.is_some() || options.filters.source.is_some();
    if !options.all {
        if options.messages.is_empty() || is_filtered || options.dry_run {
            return Err(Failure::Usage(
                "say which messages: ids, or --all, perhaps with --way and --source".into(),
            ));
        }
        return Ok(Some(options.messages.clone()));
    }
    let ids = all(client, &options.filters).await?;
    if options.dry_run {
        return match json {
            true => output::json(&ids),
            false => ids.iter().try_for_each(|id| output::line(&id.to_string())),
        }
        .map(|()| None);
    }
    if ids.is_empty() {
        output::tell("nothing is rejected");
        return Ok(None);
    }
    if !options.yes {
        confirm(&format!("have {} rejected messages read once more", ids.len()))?;
    }
    Ok(Some(ids))
}

/// All that there are now, oldest first: so reports come in the order in which they were sent.
async fn all(client: &Client, filters: &Filters) -> Outcome<Vec<RejectedId>> {
    let (mut ids, mut known, mut cursor) = (Vec::new(), BTreeSet::new(), None::<String>);
    loop {
        let found = page(client, filters, Some(PAGE), cursor.as_deref()).await?;
        let before = ids.len();
        ids.extend(found.items.into_iter().map(|one| one.id).filter(|id| known.insert(*id)));
        cursor = found.next;
        // What brings nothing new would do so for ever.
        if cursor.is_none() || ids.len() == before {
            ids.reverse();
            return Ok(ids);
        }
    }
}

async fn act(client: &Client, ids: &[RejectedId], act: &RejectedAct, json: bool) -> Outcome {
    if let [one] = ids {
        let done: RejectedDone = client.post(&path(*one), act).await?;
        return if json { output::json(&done) } else { output::line(&told(*one, act, &done)) };
    }
    let (mut all, mut is_refused) = (Vec::new(), false);
    for id in ids {
        let one = match client.post::<_, RejectedDone>(&path(*id), act).await {
            Ok(done) => One { id: *id, done: Some(done), refused: None },
            // One that stays holds up none of the others.
            Err(Failure::Problem(problem)) if problem.retryable != Some(true) => {
                is_refused = true;
                One { id: *id, done: None, refused: Some(problem) }
            }
            Err(failure) => return Err(failure),
        };
        if !json {
            match (&one.done, &one.refused) {
                (Some(done), _) => output::line(&told(*id, act, done))?,
                (None, Some(problem)) => {
                    let why = problem.detail.as_deref().unwrap_or(&problem.title);
                    output::tell(&format!("{id}: {why}"));
                }
                (None, None) => {}
            }
        }
        all.push(one);
    }
    if json {
        output::json(&all)?;
    }
    if is_refused { Err(Failure::SomeRefused) } else { Ok(()) }
}

fn path(id: RejectedId) -> String {
    format!("/v1/reports/rejected/{id}/acts")
}

fn told(id: RejectedId, act: &RejectedAct, done: &RejectedDone) -> String {
    let left = done.left;
    match done.case_id {
        None if matches!(act, RejectedAct::Retry { .. }) => {
            format!("{id} is taken; which case it belongs to is not known here; {left} left")
        }
        Some(case) if done.duplicate => {
            format!("{id} was taken before, in case {case}; {left} left")
        }
        Some(case) => format!("{id} is taken, in case {case}; {left} left"),
        None => format!("{id} is discarded; {left} left"),
    }
}
