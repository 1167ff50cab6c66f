//! What people see of one case, of one step, of the acts and of everything.

use super::{
    Place,
    sample::{FromRow, act, at, attempt, case, done, report, saga, step, whole},
};
use crate::{PageRequest, Store};
use amends_engine::{Note, ReportRole, ReportRow, StepState, WalkRow, Write};
use amends_protocol::{CaseId, Outcome, StepId, StuckReason, Timestamp};

/// Reports, plan, walks, notes and acts of a case, in their order.
pub async fn one_case_shows_everything(place: &impl Place) {
    let store = place.open().await;
    let mut row = case(1);
    row.detail.notes = vec![Note { at: 5, text: "rider is unreported".to_owned() }];
    row.detail.quiet_at = Some(77);
    row.detail.walks = vec![WalkRow {
        service: "rider".into(),
        due_at: None,
        in_flight: false,
        answered: true,
        attempts: 1,
        message: None,
        entries: Vec::new(),
    }];
    let mut due = step(1, 3, "rider.match", StepState::Due(at(1, 500)));
    due.memo.because = vec![1, 0];
    due.memo.would_have_asked = vec![1, 9];
    let derived = ReportRow { role: ReportRole::Derived, ..report(1, 1) };
    let mut batch = whole(row);
    batch.extend([Write::from_step(due.clone()), Write::from_report(derived)]);
    batch.push(Write::from_act(act("retry", None, Some(due.id))));
    batch.push(Write::from_act(act("replan", Some(CaseId(1)), None)));
    batch.push(Write::from_act(act("pause", None, None)));
    store.commit(batch.into()).await.expect("commits");

    let record = store.case(CaseId(1)).await.expect("reads").expect("stored");
    assert_eq!(record.roles, [ReportRole::Rule(3), ReportRole::Derived]);
    let detail = record.detail;
    assert_eq!(detail.summary.saga_id, saga("order-1"));
    assert_eq!(detail.summary.steps.values().sum::<u32>(), 3);
    assert_eq!(detail.rulebook_hash.as_deref(), Some("hash-1"));
    let roles: Vec<_> = detail.reports.iter().map(|r| (r.id.as_str(), r.role.as_str())).collect();
    assert_eq!(roles, [("r-1-0", "rule"), ("r-1-1", "derived")]);
    assert_eq!(detail.reports[0].data, report(1, 0).report.data);
    assert_eq!(detail.plan[2].because, ["r-1-1", "r-1-0"]);
    assert_eq!(detail.plan[2].would_have_asked, ["r-1-1"]);
    assert_eq!(detail.plan[2].due_at, Some(at(1, 500)));
    assert_eq!((detail.walks.len(), detail.walks[0].answered), (1, true));
    assert_eq!((detail.notes[0].at, detail.quiet_at), (Timestamp(5), Some(Timestamp(77))));
    let acts: Vec<_> = detail.acts.iter().map(|a| a.act.as_str()).collect();
    assert_eq!(acts, ["retry", "replan"]);
    assert_eq!(detail.acts[0].step_id, Some(due.id));
    assert_eq!(detail.acts[0].detail, serde_json::json!({ "ticket": 7 }));
    assert_eq!(store.case(CaseId(2)).await.expect("reads"), None);
    assert_eq!(store.case(CaseId(u64::MAX)).await.expect("reads"), None);
}

/// Tries that ended nothing have rows; the one that ended the step is told from the step.
pub async fn the_ending_try_is_in_the_log(place: &impl Place) {
    let store = place.open().await;
    let mut third = done(1, 1, "payment.pay");
    third.attempts = 3;
    third.memo.message = Some("refunded".to_owned());
    let refused = step(1, 2, "coupon.redeem", StepState::Stuck(StuckReason::Refused));
    let exhausted = step(1, 3, "rider.match", StepState::Stuck(StuckReason::OutOfAttempts));
    let waived = step(1, 4, "sms.send", StepState::Done(Outcome::Waived));
    let taken = done(1, 5, "delivery.request");
    let batch = vec![
        Write::from_case(case(1)),
        Write::from_report(report(1, 0)),
        Write::from_attempt(attempt(&third, 2, "unknown")),
        Write::from_attempt(attempt(&third, 1, "busy")),
        Write::from_attempt(attempt(&exhausted, 1, "not_sent")),
        Write::from_attempt(attempt(&waived, 1, "not_sent")),
        Write::from_attempt(attempt(&taken, 1, "accepted")),
        Write::from_step(third.clone()),
        Write::from_step(refused),
        Write::from_step(exhausted),
        Write::from_step(waived),
        Write::from_step(taken),
    ];
    store.commit(batch.into()).await.expect("commits");
    let plan = store.case(CaseId(1)).await.expect("reads").expect("stored").detail.plan;
    let logs: Vec<Vec<_>> = plan
        .iter()
        .map(|step| step.log.iter().map(|entry| (entry.attempt, entry.result.as_str())).collect())
        .collect();
    assert_eq!(logs[0], [(1, "busy"), (2, "unknown"), (3, "compensated")]);
    assert_eq!(logs[1], [(1, "refused")]);
    assert_eq!(logs[2], [(1, "not_sent")]);
    assert_eq!(logs[3], [(1, "not_sent")]);
    assert_eq!(logs[4], [(1, "accepted"), (1, "compensated")]);
    let last = plan[0].log.last().expect("three entries");
    assert_eq!((last.status, last.message.as_deref()), (Some(200), Some("refunded")));
    assert_eq!((last.sent_at, last.ended_at), (at(1, 2), third.updated_at));

    let alone = store.step(third.id).await.expect("reads").expect("stored");
    assert_eq!(alone, plan[0]);
}

/// An outcome that a person wrote down was brought by no try, and is not shown as one.
pub async fn a_recorded_outcome_is_not_shown_as_a_try(place: &impl Place) {
    let store = place.open().await;
    let mut recorded = done(1, 1, "payment.pay");
    recorded.memo.decided_by = Some("kim".to_owned());
    recorded.memo.by_hand = true;
    let mut edited = done(1, 2, "coupon.redeem");
    edited.memo.decided_by = Some("kim".to_owned());
    let batch = vec![
        Write::from_case(case(1)),
        Write::from_report(report(1, 0)),
        Write::from_step(recorded.clone()),
        Write::from_step(edited.clone()),
        Write::from_act(act("record", Some(CaseId(1)), Some(recorded.id))),
        Write::from_act(act("edit", Some(CaseId(1)), Some(edited.id))),
    ];
    store.commit(batch.into()).await.expect("commits");
    let log = |id: StepId| {
        let store = &store;
        async move { store.step(id).await.expect("reads").expect("stored").log.len() }
    };
    assert_eq!(log(recorded.id).await, 0);
    assert_eq!(log(edited.id).await, 1);
}

/// An id from another supervisor's store with the same numbers is not this step.
pub async fn a_step_is_found_by_its_whole_id_only(place: &impl Place) {
    let store = place.open().await;
    store.commit(whole(case(1)).into()).await.expect("commits");
    let id = store.step_ids(crate::StepFilter::default(), 1).await.expect("lists")[0];
    let view = store.step(id).await.expect("reads").expect("stored");
    assert_eq!((view.id, view.because), (id, vec!["r-1-0".to_owned()]));
    for other in [
        StepId { tag: id.tag ^ 1, ..id },
        StepId { ordinal: 9, ..id },
        StepId { ordinal: u32::MAX, ..id },
        StepId { case: CaseId(2), ..id },
    ] {
        assert_eq!(store.step(other).await.expect("reads"), None);
    }
}

/// The audit of all and of one case, page by page.
pub async fn acts_are_listed_newest_first(place: &impl Place) {
    let store = place.open().await;
    for (n, word) in [(1, "waive"), (2, "retry"), (1, "settle")] {
        store
            .commit(vec![Write::from_act(act(word, Some(CaseId(n)), None))].into())
            .await
            .expect("commits");
    }
    let first = store.acts(None, PageRequest::first(2)).await.expect("lists");
    let words: Vec<_> = first.items.iter().map(|a| a.act.as_str()).collect();
    assert_eq!(words, ["settle", "retry"]);
    let rest = PageRequest { limit: 2, cursor: first.next };
    let rest = store.acts(None, rest).await.expect("lists");
    assert_eq!((rest.items[0].act.as_str(), rest.items.len(), rest.next), ("waive", 1, None));
    let of_one = store.acts(Some(CaseId(1)), PageRequest::default()).await.expect("lists");
    let words: Vec<_> = of_one.items.iter().map(|a| (a.act.as_str(), a.actor.as_str())).collect();
    assert_eq!(words, [("settle", "kim"), ("waive", "kim")]);
}
