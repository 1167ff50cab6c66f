//! `amends rules show`: what services can do and undo, and what each rule asks for, at a glance.

use crate::failure::Outcome;
use crate::output::{self, Grid};
use amends_rulebook::{
    Action, ActionClass, Demand, GiveUp, Rule, Rulebook, Target, length_of_time,
};
use serde_json::{Value, json};
use std::path::PathBuf;

/// Options of `rules show`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  amends rules show rules.yaml")]
pub struct ShowOptions {
    /// A rulebook file, or a folder of them
    #[arg(value_name = "PATH")]
    path: PathBuf,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(options: ShowOptions) -> Outcome {
    let books = super::read_good(&options.path)?;
    if options.json {
        return output::json(&books.iter().map(|b| book_json(b)).collect::<Vec<_>>());
    }
    for (n, book) in books.iter().enumerate() {
        if n > 0 {
            output::line("")?;
        }
        output::line(&format!(
            "rulebook {} ({})\n",
            book.name(),
            &book.hash()[..12.min(book.hash().len())]
        ))?;
        actions(book).print()?;
        output::line("")?;
        rules(book).print()?;
    }
    Ok(())
}

fn actions(book: &Rulebook) -> Grid {
    let mut grid = Grid::new(&["action", "undone by", "on failure", "calls", "tags"]);
    for action in book.actions() {
        grid.row(vec![
            action.name.to_string(),
            undo(book, action),
            if action.on_failure_retry { "retry".to_owned() } else { "-".to_owned() },
            or_dash(action.calls.written(|id| book.get(id).name.to_string())),
            or_dash(action.tags.iter().map(ToString::to_string).collect()),
        ]);
    }
    grid
}

fn undo(book: &Rulebook, action: &Action) -> String {
    if let Some(corrected) = action.correction_of {
        return format!("corrects {}", book.get(corrected).name);
    }
    if let Some(correction) = action.correction {
        return format!("corrected by {}", book.get(correction).name.action);
    }
    match (&action.compensation, action.class) {
        (Some(compensation), _) => compensation.to_string(),
        (None, ActionClass::Free) => "no effect".to_owned(),
        (None, ActionClass::Pivot) => "pivot".to_owned(),
        (None, _) => "-".to_owned(),
    }
}

fn rules(book: &Rulebook) -> Grid {
    let mut grid = Grid::new(&["report", "compensate", "retry", "notify", "then", "mode"]);
    for rule in book.rules() {
        let first = rule.demand.stages.first();
        let list = |pick: fn(&amends_rulebook::StageDemand) -> &Vec<Target>| {
            or_dash(first.map(pick).into_iter().flatten().map(|t| target(book, t)).collect())
        };
        let limit = rule.limit_per_minute.map(|limit| format!(", at most {limit}/min"));
        let objective = rule.objective_ms.map(|ms| format!(", within {}", length_of_time(ms)));
        let past = rule.past.map(|past| format!(", past {}", past.as_str()));
        let more: String = [limit, objective, past].into_iter().flatten().collect();
        let mode = format!("{}{more}", rule.mode.as_str());
        grid.row(vec![
            label(rule),
            list(|s| &s.compensate),
            list(|s| &s.retry),
            list(|s| &s.notify),
            or_dash(later(book, rule)),
            mode,
        ]);
    }
    grid
}

fn label(rule: &Rule) -> String {
    if rule.implied { format!("{} (implied)", rule.index_label) } else { rule.index_label.clone() }
}

fn later(book: &Rulebook, rule: &Rule) -> Vec<String> {
    let mut out: Vec<_> = rule
        .demand
        .stages
        .iter()
        .enumerate()
        .skip(1)
        .map(|(n, _)| demand_text(book, &rule.demand, n))
        .collect();
    out.extend(rule.give_up.as_ref().map(|g| give_up(book, g)));
    out
}

fn give_up(book: &Rulebook, give_up: &GiveUp) -> String {
    let attempts = give_up.attempts.map(|n| format!("{n} attempts"));
    let age = give_up.age_ms.map(crate::moment::span);
    let limits: Vec<_> = attempts.into_iter().chain(age).collect();
    let stages: Vec<_> =
        (0..give_up.then.stages.len()).map(|n| demand_text(book, &give_up.then, n)).collect();
    format!("after {}: {}", limits.join(" or "), stages.join("; "))
}

/// One stage in words, e.g. `compensate payment.pay, notify sms.sorry`.
fn demand_text(book: &Rulebook, demand: &Demand, stage: usize) -> String {
    let Some(stage) = demand.stages.get(stage) else { return String::new() };
    let part = |verb: &str, targets: &[Target]| {
        let names: Vec<_> = targets.iter().map(|t| target(book, t)).collect();
        (!names.is_empty()).then(|| format!("{verb} {}", names.join(", ")))
    };
    let parts = [
        part("compensate", &stage.compensate),
        part("retry", &stage.retry),
        part("notify", &stage.notify),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

fn target(book: &Rulebook, target: &Target) -> String {
    match target {
        Target::Recorded => "recorded".to_owned(),
        Target::All => "all".to_owned(),
        Target::Downstream => "downstream".to_owned(),
        Target::Tag(tag) => format!("#{tag}"),
        Target::Action(id) => book.get(*id).name.to_string(),
    }
}

fn or_dash(parts: Vec<String>) -> String {
    if parts.is_empty() { "-".to_owned() } else { parts.join(", ") }
}

fn book_json(book: &Rulebook) -> Value {
    let actions: Vec<_> = book
        .actions()
        .iter()
        .map(|a| {
            json!({
                "action": a.name.to_string(),
                "class": a.class.as_str(),
                "compensation": a.compensation.as_deref(),
                "onFailureRetry": a.on_failure_retry,
                "calls": a.calls.written(|id| book.get(id).name.to_string()),
                "tags": a.tags.iter().map(|t| &**t).collect::<Vec<_>>(),
            })
        })
        .collect();
    let rules: Vec<_> = book.rules().iter().map(|r| rule_json(book, r)).collect();
    json!({ "rulebook": book.name(), "hash": book.hash(), "actions": actions, "rules": rules })
}

fn rule_json(book: &Rulebook, rule: &Rule) -> Value {
    let list = |targets: &[Target]| targets.iter().map(|t| target(book, t)).collect::<Vec<_>>();
    let stages = |demand: &Demand| {
        let stage = |s: &amends_rulebook::StageDemand| json!({ "compensate": list(&s.compensate), "retry": list(&s.retry), "notify": list(&s.notify) });
        demand.stages.iter().map(stage).collect::<Vec<_>>()
    };
    json!({
        "rule": rule.index_label,
        "on": rule.on,
        "when": rule.when.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "stages": stages(&rule.demand),
        "giveUp": rule.give_up.as_ref().map(|g| json!({
            "attempts": g.attempts, "ageMs": g.age_ms, "stages": stages(&g.then)
        })),
        "mode": rule.mode.as_str(),
        "limitPerMinute": rule.limit_per_minute,
        "objectiveMs": rule.objective_ms,
        "owner": rule.owner,
        "why": rule.why,
        "implied": rule.implied,
    })
}
