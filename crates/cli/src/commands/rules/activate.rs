//! `amends rules activate`: makes a version the one that a running supervisor plans new cases with, and says which
//! cases have waited for what it declares.

use crate::client::Client;
use crate::commands::questions::waiting_for;
use crate::commands::{Connection, block_on};
use crate::failure::Outcome;
use crate::output;
use amends_api::{RulebookSources, RulebookView, SourceView};
use amends_protocol::wire::percent;
use serde_json::json;
use std::path::PathBuf;

/// Options of `rules activate`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  amends rules activate rules.yaml --reason 'billing is called payments now'\n\n\
Open cases keep the version that they are planned with; `amends cases replan` takes them over. A file that the \
supervisor watches needs no command."
)]
pub struct ActivateOptions {
    /// A rulebook file
    #[arg(value_name = "PATH")]
    rules: PathBuf,
    /// Why, for the audit
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: Connection,
}

pub(super) fn run(options: &ActivateOptions) -> Outcome {
    let book = super::read_one(&options.rules)?;
    let client: Client = options.connection.client()?;
    let sources = book.sources().iter();
    let sources = sources
        .map(|source| SourceView { path: source.path.clone(), text: source.text.to_string() })
        .collect();
    let body = RulebookSources { sources, reason: Some(options.reason.clone()) };
    block_on(async {
        let path = format!("/v1/rulebooks/{}", percent::part(book.name()));
        let active: RulebookView = client.put(&path, &body).await?;
        let waiting = waiting_for(&client, book.name()).await?;
        if options.json {
            let active = json!({ "name": active.name, "hash": active.hash });
            return output::json(&json!({ "rulebook": active, "waiting": waiting }));
        }
        output::line(&format!("{} is planned with version {} now", active.name, active.hash))?;
        waiting.iter().try_for_each(|stranger| output::line(&stranger.offer()))
    })
}
