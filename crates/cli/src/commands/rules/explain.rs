//! `amends rules explain`: which rule answers a report, why the others don't, and the plan that comes of it. The plan is
//! made by the supervisor's own engine, so it is the one that a supervisor without further evidence would make.

use crate::failure::{Failure, Outcome};
use crate::moment;
use crate::output::{self, Grid};
use crate::report_file::ReportArguments;
use amends_engine::{Engine, Input, StepRow, StepState, Write};
use amends_protocol::{Report, StepId};
use amends_rulebook::{Considered, Known, Rulebook, Stage, facts, strangers};
use anyhow::anyhow;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::PathBuf;
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
    let books = super::read_good(&options.rules)?;
    let mut report = options.report.read(Some("explained"))?;
    if !report.data.caused_by.is_empty() {
        output::tell(
            "note: it names a cause, so in a case it would follow its root's rule; explained as a root",
        );
        report.data.caused_by.clear();
    }
    let book = owner(&books, &report)?;
    let strangers = strangers(book, &report);
    if !strangers.actions.is_empty() {
        return Err(Failure::Usage(strangers.actions.join("\n")));
    }
    for stranger in &strangers.reporters {
        output::tell(&format!("note: {stranger}"));
    }
    let considered = book.considered(&facts(&report));
    let plan = plan(book, &report);
    let changes = changes(book, &report);
    if options.json {
        let mut all = as_json(book, &report, &considered, &plan);
        all["changes"] = changes.into();
        return output::json(&all);
    }
    print(book, &report, &considered, &plan)?;
    if changes.is_empty() {
        return Ok(());
    }
    output::line("\nwhat would change it:")?;
    changes.iter().try_for_each(|change| output::line(&format!("- {change}")))
}

/// What would lead to another plan.
fn changes(book: &Rulebook, report: &Report) -> Vec<String> {
    let evidence = report.data.history.iter().filter(|e| e.state.may_have_effect());
    let effects = evidence.filter_map(|e| book.action(&e.service, &e.action)).collect();
    let known = Known { reporter: book.reporter(report), effects: &effects };
    let proven = book.is_proven_without_effect(report);
    amends_rulebook::explain(book, &facts(report), &known, proven).changes
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

/// Steps by stage, as the engine plans them.
fn plan(book: &Arc<Rulebook>, report: &Report) -> Vec<StepRow> {
    let mut engine = Engine::new(0);
    engine.restore_active(Arc::clone(book));
    let now = moment::now();
    engine
        .handle(now, Input::Report { report: Box::new(report.clone()), known_in: None, ticket: 0 });
    let writes = engine.take_output(now).writes;
    // Of several writes of one step the last counts.
    let mut steps: BTreeMap<StepId, StepRow> = BTreeMap::new();
    for write in writes {
        if let Write::Step(row) = write {
            steps.insert(row.id, *row);
        }
    }
    let mut steps: Vec<_> = steps.into_values().collect();
    steps.sort_by_key(|s| s.stage);
    steps
}

fn print(book: &Rulebook, report: &Report, considered: &[Considered], plan: &[StepRow]) -> Outcome {
    output::line(&format!(
        "report {}/{} in rulebook {}\n",
        report.service(),
        report.data.code,
        book.name()
    ))?;
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
    if plan.is_empty() {
        return output::line(
            "\nThe plan is empty: nothing that it asks for is known to have happened.",
        );
    }
    output::line("")?;
    let mut grid = Grid::new(&["stage", "verb", "action", "state"]);
    for step in plan {
        grid.row(vec![
            stage_text(step.stage),
            step.verb.to_string(),
            step.action.to_string(),
            state(step).to_owned(),
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

fn state(step: &StepRow) -> &'static str {
    match &step.state {
        StepState::Shadow => "shadow",
        StepState::Stuck { .. } => "asks first",
        StepState::Waiting => "waits for earlier stages",
        _ => "at once",
    }
}

fn as_json(book: &Rulebook, report: &Report, considered: &[Considered], plan: &[StepRow]) -> Value {
    let rules: Vec<_> = considered
        .iter()
        .map(|one| {
            let checks: Vec<_> = one
                .checks
                .iter()
                .map(|c| json!({ "field": c.field, "wanted": c.wanted, "found": c.found, "holds": c.holds }))
                .collect();
            let label = &book.rule(one.rule).index_label;
            json!({ "rule": label, "matches": one.matches, "chosen": one.chosen, "checks": checks })
        })
        .collect();
    let steps: Vec<_> = plan
        .iter()
        .map(|s| json!({ "stage": s.stage, "verb": s.verb, "action": s.action, "state": state(s) }))
        .collect();
    let chosen = considered.iter().find(|c| c.chosen).map(|c| &book.rule(c.rule).index_label);
    json!({
        "rulebook": book.name(),
        "report": format!("{}/{}", report.service(), report.data.code),
        "rule": chosen,
        "considered": rules,
        "plan": steps,
    })
}
