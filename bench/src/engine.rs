//! The engine alone, without HTTP and disk: what the decisions cost. The store is the engine's own memory, whose work
//! is not counted.

use crate::supervisor::rulebook;
use amends_engine::{Effect, Engine, Input, Memory, StepReading, StepResult};
use amends_protocol::{Evidence, HistoryState, Outcome, Report, ReportData, SagaId, Timestamp};
use amends_rulebook::Rulebook;
use anyhow::anyhow;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Reports of one run.
const REPORTS: u64 = 50_000;

/// Reports that a batch takes, as a busy driver's does.
const BATCH: u64 = 50;

pub fn run() -> anyhow::Result<Value> {
    let book =
        Rulebook::from_yaml(&rulebook("http://a", "http://b")).map_err(|d| anyhow!("{d:?}"))?;
    let (mut engine, mut memory) = (Engine::new(0), Memory::default());
    memory.put_active(&book, Timestamp(0));
    engine.restore_active(book);
    let (mut took, mut writes, mut effects) = (Duration::ZERO, 0, 0);
    for batch in 0..REPORTS / BATCH {
        let now = Timestamp(i64::try_from(batch)?);
        let reported =
            |n| Ok(Input::Report { report: Arc::new(report(n)?), known_in: None, ticket: n });
        let numbers = batch * BATCH..(batch + 1) * BATCH;
        let mut inputs = numbers.map(reported).collect::<anyhow::Result<Vec<_>>>()?;
        while !inputs.is_empty() {
            memory.inform(&mut engine, &mut inputs);
            let start = Instant::now();
            inputs.drain(..).for_each(|input| engine.handle(now, input));
            let out = engine.take_output(now);
            took += start.elapsed();
            writes += out.writes.len();
            effects += out.effects.len();
            memory.commit(out.writes.into()).map_err(|conflict| anyhow!("{conflict:?}"))?;
            inputs = out.effects.iter().map(answer).collect::<anyhow::Result<_>>()?;
        }
    }
    let us = took.as_micros() / u128::from(REPORTS);
    Ok(json!({ "microsPerReport": us, "writesPerReport": writes as u64 / REPORTS,
        "effectsPerReport": effects as u64 / REPORTS, "casesLeftOpen": engine.open_cases() }))
}

fn answer(effect: &Effect) -> anyhow::Result<Input> {
    let (step, attempt) = effect.step().ok_or_else(|| anyhow!("only steps are sent here"))?;
    let answer = StepReading::Done(Outcome::Compensated);
    let result = StepResult::new(answer, Some(200)).telling(vec![]);
    Ok(Input::StepEnded { step, attempt, service: Arc::clone(effect.service()), result })
}

fn report(n: u64) -> anyhow::Result<Report> {
    let seen = |service: &str, action: &str, state| {
        Evidence::new(service, action, format!("r-{n}"), state)
    };
    Ok(Report {
        id: format!("bench-{n}"),
        source: "order".to_owned(),
        saga_id: SagaId::new(&format!("bench-{n}"))?,
        time: None,
        traceparent: None,
        data: ReportData {
            code: "report-1".to_owned(),
            action: Some("place".to_owned()),
            history: vec![
                seen("order", "place", HistoryState::Failed),
                seen("payment", "act", HistoryState::Succeeded),
                seen("delivery", "act", HistoryState::Succeeded),
            ],
            ..ReportData::default()
        },
    })
}
