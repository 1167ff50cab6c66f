//! Two rulebooks over what really happened: the cases whose plan would differ. Plans only; what a service would have
//! answered to a step that was never sent is not known here.
//!
//! A retry counts as given up if the tries that it really had reach the rulebook's limits, and a rule's limit of cases a
//! minute is counted over the reports as they came.

use amends_api::{AttemptResult, AttemptView, CaseDetail, ReportStanding, ReportView, StepView};
use amends_protocol::{CaseId, Outcome, Report, Timestamp, Verb};
use amends_rulebook::{
    ActionId, CaseFacts, Mode, PlannedStep, Role, Rule, RuleId, Rulebook, Stage, Target,
};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// A limit counts the cases of this long, from the first case after the one before has ended.
const LIMIT_WINDOW_MS: u64 = 60_000;

/// A replay that is being fed.
#[derive(Debug)]
pub struct Replay<'a> {
    books: [&'a Rulebook; 2],
    cases: Vec<Played>,
}

/// One case under both rulebooks.
#[derive(Debug)]
struct Played {
    id: CaseId,
    /// Its root report.
    report: String,
    plans: [BTreeSet<String>; 2],
    /// The rules with a limit that answer it, with the moment when each answered first.
    limited: [Vec<(RuleId, u32, Timestamp)>; 2],
}

/// What came of a replay.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Replayed {
    /// Cases that were played.
    pub cases: usize,
    /// Those whose plan would differ.
    pub differ: usize,
    /// The differences, the most frequent first.
    pub groups: Vec<ReplayedGroup>,
}

/// Cases with the same difference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplayedGroup {
    /// Their root report, `service/code`.
    pub report: String,
    /// What is no more in the plan (`- …`) and what is new in it (`+ …`).
    pub differences: Vec<String>,
    /// How many.
    pub cases: usize,
    /// One of them.
    pub example: CaseId,
}

impl<'a> Replay<'a> {
    /// Compares these two.
    #[must_use]
    pub fn new(old: &'a Rulebook, new: &'a Rulebook) -> Self {
        Self { books: [old, new], cases: Vec::new() }
    }

    /// Plays one case.
    pub fn add(&mut self, case: &CaseDetail) {
        let root = case.reports.iter().find(|r| r.role != ReportStanding::Derived);
        let report = root.map_or_else(
            || case.summary.report.clone(),
            |r| format!("{}/{}", r.service, r.data.code),
        );
        let under = self.books.map(|book| play(book, case));
        let [(before, old_limits), (after, new_limits)] = under;
        self.cases.push(Played {
            id: case.summary.id,
            report,
            plans: [before, after],
            limited: [old_limits, new_limits],
        });
    }

    /// Counts what differs.
    #[must_use]
    pub fn finish(mut self) -> Replayed {
        for side in [0, 1] {
            self.hold_what_passes_limits(side);
        }
        let mut groups: BTreeMap<(String, Vec<String>), (usize, CaseId)> = BTreeMap::new();
        let mut all = Replayed { cases: self.cases.len(), ..Replayed::default() };
        for case in self.cases {
            let [before, after] = &case.plans;
            let gone = before.difference(after).map(|step| format!("- {step}"));
            let fresh = after.difference(before).map(|step| format!("+ {step}"));
            let differences: Vec<String> = gone.chain(fresh).collect();
            if !differences.is_empty() {
                all.differ += 1;
                groups.entry((case.report, differences)).or_insert((0, case.id)).0 += 1;
            }
        }
        all.groups = groups
            .into_iter()
            .map(|((report, differences), (cases, example))| ReplayedGroup {
                report,
                differences,
                cases,
                example,
            })
            .collect();
        all.groups.sort_by_key(|group| std::cmp::Reverse(group.cases));
        all
    }

    fn hold_what_passes_limits(&mut self, side: usize) {
        let of = |(n, case): (usize, &Played)| {
            case.limited[side]
                .iter()
                .map(move |(rule, limit, at)| (*at, n, *rule, *limit))
                .collect::<Vec<_>>()
        };
        let mut all: Vec<_> = self.cases.iter().enumerate().flat_map(of).collect();
        all.sort_unstable_by_key(|(at, n, ..)| (*at, std::cmp::Reverse(*n)));
        let mut windows: BTreeMap<RuleId, (Timestamp, u32)> = BTreeMap::new();
        for (at, n, rule, limit) in all {
            let window = windows.entry(rule).or_insert((at, 0));
            if at.ms_since(window.0) >= LIMIT_WINDOW_MS {
                *window = (at, 0);
            }
            window.1 += 1;
            if window.1 > limit {
                let label = &self.books[side].rule(rule).index_label;
                let word =
                    format!("waits for approval: over {limit} cases a minute for rule {label}");
                self.cases[n].plans[side].insert(word);
            }
        }
    }
}

impl Replayed {
    /// For people.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut out = String::new();
        for group in &self.groups {
            let some = if group.cases == 1 { "case" } else { "cases" };
            out += &format!("{}: {} {some}, e.g. {}\n", group.report, group.cases, group.example);
            for difference in &group.differences {
                out += &format!("  {difference}\n");
            }
        }
        out + &format!("{} of {} cases would get another plan\n", self.differ, self.cases)
    }

    /// As data: `cases`, `differ`, `groups`.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let group = |g: &ReplayedGroup| json!({ "report": g.report, "differences": g.differences, "cases": g.cases, "example": g.example });
        let groups: Vec<_> = self.groups.iter().map(group).collect();
        json!({ "cases": self.cases, "differ": self.differ, "groups": groups })
    }
}

/// A plan in words: each step with its stage, what no rule answers, and what waits for approval. And the limited rules.
fn play(book: &Rulebook, case: &CaseDetail) -> (BTreeSet<String>, Vec<(RuleId, u32, Timestamp)>) {
    // Of a report past the case's limit only the evidence counts.
    let (excess, answered): (Vec<_>, Vec<_>) =
        case.reports.iter().partition(|r| r.role == ReportStanding::Excess);
    let report = |view: &&ReportView| Report {
        id: view.id.clone(),
        source: view.source.clone(),
        saga_id: case.summary.saga_id.clone(),
        time: None,
        traceparent: None,
        data: view.data.clone(),
    };
    let reports: Vec<Report> = answered.iter().map(report).collect();
    let reports: Vec<&Report> = reports.iter().collect();
    let walks =
        case.histories.iter().flat_map(|w| w.entries.iter().map(|e| (w.service.as_str(), e)));
    let beyond = excess.iter().flat_map(|r| r.data.history.iter().map(|e| (r.service.as_str(), e)));
    let mut facts = CaseFacts::of_all_reports(book, &reports, walks.chain(beyond))
        .with_given_up(book, |rule| is_given_up(book, rule, case));
    facts.retried = retried(book, case);
    let plan = book.wants(&facts);
    let stages: BTreeSet<Stage> = plan.in_earnest().map(|step| step.stage).collect();
    let mut words = BTreeSet::new();
    for step in plan.in_earnest() {
        let stage = stages.iter().position(|stage| *stage == step.stage).map_or(0, |n| n + 1);
        words.insert(format!("{} {} in stage {stage}", step.verb, book.get(step.action).name));
    }
    let in_shadow = |s: PlannedStep| format!("{} {} in shadow", s.verb, book.get(s.action).name);
    words.extend(plan.in_shadow().map(in_shadow));
    if facts.reports.iter().any(|report| report.role == Role::Unmatched) {
        words.insert("no rule answers".to_owned());
    }
    let mut limited: Vec<(RuleId, u32, Timestamp)> = Vec::new();
    for (view, report) in answered.iter().zip(&facts.reports) {
        let Some(rule) = report.role.rule().map(|id| book.rule(id)) else { continue };
        match (rule.mode, rule.limit_per_minute) {
            (Mode::Ask, _) => {
                words.insert("waits for approval".to_owned());
            }
            // A limit counts cases, not reports.
            (Mode::Auto, Some(limit)) if limited.iter().all(|(id, ..)| *id != rule.id) => {
                limited.push((rule.id, limit, view.received_at));
            }
            _ => {}
        }
    }
    (words, limited)
}

/// Whether the service was there to be asked, and nothing definite came of it.
const fn reached(result: AttemptResult) -> bool {
    matches!(result, AttemptResult::Accepted | AttemptResult::Busy | AttemptResult::Unknown)
}

/// Actions whose retry really ran, or may have.
fn retried(book: &Rulebook, case: &CaseDetail) -> BTreeSet<ActionId> {
    let ran = |step: &&StepView| {
        let reached = |try_: &AttemptView| reached(try_.result);
        match step.outcome {
            Some(outcome) => outcome == Outcome::Retried,
            None => step.log.iter().any(reached),
        }
    };
    let retries = case.plan.iter().filter(|step| step.verb == Verb::Retry).filter(ran);
    retries.filter_map(|s| book.action(&s.action.service, &s.action.action)).collect()
}

/// Whether the tries that the case's retries really had are enough for the rule to give up.
fn is_given_up(book: &Rulebook, rule: &Rule, case: &CaseDetail) -> bool {
    let Some(give_up) = &rule.give_up else { return false };
    let least = |a: Option<u64>, b: Option<u64>| a.into_iter().chain(b).min();
    case.plan.iter().filter(|step| step.verb == Verb::Retry).any(|step| {
        let Some(id) = book.action(&step.action.service, &step.action.action) else { return false };
        let is_meant = |target: &Target| match target {
            Target::Action(named) => *named == id,
            Target::Tag(tag) => book.tagged(tag).any(|tagged| tagged == id),
            Target::Recorded | Target::All | Target::Downstream => false,
        };
        let policy = &book.get(id).retry;
        let attempts = least(policy.max_attempts.map(u64::from), give_up.attempts.map(u64::from));
        let age_ms = least(policy.max_age_ms, give_up.age_ms);
        rule.demand.stages.iter().flat_map(|s| &s.retry).any(is_meant)
            && is_over(&step.log, attempts, age_ms)
    })
}

/// Whether a row of tries comes to an end at one of these limits, or by a final no.
fn is_over(log: &[AttemptView], attempts: Option<u64>, age_ms: Option<u64>) -> bool {
    let mut counted = 0;
    log.iter().any(|try_| {
        // A service that wasn't there to be asked costs no attempt.
        counted += u64::from(reached(try_.result));
        let failed = !matches!(
            try_.result,
            AttemptResult::Accepted | AttemptResult::Retried | AttemptResult::Unsendable
        );
        let age = try_.ended_at.ms_since(log[0].sent_at);
        matches!(try_.result, AttemptResult::Refused | AttemptResult::Rejected)
            || (failed
                && (attempts.is_some_and(|limit| counted >= limit)
                    || age_ms.is_some_and(|limit| age >= limit)))
    })
}
