//! What the supervisor says of a run: its cases, counted by report and by service. It reads the REST API and changes
//! nothing.

use crate::client::{Client, NoAnswer};
use amends_api::{
    CaseDetail, CaseState, CaseSummary, ClosedOn, Money, Overview, Page, QuestionEffect,
    QuestionKind, ReportView, StepStateName, StepView, Totals,
};
use amends_protocol::Outcome;
use anyhow::{Context, bail};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::Instant;

/// One question may take this long; the biggest page takes milliseconds.
const QUESTION_LIMIT: Duration = Duration::from_secs(10);
/// How long a supervisor that doesn't answer is asked again: longer than a restart takes.
const AWAY_LIMIT: Duration = Duration::from_secs(60);
/// Unsettled cases that are told one by one: enough to see what kind they are of.
const TOLD_CASES: usize = 20;
/// Cases per page.
const PAGE: usize = 200;

/// One kind of report, how often it came, and which steps it led to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReportCount {
    /// How many came.
    pub count: u64,
    /// By `service.action`: how many steps ended how, or where they stand.
    pub steps: BTreeMap<String, BTreeMap<String, u64>>,
}

/// How far one service has compensated. `planned` is the sum of `done`, `superseded`, `shadow`, `waiting` and `stuck`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceCount {
    /// Steps in the plans of all cases.
    pub planned: u64,
    /// Steps that it was asked for at least once.
    pub asked: u64,
    /// Steps that ended with an outcome.
    pub done: u64,
    /// Steps by outcome.
    pub outcomes: BTreeMap<String, u64>,
    /// Steps that a later report made pointless, whether they had been asked for or not: retries of what is undone.
    pub superseded: u64,
    /// Steps of rules in `shadow` mode: recorded, never sent.
    pub shadow: u64,
    /// Steps that are still to be done.
    pub waiting: u64,
    /// Steps that need a person.
    pub stuck: u64,
}

/// What the cases were about in which something was undone.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Undone {
    /// How many these are.
    pub cases: u64,
    /// The sum of each currency.
    pub amounts: Vec<Money>,
    /// Cases that are in no sum.
    pub without_amount: u64,
}

/// All cases of a supervisor.
#[derive(Clone, Debug, Default)]
pub struct Cases(pub Vec<CaseDetail>);

impl Cases {
    /// How many cases are in which state.
    #[must_use]
    pub fn by_state(&self) -> BTreeMap<CaseState, u64> {
        let mut counts = BTreeMap::new();
        for case in &self.0 {
            *counts.entry(case.summary.state).or_default() += 1;
        }
        counts
    }

    /// How many settled cases have which closing word.
    #[must_use]
    pub fn by_closing_word(&self) -> BTreeMap<ClosedOn, u64> {
        let mut counts = BTreeMap::new();
        for closed_on in self.0.iter().filter_map(|case| case.summary.closed_on) {
            *counts.entry(closed_on).or_default() += 1;
        }
        counts
    }

    /// How much the cases were about in which something was undone.
    #[must_use]
    pub fn undone(&self) -> Undone {
        let is_undone = |case: &&CaseDetail| {
            case.plan.iter().any(|step| step.outcome == Some(Outcome::Compensated))
        };
        let (mut totals, mut cases) = (Totals::default(), 0);
        for case in self.0.iter().filter(is_undone) {
            totals.add(&case.summary.amounts);
            cases += 1;
        }
        Undone { cases, amounts: totals.amounts(), without_amount: totals.without() }
    }

    /// How many questions are open, by kind, those included that hold no case.
    #[must_use]
    pub fn questions(&self) -> BTreeMap<QuestionKind, u64> {
        let mut counts = BTreeMap::new();
        for question in self.0.iter().flat_map(|case| &case.questions) {
            *counts.entry(question.kind).or_default() += 1;
        }
        counts
    }

    /// What is in doubt, a sentence for each of the first [`TOLD_CASES`] questions: none where everybody is honest.
    #[must_use]
    pub fn doubts(&self) -> Vec<String> {
        let questions = self.0.iter().flat_map(|case| &case.questions).take(TOLD_CASES);
        questions.map(|one| format!("question {}: {}", one.id, one.sentence)).collect()
    }

    /// The case of a saga, if it has one.
    #[must_use]
    pub fn of_saga(&self, saga: &str) -> Option<&CaseDetail> {
        self.0.iter().find(|case| case.summary.saga_id.as_str() == saga)
    }

    /// Reports by `service/code`. A step is counted with the first report that demands it by a rule of its own; one
    /// that only a report without a rule demands, with that report.
    #[must_use]
    pub fn by_report(&self) -> BTreeMap<String, ReportCount> {
        let mut counts: BTreeMap<String, ReportCount> = BTreeMap::new();
        for case in &self.0 {
            for report in &case.reports {
                counts.entry(report_name(report)).or_default().count += 1;
            }
            for step in &case.plan {
                let mut because =
                    case.reports.iter().filter(|report| step.because.contains(&report.id));
                let first = because.clone().next();
                let reason = because.find(|report| report.rule.is_some()).or(first);
                let reason = reason.map_or_else(|| "by hand".to_owned(), report_name);
                let steps = &mut counts.entry(reason).or_default().steps;
                *steps
                    .entry(step.action.to_string())
                    .or_default()
                    .entry(standing(step))
                    .or_default() += 1;
            }
        }
        counts
    }

    /// Steps by service.
    #[must_use]
    pub fn by_service(&self) -> BTreeMap<String, ServiceCount> {
        let mut counts: BTreeMap<String, ServiceCount> = BTreeMap::new();
        for step in self.0.iter().flat_map(|case| &case.plan) {
            let count = counts.entry(step.action.service.to_string()).or_default();
            count.planned += 1;
            count.asked += u64::from(step.attempts > 0);
            count.waiting += u64::from(step.state.is_under_way());
            let is = |state| u64::from(step.state == state);
            count.stuck += is(StepStateName::Stuck);
            count.superseded += is(StepStateName::Superseded);
            count.shadow += is(StepStateName::Shadow);
            count.done += is(StepStateName::Done);
            if let Some(outcome) = step.outcome {
                *count.outcomes.entry(outcome.to_string()).or_default() += 1;
            }
        }
        counts
    }

    /// What is not settled, and why: a sentence for each of the first [`TOLD_CASES`] such cases.
    #[must_use]
    pub fn unsettled(&self) -> Vec<String> {
        let unsettled = self.0.iter().filter(|case| case.summary.state != CaseState::Settled);
        unsettled.take(TOLD_CASES).map(why_unsettled).collect()
    }
}

fn why_unsettled(case: &CaseDetail) -> String {
    let unfinished = case.plan.iter().filter(|step| step.state.is_unfinished());
    let steps = unfinished.map(|step| {
        let message = step.message.as_deref().map_or_else(String::new, |text| format!(": {text}"));
        let (verb, action, state) = (step.verb, &step.action, step.state);
        format!("{verb} `{action}` is {state}, attempts so far {}{message}", step.attempts)
    });
    let walks = case.histories.iter().filter(|walk| !walk.answered).map(|walk| {
        let message = walk.message.as_deref().map_or_else(String::new, |text| format!(": {text}"));
        format!("the History of `{}` is not known{message}", walk.service)
    });
    let held = case.questions.iter().filter(|question| question.effect == QuestionEffect::Hold);
    let doubts = held.map(|question| format!("a question holds it: {}", question.sentence));
    let why: Vec<_> = steps.chain(walks).chain(doubts).collect();
    let why = match why.is_empty() {
        true => "all its steps have ended, and it waits for quiet".to_owned(),
        false => why.join("; "),
    };
    let summary = &case.summary;
    format!("case {} of saga `{}` is {}: {why}", summary.id, summary.saga_id, summary.state)
}

fn report_name(report: &ReportView) -> String {
    format!("{}/{}", report.service, report.data.code)
}

/// How a step ended, or where it stands.
fn standing(step: &StepView) -> String {
    step.outcome.map_or_else(|| step.state.to_string(), |outcome| outcome.to_string())
}

/// Asks the supervisor at `url` for everything that it knows of its cases.
///
/// # Errors
/// When it can't be reached for a minute, or answers something else.
pub async fn read_cases(client: &Client, url: &str) -> anyhow::Result<Cases> {
    let mut cases = Vec::new();
    let mut cursor = String::new();
    loop {
        let page: Page<CaseSummary> =
            ask(client, &format!("{url}/v1/cases?limit={PAGE}{cursor}")).await?;
        for case in page.items {
            cases.push(ask(client, &format!("{url}/v1/cases/{}", case.id)).await?);
        }
        match page.next {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return Ok(Cases(cases)),
        }
    }
}

/// Asks for the numbers of everything.
///
/// # Errors
/// When the supervisor can't be reached for a minute, or answers something else.
pub async fn read_overview(client: &Client, url: &str) -> anyhow::Result<Overview> {
    ask(client, &format!("{url}/v1/overview")).await
}

async fn ask<T: DeserializeOwned>(client: &Client, url: &str) -> anyhow::Result<T> {
    let deadline = Instant::now() + AWAY_LIMIT;
    let answer = loop {
        match client.get(url, QUESTION_LIMIT).await {
            Ok(answer) if answer.status.is_server_error() && Instant::now() < deadline => {}
            Ok(answer) => break answer,
            Err(NoAnswer::NotSent(_) | NoAnswer::Lost(_)) if Instant::now() < deadline => {}
            Err(error) => {
                return Err(error)
                    .with_context(|| format!("the supervisor doesn't answer `{url}`"));
            }
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    if !answer.status.is_success() {
        bail!("the supervisor answers `{url}` with {}: {}", answer.status, answer.body);
    }
    serde_json::from_value(answer.body)
        .with_context(|| format!("`{url}` answers something unexpected"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn step(
        action: &str,
        verb: &str,
        state: &str,
        outcome: Option<&str>,
        because: &[&str],
    ) -> Value {
        json!({
            "id": "s-1-1-0000000000000001", "caseId": "c-1", "sagaId": "a", "verb": verb, "action": action,
            "stage": 0, "state": state, "outcome": outcome, "attempts": u32::from(state != "waiting"),
            "plannedAt": "2026-01-01T00:00:00Z", "because": because,
        })
    }

    fn asked(mut step: Value, attempts: u32) -> Value {
        step["attempts"] = attempts.into();
        step
    }

    fn report(id: &str, service: &str, code: &str, rule: Option<&str>) -> Value {
        let role = if rule.is_some() { "rule" } else { "derived" };
        json!({
            "source": service, "id": id, "service": service, "receivedAt": "2026-01-01T00:00:00Z",
            "rule": rule, "role": role, "data": {"code": code},
        })
    }

    fn cases() -> Cases {
        let case = json!({
            "id": "c-1", "sagaId": "a", "state": "open", "report": "order/downstream", "steps": {},
            "openedAt": "2026-01-01T00:00:00Z", "updatedAt": "2026-01-01T00:00:00Z",
            "reports": [
                report("r-2", "order", "downstream", None),
                report("r-1", "payment", "report-1", Some("payment/report-1")),
            ],
            "plan": [
                step("coupon.redeem", "compensate", "done", Some("compensated"), &["r-2", "r-1"]),
                step("order.place", "compensate", "stuck", None, &["r-2"]),
                step("sms.send-cancellation", "notify", "waiting", None, &["r-1"]),
                asked(step("rider.match", "retry", "superseded", None, &["r-1"]), 1),
                asked(step("rider.match", "retry", "superseded", None, &["r-1"]), 0),
            ],
            "histories": [], "notes": [], "acts": [],
        });
        Cases(vec![serde_json::from_value(case).expect("the shape of a case")])
    }

    #[test]
    fn a_step_is_counted_with_the_report_whose_rule_asks_for_it() {
        let counts = cases().by_report();
        let rule = &counts["payment/report-1"];
        assert_eq!(rule.count, 1);
        assert_eq!(rule.steps["coupon.redeem"], BTreeMap::from([("compensated".to_owned(), 1)]));
        assert_eq!(
            rule.steps["sms.send-cancellation"],
            BTreeMap::from([("waiting".to_owned(), 1)])
        );
        let derived = &counts["order/downstream"];
        assert_eq!(derived.steps.keys().collect::<Vec<_>>(), ["order.place"]);
    }

    #[test]
    fn a_service_is_asked_done_waiting_or_stuck() {
        let counts = cases().by_service();
        let coupon = &counts["coupon"];
        assert_eq!((coupon.asked, coupon.done, coupon.waiting, coupon.stuck), (1, 1, 0, 0));
        let sms = &counts["sms"];
        assert_eq!((sms.asked, sms.done, sms.waiting, sms.stuck), (0, 0, 1, 0));
        let rider = &counts["rider"];
        assert_eq!((rider.planned, rider.asked, rider.done, rider.superseded), (2, 1, 0, 2));
        for (service, count) in &counts {
            let sum = count.done + count.superseded + count.shadow + count.waiting + count.stuck;
            assert_eq!(count.planned, sum, "{service}");
        }
        assert_eq!(counts["order"].stuck, 1);
        assert_eq!(cases().by_state(), BTreeMap::from([(CaseState::Open, 1)]));
        assert!(cases().of_saga("a").is_some() && cases().of_saga("b").is_none());
    }

    #[test]
    fn what_is_not_settled_says_why() {
        let told = cases().unsettled();
        assert_eq!(
            told,
            [
                "case c-1 of saga `a` is open: compensate `order.place` is stuck, attempts so far 1; \
              notify `sms.send-cancellation` is waiting, attempts so far 0"
            ]
        );
        let mut asked = cases();
        asked.0[0].plan.clear();
        let question = json!({
            "id": "q-1-0000000000000001", "kind": "contradiction", "effect": "hold", "caseId": "c-1",
            "sentence": "payment says no, and order says yes", "service": "payment", "may": [],
            "since": "2026-01-01T00:00:00Z",
        });
        asked.0[0].questions = vec![serde_json::from_value(question).expect("a question")];
        let held = "a question holds it: payment says no, and order says yes";
        assert_eq!(asked.unsettled(), [format!("case c-1 of saga `a` is open: {held}")]);
        assert_eq!(asked.questions(), BTreeMap::from([(QuestionKind::Contradiction, 1)]));
        assert_eq!(asked.doubts().len(), 1);
        let mut settled = cases();
        settled.0[0].summary.state = CaseState::Settled;
        assert!(settled.unsettled().is_empty());
    }
}
