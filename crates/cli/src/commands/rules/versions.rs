//! `amends rules list`, `status` and `rollback`: which rulebooks a running supervisor has, how each stands to its file,
//! and the way back to a version of before.

use crate::client::Client;
use crate::commands::{Connection, block_on, confirm};
use crate::failure::{Failure, Outcome};
use crate::moment::{now, relative};
use crate::output::{self, Grid};
use amends_protocol::resources::{RulebookSources, RulebookView};
use amends_protocol::wire::percent;

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
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: Connection,
}

/// Options of `rules status`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  amends rules status food-order\n  amends rules status food-order --json"
)]
pub struct StatusOptions {
    /// Which rulebook
    #[arg(value_name = "NAME")]
    name: String,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: Connection,
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
    #[arg(value_name = "NAME")]
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
    let mut books = block_on(listed(&client))?;
    books.retain(|book| options.all || book.active);
    if options.json {
        return output::json(&books);
    }
    if books.is_empty() {
        output::tell(
            "the supervisor has no rulebook; start it with `--rules`, or `amends rules activate` one",
        );
        return Ok(());
    }
    table(&books)
}

fn table(books: &[RulebookView]) -> Outcome {
    let mut grid = Grid::new(&["rulebook", "version", "is", "stored", "services", "rules"]);
    for book in books {
        grid.row(vec![
            book.name.clone(),
            short(&book.hash).to_owned(),
            standing(book).to_owned(),
            relative(book.stored_at, now()),
            book.services.to_string(),
            book.rules.to_string(),
        ]);
    }
    grid.print()
}

/// How a version stands, and its file to it.
fn standing(book: &RulebookView) -> &'static str {
    match (book.active, book.rejected.is_empty(), book.differs_from_file) {
        (false, ..) => "of before",
        (true, false, _) => "✗ active, its file is rejected",
        (true, true, true) => "! active, its file says something else",
        (true, true, false) => "✓ active",
    }
}

fn short(hash: &str) -> &str {
    hash.get(..SHORT).unwrap_or(hash)
}

pub(super) fn status(options: &StatusOptions) -> Outcome {
    let client = options.connection.client()?;
    let path = format!("/v1/rulebooks/{}", percent::part(&options.name));
    let (book, versions) = block_on(async {
        let book: RulebookView = client.get(&path).await?;
        let mut versions = listed(&client).await?;
        versions.retain(|version| version.name == book.name);
        Ok((book, versions))
    })?;
    if options.json {
        return output::json(&book);
    }
    output::line(&format!("{}: {}", book.name, standing(&book)))?;
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
    output::line("")?;
    table(&versions)
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
        let deed = format!("take `{}` from {from} back to {to}", active.name);
        if options.dry_run {
            return output::line(&format!("would {deed}"));
        }
        if !options.yes {
            confirm(&deed)?;
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
