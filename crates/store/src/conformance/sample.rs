//! Rows for the tests: one case after another, with what a test is about changed by hand.

use crate::{ActFilter, RulebookRow};
use amends_api::{CaseState, ClosedOn};
use amends_engine::{
    ActRow, ActivationRow, Actor, AttemptRow, CaseExtra, CaseRow, ReportRole, ReportRow,
    RulebookRef, SagaRow, SagaState, StepExtra, StepRow, StepState, Write,
};
use amends_protocol::{
    ActionName, CaseId, Outcome, Report, ReportData, SagaId, StepId, Timestamp, Verb,
};
use std::sync::Arc;

/// When case 1 was opened; every case after it opens a second later.
pub(crate) const FIRST_MS: i64 = 1_700_000_000_000;

pub(crate) fn at(case: u64, plus_ms: i64) -> Timestamp {
    Timestamp(FIRST_MS + case.cast_signed() * 1000 + plus_ms)
}

pub(crate) fn saga(name: &str) -> SagaId {
    SagaId::new(name).expect("a valid saga id")
}

/// An open case of saga `order-<n>` with the report `payment/report-1`.
pub(crate) fn case(n: u64) -> CaseRow {
    CaseRow {
        id: CaseId(n),
        saga: saga(&format!("order-{n}")),
        rulebook: Some(RulebookRef { name: "food-order".into(), hash: "hash-1".into() }),
        state: CaseState::Open,
        closed_on: None,
        opened_at: at(n, 0),
        updated_at: at(n, 10),
        settled_at: None,
        report: "payment/report-1".into(),
        message: Some("card declined".into()),
        extra: CaseExtra::default(),
    }
}

/// The same, settled 100 ms after it was opened.
pub(crate) fn settled(n: u64) -> CaseRow {
    CaseRow {
        state: CaseState::Settled,
        closed_on: Some(ClosedOn::Proven),
        settled_at: Some(at(n, 100)),
        ..case(n)
    }
}

/// A report with the id `r-<n>-<position>`.
pub(crate) fn report(n: u64, position: u32) -> ReportRow {
    let data = serde_json::json!({ "amount": 1250, "card": { "last4": "0042" } });
    ReportRow {
        case: CaseId(n),
        position,
        received_at: at(n, 0),
        role: ReportRole::Rule(3),
        report: Arc::new(Report {
            id: format!("r-{n}-{position}"),
            source: "payment".to_owned(),
            saga_id: saga(&format!("order-{n}")),
            time: Some(at(n, -5)),
            traceparent: None,
            data: ReportData {
                code: "report-1".to_owned(),
                action: Some("pay".to_owned()),
                message: Some("card declined".to_owned()),
                data: data.as_object().cloned().unwrap_or_default(),
                ..ReportData::default()
            },
        }),
    }
}

/// The same, without an answer.
pub(crate) fn unanswered(n: u64, position: u32) -> ReportRow {
    ReportRow { role: ReportRole::Unmatched, ..report(n, position) }
}

/// A step of case `n` that compensates `action`, demanded by the first report.
pub(crate) fn step(n: u64, ordinal: u32, action: &str, state: StepState) -> StepRow {
    let action: ActionName = action.parse().expect("service.action");
    let verb = Verb::Compensate;
    let saga = saga(&format!("order-{n}"));
    let attempts = u32::from(!matches!(state, StepState::Waiting | StepState::Shadow));
    StepRow {
        id: StepId::derive(CaseId(n), ordinal, &saga, verb.as_str(), &action),
        verb,
        action,
        stage: 0,
        state,
        attempts,
        planned_at: at(n, 1),
        updated_at: at(n, 20),
        extra: StepExtra {
            because: vec![0],
            sent_at: (attempts > 0).then_some(at(n, 2).0),
            ..StepExtra::default()
        },
    }
}

pub(crate) fn done(n: u64, ordinal: u32, action: &str) -> StepRow {
    let mut row = step(n, ordinal, action, StepState::Done(Outcome::Compensated));
    row.extra.status = Some(200);
    row
}

pub(crate) fn attempt(step: &StepRow, attempt: u32, result: &'static str) -> AttemptRow {
    AttemptRow {
        step: step.id,
        attempt,
        sent_at: at(step.id.case.0, 2),
        ended_at: at(step.id.case.0, 3),
        result: result.into(),
        status: Some(503),
        message: Some("no room".into()),
    }
}

pub(crate) fn act(act: &'static str, case: Option<CaseId>, step: Option<StepId>) -> ActRow {
    ActRow {
        at: at(9, 0),
        actor: Actor {
            name: "kim".into(),
            principal: Some("person:kim@example.org".into()),
            address: Some("192.0.2.7".into()),
        },
        act: act.into(),
        reason: "asked by phone".into(),
        case,
        step,
        detail: serde_json::json!({ "ticket": 7 }),
    }
}

/// What was done to one case.
pub(crate) fn of_case(number: u64) -> ActFilter {
    ActFilter { case: Some(CaseId(number)), ..ActFilter::default() }
}

/// A case with one report and two steps.
pub(crate) fn whole(case: CaseRow) -> Vec<Write> {
    let n = case.id.0;
    let state = |ordinal: u32| match (case.state, ordinal) {
        (CaseState::Settled, _) | (_, 1) => StepState::Done(Outcome::Compensated),
        _ => StepState::InFlight,
    };
    let steps = [(1, "payment.pay"), (2, "coupon.redeem")]
        .map(|(ordinal, action)| Write::from_step(step(n, ordinal, action, state(ordinal))));
    [Write::Report(Box::new(report(n, 0))), Write::Case(Box::new(case))]
        .into_iter()
        .chain(steps)
        .collect()
}

pub(crate) fn announced(name: &str, deadline_ms: i64, state: SagaState) -> SagaRow {
    SagaRow {
        saga: saga(name),
        service: "order".into(),
        action: Some("place".into()),
        deadline: at(1, deadline_ms),
        state,
        data: Arc::new(report(1, 0).report.data.data.clone()),
    }
}

pub(crate) fn version(name: &str, hash: &str, stored_ms: i64, active: bool) -> RulebookRow {
    RulebookRow {
        name: name.into(),
        hash: hash.into(),
        sources: vec![("book.yaml".to_owned(), format!("rulebook: {name} # {hash} — é"))],
        stored_at: at(1, stored_ms),
        active,
        from_file: false,
    }
}

pub(crate) fn activation(name: &str, hash: &str, ms: i64) -> Write {
    Write::activation(&version(name, hash, ms, true))
}

/// Spares the tests a `Box::new` per row.
pub(crate) trait FromRow {
    fn from_case(row: CaseRow) -> Self;
    fn from_step(row: StepRow) -> Self;
    fn from_report(row: ReportRow) -> Self;
    fn from_attempt(row: AttemptRow) -> Self;
    fn from_act(row: ActRow) -> Self;
    fn activation(of: &RulebookRow) -> Self;
}

impl FromRow for Write {
    fn from_case(row: CaseRow) -> Self {
        Self::Case(Box::new(row))
    }

    fn from_step(row: StepRow) -> Self {
        Self::Step(Box::new(row))
    }

    fn from_report(row: ReportRow) -> Self {
        Self::Report(Box::new(row))
    }

    fn from_attempt(row: AttemptRow) -> Self {
        Self::Attempt(Box::new(row))
    }

    fn from_act(row: ActRow) -> Self {
        Self::Act(Box::new(row))
    }

    fn activation(of: &RulebookRow) -> Self {
        let sources = of.sources.iter();
        Self::Activate(Box::new(ActivationRow {
            at: of.stored_at,
            name: Arc::clone(&of.name),
            hash: Arc::clone(&of.hash),
            sources: sources.map(|(path, text)| (path.clone(), text.as_str().into())).collect(),
            from_file: of.from_file,
        }))
    }
}
