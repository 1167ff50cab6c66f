//! Steps as the supervisor asks for them, followed to their outcome where they were only taken.

use super::{LOOK_EVERY, TestContext};
use crate::finding::Tried;
use crate::step::{Done, Signed, Step, StepOf, outcome_of, sign};
use crate::wire::{Exchange, Sent};
use amends_protocol::{ActionName, CaseId, Outcome, SagaId, StepId, Verb, headers};
use std::time::{Duration, Instant};

/// Longest `Retry-After` that is obeyed: a person watches.
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(5);

impl TestContext {
    /// A step about the action in a saga, under an id of its own.
    pub(crate) fn step(&self, verb: Verb, saga: &str) -> Step {
        self.step_on(verb, saga, &self.action.name)
    }

    /// The same about something else.
    pub(crate) fn step_on(&self, verb: Verb, saga: &str, action: &str) -> Step {
        let case = CaseId(self.stage.next());
        let service = &self.stage.config.service;
        let name = ActionName::new(service, action);
        // The kit makes its sagas itself.
        let id = SagaId::new(saga)
            .map(|saga| StepId::derive(case, 1, &saga, verb.as_str(), &name).to_string())
            .unwrap_or_else(|_| format!("s-{}-1-0000000000000000", case.0));
        let code = self.action.fails_with.as_ref().map_or("conform", |fails| fails.code.as_str());
        Step::new(verb, &StepOf { service, action, saga, case: case.to_string(), id, code })
    }

    /// Asks for a step once.
    pub(crate) async fn ask_step(&self, step: &Step) -> Exchange {
        self.exchange(step.request(self.stage.config.signer.as_ref())).await
    }

    /// Asks for a step and follows a 202 to its end.
    pub(crate) async fn carry_out(&self, step: &Step) -> Tried<Done> {
        let exchange = self.ask_step(step).await;
        match &exchange.came {
            Ok(answer) if answer.status == 202 => self.follow(step, exchange).await,
            _ => {
                let outcome = outcome_of(step.verb, &exchange);
                Ok(Done { exchange, outcome })
            }
        }
    }

    /// Asks for a step that must end so for the check to go on.
    pub(crate) async fn carry_out_to(
        &self,
        step: &Step,
        outcome: Outcome,
        what: &str,
    ) -> Tried<Done> {
        let done = self.carry_out(step).await?;
        match done.outcome == Some(outcome) {
            true => Ok(done),
            false => Err(done.unlike(format!("{what}: 200 with the outcome `{outcome}`"))),
        }
    }

    /// The same, asked for again as long as the answer is "not yet".
    pub(crate) async fn carry_out_patiently(&self, step: &Step) -> Tried<Done> {
        let deadline = Instant::now() + self.stage.config.answer_timeout;
        let mut step = step.clone();
        loop {
            let done = self.carry_out(&step).await?;
            let busy = done.exchange.came.as_ref().is_ok_and(|answer| answer.status == 409);
            if !busy || Instant::now() > deadline {
                return Ok(done);
            }
            tokio::time::sleep(pause(&done.exchange)).await;
            step = step.again();
        }
    }

    /// From a 202 to the outcome: by looking at `Location`, or by waiting for the late answer.
    async fn follow(&self, step: &Step, taken: Exchange) -> Tried<Done> {
        let limit = self.stage.config.report_timeout;
        let location = taken.came.as_ref().ok().and_then(|answer| answer.header("location"));
        let Some(location) = location.map(str::to_owned) else {
            let supervisor = self.supervisor()?;
            let late = tokio::time::timeout(limit, supervisor.called_back(&step.id)).await;
            return match late {
                Ok(Some(callback)) => Ok(Done { exchange: taken, outcome: Some(callback.outcome) }),
                _ => {
                    let expected = format!(
                        "a 202 without `Location` is followed by `POST /v1/steps/{}/outcome`",
                        step.id
                    );
                    Err(taken.wrong(expected, format!("nothing within {limit:?}")))
                }
            };
        };
        let Some(path) = self.located(&location) else {
            return Err(
                taken.wrong("a `Location` at the participant itself", format!("`{location}`"))
            );
        };
        let deadline = Instant::now() + limit;
        loop {
            let mut sent = Sent::get(path.clone());
            sent.set(headers::SAGA_ID, &step.saga);
            sent.set(headers::IDEMPOTENCY_KEY, &step.key);
            if let Some(signer) = &self.stage.config.signer {
                sign(&mut sent, signer, &step.id, Signed::Rightly);
            }
            let exchange = self.stage.client.exchange(sent).await;
            let pending = exchange.came.as_ref().is_ok_and(|answer| answer.status == 202);
            if !pending {
                self.remember(&exchange);
                let outcome = outcome_of(step.verb, &exchange);
                return Ok(Done { exchange, outcome });
            }
            if Instant::now() > deadline {
                let expected = "a step that was taken with 202 comes to an outcome";
                return Err(exchange.wrong(expected, format!("still 202 after {limit:?}")));
            }
            tokio::time::sleep(pause(&exchange)).await;
        }
    }

    /// The path of a `Location`, if it is below the participant's own address.
    fn located(&self, location: &str) -> Option<String> {
        let base = self.stage.client.base();
        let authority_ends = base.find("://").map_or(0, |at| at + 3);
        let path_begins =
            base[authority_ends..].find('/').map_or(base.len(), |at| authority_ends + at);
        let (origin, prefix) = base.split_at(path_begins);
        let path = location.strip_prefix(origin).unwrap_or(location);
        let path = match path.starts_with("//") || path.contains("://") {
            true => return None,
            false if path.starts_with('/') => path.to_owned(),
            false => format!("{prefix}/{path}"),
        };
        path.strip_prefix(prefix).map(str::to_owned)
    }
}

/// How long to wait before asking again.
fn pause(exchange: &Exchange) -> Duration {
    let said = exchange.came.as_ref().ok().and_then(|answer| answer.header("retry-after"));
    let seconds = said.and_then(|text| text.trim().parse().ok()).unwrap_or(0);
    Duration::from_secs(seconds).clamp(LOOK_EVERY, LONGEST_RETRY_AFTER)
}
