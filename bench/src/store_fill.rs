//! Fills a store with a past: very many settled cases and some that still wait for a service that nobody answers for.
//! The rows are what the engine would have written.

use amends_api::{CaseState, Cause, ClosedOn, StuckReason};
use amends_engine::{
    ActivationRow, CaseExtra, CaseRow, ReportRole, ReportRow, RulebookRef, StepExtra, StepRow,
    StepState, Write,
};
use amends_protocol::{
    ActionName, CaseId, Outcome, Report, ReportData, SagaId, StepId, Timestamp, Verb,
};
use amends_rulebook::Rulebook;
use amends_server::{Clock, SystemClock};
use amends_store::{Ledger, SqliteOptions, SqliteStore};
use anyhow::anyhow;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

/// Cases of one commit.
const BATCH: u64 = 2_000;
/// Between two cases, in milliseconds: a million of them reach a day back.
const APART_MS: i64 = 80;
/// Different reports.
const CODES: u64 = 20;

/// At a port where nobody listens.
pub const NOBODY: &str = "http://127.0.0.1:1";

/// What a store is filled with.
#[derive(Clone, Debug)]
pub struct Past {
    /// Settled cases.
    pub settled: u64,
    /// Cases that still wait, spread over the settled ones.
    pub open: u64,
    /// Every so many of the open ones waits for a person, if any.
    pub refused: Option<u64>,
    /// The rulebook `past`.
    pub rules: String,
}

impl Past {
    /// The usual: one in ten of the open ones is refused, the services are all at one address.
    pub fn of(settled: u64, open: u64, address: &str) -> Self {
        Self { settled, open, refused: Some(10), rules: rulebook(address) }
    }
}

/// A business of its own beside the one that the load reports on; its services are all at one address.
fn rulebook(address: &str) -> String {
    "rulebook: past
services:
  shop: { url: \"ADDRESS\", actions: { sell: { compensation: undo, calls: [bank.pay, depot.reserve, post.send, stamp.give] } } }
  bank: { url: \"ADDRESS\", actions: { pay: { compensation: undo } } }
  depot: { url: \"ADDRESS\", actions: { reserve: { compensation: undo } } }
  post: { url: \"ADDRESS\", actions: { send: { compensation: undo } } }
  stamp: { url: \"ADDRESS\", actions: { give: { compensation: undo } } }
rules:
  - { on: \"shop/*\", compensate: [bank.pay, depot.reserve, post.send, stamp.give] }
"
        .replace("ADDRESS", address)
}

/// The actions of each plan.
const ACTIONS: [&str; 4] = ["bank.pay", "depot.reserve", "post.send", "stamp.give"];

/// Fills the store of a folder.
pub async fn run(folder: &Path, past: Past) -> anyhow::Result<()> {
    let Past { settled, open, refused, rules } = past;
    let (began, now) = (Instant::now(), SystemClock.now());
    let store = SqliteStore::open(folder, &SqliteOptions::default())?;
    let book = Rulebook::from_yaml(&rules).map_err(|found| anyhow!("{found:?}"))?;
    let sources = book.sources().iter().map(|s| (s.path.clone(), Arc::clone(&s.text))).collect();
    let version = RulebookRef { name: book.name().into(), hash: book.hash().into() };
    let RulebookRef { name, hash } = version.clone();
    let activation = ActivationRow { at: now, name, hash, sources, from_file: false };
    store.commit(vec![Write::Activate(Box::new(activation))].into()).await?;
    let all = settled + open;
    let every = all / open.max(1);
    let mut number = 1;
    while number <= all {
        let end = (number + BATCH).min(all + 1);
        let mut writes = Vec::with_capacity(12_000);
        for n in number..end {
            let opened = Timestamp(now.0 - (all - n).cast_signed() * APART_MS - 3_600_000);
            let is_open = every > 0 && n % every == 0 && n / every <= open;
            let is_refused = is_open && refused.is_some_and(|every| n.is_multiple_of(every));
            write_case(&mut writes, (n, opened), (is_open, is_refused), &version);
        }
        store.commit(writes.into()).await?;
        number = end;
    }
    eprintln!("{settled} settled and {open} open cases in {:.0} s", began.elapsed().as_secs_f64());
    Ok(())
}

fn write_case(
    writes: &mut Vec<Write>,
    (n, opened): (u64, Timestamp),
    (is_open, refused): (bool, bool),
    version: &RulebookRef,
) {
    let (id, saga) = (CaseId(n), SagaId::new(&format!("past-{n}")).expect("a valid saga id"));
    let code = format!("report-{}", n % CODES);
    let message = format!("article {n} is out of stock");
    let state = match (is_open, refused) {
        (false, _) => CaseState::Settled,
        (true, false) => CaseState::Open,
        (true, true) => CaseState::Stuck,
    };
    let ended = opened.plus_ms(40);
    writes.push(Write::Case(Box::new(CaseRow {
        id,
        saga: saga.clone(),
        rulebook: Some(version.clone()),
        state,
        closed_on: (!is_open).then_some(ClosedOn::Proven),
        opened_at: opened,
        updated_at: ended,
        settled_at: (!is_open).then_some(ended),
        report: format!("shop/{code}").into(),
        message: Some(message.as_str().into()),
        extra: CaseExtra::default(),
    })));
    writes.push(Write::Report(Box::new(ReportRow {
        case: id,
        position: 0,
        received_at: opened,
        role: ReportRole::Rule(0),
        report: Arc::new(Report {
            id: format!("past-{n}"),
            source: "shop".to_owned(),
            saga_id: saga.clone(),
            time: None,
            traceparent: None,
            data: ReportData {
                code,
                action: Some("sell".to_owned()),
                message: Some(message),
                ..ReportData::default()
            },
        }),
    })));
    for (ordinal, action) in (1..).zip(ACTIONS) {
        let action: ActionName = action.parse().expect("service.action");
        let verb = Verb::Compensate;
        let waits = is_open && ordinal == 1;
        let (state, attempts) = match (waits, refused) {
            (false, _) => (StepState::Done(Outcome::Compensated), 1),
            (true, false) => (StepState::Due(opened.plus_ms(3_000)), 3),
            (true, true) => (StepState::Stuck(StuckReason::Refused), 1),
        };
        writes.push(Write::Step(Box::new(StepRow {
            id: StepId::derive(id, ordinal, &saga, verb.as_str(), &action),
            verb,
            action,
            stage: 0,
            state,
            attempts,
            planned_at: opened,
            updated_at: ended,
            extra: StepExtra {
                because: vec![0],
                message: waits.then(|| "connection refused: 127.0.0.1:1".to_owned()),
                last: (waits && !refused).then_some(Cause::Unreachable),
                sent_at: Some(opened.0),
                ..StepExtra::default()
            },
        })));
    }
}
