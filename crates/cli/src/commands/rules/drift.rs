//! `amends rules drift`: calls and actions that real cases show and the rulebook does not declare, each with a case.

use super::active::active;
use super::stored::{self, Which};
use crate::client::Client;
use crate::commands::{Connection, block_on};
use crate::failure::{Failure, Outcome};
use crate::moment::{now, relative};
use crate::output::{self, Grid};
use amends_api::{CaseProof, Source};
use amends_protocol::{ActionName, CaseId, Timestamp};
use amends_rulebook::{ActionId, Rulebook};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

/// Options of `rules drift`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  amends rules drift\n  amends rules drift --rulebook food-order --since 2026-01-01T00:00:00Z\n  \
amends rules drift next.yaml --exit-code\n  amends rules drift --unseen\n\n\
What a service tells of another one's action is taken for a call, direct or through others. Reads one page for each case."
)]
pub struct DriftOptions {
    /// A file with the rulebook to compare with [default: the one that the supervisor plans with]
    #[arg(value_name = "PATH")]
    rules: Option<PathBuf>,
    /// Which rulebook of the supervisor, if it has several
    #[arg(long, value_name = "NAME", conflicts_with = "rules")]
    rulebook: Option<String>,
    #[command(flatten)]
    which: Which,
    /// Declared calls that no case shows, too
    #[arg(long)]
    unseen: bool,
    /// Exit with 1 if anything undeclared is seen
    #[arg(long)]
    exit_code: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: Connection,
}

/// What cases show.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Shown {
    /// A service or an action that the rulebook does not know.
    Action(ActionName),
    /// A service tells of an action that none of its own leads to.
    Call { by: String, of: ActionName },
}

/// Where it was seen.
#[derive(Clone, Debug, Default)]
struct Sightings {
    cases: u64,
    last: Option<(Timestamp, CaseId)>,
    by: BTreeSet<String>,
}

struct Tally<'b> {
    book: &'b Rulebook,
    undeclared: BTreeMap<Shown, Sightings>,
    /// Services, and the actions that they told of.
    told: BTreeSet<(String, ActionId)>,
}

pub(super) fn run(options: &DriftOptions) -> Outcome {
    let file = options.rules.as_deref().map(super::read_one).transpose()?;
    let client = options.connection.client()?;
    block_on(async {
        let book = match file {
            Some(book) => book,
            None => active(&client, options.rulebook.as_deref()).await?,
        };
        let cases = stored::rows(&client, &options.which, Some(book.name())).await?;
        let mut tally = Tally { book: &book, undeclared: BTreeMap::new(), told: BTreeSet::new() };
        for case in &cases {
            tally.add(&proof(&client, case.id).await?, case.opened_at);
        }
        if options.json {
            tally.print_json(cases.len())?
        } else {
            tally.print(cases.len(), options.unseen)?
        }
        let drifts = options.exit_code && !tally.undeclared.is_empty();
        if drifts { Err(Failure::Findings) } else { Ok(()) }
    })
}

async fn proof(client: &Client, id: CaseId) -> Outcome<CaseProof> {
    client.get(&format!("/v1/cases/{id}/proof")).await
}

impl Tally<'_> {
    fn add(&mut self, proof: &CaseProof, at: Timestamp) {
        let mut here = BTreeSet::new();
        for action in &proof.actions {
            let known = self.book.action(&action.action.service, &action.action.action);
            let services = action.statements.iter().filter(|s| s.source != Source::Person);
            for by in services.map(|statement| &statement.by) {
                let shown = match known {
                    None => Shown::Action(action.action.clone()),
                    Some(id) => {
                        self.told.insert((by.clone(), id));
                        if self.is_declared(by, id) {
                            continue;
                        }
                        Shown::Call { by: by.clone(), of: action.action.clone() }
                    }
                };
                let seen = self.undeclared.entry(shown.clone()).or_default();
                seen.by.insert(by.clone());
                if here.insert(shown) {
                    seen.cases += 1;
                    seen.last = seen.last.max(Some((at, proof.case_id)));
                }
            }
        }
    }

    /// Whether a service tells of its own action, or of one that its actions lead to.
    fn is_declared(&self, by: &str, of: ActionId) -> bool {
        let Some(service) = self.book.service(by) else { return true };
        self.book.services()[service.0 as usize]
            .actions
            .iter()
            .any(|own| *own == of || self.book.downstream(*own).binary_search(&of).is_ok())
    }

    /// Declared direct calls of which the caller never told.
    fn unseen(&self) -> Vec<(ActionId, ActionId)> {
        let book = self.book;
        let calls = book.action_ids().flat_map(|id| {
            book.callers(id).iter().map(move |caller| (*caller, id)).collect::<BTreeSet<_>>()
        });
        let service = |id: ActionId| book.get(id).name.service.to_string();
        calls.filter(|(caller, id)| !self.told.contains(&(service(*caller), *id))).collect()
    }

    fn print(&self, cases: usize, with_unseen: bool) -> Outcome {
        if self.undeclared.is_empty() {
            output::line(&format!("{cases} cases; nothing in them is undeclared"))?;
        } else {
            let mut grid = Grid::new(&["undeclared", "what", "told by", "cases", "last", "case"]);
            for (shown, seen) in &self.undeclared {
                let (kind, what) = shown.in_words();
                let by: Vec<&str> = seen.by.iter().map(String::as_str).collect();
                let (last, case) = seen.last.map_or_else(Default::default, |(at, case)| {
                    (relative(at, now()), case.to_string())
                });
                let cases = seen.cases.to_string();
                grid.row(vec![kind.to_owned(), what, by.join(", "), cases, last, case]);
            }
            grid.print()?;
            output::line(&format!(
                "\n{cases} cases; declare these, so that they are undone and waited for by plan"
            ))?;
        }
        if with_unseen {
            self.print_unseen()?;
        }
        Ok(())
    }

    fn print_unseen(&self) -> Outcome {
        let unseen = self.unseen();
        if unseen.is_empty() {
            return output::line("every declared call was told of");
        }
        output::line("\ndeclared calls that no case tells of:")?;
        unseen.iter().try_for_each(|(caller, id)| {
            output::line(&format!(
                "  {} -> {}",
                self.book.get(*caller).name,
                self.book.get(*id).name
            ))
        })
    }

    fn print_json(&self, cases: usize) -> Outcome {
        let undeclared: Vec<Value> = self
            .undeclared
            .iter()
            .map(|(shown, seen)| {
                let (kind, _) = shown.in_words();
                let (Shown::Action(action) | Shown::Call { of: action, .. }) = shown;
                json!({
                    "kind": kind,
                    "action": action,
                    "toldBy": seen.by,
                    "cases": seen.cases,
                    "lastAt": seen.last.map(|(at, _)| at),
                    "lastCase": seen.last.map(|(_, case)| case),
                })
            })
            .collect();
        let name = |id: &ActionId| self.book.get(*id).name.to_string();
        let unseen: Vec<Value> = self
            .unseen()
            .iter()
            .map(|(caller, id)| json!({ "caller": name(caller), "action": name(id) }))
            .collect();
        output::json(&json!({
            "rulebook": self.book.name(),
            "hash": self.book.hash(),
            "cases": cases,
            "undeclared": undeclared,
            "unseen": unseen,
        }))
    }
}

impl Shown {
    fn in_words(&self) -> (&'static str, String) {
        match self {
            Self::Action(action) => ("action", action.to_string()),
            Self::Call { by, of } => ("call", format!("{by} -> {of}")),
        }
    }
}
