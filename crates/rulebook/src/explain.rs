//! Why a report is answered as it is: the rules that were considered, field by field, the plan, and what would change it.
//! Uses what the report itself says; the supervisor asks the Histories for more.

use crate::read::{Diagnostics, quote};
use crate::{Considered, Facts, Known, PlannedStep, Rulebook, Stage};
use amends_protocol::{Report, Verb};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fmt::Write as _;

/// Other answers that are named.
const CHANGES_LIMIT: usize = 20;

/// The whole explanation.
#[derive(Clone, Debug)]
pub struct Explanation {
    /// `service/code`.
    pub report: String,
    /// Every rule that was considered, most specific first.
    pub considered: Vec<Considered>,
    /// What the answering rule asks for; empty if no rule answers.
    pub steps: Vec<PlannedStep>,
    /// What would lead to another plan.
    pub changes: Vec<String>,
}

/// Explains a report with what is known of its saga. `proven`: the reporter's own History says that its action did
/// nothing.
#[must_use]
pub fn explain(book: &Rulebook, facts: &Facts<'_>, known: &Known<'_>, proven: bool) -> Explanation {
    let considered = book.considered(facts);
    let rule = considered.iter().find(|c| c.chosen).map(|c| book.rule(c.rule));
    let steps = rule.map_or_else(Vec::new, |r| book.steps_of(r, known, proven));
    let mut changes = other_rules(book, &considered);
    if let Some(rule) = rule {
        changes.extend(more_evidence(book, rule, known, proven, &steps));
        if let Some(give_up) = &rule.give_up {
            let then = book.steps_given_up(rule, known, proven).unwrap_or_default();
            let limits = [
                give_up.attempts.map(|n| format!("{n} attempts")),
                give_up.age_ms.map(|ms| format!("{} s", ms / 1_000)),
            ];
            let limits: Vec<_> = limits.into_iter().flatten().collect();
            changes.push(format!(
                "if the retry still fails after {}: {}",
                limits.join(" or "),
                in_words(book, &then)
            ));
        }
        if let Some(limit) = rule.limit_per_minute {
            changes
                .push(format!("in a minute with more than {limit} cases: a person is asked first"));
        }
    }
    changes.truncate(CHANGES_LIMIT);
    Explanation { report: format!("{}/{}", facts.service, facts.code), considered, steps, changes }
}

/// Names in a report that the rulebook doesn't have.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Strangers {
    /// Actions: nothing could be asked for them, so whatever is said of the plan would be wrong.
    pub actions: Vec<String>,
    /// A service or a code: only rules for all of them answer it.
    pub reporters: Vec<String>,
}

/// Looks for names in a report that are probably misspelt; each is told in a sentence, with what was probably meant.
#[must_use]
pub fn strangers(book: &Rulebook, report: &Report) -> Strangers {
    let mut all = Strangers::default();
    let sentence = |what: &str, name: &str, known: &[String]| {
        let help = Diagnostics::default().did_you_mean(name, known.iter().map(String::as_str));
        let help = help.map_or(String::new(), |help| format!("; {help}"));
        format!("{what} {} is not in rulebook `{}`{help}", quote(name), book.name())
    };
    let names: Vec<String> = book.actions().iter().map(|a| a.name.to_string()).collect();
    let service = report.service();
    match book.service(service) {
        None => {
            let services: Vec<_> = book.services().iter().map(|s| s.name.to_string()).collect();
            all.reporters.push(sentence("service", service, &services));
        }
        Some(id) => {
            if let Some(action) = &report.data.action
                && book.action(service, action).is_none()
            {
                let own = &book.services()[id.0 as usize].actions;
                let own: Vec<_> =
                    own.iter().map(|a| book.get(*a).name.action.to_string()).collect();
                all.actions.push(sentence(&format!("action of `{service}`:"), action, &own));
            }
            let codes = book.reports().iter().filter(|r| r.service == id);
            let codes: Vec<_> = codes.map(|r| r.code.to_string()).collect();
            let code = &report.data.code;
            if !codes.is_empty() && !codes.contains(code) {
                all.reporters.push(sentence(&format!("report of `{service}`:"), code, &codes));
            }
        }
    }
    let unknown =
        report.data.history.iter().filter(|e| book.action(&e.service, &e.action).is_none());
    let unknown: BTreeSet<_> = unknown.map(|e| format!("{}.{}", e.service, e.action)).collect();
    all.actions.extend(unknown.iter().map(|name| sentence("history:", name, &names)));
    all
}

/// More specific rules that missed the report only by its fields.
fn other_rules(book: &Rulebook, considered: &[Considered]) -> Vec<String> {
    let before = considered.iter().take_while(|c| !c.chosen).filter(|c| !c.matches);
    let missed = before.filter_map(|c| {
        let by_pattern =
            c.checks.iter().any(|k| !k.holds && (k.field == "service" || k.field == "code"));
        let wanted: Vec<_> = c
            .checks
            .iter()
            .filter(|k| !k.holds)
            .map(|k| format!("{} {}", k.field, k.wanted))
            .collect();
        (!by_pattern && !wanted.is_empty()).then(|| {
            format!(
                "with {}: rule `{}` answers",
                wanted.join(" and "),
                book.rule(c.rule).index_label
            )
        })
    });
    missed.take(CHANGES_LIMIT).collect()
}

/// What further evidence would add.
fn more_evidence(
    book: &Rulebook,
    rule: &crate::Rule,
    known: &Known<'_>,
    proven: bool,
    steps: &[PlannedStep],
) -> Option<String> {
    if !rule.demand.uses_recorded() {
        return None;
    }
    let all: BTreeSet<_> = match known.reporter {
        Some(action) => book.saga_reach(action).iter().copied().collect(),
        None => book.action_ids().collect(),
    };
    let most = book.steps_of(rule, &Known { reporter: known.reporter, effects: &all }, proven);
    let has = |s: &PlannedStep| steps.iter().any(|k| (k.verb, k.action) == (s.verb, s.action));
    let more: Vec<_> = most.into_iter().filter(|s| !has(s)).collect();
    (!more.is_empty())
        .then(|| format!("if the Histories say that these happened too: {}", in_words(book, &more)))
}

/// Steps as one sentence, e.g. `undo payment.pay, then notify sms.send-cancellation`.
pub(crate) fn in_words(book: &Rulebook, steps: &[PlannedStep]) -> String {
    if steps.is_empty() {
        return "nothing".to_owned();
    }
    let mut out = String::new();
    let mut before: Option<(Stage, Verb)> = None;
    for step in steps {
        let name = &book.get(step.action).name;
        let word = match step.verb {
            Verb::Compensate => "undo",
            Verb::Retry => "retry",
            Verb::Notify => "notify",
        };
        let _ = match before {
            Some((stage, verb)) if (stage, verb) == (step.stage, step.verb) => {
                write!(out, ", {name}")
            }
            Some((stage, _)) if stage == step.stage => write!(out, ", {word} {name}"),
            Some(_) => write!(out, "; then {word} {name}"),
            None => write!(out, "{word} {name}"),
        };
        before = Some((step.stage, step.verb));
    }
    out
}

impl Explanation {
    /// For people.
    #[must_use]
    pub fn to_text(&self, book: &Rulebook) -> String {
        let mut out = format!("report {} in rulebook {}\n\n", self.report, book.name());
        for one in &self.considered {
            let verdict = match (one.chosen, one.matches) {
                (true, _) => "answers       ",
                (false, true) => "less specific ",
                (false, false) => "does not match",
            };
            let _ = writeln!(out, "{verdict}  {}", book.rule(one.rule).index_label);
            for check in &one.checks {
                let found = check.found.as_deref().unwrap_or("absent");
                let sign = if check.holds { "holds" } else { "fails" };
                let _ = writeln!(
                    out,
                    "                  {sign}: {} is {found}, wanted {}",
                    check.field, check.wanted
                );
            }
        }
        let Some(rule) = self.considered.iter().find(|c| c.chosen).map(|c| book.rule(c.rule))
        else {
            out.push_str("\nno rule answers it: the case waits for a person\n");
            return out;
        };
        let _ = writeln!(out, "\nplan ({}): {}", rule.mode.as_str(), in_words(book, &self.steps));
        if !self.changes.is_empty() {
            out.push_str("\nwhat would change it:\n");
            for change in &self.changes {
                let _ = writeln!(out, "- {change}");
            }
        }
        out
    }

    /// As data: `report`, `rule`, `considered`, `plan` and `changes`.
    #[must_use]
    pub fn to_json(&self, book: &Rulebook) -> Value {
        let rules: Vec<_> = self
            .considered
            .iter()
            .map(|one| {
                let checks: Vec<_> = one
                    .checks
                    .iter()
                    .map(|c| json!({ "field": c.field, "wanted": c.wanted, "found": c.found, "holds": c.holds }))
                    .collect();
                json!({ "rule": book.rule(one.rule).index_label, "matches": one.matches, "chosen": one.chosen, "checks": checks })
            })
            .collect();
        let steps: Vec<_> = self
            .steps
            .iter()
            .map(|s| json!({ "stage": s.stage.0, "verb": s.verb, "action": book.get(s.action).name }))
            .collect();
        let chosen =
            self.considered.iter().find(|c| c.chosen).map(|c| &book.rule(c.rule).index_label);
        json!({ "rulebook": book.name(), "report": self.report, "rule": chosen, "considered": rules, "plan": steps, "changes": self.changes })
    }
}
