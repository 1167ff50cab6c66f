//! An erasure where nodes share the store: it is taken at any of them, and each that holds some of its sagas lets their
//! data go in a commit of its own.

use super::{ApiError, App};
use crate::clock::{Clock, SystemClock};
use crate::faults::refusal;
use amends_api::CaseState;
use amends_engine::{KeptFromErasing, SagaState};
use amends_protocol::SagaId;
use amends_store::{CaseFilter, PageRequest, Store};
use std::time::Duration;

/// How long whoever erases waits for the nodes that hold the sagas; what they have not done by then follows.
const PATIENCE: Duration = Duration::from_secs(3);
/// Time between two looks at what they have done.
const LOOK: Duration = Duration::from_millis(50);

/// Refuses what can't go now, before anything of it is done.
pub(super) async fn check<S: Store>(
    app: &App<S>,
    sagas: &[SagaId],
    when_settled: bool,
) -> Result<(), ApiError> {
    let store = app.supervisor.store();
    let mut kept = KeptFromErasing::default();
    for saga in sagas {
        let filter = CaseFilter { saga: Some(saga.clone()), ..CaseFilter::default() };
        let listed = store.cases(filter, PageRequest::first(1)).await?.items.into_iter().next();
        match listed.map(|listed| listed.case.state) {
            Some(CaseState::Settled) => {}
            Some(_) if when_settled => {}
            Some(_) => kept.open.push(saga.clone()),
            None => match store.saga(saga).await?.map(|row| row.state) {
                Some(SagaState::Begun) => kept.under_way.push(saga.clone()),
                Some(_) => {}
                None => kept.unknown.push(saga.clone()),
            },
        }
    }
    kept.refusal().map_or(Ok(()), |answer| Err(refusal(answer).into()))
}

/// Waits until all sagas of an erasure are done, or remembered with their cases; for a moment only.
pub(super) async fn wait<S: Store>(app: &App<S>, number: u64) -> Result<(), ApiError> {
    let began = SystemClock.monotonic();
    loop {
        let found = app.supervisor.store().erasure(number).await?;
        let is_done = found.is_none_or(|(row, erased)| erased.len() as u64 >= row.sagas);
        if is_done || SystemClock.monotonic().saturating_sub(began) >= PATIENCE {
            return Ok(());
        }
        tokio::time::sleep(LOOK).await;
    }
}
