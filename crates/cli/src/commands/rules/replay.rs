//! `amends rules diff --replay`: both rulebooks over the reports of real cases, and the cases whose plan would differ.
//! Plans only; nothing is sent, and what a service answered to a step is not known here.

use super::stored::{self, Export, Which};
use crate::commands::Connection;
use crate::failure::{Failure, Outcome};
use crate::output;
use amends_protocol::resources::CaseDetail;
use amends_protocol::{CaseId, Evidence, Report};
use amends_rulebook::Rulebook;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

/// Where the cases come from.
#[derive(Debug, Default, clap::Args)]
pub struct ReplayOptions {
    /// Plan the cases of a running supervisor with both, and count those whose plan differs
    #[arg(long)]
    replay: bool,
    /// The same with the cases of a file: one case as JSON per line
    #[arg(long, value_name = "FILE", conflicts_with = "replay")]
    replay_file: Option<PathBuf>,
    /// Write the cases of the supervisor to a file for `--replay-file`
    #[arg(long, value_name = "FILE", requires = "replay")]
    save: Option<PathBuf>,
    #[command(flatten)]
    which: Which,
}

/// Cases with the same difference.
#[derive(Debug)]
struct Group {
    cases: usize,
    example: CaseId,
}

/// What came of a replay.
#[derive(Debug, Default)]
pub(super) struct Replayed {
    cases: usize,
    differ: usize,
    /// By root report and differences.
    groups: BTreeMap<(String, Vec<String>), Group>,
}

impl ReplayOptions {
    pub(super) fn is_wanted(&self) -> bool {
        self.replay || self.replay_file.is_some()
    }
}

pub(super) fn run(
    options: &ReplayOptions,
    connection: &Connection,
    old: &Rulebook,
    new: &Rulebook,
    as_json: bool,
    exit_code: bool,
) -> Outcome {
    let mut found = Replayed::default();
    match &options.replay_file {
        Some(path) => {
            stored::each_of_file(path, &mut |case| {
                found.add(old, new, case);
                Ok(())
            })?;
        }
        None => {
            let client = connection.client()?;
            let mut export = options.save.as_deref().map(Export::create).transpose()?;
            let mut see = |case: CaseDetail| {
                if let Some(export) = &mut export {
                    export.write(&case)?;
                }
                found.add(old, new, case);
                Ok(())
            };
            let which = &options.which;
            let cases = stored::each(&client, which, Some(old.name()), &mut see);
            crate::commands::block_on(cases)?;
            export.map_or(Ok(()), Export::finish)?;
        }
    }
    if as_json {
        output::json(&found.to_json())?;
    } else {
        output::text(&found.to_text())?;
    }
    if exit_code && found.differ > 0 { Err(Failure::Findings) } else { Ok(()) }
}

impl Replayed {
    fn add(&mut self, old: &Rulebook, new: &Rulebook, case: CaseDetail) {
        self.cases += 1;
        let (id, saga) = (case.summary.id, case.summary.saga_id.clone());
        let root = case.reports.iter().find(|r| r.role != "derived");
        let kind = root.map_or(case.summary.report, |r| format!("{}/{}", r.service, r.data.code));
        let walks: Vec<Evidence> = case.walks.into_iter().flat_map(|w| w.entries).collect();
        let reports: Vec<Report> =
            case.reports.into_iter().map(|view| stored::report(view, &saga)).collect();
        let (before, after) = (plan(old, &reports, &walks), plan(new, &reports, &walks));
        let gone = before.difference(&after).map(|step| format!("- {step}"));
        let fresh = after.difference(&before).map(|step| format!("+ {step}"));
        let differences: Vec<String> = gone.chain(fresh).collect();
        if !differences.is_empty() {
            self.differ += 1;
            let group =
                self.groups.entry((kind, differences)).or_insert(Group { cases: 0, example: id });
            group.cases += 1;
        }
    }

    /// The groups, the largest first.
    fn sorted(&self) -> Vec<(&(String, Vec<String>), &Group)> {
        let mut all: Vec<_> = self.groups.iter().collect();
        all.sort_by_key(|(_, group)| std::cmp::Reverse(group.cases));
        all
    }

    fn to_text(&self) -> String {
        let mut out = String::new();
        for ((report, differences), group) in self.sorted() {
            let (cases, example) = (group.cases, group.example);
            let some = if cases == 1 { "case" } else { "cases" };
            out += &format!("{report}: {cases} {some}, e.g. {example}\n");
            for difference in differences {
                out += &format!("  {difference}\n");
            }
        }
        out + &format!("{} of {} cases would get another plan\n", self.differ, self.cases)
    }

    fn to_json(&self) -> Value {
        let groups: Vec<_> = self
            .sorted()
            .into_iter()
            .map(|((report, differences), group)| {
                json!({
                    "report": report,
                    "differences": differences,
                    "cases": group.cases,
                    "example": group.example,
                })
            })
            .collect();
        json!({ "cases": self.cases, "differ": self.differ, "groups": groups })
    }
}

/// A plan in words: each step with its stage, what no rule answers, and what waits for a yes.
fn plan(book: &Rulebook, reports: &[Report], walks: &[Evidence]) -> BTreeSet<String> {
    let reports: Vec<&Report> = reports.iter().collect();
    let plan = book.plan_case(&reports, walks);
    let mut words = BTreeSet::new();
    for (stage, steps) in (1..).zip(plan.stages()) {
        for (verb, action) in steps {
            words.insert(format!("{verb} {} in stage {stage}", book.get(action).name));
        }
    }
    words.extend(
        plan.shadow.iter().map(|s| format!("{} {} in shadow", s.verb, book.get(s.action).name)),
    );
    if plan.is_unmatched() {
        words.insert("no rule answers".to_owned());
    }
    let asks =
        plan.rules.iter().flatten().any(|id| book.rule(*id).mode == amends_rulebook::Mode::Ask);
    if asks {
        words.insert("waits for a yes".to_owned());
    }
    words
}
