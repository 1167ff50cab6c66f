//! `amends rules list`, `status` and `rollback`: which rulebooks a running supervisor has, how each stands to its file,
//! and the way back to a version of before.

use crate::client::Client;
use crate::commands::{Connection, block_on, confirm};
use crate::complete;
use crate::failure::{Failure, Outcome};
use crate::moment::{now, relative};
use crate::output::{self, Grid};
use crate::printing::Printing;
use amends_api::signs::Signed;
use amends_api::{RulebookQuestions, RulebookSources, RulebookVerdict, RulebookView};
use amends_protocol::wire::percent;
use clap_complete::ArgValueCompleter;
use serde::Serialize;

/// Characters of a hash that people see.
const SHORT: usize = 12;

/// Options of `rules list`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  amends rules list\n  amends rules list --all\n  amends rules list --json"
)]
pub struct ListOptions {
    /// Versions of before, too
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    printing: Printing,
    #[command(flatten)]
    connection: Connection,
}

/// Options of `rules status`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  amends rules status food-order\n  amends rules status food-order --json\n\n\
`would be stuck` counts cases with a question that the rulebook only notes, or that rules in shadow mode alone answer: look \
at it before you let a kind of question hold its cases, or a rule out of shadow mode."
)]
pub struct StatusOptions {
    /// Which rulebook
    #[arg(value_name = "NAME", add = ArgValueCompleter::new(complete::rulebooks))]
    name: String,
    #[command(flatten)]
    printing: Printing,
    #[command(flatten)]
    connection: Connection,
}

/// A rulebook and all that is known of it.
#[derive(Serialize)]
struct Status {
    #[serde(flatten)]
    book: RulebookView,
    questions: Option<RulebookQuestions>,
    verdict: Option<RulebookVerdict>,
    #[serde(skip)]
    versions: Vec<RulebookView>,
}

/// Options of `rules rollback`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  amends rules rollback food-order --reason 'the new rule undoes too much'\n  \
amends rules rollback food-order --to 4be1f0 --reason 'as on Monday' --yes\n\n\
Open cases keep the version that they are planned with. A file that the supervisor watches is taken again when its \
content changes."
)]
pub struct RollbackOptions {
    /// Which rulebook
    #[arg(value_name = "NAME", add = ArgValueCompleter::new(complete::rulebooks))]
    name: String,
    /// To this version: the beginning of its hash [default: the newest one that is not active]
    #[arg(long, value_name = "HASH")]
    to: Option<String>,
    /// Why, for the audit
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// Only say which version it would be
    #[arg(long)]
    dry_run: bool,
    /// Don't ask
    #[arg(long, short)]
    yes: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: Connection,
}

async fn listed(client: &Client) -> Outcome<Vec<RulebookView>> {
    client.get("/v1/rulebooks").await
}

pub(super) fn list(options: &ListOptions) -> Outcome {
    let client = options.connection.client()?;
    let read = async || {
        let mut books = listed(&client).await?;
        books.retain(|book| options.all || book.active);
        Ok(books)
    };
    block_on(options.printing.list(read, |books: &Vec<RulebookView>, _| {
        if books.is_empty() {
            output::tell(
                "the supervisor has no rulebook; start it with `--rules`, or `amends rules activate` one",
            );
            return Ok(());
        }
        table(books)
    }))
}

fn table(books: &[RulebookView]) -> Outcome {
    let mut grid = Grid::new(&["rulebook", "version", "is", "stored", "services", "rules"]);
    for book in books {
        grid.row(vec![
            book.name.clone(),
            short(&book.hash).to_owned(),
            standing(book),
            relative(book.stored_at, now()),
            book.services.to_string(),
            book.rules.to_string(),
        ]);
    }
    grid.print()
}

/// How a version stands, and its file to it.
fn standing(book: &RulebookView) -> String {
    let standing = match (book.active, book.rejected.is_empty(), book.differs_from_file) {
        (false, ..) => return "of before".to_owned(),
        (true, false, _) => "✗ active, its file is rejected",
        (true, true, true) => "! active, its file says something else",
        (true, true, false) => "✓ active",
    };
    match (book.holds.len(), book.holds.iter().any(|hold| hold.rule.is_none())) {
        (0, _) => standing.to_owned(),
        (_, true) => format!("{standing}, ⊟ held"),
        (1, false) => format!("{standing}, ‖ 1 rule held"),
        (rules, false) => format!("{standing}, ‖ {rules} rules held"),
    }
}

fn short(hash: &str) -> &str {
    hash.get(..SHORT).unwrap_or(hash)
}

pub(super) fn status(options: &StatusOptions) -> Outcome {
    let client = options.connection.client()?;
    let path = format!("/v1/rulebooks/{}", percent::part(&options.name));
    let read = async || {
        let book: RulebookView = client.get(&path).await?;
        let mut versions = listed(&client).await?;
        versions.retain(|version| version.name == book.name);
        let questions = if_known(client.get(&format!("{path}/questions")).await)?;
        let verdict = if_known(client.get(&format!("{path}/verdict")).await)?;
        Ok(Status { book, questions, verdict, versions })
    };
    block_on(options.printing.one(read, tell))
}

fn tell(status: &Status) -> Outcome {
    let book = &status.book;
    output::line(&format!("{}: {}", book.name, standing(book)))?;
    for source in &book.sources {
        output::line(&format!("  {}", source.path))?;
    }
    for finding in &book.rejected {
        let place = format!("{}:{}:{}", finding.file, finding.line, finding.column);
        output::line(&format!("{}[{}]: {}", finding.severity, finding.code, finding.message))?;
        output::line(&format!("  --> {place}"))?;
        if let Some(help) = &finding.help {
            output::line(&format!("  = help: {help}"))?;
        }
    }
    for hold in &book.holds {
        output::line(&super::hold::told(hold))?;
    }
    if let Some(verdict) = &status.verdict {
        output::line(&super::activate::summary(verdict))?;
    }
    output::line("")?;
    table(&status.versions)?;
    status.questions.as_ref().map_or(Ok(()), in_doubt)
}

/// Nothing where a supervisor of before does not know the path.
fn if_known<T>(answer: Outcome<T>) -> Outcome<Option<T>> {
    match answer {
        Ok(answer) => Ok(Some(answer)),
        Err(Failure::Problem(problem)) if problem.status == 404 => Ok(None),
        Err(failure) => Err(failure),
    }
}

/// Which kinds of questions hold its cases, and which would.
fn in_doubt(questions: &RulebookQuestions) -> Outcome {
    let RulebookQuestions { cases, kinds, .. } = questions;
    output::line("")?;
    if *cases == 0 {
        return output::line("no case yet, so nothing is known of what would be stuck");
    }
    output::line(&format!(
        "of its newest {cases} cases, so many are stuck by a question, or would be if it held them:"
    ))?;
    let mut grid = Grid::new(&["question", "the rulebook says", "stuck", "would be stuck", "e.g."]);
    for of_kind in kinds {
        let sign = of_kind.kind.sign();
        grid.row(vec![
            format!("{} {}", sign.shape, sign.word),
            of_kind.effect.to_string(),
            of_kind.stuck.to_string(),
            of_kind.would_be_stuck.to_string(),
            of_kind.example.map_or_else(|| "-".to_owned(), |case| case.to_string()),
        ]);
    }
    grid.print()
}

pub(super) fn rollback(options: &RollbackOptions) -> Outcome {
    let client = options.connection.client()?;
    block_on(async {
        let path = format!("/v1/rulebooks/{}", percent::part(&options.name));
        let active: RulebookView = client.get(&path).await?;
        let mut versions = listed(&client).await?;
        versions.retain(|version| version.name == active.name && !version.active);
        let target = target(versions, &active, options.to.as_deref())?;
        let (from, to) = (short(&active.hash), short(&target.hash));
        let what = format!("take `{}` from {from} back to {to}", active.name);
        if options.dry_run {
            return output::line(&format!("would {what}"));
        }
        if !options.yes {
            confirm(&what)?;
        }
        let version = format!("{path}/versions/{}", percent::part(&target.hash));
        let sources = client.get_as_sent::<RulebookView>(&version).await?.sources;
        let body = RulebookSources { sources, reason: Some(options.reason.clone()) };
        let now_active: RulebookView = client.put(&path, &body).await?;
        if options.json {
            return output::json(&now_active);
        }
        output::line(&format!("`{}` is {to} again; it was {from}", active.name))?;
        output::line(&format!(
            "to undo: amends rules rollback {} --to {from} --reason '...'",
            active.name
        ))
    })
}

/// The version that is meant, of those that are not active, newest first.
fn target(
    versions: Vec<RulebookView>,
    active: &RulebookView,
    wanted: Option<&str>,
) -> Outcome<RulebookView> {
    let name = &active.name;
    let Some(wanted) = wanted else {
        return versions.into_iter().next().ok_or_else(|| {
            Failure::Usage(format!("`{name}` has only one version; there is none to go back to"))
        });
    };
    if active.hash.starts_with(wanted) {
        return Err(Failure::Usage(format!("`{wanted}` of `{name}` is active already")));
    }
    let mut fitting: Vec<RulebookView> =
        versions.into_iter().filter(|version| version.hash.starts_with(wanted)).collect();
    match fitting.len() {
        1 => Ok(fitting.swap_remove(0)),
        0 => Err(Failure::Usage(format!(
            "`{name}` has no version `{wanted}`; `amends rules status {name}` lists them"
        ))),
        many => Err(Failure::Usage(format!(
            "{many} versions of `{name}` begin with `{wanted}`; write more of the hash"
        ))),
    }
}
