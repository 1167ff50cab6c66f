//! What a commit promises: all or nothing, in order, and there after a reopening.

use super::{
    Held, Place,
    sample::{FromRow, at, attempt, case, done, report, saga, settled, step, whole},
};
use crate::{Ledger, LookupRequest, StoreError};
use amends_api::{
    CaseState, Cause, MayStand, Money, QuestionActName, QuestionId, QuestionKind, Source,
    StrangerActName, StuckReason,
};
use amends_engine::{
    AtPivot, AwaitsCallers, Batch, Business, CalledBack, CallsBefore, CaseExtra, Decision, Dropped,
    Erasure, EvidenceRow, Gone, GoneDigest, HistoryQuery, HoldScope, KnownRequests, Limits, Note,
    QuestionAnswer, Recheck, ReportRole, RuleHold, RuleHoldRow, SagaRow, SagaState, SameAnswer,
    Sent, ServiceRow, ServiceSettings, StepExtra, StepState, StoredCase, StrangerDecision,
    StrangerDecisionRow, StrangerRow, Subject, Write,
};
use amends_protocol::{ActionName, CaseId, Evidence, HistoryState, Loss, Lost, Outcome, Timestamp};
use std::sync::Arc;

fn evidence() -> Evidence {
    let data = serde_json::json!({ "couponId": "c-1", "amount": 12.50 });
    let data = data.as_object().cloned().unwrap_or_default();
    Evidence { data, ..Evidence::new("coupon", "redeem", "q-1", HistoryState::Unknown) }
}

fn recheck() -> Recheck {
    Recheck {
        after: [1, 2].into(),
        asked: true,
        read: true,
        has_history: true,
        knows_saga: true,
        own: vec![evidence()],
    }
}

fn answer() -> QuestionAnswer {
    QuestionAnswer {
        id: QuestionId { case: CaseId(7), tag: u64::MAX },
        kind: QuestionKind::Dropped,
        act: QuestionActName::Record,
        outcome: Some(Outcome::Compensated),
        value: Some(serde_json::json!({ "paymentId": ["p", 1.5] })),
        seen: vec![0, u64::MAX],
        at: 4,
        by: "kim".into(),
        reason: "looked into its History".into(),
        sentence: "order told of more".to_owned(),
    }
}

fn erasure() -> Erasure {
    let mut gone = Gone { fields: 2, bytes: 30, ..Gone::with("n-1".to_owned()) };
    let digest = gone.digest("report 0", "{}");
    gone.digests.push(GoneDigest { of: "report 0".to_owned(), digest });
    Erasure { number: 3, asked_at: 13, by: "kim".into(), done_at: Some(14), gone }
}

fn full_memo() -> CaseExtra {
    CaseExtra {
        erasure: Some(erasure()),
        excess: 2,
        dropped: vec![Dropped {
            by: "payment".into(),
            lost: Lost { action: Some(ActionName::new("coupon", "redeem")), why: Loss::Limit },
        }],
        told: vec![EvidenceRow {
            by: "payment".into(),
            at: Some(8),
            within: Some(Source::Callback),
            evidence: evidence(),
        }],
        histories: vec![HistoryQuery {
            service: "coupon".into(),
            due_at: Some(5),
            since: Some(4),
            in_flight: true,
            answered: false,
            told_at: Some(6),
            asked_after_end: true,
            asked_after_callers: true,
            attempts: 2,
            message: Some("쿠폰 서비스가 답하지 않음".to_owned()),
            entries: vec![evidence()],
            unavailable: true,
            recheck: Some(recheck()),
        }],
        strangers: vec![StrangerRow {
            action: "billing.charge".parse().expect("a name"),
            declared_before: true,
            ignored: true,
        }],
        answers: vec![answer()],
        notes: vec![Note { at: 9, text: "called failed".to_owned() }],
        gave_up: vec![3],
        quiet_at: Some(11),
        looked_again: true,
        saga_ended_at: Some(12),
        entry: Some("order.place".to_owned()),
        business: Business {
            customer: Some("c-7".to_owned()),
            key: Some("o-1".to_owned()),
            amounts: vec![Money {
                currency: "EUR".to_owned(),
                amount: "12.50".parse().expect("an amount"),
            }],
            order: vec!["EUR:1".to_owned()],
        },
        settled_by: Some("kim".to_owned()),
        may_still_stand: vec![MayStand {
            service: "payment".to_owned(),
            action: "pay".to_owned(),
            request_id: Some("r-1".to_owned()),
            state: HistoryState::Unknown,
            why: "nobody has told of it".to_owned(),
        }],
    }
}

/// A case with something in every field.
fn full_case() -> StoredCase {
    let mut case = case(7);
    case.extra = full_memo();
    let roles = [
        ReportRole::Rule(0),
        ReportRole::RuleHeld(u32::MAX),
        ReportRole::ByHand,
        ReportRole::Derived,
        ReportRole::AwaitsRoot(-1),
        ReportRole::Unmatched,
        ReportRole::Excess,
    ];
    let mut reports: Vec<_> = (0..6).map(|position| report(7, position)).collect();
    for (row, role) in reports.iter_mut().zip(roles) {
        row.role = role;
    }
    let mut first = done(7, 1, "payment.pay");
    first.stage = u16::MAX;
    first.extra = full_step_memo();
    StoredCase {
        case,
        reports,
        steps: vec![first, step(7, 2, "coupon.redeem", StepState::Waiting)],
    }
}

/// Every member of a step's memo.
fn full_step_memo() -> StepExtra {
    let data = Arc::new(report(7, 0).report.data.data.clone());
    StepExtra {
        fence: true,
        calls: Some(CallsBefore::Asked),
        last: Some(Cause::Busy),
        definite: Some(SameAnswer { status: 404, count: 2, since: 70 }),
        because: vec![0, 1],
        would_have_asked: vec![2],
        subject: Some(Subject {
            report: Some(1),
            request: Some("request-7".into()),
            data: Some(Arc::clone(&data)),
        }),
        part_of: None,
        generation: 2,
        sent: Some(Sent { of: u64::MAX, named: vec!["request-7".into()], cut: true }),
        asked: Some(u64::MAX),
        key: Some("k-7".into()),
        decided_by: Some("kim".to_owned()),
        by_hand: true,
        called_back: true,
        callbacks: vec![CalledBack {
            at: 6,
            attempt: 2,
            outcome: Outcome::Compensated,
            message: Some("late".to_owned()),
            counted: true,
        }],
        accepted: true,
        awaits: Some(AwaitsCallers { until: 8, callers: vec![ActionName::new("order", "place")] }),
        on_hold: Some(Arc::new(RuleHold {
            scope: HoldScope { rulebook: "shop".into(), rule: Some("payment/*".into()) },
            decision: decision("it refunds twice"),
        })),
        pivot: Some(AtPivot::Asks),
        edited: Some(data),
        message: Some("ok".to_owned()),
        status: Some(200),
        sent_at: Some(1),
        counting_since: Some(2),
        paused_before_ms: 6,
        aged_ms: 9,
        may_have_run: true,
        said_nothing: true,
        asks: true,
        knew: Some(KnownRequests { by_anybody: 3, by_own: 2 }),
        not_before: Some(3),
        counted: 3,
        held: true,
        last_try: true,
    }
}

fn writes_of(stored: &StoredCase) -> Vec<Write> {
    let mut writes = vec![Write::from_case(stored.case.clone())];
    writes.extend(stored.reports.iter().cloned().map(Write::from_report));
    writes.extend(stored.steps.iter().cloned().map(Write::from_step));
    writes
}

/// Every field of a case, its reports and its steps is given back.
pub async fn what_is_committed_comes_back_unchanged(place: &impl Place) {
    let store = Held::of(place).await;
    let stored = full_case();
    store.commit(writes_of(&stored)).await.expect("commits");
    assert_eq!(store.unsettled().await, [stored]);
}

/// A commit that returned is there after the store was closed and opened again.
pub async fn a_reopened_store_has_everything(place: &impl Place) {
    let (open, over) = (full_case(), settled(8));
    let store = Held::of(place).await;
    store.commit(writes_of(&open)).await.expect("commits");
    store.commit(whole(over.clone())).await.expect("commits");
    let wanted = LookupRequest { cases: vec![CaseId(8)], ..LookupRequest::default() };
    let before = store.find(wanted.clone()).await.expect("finds").cases;
    drop(store);

    let store = Held::of(place).await;
    let loaded = store.load().await.expect("loads");
    assert_eq!((store.unsettled().await, loaded.last_case), (vec![open], 8));
    assert_eq!(before.len(), 1);
    assert_eq!(store.find(wanted).await.expect("finds").cases, before);
}

/// Of several writes of one key within a batch, the last is kept.
pub async fn the_last_write_of_a_batch_counts(place: &impl Place) {
    let store = Held::of(place).await;
    let mut batch = whole(case(1));
    batch.push(Write::from_case(amends_engine::CaseRow { state: CaseState::Stuck, ..case(1) }));
    batch.push(Write::from_step(step(1, 2, "coupon.redeem", StepState::Due(at(1, 50)))));
    let stuck = step(1, 2, "coupon.redeem", StepState::Stuck(StuckReason::Refused));
    batch.push(Write::from_step(stuck.clone()));
    let waiting = amends_engine::ReportRow { role: ReportRole::Derived, ..report(1, 0) };
    batch.push(Write::from_report(waiting.clone()));
    store.commit(batch).await.expect("commits");

    let loaded = store.unsettled().await.pop().expect("one case");
    assert_eq!(loaded.case.state, CaseState::Stuck);
    assert_eq!(loaded.steps[1], stuck);
    assert_eq!(loaded.reports, [waiting]);
}

/// A row written again in a later batch is replaced, and nothing else.
pub async fn a_later_batch_replaces_rows(place: &impl Place) {
    let store = Held::of(place).await;
    store.commit(whole(case(1))).await.expect("commits");
    let second = done(1, 2, "coupon.redeem");
    let moved = amends_engine::CaseRow {
        updated_at: at(1, 99),
        message: None,
        rulebook: None,
        state: CaseState::Unmatched,
        ..case(1)
    };
    let batch = vec![Write::from_step(second.clone()), Write::from_case(moved.clone())];
    store.commit(batch).await.expect("commits");

    let loaded = store.unsettled().await.pop().expect("one case");
    assert_eq!(loaded.case, moved);
    assert_eq!(loaded.steps[1], second);
    assert_eq!(loaded.steps.len(), 2);
    assert_eq!(loaded.reports, [report(1, 0)]);
}

/// A report that another case holds already spoils the whole batch, whatever came before it in it.
pub async fn a_conflicting_batch_leaves_nothing(place: &impl Place) {
    let store = Held::of(place).await;
    store.commit(whole(case(1))).await.expect("commits");
    let before = store.load().await.expect("loads");

    let mut batch = whole(case(2));
    batch.push(Write::from_case(settled(1)));
    let stolen = amends_engine::ReportRow { case: CaseId(2), position: 1, ..report(1, 0) };
    batch.push(Write::from_report(stolen));
    let error = store.commit(batch).await.expect_err("the report belongs to case 1");
    assert!(matches!(error, StoreError::Conflict { .. }), "{error}");
    assert!(error.to_string().contains("report `payment/r-1-0` of case `c-2`"), "{error}");

    assert_eq!(store.load().await.expect("loads"), before);
    store.commit(whole(case(2))).await.expect("goes on after the error");
}

/// Two cases can't be of one saga, and a case can't change its saga, nor when it was opened.
pub async fn a_saga_has_one_case(place: &impl Place) {
    let store = Held::of(place).await;
    store.commit(whole(case(1))).await.expect("commits");
    let twin = amends_engine::CaseRow { saga: saga("order-1"), ..case(2) };
    let error = store.commit(vec![Write::from_case(twin)]).await.expect_err("a second case");
    assert!(matches!(error, StoreError::Conflict { .. }), "{error}");
    let moved = amends_engine::CaseRow { saga: saga("order-9"), ..case(1) };
    let error = store.commit(vec![Write::from_case(moved)]).await.expect_err("another saga");
    assert!(matches!(error, StoreError::Conflict { .. }), "{error}");
    let later = amends_engine::CaseRow { opened_at: at(1, 5), ..case(1) };
    let error = store.commit(vec![Write::from_case(later)]).await.expect_err("opened again");
    assert!(matches!(error, StoreError::Conflict { .. }), "{error}");
    assert_eq!(store.unsettled().await[0].case, case(1));
}

/// Commits that wait at the same time may share a transaction, but not a failure.
pub async fn commits_that_queue_together_fail_alone(place: &impl Place) {
    let store = Held::of(place).await;
    store.commit(whole(case(1))).await.expect("commits");
    let stolen = amends_engine::ReportRow { case: CaseId(3), ..report(1, 0) };
    let (a, b, c, d) = join_four(
        store.commit(whole(case(2))),
        store.commit(vec![Write::from_report(stolen)]),
        store.commit(whole(case(4))),
        store.commit(whole(case(5))),
    )
    .await;
    a.expect("case 2");
    assert!(matches!(b, Err(StoreError::Conflict { .. })), "{b:?}");
    c.expect("case 4");
    d.expect("case 5");
    let ids: Vec<u64> = store.unsettled().await.iter().map(|c| c.case.id.0).collect();
    assert_eq!(ids, [1, 2, 4, 5]);
}

/// Polls four futures side by side, so that their commands queue before the first is answered.
pub(super) async fn join_four<A: Future, B: Future, C: Future, D: Future>(
    a: A,
    b: B,
    c: C,
    d: D,
) -> (A::Output, B::Output, C::Output, D::Output) {
    use std::{future::poll_fn, pin::pin, task::Poll};
    let (mut a, mut b, mut c, mut d) = (pin!(a), pin!(b), pin!(c), pin!(d));
    let (mut w, mut x, mut y, mut z) = (None, None, None, None);
    poll_fn(|cx| {
        fn poll_into<F: Future>(
            out: &mut Option<F::Output>,
            future: std::pin::Pin<&mut F>,
            cx: &mut std::task::Context<'_>,
        ) {
            if out.is_none()
                && let Poll::Ready(value) = future.poll(cx)
            {
                *out = Some(value);
            }
        }
        poll_into(&mut w, a.as_mut(), cx);
        poll_into(&mut x, b.as_mut(), cx);
        poll_into(&mut y, c.as_mut(), cx);
        poll_into(&mut z, d.as_mut(), cx);
        match (w.take(), x.take(), y.take(), z.take()) {
            (Some(w), Some(x), Some(y), Some(z)) => Poll::Ready((w, x, y, z)),
            not_all => {
                (w, x, y, z) = not_all;
                Poll::Pending
            }
        }
    })
    .await
}

/// All states that a step can be in, with their data.
pub async fn every_state_of_a_step_survives(place: &impl Place) {
    let store = Held::of(place).await;
    let mut states = vec![
        StepState::Waiting,
        StepState::Due(Timestamp(i64::MAX)),
        StepState::InFlight,
        StepState::Accepted { poll_at: at(1, 5), until: at(1, 9), location: None },
        StepState::Accepted {
            poll_at: at(1, 5),
            until: at(1, 9),
            location: Some("/jobs/1".into()),
        },
        StepState::Superseded,
        StepState::Shadow,
    ];
    states.extend(Outcome::ALL.iter().map(|&outcome| StepState::Done(outcome)));
    states.extend(StuckReason::ALL.iter().map(|&reason| StepState::Stuck(reason)));
    let steps: Vec<_> = states
        .into_iter()
        .zip(1..)
        .map(|(state, ordinal)| step(1, ordinal, "a.b", state))
        .collect();
    let mut batch = vec![Write::from_case(case(1)), Write::from_report(report(1, 0))];
    batch.extend(steps.iter().cloned().map(Write::from_step));
    batch.push(Write::from_attempt(attempt(&steps[0], 1, "busy")));
    store.commit(batch).await.expect("commits");
    assert_eq!(store.unsettled().await[0].steps, steps);
}

/// A batch without writes is answered like any other, also for announcements only.
pub async fn an_empty_batch_is_fine(place: &impl Place) {
    let store = Held::of(place).await;
    store.commit(Vec::new()).await.expect("nothing to do");
    let row = SagaRow {
        saga: saga("order-1"),
        service: "order".into(),
        action: None,
        deadline: at(1, 0),
        state: SagaState::Begun,
        data: Arc::default(),
    };
    store.commit(vec![Write::Saga(Box::new(row.clone()))]).await.expect("commits");
    let wanted = LookupRequest { announced: vec![saga("order-1")], ..LookupRequest::default() };
    assert_eq!(store.find(wanted).await.expect("finds").announced, [row]);
}

fn decision(reason: &str) -> Decision {
    Decision { at: 7, by: "kim".into(), reason: reason.into() }
}

/// The last settings of each service count, and are loaded at the start.
pub async fn settings_of_services_are_loaded(place: &impl Place) {
    let store = Held::of(place).await;
    let row =
        |service: &str, settings: ServiceSettings| ServiceRow { service: service.into(), settings };
    let paused = ServiceSettings {
        pause: Some(decision("maintenance")),
        paused_since: Some(17),
        paused_ms: 5,
        limits: None,
        tells_history: true,
    };
    let limits = Limits { concurrency: Some(2), per_second: None, decision: decision("slow") };
    let limited =
        ServiceSettings { limits: Some(limits), tells_history: true, ..ServiceSettings::default() };
    let first = [row("rider", paused.clone()), row("coupon", paused)];
    let writes = first.map(|row| Write::Service(Box::new(row)));
    store.commit(writes.into()).await.expect("commits");
    let later = vec![
        Write::Service(Box::new(row("rider", limited.clone()))),
        Write::Service(Box::new(row("coupon", ServiceSettings::default()))),
    ];
    store.commit(later).await.expect("commits");
    drop(store);
    let loaded = Held::of(place).await.load().await.expect("loads").settings.services;
    assert_eq!(loaded, [row("coupon", ServiceSettings::default()), row("rider", limited)]);
}

/// What was said last of each stranger counts, unless it was taken back, and is loaded at the start.
pub async fn what_was_said_of_strangers_is_loaded(place: &impl Place) {
    let store = Held::of(place).await;
    let row = |action: &str, act: Option<StrangerActName>| StrangerDecisionRow {
        rulebook: "shop".into(),
        action: ActionName::new("billing", action),
        decision: act.map(|act| StrangerDecision { act, decision: decision("renamed") }),
    };
    let said = [
        row("charge", Some(StrangerActName::Declare)),
        row("void", Some(StrangerActName::Ignore)),
        row("charge", Some(StrangerActName::Ignore)),
        row("void", None),
        row("never", None),
    ];
    let writes: Vec<Write> = said.into_iter().map(|row| Write::Stranger(Box::new(row))).collect();
    store.commit(writes).await.expect("commits");
    drop(store);
    let loaded = Held::of(place).await.load().await.expect("loads").settings.strangers;
    assert_eq!(loaded, [row("charge", Some(StrangerActName::Ignore))]);
}

/// A hold counts until it is released, the last word about it, and is loaded at the start.
pub async fn what_people_hold_is_loaded(place: &impl Place) {
    let store = Held::of(place).await;
    let row = |rule: Option<&str>, why: Option<&str>| RuleHoldRow {
        scope: HoldScope { rulebook: "shop".into(), rule: rule.map(Into::into) },
        decision: why.map(decision),
    };
    let said = [
        row(Some("payment/*"), Some("it refunds twice")),
        row(None, Some("all of it")),
        row(Some("payment/*"), Some("still")),
        row(None, None),
        row(Some("never/*"), None),
    ];
    let writes: Vec<Write> = said.into_iter().map(|row| Write::RuleHold(Box::new(row))).collect();
    store.commit(writes).await.expect("commits");
    drop(store);
    let loaded = Held::of(place).await.load().await.expect("loads").settings.rule_holds;
    assert_eq!(loaded, [row(Some("payment/*"), Some("still"))]);
}

/// Without any, it is the time of the newest open row; then the latest that a commit has brought, with or
/// without writes.
pub async fn supervisor_time_goes_on_from_the_last_commit(place: &impl Place) {
    let store = Held::of(place).await;
    assert_eq!(store.load().await.expect("loads").clock, None);
    let mut open = case(1);
    open.updated_at = at(1, 5);
    store.commit(whole(open)).await.expect("commits");
    assert_eq!(store.load().await.expect("loads").clock, Some(at(1, 5)));
    for (clock, writes) in [(at(1, 9), whole(case(2))), (at(1, 12), vec![]), (at(1, 3), vec![])] {
        let batch = Batch::whole(store.epoch, writes, Some(clock));
        store.store.commit(batch).await.expect("commits");
    }
    drop(store);
    assert_eq!(Held::of(place).await.load().await.expect("loads").clock, Some(at(1, 12)));
}
