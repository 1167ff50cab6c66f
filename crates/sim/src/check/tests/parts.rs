//! Checkers of parts, keys and fences, each shown what it is there for.

use super::*;
use amends_engine::Subject;

/// Billing undoes one charge at a time.
const CHARGES: &str = "
rulebook: charges
services:
  order: { url: 'http://order', actions: { place: { compensation: cancel, calls: [billing.charge, billing.charge] } } }
  billing:
    url: 'http://billing'
    actions: { charge: { compensation: refund, endpoints: { compensate: { path: '/charges/{requestId}', done: [200] } } } }
rules:
  - { on: order/failed, compensate: recorded }
  - { on: '*/*', compensate: recorded }
";

fn charge(ordinal: u32, request: &str) -> StepRow {
    let mut row = step(ordinal, Verb::Compensate, "billing.charge", 0, StepState::InFlight);
    row.extra.part_of = (ordinal > 1).then_some(1);
    row.extra.subject = Some(Subject { request: Some(request.into()), ..Subject::default() });
    row
}

#[test]
fn a_request_has_no_part_or_two_or_one_that_it_needs_not() {
    let planned = |requests: &[&str]| {
        let mut run = Watched::of(CHARGES);
        let mut report = report("failed");
        report.data.history = vec![
            Evidence::new("billing", "charge", "p-1", HistoryState::Succeeded),
            Evidence::new("billing", "charge", "p-2", HistoryState::Failed),
        ];
        let mut writes = vec![Write::Case(Box::new(run.case(CaseState::Open)))];
        writes.push(report_row(0, ReportRole::Rule(0), report));
        let rows = (1..).zip(requests).map(|(ordinal, request)| charge(ordinal, request));
        writes.extend(rows.map(|row| Write::Step(Box::new(row))));
        run.commit(writes);
        run.found("2 parts")
    };
    assert!(!planned(&["p-1"]));
    assert!(planned(&["p-3"]), "p-1 has none");
    assert!(planned(&["p-1", "p-1"]), "it has two");
    assert!(planned(&["p-1", "p-2"]), "p-2 has failed");
}

/// It was planned while nobody knew, and its own service says before the first try that it failed.
#[test]
fn a_request_is_asked_to_be_undone_that_has_failed_meanwhile() {
    let asked = |state: HistoryState| {
        let mut run = Watched::of(CHARGES);
        let told = |id: &str, source: &str, state| {
            let mut report = report("failed");
            report.id = id.to_owned();
            report.source = source.to_owned();
            report.data.history = vec![Evidence::new("billing", "charge", "p-1", state)];
            report
        };
        let mut row = charge(1, "p-1");
        row.extra.because = vec![0];
        row.attempts = 1;
        run.commit(vec![
            Write::Case(Box::new(run.case(CaseState::Open))),
            report_row(0, ReportRole::Rule(0), told("r-0", "order", HistoryState::Unknown)),
            Write::Step(Box::new(row.clone())),
        ]);
        run.commit(vec![report_row(1, ReportRole::Derived, told("r-1", "billing", state))]);
        run.send(1, &row, row.id);
        run.found("2 parts")
    };
    assert!(!asked(HistoryState::Unknown));
    assert!(asked(HistoryState::Failed));
}

#[test]
fn two_requests_under_one_key_and_one_request_under_two() {
    let asked = |first: (&str, &str), second: (&str, &str)| {
        let mut run = Watched::of(CHARGES);
        for (ordinal, (request, key)) in (1..).zip([first, second]) {
            let row = charge(ordinal, request);
            run.open("failed", vec![row.clone()]);
            run.send_under(u64::from(ordinal), &row, row.id, Some(key));
        }
        run.found("one key")
    };
    assert!(!asked(("p-1", "k-1"), ("p-2", "k-2")));
    assert!(asked(("p-1", "k-1"), ("p-2", "k-1")), "two questions");
    assert!(asked(("p-1", "k-1"), ("p-1", "k-2")), "two keys");
}

#[test]
fn somebody_is_barred_where_nothing_is_undone() {
    let barred = |others: Vec<StepRow>| {
        let mut run = Watched::of(CHARGES);
        let mut fence = step(1, Verb::Compensate, "order.place", 0, StepState::Waiting);
        fence.extra.fence = true;
        run.open("failed", others.into_iter().chain([fence]).collect());
        run.found("fences")
    };
    assert!(barred(Vec::new()));
    assert!(!barred(vec![charge(2, "p-1")]));
}

#[test]
fn a_request_that_its_service_reported_is_not_run_again() {
    let run_again = |request: &str| {
        let mut run = Watched::new();
        let mut report = report("late");
        report.data.request_id = Some("r-1".to_owned());
        report.data.history = vec![Evidence::new("order", "place", "r-1", HistoryState::Unknown)];
        let mut retry = step(1, Verb::Retry, "order.place", 0, StepState::Waiting);
        retry.extra.subject = Some(Subject { request: Some(request.into()), ..Subject::default() });
        run.commit(vec![
            Write::Case(Box::new(run.case(CaseState::Open))),
            report_row(0, ReportRole::Rule(0), report),
            Write::Step(Box::new(retry)),
        ]);
        run.found("2 parts")
    };
    assert!(run_again("r-2"));
    assert!(!run_again("r-1"));
}

#[test]
fn a_part_ends_by_what_was_said_of_another() {
    let mut run = Watched::of(CHARGES);
    let parts = [charge(1, "p-1"), charge(2, "p-2")];
    run.open("failed", parts.to_vec());
    run.answered(1, &parts[0], StepReading::Done(Outcome::Compensated), 200);
    let undone = |row: &StepRow| {
        let state = StepState::Done(Outcome::Compensated);
        vec![Write::Step(Box::new(StepRow { state, ..row.clone() }))]
    };
    run.commit(undone(&parts[0]));
    run.rest(None);
    assert!(!run.found("own answers"));
    run.commit(undone(&parts[1]));
    run.rest(None);
    assert!(run.found("own answers"));
}

/// The desk has nothing to undo, and calls billing.
const DESK: &str = "
rulebook: desk
services:
  order: { url: 'http://order', actions: { place: { compensation: cancel, calls: [desk.route] } } }
  desk: { url: 'http://desk', actions: { route: { effect: none, calls: [billing.charge] } } }
  billing: { url: 'http://billing', actions: { charge: { compensation: refund } } }
rules:
  - { on: order/failed, compensate: recorded }
";

fn undone(ordinal: u32, action: &str) -> StepRow {
    let state = StepState::Done(Outcome::Compensated);
    StepRow { attempts: 1, ..step(ordinal, Verb::Compensate, action, 0, state) }
}

fn fence(ordinal: u32) -> StepRow {
    let mut row = undone(ordinal, "desk.route");
    row.state = StepState::Done(Outcome::NothingToCompensate);
    row.extra.fence = true;
    row
}

#[test]
fn whoever_is_at_work_and_may_call_on_is_not_barred() {
    let settled = |steps: Vec<StepRow>, state| {
        let mut run = Watched::of(DESK);
        let mut report = report("failed");
        report.data.history = vec![Evidence::new("desk", "route", "r-1", state)];
        let case = CaseRow { closed_on: Some(ClosedOn::Quiet), ..run.case(CaseState::Settled) };
        let mut writes = vec![report_row(0, ReportRole::Rule(0), report)];
        writes.extend(steps.into_iter().map(|row| Write::Step(Box::new(row))));
        writes.push(Write::Case(Box::new(case)));
        run.commit(writes);
        run.found("fences")
    };
    let order = || undone(1, "order.place");
    assert!(settled(vec![order()], HistoryState::Started));
    assert!(!settled(vec![order()], HistoryState::Succeeded), "it has ended");
    assert!(!settled(vec![order(), fence(2)], HistoryState::Started));
    assert!(!settled(vec![order(), undone(2, "billing.charge")], HistoryState::Started));
}

#[test]
fn whoever_is_barred_has_not_told_his_calls_and_the_case_is_proven() {
    let proven = |tells: bool, steps: Vec<StepRow>| {
        let mut run = Watched::of(DESK);
        let fence = fence(2);
        let answer = StepReading::Done(Outcome::NothingToCompensate);
        let mut result = StepResult::new(answer, Some(200));
        if tells {
            result = result.telling(vec![]);
        }
        run.answered_as(1, &fence, result);
        let mut report = report("failed");
        report.data.history = vec![Evidence::new("desk", "route", "r-1", HistoryState::Unknown)];
        let mut writes = vec![report_row(0, ReportRole::Rule(0), report)];
        let all = steps.into_iter().chain([undone(1, "order.place"), fence]);
        writes.extend(all.map(|row| Write::Step(Box::new(row))));
        writes.push(Write::Case(Box::new(run.case(CaseState::Settled))));
        run.commit(writes);
        run.found("fences")
    };
    assert!(proven(false, Vec::new()));
    assert!(!proven(true, Vec::new()));
    assert!(!proven(false, vec![undone(3, "billing.charge")]), "what it may have called is undone");
}
