//! Two rulebooks compared by what they do: which reports get different plans, and how; and how steps are asked for. Text,
//! order and comments don't count.

mod asking;
mod probes;
mod replay;

pub use asking::AskingChange;
pub use replay::{Replay, Replayed, ReplayedGroup};

use amends_rulebook::{
    ActionId, CaseFacts, Example, Facts, Known, Plan, PlannedStep, Rulebook, Stage, length_of_time,
};
use probes::{ANY_CODE, effects, probes};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// Beyond these every value of every list is tried once, up to so many in one rulebook: about a second of work.
const VALUES_LIMIT: usize = 50_000;

/// Differences that are told.
const CHANGES_LIMIT: usize = 1_000;

/// What a rulebook makes of one report, by names, so that two rulebooks can be compared.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PlannedAnswer {
    /// The answering rule's label; none if no rule answers.
    pub rule: Option<String>,
    /// Steps as `verb service.action`, with their stages from 0 (`last` for final notices).
    pub steps: BTreeMap<String, String>,
    /// The same for when a retry is given up.
    pub given_up: BTreeMap<String, String>,
    /// `auto`, `ask` or `shadow`, with the limit, the objective and `past`, where there is one.
    pub mode: String,
    /// When the retry is given up.
    pub give_up_after: String,
}

/// A report that the two answer differently.
#[derive(Clone, Debug, PartialEq)]
pub struct PlanChange {
    /// `service/code`; a code of `*` stands for every code without a rule of its own.
    pub report: String,
    /// An example of it.
    pub example: Example,
    /// What has happened in that example, by names.
    pub effects: Vec<String>,
    /// The answer of the first rulebook.
    pub before: PlannedAnswer,
    /// The answer of the second.
    pub after: PlannedAnswer,
}

/// What came of a comparison.
#[derive(Clone, Debug, Default)]
pub struct Comparison {
    /// Reports with different plans.
    pub changes: Vec<PlanChange>,
    /// What is different in how steps are asked for, and in what holds for all cases.
    pub asking: Vec<AskingChange>,
    /// Reports that were tried.
    pub tried: usize,
    /// Values of conditions were left out, because there are too many of them.
    pub partly: bool,
    /// Changes beyond the limit.
    pub omitted: usize,
}

/// Which reports get different plans. Tries, for each rule and each declared report of both rulebooks, reports at the ends
/// of its conditions, in a saga where as much has happened as the report allows.
#[must_use]
pub fn compare(a: &Rulebook, b: &Rulebook) -> Comparison {
    compare_up_to(a, b, VALUES_LIMIT)
}

fn compare_up_to(a: &Rulebook, b: &Rulebook, values: usize) -> Comparison {
    let mut seen: BTreeSet<(String, String)> = BTreeSet::new();
    let mut all = Comparison { asking: asking::compare(a, b), ..Comparison::default() };
    for book in [a, b] {
        let mut values_left = values;
        let probes = probes(book, &mut values_left);
        all.partly |= values_left == 0;
        for probe in probes {
            let report = format!("{}/{}", probe.service, probe.code);
            if seen.insert((report, probe.example.to_json().to_string())) {
                all.tried += 1;
                let facts = probe.example.facts(&probe.service, &probe.code);
                let effects = effects(book, &facts);
                if let Some(change) = compare_answers(a, b, &facts, &effects) {
                    all.add(PlanChange { example: probe.example.clone(), ..change });
                }
            }
        }
    }
    all
}

impl Comparison {
    fn add(&mut self, change: PlanChange) {
        let same = |c: &&PlanChange| {
            (&c.report, &c.before, &c.after) == (&change.report, &change.before, &change.after)
        };
        if self.changes.iter().rev().take(50).any(|c| same(&c)) {
            return;
        }
        if self.changes.len() < CHANGES_LIMIT {
            self.changes.push(change);
        } else {
            self.omitted += 1;
        }
    }

    /// Whether the two do the same.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty() && self.asking.is_empty()
    }

    /// For people: one paragraph per report.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut out: String = self.changes.iter().map(PlanChange::to_text).collect();
        if self.omitted > 0 {
            out += &format!("{} more are not shown\n", self.omitted);
        }
        if !self.asking.is_empty() {
            out += "how steps are asked for\n";
            out.extend(self.asking.iter().map(AskingChange::to_text));
            out.push('\n');
        }
        if self.partly {
            out += "not every value of every condition was tried: there are too many\n";
        }
        if self.changes.is_empty() {
            out += &format!("no difference in the plans of {} kinds of report\n", self.tried);
            return out;
        }
        out + &format!(
            "{} of {} kinds of report get another plan\n",
            self.changes.len() + self.omitted,
            self.tried
        )
    }

    /// As data: `changes`, `asking`, `tried`, `partly`, `omitted`.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let changes: Vec<_> = self.changes.iter().map(PlanChange::to_json).collect();
        let asking: Vec<_> = self.asking.iter().map(AskingChange::to_json).collect();
        json!({ "changes": changes, "asking": asking, "tried": self.tried, "partly": self.partly, "omitted": self.omitted })
    }
}

/// What both make of one report in a saga with these effects (names, `service.action`); none if it is the same.
#[must_use]
pub fn compare_answers(
    a: &Rulebook,
    b: &Rulebook,
    facts: &Facts<'_>,
    effects: &[String],
) -> Option<PlanChange> {
    let (before, after) =
        (PlannedAnswer::of(a, facts, effects), PlannedAnswer::of(b, facts, effects));
    let differs = (
        &before.steps,
        &before.given_up,
        &before.mode,
        &before.give_up_after,
        before.rule.is_some(),
    ) != (
        &after.steps,
        &after.given_up,
        &after.mode,
        &after.give_up_after,
        after.rule.is_some(),
    );
    differs.then(|| PlanChange {
        report: format!(
            "{}/{}",
            facts.service,
            if facts.code == ANY_CODE { "*" } else { facts.code }
        ),
        example: Example {
            action: facts.action.map(str::to_owned),
            message: facts.message.map(str::to_owned),
            entry: facts.entry.map(str::to_owned),
            caller: facts.caller.map(str::to_owned),
            data: facts.data.clone(),
        },
        effects: effects.to_vec(),
        before,
        after,
    })
}

impl PlannedAnswer {
    /// What a rulebook makes of a report. Effects that it doesn't know are left out.
    #[must_use]
    pub fn of(book: &Rulebook, facts: &Facts<'_>, effects: &[String]) -> Self {
        let find = |name: &str| name.split_once('.').and_then(|(s, a)| book.action(s, a));
        let effects: BTreeSet<ActionId> = effects.iter().filter_map(|name| find(name)).collect();
        let known = Known { reporter: book.reporter(facts), effects: &effects };
        let Some(rule) = book.matching(facts).map(|id| book.rule(id)) else {
            return Self::default();
        };
        // Nothing proves that the reporter did nothing, so it is undone with the rest, whether a rule names it or not.
        let case = CaseFacts::of_rule(rule.id, &known, false);
        let stage =
            |s: Stage| if s == Stage::NOTICES { "last".to_owned() } else { s.0.to_string() };
        let named = |plan: &Plan| {
            let steps = plan.all().map(|want| want.step);
            let step = |s: PlannedStep| {
                (format!("{} {}", s.verb, book.get(s.action).name), stage(s.stage))
            };
            steps.map(step).collect::<BTreeMap<_, _>>()
        };
        let limit = rule.limit_per_minute.map_or(String::new(), |n| format!(", {n} per minute"));
        let objective = rule
            .objective_ms
            .map_or(String::new(), |ms| format!(", within {}", length_of_time(ms)));
        let past = rule.past.map_or(String::new(), |past| format!(", past {}", past.as_str()));
        let give_up = rule.give_up.as_ref();
        Self {
            rule: Some(rule.index_label.clone()),
            steps: named(&book.wants(&case)),
            given_up: give_up.map_or_else(BTreeMap::new, |_| {
                named(&book.wants(&case.clone().with_given_up(book, |_| true)))
            }),
            mode: format!("{}{limit}{objective}{past}", rule.mode.as_str()),
            give_up_after: give_up.map_or(String::new(), |g| {
                let attempts = g.attempts.map(|n| format!("{n} attempts"));
                let age = g.age_ms.map(length_of_time);
                attempts.into_iter().chain(age).collect::<Vec<_>>().join(" or ")
            }),
        }
    }
}

impl PlanChange {
    fn to_text(&self) -> String {
        let fields = self.example.to_json();
        let example = if fields == json!({}) { String::new() } else { format!(" with {fields}") };
        let mut out = format!("{}{example}\n", self.report);
        let rule = |a: &PlannedAnswer| a.rule.clone().unwrap_or_else(|| "no rule".to_owned());
        if self.before.rule != self.after.rule {
            out +=
                &format!("  answered by {} instead of {}\n", rule(&self.after), rule(&self.before));
        }
        out += &steps_changed("", &self.before.steps, &self.after.steps);
        out += &steps_changed("given up: ", &self.before.given_up, &self.after.given_up);
        if self.before.mode != self.after.mode
            && self.before.rule.is_some()
            && self.after.rule.is_some()
        {
            out += &format!("  ~ mode {} instead of {}\n", self.after.mode, self.before.mode);
        }
        if self.before.give_up_after != self.after.give_up_after {
            let or_never =
                |t: &str| if t.is_empty() { "never".to_owned() } else { format!("after {t}") };
            out += &format!(
                "  ~ given up {} instead of {}\n",
                or_never(&self.after.give_up_after),
                or_never(&self.before.give_up_after)
            );
        }
        out + "\n"
    }

    /// As data.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let answer = |a: &PlannedAnswer| json!({ "rule": a.rule, "steps": a.steps, "givenUp": a.given_up, "mode": a.mode, "giveUpAfter": a.give_up_after });
        json!({ "report": self.report, "example": self.example.to_json(), "effects": self.effects, "before": answer(&self.before), "after": answer(&self.after) })
    }
}

fn steps_changed(
    what: &str,
    before: &BTreeMap<String, String>,
    after: &BTreeMap<String, String>,
) -> String {
    let mut out = String::new();
    for step in after.keys().filter(|s| !before.contains_key(*s)) {
        out += &format!("  + {what}{step}\n");
    }
    for step in before.keys().filter(|s| !after.contains_key(*s)) {
        out += &format!("  - {what}{step}\n");
    }
    for (step, stage) in after {
        if let Some(was) = before.get(step).filter(|was| *was != stage) {
            out += &format!("  ~ {what}{step} in stage {stage} instead of {was}\n");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::compare_up_to;
    use super::probes::COMBINATIONS_PER_RULE;
    use amends_rulebook::Rulebook;

    #[test]
    fn values_that_are_left_out_are_told() {
        let cities: Vec<String> = (0..40).map(|n| format!("city-{n}")).collect();
        let book = Rulebook::from_yaml(&format!(
            "rulebook: x\nservices: {{ s: {{ url: 'http://s', actions: {{ do: {{ compensation: undo }} }} }} }}\nrules: [{{ on: s/odd, when: {{ data.city: {{ one_of: [{}] }} }}, compensate: all }}, {{ on: '*/*', compensate: all }}]\n",
            cities.join(", ")
        ))
        .unwrap_or_else(|found| panic!("{found:#?}"));
        let whole = compare_up_to(&book, &book, 1_000);
        let part = compare_up_to(&book, &book, 10);
        assert!(!whole.partly && part.partly);
        assert!(part.to_text().starts_with("not every value"), "{}", part.to_text());
        assert_eq!(whole.tried - part.tried, 40 - COMBINATIONS_PER_RULE - 10);
    }
}
