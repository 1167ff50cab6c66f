//! Why a report is answered as it is: the rules that were considered, field by field, the plan, and what would change
//! it. Uses what the report itself says; the supervisor asks the Histories for more.

use crate::places::Place;
use amends_protocol::{Report, Verb};
use amends_rulebook::mistakes::{Diagnostics, quote};
use amends_rulebook::{
    ActionId, CaseFacts, CodePattern, Considered, Facts, Hold, Past, Pivot, Plan, PlannedStep,
    ReportDecl, Rulebook, SUPERVISOR, ServiceId, Stage, Want, length_of_time,
};
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
    /// The plan of a case of this report alone; empty if no rule answers.
    pub plan: Plan,
    /// What would lead to another plan.
    pub changes: Vec<String>,
}

/// Explains a report that came alone, or whose causes never came.
#[must_use]
pub fn explain(book: &Rulebook, report: &Report) -> Explanation {
    let case = CaseFacts::of_all_reports(book, &[report], []);
    let considered = book.considered(&Facts::of(report));
    let rule = considered.iter().find(|c| c.chosen).map(|c| book.rule(c.rule));
    let plan = book.wants(&case);
    let mut changes = other_rules(book, &considered);
    changes.extend(reach(book, &case));
    if let Some(rule) = rule {
        changes.extend(more_evidence(book, report, rule, &case, &plan));
        if let Some(give_up) = &rule.give_up {
            let given_up = book.wants(&case.clone().with_given_up(book, |_| true));
            let then: Vec<PlannedStep> = given_up.all().map(|want| want.step).collect();
            let limits = [
                give_up.attempts.map(|n| format!("{n} attempts")),
                give_up.age_ms.map(length_of_time),
            ];
            let limits: Vec<_> = limits.into_iter().flatten().collect();
            changes.push(format!(
                "if the retry still fails after {}: {}",
                limits.join(" or "),
                in_words(book, &then)
            ));
        }
        changes.extend(pivots(book, &case, &plan));
        if let Some(limit) = rule.limit_per_minute {
            changes
                .push(format!("in a minute with more than {limit} cases: a person is asked first"));
        }
    }
    changes.truncate(CHANGES_LIMIT);
    let report = format!("{}/{}", report.service(), report.data.code);
    Explanation { report, considered, plan, changes }
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
        None if service == SUPERVISOR => {}
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
            let codes = codes_of(book, id);
            let code = &report.data.code;
            let told = sentence(&format!("report of `{service}`:"), code, &codes);
            // Any other code is what the rules for many codes are for.
            if !codes.contains(code) && told.contains("did you mean") {
                all.reporters.push(told);
            }
        }
    }
    let unknown =
        report.data.history.iter().filter(|e| book.action(&e.service, &e.action).is_none());
    let unknown: BTreeSet<_> = unknown.map(|e| format!("{}.{}", e.service, e.action)).collect();
    all.actions.extend(unknown.iter().map(|name| sentence("history:", name, &names)));
    all
}

/// The codes that a service declares, or that rules for it name.
fn codes_of(book: &Rulebook, service: ServiceId) -> Vec<String> {
    let declared = book.reports().iter().filter(|r| r.service == service).map(|r| &r.code);
    let name = &book.services()[service.0 as usize].name;
    let ruled = book.rules().iter().filter_map(|rule| match &rule.pattern.code {
        CodePattern::Exact(code) if rule.pattern.service.as_ref() == Some(name) => Some(code),
        CodePattern::Exact(_) | CodePattern::Prefix(_) => None,
    });
    declared.chain(ruled).map(ToString::to_string).collect()
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

/// What may have happened where the report comes from: in the places that the rulebook declares for it, else anywhere
/// in its action's work.
fn may_have_happened(book: &Rulebook, case: &CaseFacts, report: &Report) -> BTreeSet<ActionId> {
    let action = case.reports.first().and_then(|report| report.action);
    let is_it = |decl: &&ReportDecl| {
        *book.services()[decl.service.0 as usize].name == *report.service()
            && *decl.code == *report.data.code
            && (action.is_none() || decl.action == action)
    };
    let declared = book.reports().iter().filter(is_it);
    let mut places: Vec<Place> = declared.filter_map(|decl| Place::of_report(book, decl)).collect();
    if places.is_empty() {
        places.extend(action.map(|action| Place::anywhere(book, action)));
    }
    if places.is_empty() {
        return book.action_ids().collect();
    }
    places.iter().flat_map(|place| place.state(book).effects()).collect()
}

/// What further evidence would add.
fn more_evidence(
    book: &Rulebook,
    report: &Report,
    rule: &amends_rulebook::Rule,
    case: &CaseFacts,
    plan: &Plan,
) -> Option<String> {
    if !rule.demand.uses_recorded() {
        return None;
    }
    let most =
        book.wants(&CaseFacts { effects: may_have_happened(book, case, report), ..case.clone() });
    let has =
        |s: &PlannedStep| plan.all().any(|w| (w.step.verb, w.step.action) == (s.verb, s.action));
    let more: Vec<_> = most.all().map(|want| want.step).filter(|s| !has(s)).collect();
    (!more.is_empty())
        .then(|| format!("if the Histories say that these happened too: {}", in_words(book, &more)))
}

/// What a pivot that has taken effect makes of the plan.
fn pivots(book: &Rulebook, case: &CaseFacts, plan: &Plan) -> Vec<String> {
    let reach: BTreeSet<ActionId> = match case.reports.first().and_then(|report| report.action) {
        Some(action) => book.saga_reach(action).iter().copied().collect(),
        None => book.action_ids().collect(),
    };
    let of_pivot = |pivot: &Pivot| {
        let before = plan.in_earnest().filter(|s| book.undoes_before(pivot, s.verb, s.action));
        let before: Vec<PlannedStep> = before.collect();
        if before.is_empty() || !reach.contains(&pivot.action) {
            return None;
        }
        let (name, steps) = (&book.get(pivot.action).name, in_words(book, &before));
        Some(match case.past(book) {
            Past::Ask => {
                format!(
                    "if `{name}` has happened, or nobody knows: a person is asked before {steps}"
                )
            }
            Past::Undo => format!("if `{name}` has happened: all the same {steps}"),
            Past::Keep => format!(
                "if `{name}` has happened: nothing of this: {steps}; if nobody knows: a person is asked"
            ),
        })
    };
    book.pivots().iter().filter_map(of_pivot).collect()
}

/// How far the failure reaches, if that is not the whole saga.
fn reach(book: &Rulebook, case: &CaseFacts) -> Option<String> {
    const SHOWN: usize = 5;
    let concerned = case.concerns(book)?;
    let names = concerned.iter().take(SHOWN).map(|id| format!("`{}`", book.get(*id).name));
    let names: Vec<String> = names.collect();
    let more = concerned.len().saturating_sub(SHOWN);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    let names = names.join(", ");
    Some(format!(
        "it concerns {names}{more} alone, whose caller goes on; with a report from outside: the whole saga"
    ))
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
    /// What is asked for, in shadow or not.
    #[must_use]
    pub fn steps(&self) -> Vec<PlannedStep> {
        self.plan.all().map(|want| want.step).collect()
    }

    /// When a step of the plan is carried out, in words.
    #[must_use]
    pub fn state(&self, want: &Want) -> &'static str {
        let mut before = self.plan.in_earnest().filter(|other| other.stage < want.step.stage);
        match want.hold {
            Hold::Shadow => "shadow",
            Hold::Ask | Hold::Auto if before.next().is_some() => "waits for earlier stages",
            Hold::Ask => "asks first",
            Hold::Auto => "at once",
        }
    }

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
        let _ = writeln!(out, "\nplan ({}): {}", rule.mode.as_str(), in_words(book, &self.steps()));
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
        let step = |want: &Want| {
            let (step, state) = (want.step, self.state(want));
            let action = &book.get(step.action).name;
            json!({ "stage": step.stage.0, "verb": step.verb, "action": action, "state": state })
        };
        let steps: Vec<_> = self.plan.all().map(step).collect();
        let chosen =
            self.considered.iter().find(|c| c.chosen).map(|c| &book.rule(c.rule).index_label);
        json!({ "rulebook": book.name(), "report": self.report, "rule": chosen, "considered": rules, "plan": steps, "changes": self.changes })
    }
}
