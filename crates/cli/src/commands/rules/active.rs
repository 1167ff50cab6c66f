//! The rulebook that a running supervisor plans with, read from its API. Changes nothing there.

use crate::client::Client;
use crate::failure::{Failure, Outcome};
use amends_api::RulebookView;
use amends_protocol::wire::percent;
use amends_rulebook::{Rulebook, SourceFile, load_sources};
use anyhow::anyhow;
use std::sync::Arc;

/// The active version of the rulebook with this name; without a name, of the only one.
pub(super) async fn active(client: &Client, name: Option<&str>) -> Outcome<Arc<Rulebook>> {
    let name = match name {
        Some(name) => name.to_owned(),
        None => only(client).await?,
    };
    let view: RulebookView = client.get(&format!("/v1/rulebooks/{}", percent::part(&name))).await?;
    let sources = view.sources.into_iter();
    let sources = sources.map(|s| SourceFile { path: s.path, text: s.text.into() }).collect();
    load_sources(sources).rulebook.ok_or_else(|| {
        // It was taken by a supervisor of another version.
        let why = anyhow!("this version of amends can't read the supervisor's rulebook `{name}`");
        Failure::Local(why)
    })
}

async fn only(client: &Client) -> Outcome<String> {
    let listed: Vec<RulebookView> = client.get("/v1/rulebooks").await?;
    let mut active: Vec<String> =
        listed.into_iter().filter(|book| book.active).map(|book| book.name).collect();
    active.sort();
    match active.as_mut_slice() {
        [only] => Ok(std::mem::take(only)),
        [] => Err(Failure::Usage(
            "the supervisor has no rulebook; start it with `--rules`, or name a file".to_owned(),
        )),
        many => Err(Failure::Usage(format!(
            "the supervisor has several rulebooks; choose one with --rulebook: {}",
            many.join(", ")
        ))),
    }
}
