//! What people read of rows: the sentence and the counts of a list, the tries of a step, who demands what.

use super::{KeptBack, Veiled, act, case, case_summary, listed_step, page, step};
use amends_api::audit::ActDigest;
use amends_api::{
    AttemptView, AuditActName, CaseDetail, CaseState, QuestionActName, QuestionId, QuestionKind,
    StepActName, StepStateName, StepView, StuckReason,
};
use amends_engine::{
    ActRow, AttemptRow, CaseBooks, CaseExtra, CaseRow, HistoryQuery, Note, QuestionAnswer,
    ReportRole, ReportRow, RulebookRef, StepExtra, StepRow, StepState, StoredCase, Subject,
};
use amends_protocol::{
    ActionName, CaseId, Outcome, Report, ReportData, SagaId, StepId, Timestamp, Verb,
};
use amends_rulebook::{Rulebook, SecretFields};
use amends_store::{AuditEntry, CaseRecord, ListedCase, ListedStep, RowPage, StepRecord};
use std::sync::Arc;

const RULEBOOK: &str = "
rulebook: shop
services:
  payment: { url: \"http://payment\", actions: { pay: { compensation: undo } } }
rules: [{ on: \"*/*\", compensate: recorded }]
";

fn saga() -> SagaId {
    SagaId::new("order-1").expect("valid")
}

fn case_row() -> CaseRow {
    CaseRow {
        id: CaseId(1),
        saga: saga(),
        rulebook: Some(RulebookRef { name: "shop".into(), hash: "hash-1".into() }),
        state: CaseState::Open,
        closed_on: None,
        opened_at: Timestamp(1_000),
        updated_at: Timestamp(2_000),
        settled_at: None,
        report: "payment/late".into(),
        message: Some("no rider".into()),
        extra: CaseExtra::default(),
    }
}

/// With nothing active.
fn own(book: Option<&Rulebook>) -> CaseBooks<'_> {
    CaseBooks { own: book, ..CaseBooks::default() }
}

fn report_row(position: u32, role: ReportRole) -> ReportRow {
    let data = ReportData { code: "late".to_owned(), ..ReportData::default() };
    let (id, source) = (format!("r-{position}"), "payment".to_owned());
    let report =
        Report { id, source, saga_id: saga(), time: None, traceparent: None, data: data.clone() };
    let received_at = Timestamp(1_000);
    ReportRow { case: CaseId(1), position, received_at, role, report: Arc::new(report) }
}

fn step_row(ordinal: u32, state: StepState) -> StepRow {
    let action: ActionName = "payment.pay".parse().expect("service.action");
    StepRow {
        id: StepId::derive(CaseId(1), ordinal, &saga(), "compensate", &action),
        verb: Verb::Compensate,
        action,
        stage: 0,
        state,
        attempts: 1,
        planned_at: Timestamp(1_100),
        updated_at: Timestamp(1_900),
        extra: StepExtra { because: vec![0], sent_at: Some(1_200), ..StepExtra::default() },
    }
}

fn done(ordinal: u32) -> StepRow {
    step_row(ordinal, StepState::Done(Outcome::Compensated))
}

fn stuck(ordinal: u32, reason: StuckReason) -> StepRow {
    step_row(ordinal, StepState::Stuck(reason))
}

fn attempt(step: &StepRow, attempt: u32, result: &'static str) -> AttemptRow {
    AttemptRow {
        step: step.id,
        attempt,
        sent_at: Timestamp(1_200),
        ended_at: Timestamp(1_300),
        result: result.into(),
        status: Some(503),
        message: Some("no room".into()),
    }
}

fn entry(word: &'static str, step: Option<StepId>) -> AuditEntry {
    let row = ActRow {
        at: Timestamp(1_500),
        actor: "kim".into(),
        act: word.into(),
        reason: "asked by phone".into(),
        case: Some(CaseId(1)),
        step,
        detail: serde_json::json!({ "ticket": 7 }),
    };
    AuditEntry {
        number: 9,
        digest: Some(ActDigest::of("all before")),
        reason_digest: ActDigest::of(&row.reason),
        detail_digest: ActDigest::of(&row.detail.to_string()),
        is_erased: false,
        row,
    }
}

fn record(steps: Vec<StepRow>, attempts: Vec<AttemptRow>) -> CaseRecord {
    let reports = vec![report_row(0, ReportRole::Rule(0)), report_row(1, ReportRole::Derived)];
    CaseRecord {
        stored: StoredCase { case: case_row(), reports, steps },
        attempts,
        acts: Vec::new(),
    }
}

/// No service keeps anything back.
fn none() -> KeptBack {
    KeptBack::default()
}

/// Where nothing is secret.
fn veiled(record: CaseRecord) -> Veiled<CaseRecord> {
    Veiled::case(record, SecretFields::default())
}

fn tries(log: &[AttemptView]) -> Vec<(u32, &str)> {
    log.iter().map(|entry| (entry.attempt, entry.result.as_str())).collect()
}

#[test]
fn a_case_shows_its_reports_plan_histories_notes_and_acts() {
    let mut due = step_row(2, StepState::Due(Timestamp(7_000)));
    due.extra.because = vec![1, 0];
    due.extra.would_have_asked = vec![1, 9];
    let mut record = record(vec![done(1), due.clone()], Vec::new());
    let memo = &mut record.stored.case.extra;
    memo.notes = vec![Note { at: 5, text: "rider is unreported".to_owned() }];
    memo.quiet_at = Some(77);
    memo.histories = vec![HistoryQuery {
        service: "rider".into(),
        due_at: None,
        since: None,
        in_flight: false,
        answered: true,
        told_at: Some(4),
        asked_after_end: false,
        asked_after_callers: false,
        attempts: 1,
        message: None,
        entries: Vec::new(),
        unavailable: false,
        recheck: None,
    }];
    record.acts = vec![entry("retry", Some(due.id)), entry("replan", None)];

    let shown = case(veiled(record), own(None), &none());
    assert_eq!((&shown.summary.saga_id, shown.summary.id), (&saga(), CaseId(1)));
    assert_eq!(shown.rulebook_hash.as_deref(), Some("hash-1"));
    let reports: Vec<_> = shown.reports.iter().map(|r| (r.id.as_str(), r.role.as_str())).collect();
    assert_eq!(reports, [("r-0", "rule"), ("r-1", "derived")]);
    assert_eq!(shown.reports[0].data.code, "late");
    assert_eq!(shown.plan[1].because, ["r-1", "r-0"]);
    assert_eq!(shown.plan[1].would_have_asked, ["r-1"], "an unknown report is left out");
    assert_eq!((shown.plan[1].due_at, shown.plan[1].ended_at), (Some(Timestamp(7_000)), None));
    assert_eq!(shown.plan[0].ended_at, Some(Timestamp(1_900)));
    assert_eq!((shown.histories.len(), shown.histories[0].answered), (1, true));
    assert_eq!((shown.notes[0].at, shown.quiet_at), (Timestamp(5), Some(Timestamp(77))));
    let acts: Vec<_> = shown.acts.iter().map(|a| (a.act.as_str(), a.actor.as_str())).collect();
    assert_eq!(acts, [("retry", "kim"), ("replan", "kim")]);
    assert_eq!(shown.acts[0].step_id, Some(due.id));
    assert_eq!(shown.acts[0].detail, serde_json::json!({ "ticket": 7 }));
}

#[test]
fn reports_name_their_rules_where_the_rulebook_is_known() {
    let book = Rulebook::from_yaml(RULEBOOK).expect("valid");
    let rules = |shown: CaseDetail| shown.reports.into_iter().map(|r| r.rule).collect::<Vec<_>>();
    let label = book.rules()[0].index_label.clone();
    assert_eq!(
        rules(case(veiled(record(Vec::new(), Vec::new())), own(Some(&book)), &none())),
        [Some(label), None]
    );
    assert_eq!(
        rules(case(veiled(record(Vec::new(), Vec::new())), own(None), &none())),
        [None, None]
    );
}

#[test]
fn a_list_and_a_page_say_the_same_of_a_case() {
    let record = record(vec![done(1), done(2), step_row(3, StepState::InFlight)], Vec::new());
    let StoredCase { case: row, reports, steps } = record.stored.clone();
    let first_report = reports.into_iter().next();
    let rows = RowPage {
        items: vec![ListedCase { case: row, first_report, steps }],
        next: Some("further".to_owned()),
        searched_until: Some(Timestamp(9)),
    };
    let list =
        page(rows, |row| case_summary(Veiled::listed_case(row, SecretFields::default()), &none()));
    assert_eq!((list.next.as_deref(), list.searched_until), (Some("further"), Some(Timestamp(9))));
    let summary = &list.items[0];
    assert_eq!(*summary, case(veiled(record), own(None), &none()).summary);
    assert_eq!(summary.steps[&StepStateName::Done], 2);
    assert_eq!(summary.steps[&StepStateName::InFlight], 1);
    assert!(summary.sentence.starts_with("payment failed: no rider; 2 of 3 "), "{summary:?}");
}

#[test]
fn the_try_that_ended_a_step_is_in_its_log() {
    let mut third = done(1);
    third.attempts = 3;
    third.extra.status = Some(200);
    third.extra.message = Some("refunded".to_owned());
    let refused = stuck(2, StuckReason::Refused);
    let exhausted = stuck(3, StuckReason::OutOfAttempts);
    let waived = step_row(4, StepState::Done(Outcome::Waived));
    let taken = done(5);
    let attempts = vec![
        attempt(&third, 1, "busy"),
        attempt(&third, 2, "unknown"),
        attempt(&exhausted, 1, "not_sent"),
        attempt(&waived, 1, "not_sent"),
        attempt(&taken, 1, "accepted"),
    ];
    let steps = vec![third.clone(), refused, exhausted, waived, taken];
    let plan = case(veiled(record(steps, attempts.clone())), own(None), &none()).plan;
    let logs: Vec<_> = plan.iter().map(|step| tries(&step.log)).collect();
    assert_eq!(logs[0], [(1, "busy"), (2, "unknown"), (3, "compensated")]);
    assert_eq!(logs[1], [(1, "refused")]);
    assert_eq!(logs[2], [(1, "not_sent")]);
    assert_eq!(logs[3], [(1, "not_sent")]);
    assert_eq!(logs[4], [(1, "accepted"), (1, "compensated")]);
    let last = plan[0].log.last().expect("three entries");
    assert_eq!((last.status, last.message.as_deref()), (Some(200), Some("refunded")));
    assert_eq!((last.sent_at, last.ended_at), (Timestamp(1_200), third.updated_at));

    let listed = ListedStep {
        step: third,
        saga: saga(),
        rulebook: None,
        because: vec!["r-0".to_owned()],
        would_have_asked: Vec::new(),
    };
    let of_list =
        listed_step(Veiled::listed_step(listed.clone(), SecretFields::default()), &none());
    assert!(of_list.log.is_empty(), "a list has no tries");
    let alone = StepRecord { listed, others: Vec::new(), attempts: attempts[..2].to_vec() };
    let alone = step(Veiled::step(alone, SecretFields::default()), &none());
    assert_eq!(plan[0].trace_id.as_deref().map(str::len), Some(32));
    let of_case = StepView { trace_id: None, ..plan[0].clone() };
    assert_eq!(alone, of_case, "one step and its case say the same");
}

/// What needs most speaks for a step, wherever it stands; each request is a part with an id of its own.
#[test]
fn a_step_of_several_requests_is_shown_as_a_whole_and_by_its_parts() {
    let about = |request: &str| Subject { request: Some(request.into()), ..Subject::default() };
    let mut first = done(1);
    first.extra.subject = Some(about("q-2"));
    let part = |ordinal: u32, request: &str, state: StepState| {
        let mut row = StepRow { state, ..done(ordinal) };
        row.extra.part_of = Some(1);
        row.extra.subject = Some(about(request));
        row
    };
    let rows = vec![
        first.clone(),
        part(2, "q-1", StepState::Stuck(StuckReason::Refused)),
        part(3, "q-3", StepState::Due(Timestamp(9))),
    ];
    let detail = case(veiled(record(rows, Vec::new())), own(None), &none());
    let [step] = detail.plan.as_slice() else { panic!("one step: {:#?}", detail.plan) };
    assert_eq!((step.id, step.state), (first.id, StepStateName::Stuck));
    assert_eq!((step.reason, step.attempts), (Some(StuckReason::Refused), 3));
    assert!(!step.may.contains(&StepActName::Edit), "data are for one part: {:?}", step.may);
    let parts: Vec<_> =
        step.parts.iter().map(|part| (part.request_id.as_deref(), part.state)).collect();
    let wanted = [
        (Some("q-1"), StepStateName::Stuck),
        (Some("q-2"), StepStateName::Done),
        (Some("q-3"), StepStateName::Due),
    ];
    assert_eq!(parts, wanted);
    let id = step.parts[0].id.to_string();
    assert!(id.starts_with(&format!("{}-", first.id)), "{id}");
    assert_eq!(detail.summary.steps.get(&StepStateName::Stuck), Some(&1));
    assert_eq!(detail.summary.steps.len(), 1, "{:?}", detail.summary.steps);
}

#[test]
fn an_outcome_that_a_person_wrote_down_is_not_shown_as_a_try() {
    let mut recorded = done(1);
    recorded.extra.decided_by = Some("kim".to_owned());
    recorded.extra.by_hand = true;
    let mut edited = done(2);
    edited.extra.decided_by = Some("kim".to_owned());
    let plan = case(veiled(record(vec![recorded, edited], Vec::new())), own(None), &none()).plan;
    assert_eq!(tries(&plan[0].log), []);
    assert_eq!(tries(&plan[1].log), [(1, "compensated")]);
}

#[test]
fn a_step_that_calls_back_is_not_looked_at() {
    let taken = |location: Option<&str>| {
        let (poll_at, until) = (Timestamp(5_000), Timestamp(90_000));
        let location = location.map(Into::into);
        let step = step_row(1, StepState::Accepted { poll_at, until, location });
        case(veiled(record(vec![step], Vec::new())), own(None), &none())
    };
    let (looked, calls) = (taken(Some("/steps/1")), taken(None));
    let said = |case: &CaseDetail| (case.plan[0].awaits_callback, case.plan[0].due_at);
    assert_eq!(said(&looked), (false, Some(Timestamp(5_000))));
    assert_eq!(said(&calls), (true, Some(Timestamp(90_000))), "when it is asked again");
    let sentence = &calls.summary.sentence;
    assert!(sentence.contains("payment works on it and tells when it is done"), "{sentence}");
    assert!(!sentence.contains("next look"), "{sentence}");
}

#[test]
fn what_a_person_recorded_is_shown_in_place_of_what_its_service_said() {
    let nothing = step_row(1, StepState::Done(Outcome::NothingToCompensate));
    let mut record = record(vec![nothing.clone()], Vec::new());
    let kind = QuestionKind::Contradiction;
    let tag = amends_protocol::digest(&[kind.as_str(), "payment", "pay"]);
    record.stored.case.extra.answers = vec![QuestionAnswer {
        id: QuestionId { case: CaseId(1), tag },
        kind,
        act: QuestionActName::Record,
        outcome: Some(Outcome::Compensated),
        value: None,
        seen: Vec::new(),
        at: 2_000,
        by: "kim".into(),
        reason: "refunded by hand".into(),
        sentence: "payment says that there was nothing to undo".to_owned(),
    }];
    let shown = case(veiled(record.clone()), own(None), &none());
    let step = &shown.plan[0];
    assert_eq!(step.outcome, Some(Outcome::NothingToCompensate), "its service's own word stays");
    assert_eq!(
        (step.recorded, step.decided_by.as_deref()),
        (Some(Outcome::Compensated), Some("kim"))
    );
    assert_eq!(step.sign().word, "undone");
    let sentence = &shown.summary.sentence;
    assert!(sentence.contains("undone") && !sentence.contains("nothing to undo"), "{sentence}");

    // Of another action nothing was recorded.
    let action = "coupon.redeem".parse().expect("service.action");
    record.stored.steps = vec![StepRow { action, ..nothing }];
    let shown = case(veiled(record), own(None), &none());
    assert_eq!(shown.plan[0].recorded, None);
    assert!(shown.summary.sentence.contains("1 had nothing to undo"), "{}", shown.summary.sentence);
}

#[test]
fn an_act_keeps_every_word() {
    let entry = entry("waive", None);
    let shown = act(entry.clone(), true);
    let row = entry.row;
    assert_eq!((shown.act, shown.reason), (AuditActName::Waive, "asked by phone".to_owned()));
    assert_eq!((shown.at, shown.case_id, shown.detail), (row.at, row.case, row.detail));
}

#[test]
fn an_act_of_a_word_that_nobody_knows_is_shown_as_that() {
    let shown = act(entry("levitate", None), true);
    assert_eq!(shown.act, AuditActName::Unknown);
    // Its digest is of what is stored, so it does not verify as if it were this word.
    assert_eq!(shown.digest, Some(ActDigest::of("all before")));
}
