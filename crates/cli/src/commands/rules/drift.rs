//! `amends rules drift`: calls and actions that real cases show and the rulebook does not declare, each with a case.

use super::active::active;
use super::stored::{self, Which};
use crate::client::Client;
use crate::commands::{Connection, block_on};
use crate::failure::{Failure, Outcome};
use crate::moment::{clock, now, relative};
use crate::output::{self, Grid};
use crate::printing::{Printing, Width};
use amends_api::{CaseProof, Source};
use amends_protocol::{ActionName, CaseId, Timestamp};
use amends_rulebook::{ActionId, Rulebook};
use serde::Serialize;
use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

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
    #[command(flatten)]
    printing: Printing,
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

/// What was found, as it is printed.
#[derive(Clone, Debug, Serialize)]
struct Drift {
    rulebook: String,
    hash: String,
    cases: usize,
    undeclared: Vec<Undeclared>,
    /// Declared direct calls of which the caller never told.
    unseen: Vec<Unseen>,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Undeclared {
    kind: &'static str,
    action: ActionName,
    told_by: BTreeSet<String>,
    cases: u64,
    last_at: Option<Timestamp>,
    last_case: Option<CaseId>,
    /// In words.
    #[serde(skip)]
    what: String,
}

#[derive(Clone, Debug, Serialize)]
struct Unseen {
    caller: String,
    action: String,
}

pub(super) fn run(options: &DriftOptions) -> Outcome {
    let file = options.rules.as_deref().map(super::read_one).transpose()?;
    let client = options.connection.client()?;
    let drifts = Cell::new(false);
    let read = async || {
        let book = match &file {
            Some(book) => Arc::clone(book),
            None => active(&client, options.rulebook.as_deref()).await?,
        };
        let cases = stored::rows(&client, &options.which, Some(book.name())).await?;
        let mut tally = Tally { book: &book, undeclared: BTreeMap::new(), told: BTreeSet::new() };
        for case in &cases {
            tally.add(&proof(&client, case.id).await?, case.opened_at);
        }
        let found = tally.found(cases.len());
        drifts.set(!found.undeclared.is_empty());
        Ok(found)
    };
    block_on(options.printing.list(read, |found, width| found.show(width, options.unseen)))?;
    if options.exit_code && drifts.get() { Err(Failure::Findings) } else { Ok(()) }
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

    fn found(&self, cases: usize) -> Drift {
        let undeclared = self.undeclared.iter().map(|(shown, seen)| {
            let (kind, what) = shown.in_words();
            let (Shown::Action(action) | Shown::Call { of: action, .. }) = shown;
            Undeclared {
                kind,
                action: action.clone(),
                told_by: seen.by.clone(),
                cases: seen.cases,
                last_at: seen.last.map(|(at, _)| at),
                last_case: seen.last.map(|(_, case)| case),
                what,
            }
        });
        let name = |id: ActionId| self.book.get(id).name.to_string();
        let unseen = self.unseen().into_iter();
        Drift {
            rulebook: self.book.name().to_owned(),
            hash: self.book.hash().to_owned(),
            cases,
            undeclared: undeclared.collect(),
            unseen: unseen
                .map(|(caller, id)| Unseen { caller: name(caller), action: name(id) })
                .collect(),
        }
    }
}

impl Drift {
    fn show(&self, width: Width, with_unseen: bool) -> Outcome {
        let cases = self.cases;
        if self.undeclared.is_empty() {
            output::line(&format!("{cases} cases; nothing in them is undeclared"))?;
        } else {
            self.table(width)?;
            output::line(&format!(
                "\n{cases} cases; declare these, so that they are undone and waited for by plan"
            ))?;
        }
        if with_unseen { self.show_unseen() } else { Ok(()) }
    }

    fn table(&self, width: Width) -> Outcome {
        let mut heads = vec!["undeclared", "what", "told by", "cases", "last", "case"];
        if width == Width::Wide {
            heads.push("at");
        }
        let mut grid = Grid::new(&heads);
        for one in &self.undeclared {
            let by: Vec<&str> = one.told_by.iter().map(String::as_str).collect();
            let mut row = vec![
                one.kind.to_owned(),
                one.what.clone(),
                by.join(", "),
                one.cases.to_string(),
                one.last_at.map_or(String::new(), |at| relative(at, now())),
                one.last_case.map_or(String::new(), |case| case.to_string()),
            ];
            if width == Width::Wide {
                row.push(one.last_at.map_or("-".to_owned(), clock));
            }
            grid.row(row);
        }
        grid.print()
    }

    fn show_unseen(&self) -> Outcome {
        if self.unseen.is_empty() {
            return output::line("every declared call was told of");
        }
        output::line("\ndeclared calls that no case tells of:")?;
        self.unseen
            .iter()
            .try_for_each(|one| output::line(&format!("  {} -> {}", one.caller, one.action)))
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
