//! `amends rules explain`: which rule answers a report, why the others don't, and the plan that comes of it. The plan is
//! made by the supervisor's own planner, so it is the one that a supervisor without further evidence would make.

use crate::failure::{Failure, Outcome};
use crate::output::{self, Grid};
use crate::report_file::ReportArguments;
use amends_protocol::Report;
use amends_rulebook::{Considered, Rulebook, Stage, Want};
use amends_workbench::{Explanation, explain, strangers};
use anyhow::anyhow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Options of `rules explain`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  amends rules explain --rules rules.yaml report.json\n  \
amends rules explain --rules rules.yaml --source payment --code report-1 \\\n    --history coupon.redeem=succeeded")]
pub struct ExplainOptions {
    /// A rulebook file, or a folder of them
    #[arg(long, value_name = "PATH")]
    rules: PathBuf,
    #[command(flatten)]
    report: ReportArguments,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(options: &ExplainOptions) -> Outcome {
    let report = options.report.read(Some("explained"))?;
    if !report.data.caused_by.is_empty() {
        output::tell(
            "note: it names a cause, so in a case it would follow its root's rule; explained as a root",
        );
    }
    let (book, explained) = explain_report(&options.rules, &report)?;
    if options.json {
        return output::json(&explained.to_json(&book));
    }
    print(&book, &explained)?;
    let changes = &explained.changes;
    if changes.is_empty() {
        return Ok(());
    }
    output::line("\nwhat would change it:")?;
    changes.iter().try_for_each(|change| output::line(&format!("- {change}")))
}

/// What the rulebooks of a path would do about a report.
pub(crate) fn explain_report(
    rules: &Path,
    report: &Report,
) -> Outcome<(Arc<Rulebook>, Explanation)> {
    let books = super::read_good(rules)?;
    let book = owner(&books, report)?;
    let strangers = strangers(book, report);
    if !strangers.actions.is_empty() {
        return Err(Failure::Usage(strangers.actions.join("\n")));
    }
    for stranger in &strangers.reporters {
        output::tell(&format!("note: {stranger}"));
    }
    Ok((Arc::clone(book), explain(book, report)))
}

/// The rulebook that the reporting service belongs to. One alone also answers for strangers, by its default rule.
fn owner<'a>(books: &'a [Arc<Rulebook>], report: &Report) -> Outcome<&'a Arc<Rulebook>> {
    let service = report.service();
    match books {
        [only] => Ok(only),
        many => many.iter().find(|b| b.service(service).is_some()).ok_or_else(|| {
            Failure::Local(anyhow!("service `{service}` belongs to none of the rulebooks"))
        }),
    }
}

pub(crate) fn print(book: &Rulebook, explained: &Explanation) -> Outcome {
    output::line(&format!("report {} in rulebook {}\n", explained.report, book.name()))?;
    let considered = &explained.considered;
    let mut grid = Grid::new(&["", "rule", "because"]);
    for one in considered {
        grid.row(vec![
            verdict(one).to_owned(),
            book.rule(one.rule).index_label.clone(),
            reasons(one),
        ]);
    }
    grid.print()?;
    let Some(chosen) = considered.iter().find(|c| c.chosen) else {
        return output::line(
            "\nNo rule answers it: the case would be `unmatched` and wait for a person.",
        );
    };
    let rule = book.rule(chosen.rule);
    output::line(&format!("\nanswered by {} ({})", rule.index_label, rule.mode.as_str()))?;
    for (what, text) in [("why", &rule.why), ("owner", &rule.owner)] {
        if let Some(text) = text {
            output::line(&format!("  {what}: {text}"))?;
        }
    }
    let plan: Vec<&Want> = explained.plan.all().collect();
    if plan.is_empty() {
        return output::line(
            "\nThe plan is empty: nothing that it asks for is known to have happened.",
        );
    }
    output::line("")?;
    let mut grid = Grid::new(&["stage", "verb", "action", "state"]);
    for want in &plan {
        grid.row(vec![
            stage_text(want.step.stage.0),
            want.step.verb.to_string(),
            book.get(want.step.action).name.to_string(),
            explained.state(want).to_owned(),
        ]);
    }
    grid.print()?;
    if rule.demand.uses_recorded() {
        output::line(
            "\n`recorded` grows as the services' Histories are asked; give --history to see more.",
        )?;
    }
    Ok(())
}

fn verdict(one: &Considered) -> &'static str {
    match (one.chosen, one.matches) {
        (true, _) => "answers",
        (false, true) => "matches, less specific",
        (false, false) => "does not match",
    }
}

/// The fields that decided: all of a match, the failing ones otherwise.
fn reasons(one: &Considered) -> String {
    let shown = one.checks.iter().filter(|c| !c.holds || (one.matches && c.wanted != "*"));
    let texts: Vec<_> = shown
        .map(|check| {
            let found = check.found.as_deref().unwrap_or("absent");
            if check.holds {
                format!("{} {} holds", check.field, check.wanted)
            } else {
                format!("{} is {found}, wanted {}", check.field, check.wanted)
            }
        })
        .collect();
    if texts.is_empty() { "any report".to_owned() } else { texts.join("; ") }
}

/// A stage's number as people count, from 1; the notices of the top level come after all others.
pub(crate) fn stage_text(stage: u16) -> String {
    if stage == Stage::NOTICES.0 { "last".to_owned() } else { (u32::from(stage) + 1).to_string() }
}
