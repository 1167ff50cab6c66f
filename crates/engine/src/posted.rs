//! What comes to a loop that does not hold its saga's partition goes as a letter to whoever does, and is an input
//! there.

mod refused;
mod seat;

pub use refused::{LetterAbout, RefusedLetter};

use crate::{
    Actor, Erase, Input, Letter, LetterId, LetterKind, Partition, StepReading, StepResult, Ticket,
};
use amends_api::{CaseAct, QuestionAct, QuestionId, StepAct};
use amends_protocol::{
    CaseId, Evidence, Lost, Outcome, OutcomeCallback, SagaBegin, SagaId, StepId, Testimony,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

#[derive(Serialize, Deserialize)]
struct Ended {
    saga: SagaId,
}

#[derive(Serialize, Deserialize)]
struct CalledBack {
    step: StepId,
    callback: OutcomeCallback,
    history: Told,
}

/// Testimony with what was lost of it, which it leaves out on the wire.
#[derive(Serialize, Deserialize)]
struct Told {
    given: bool,
    entries: Vec<Evidence>,
    lost: Vec<Lost>,
}

/// An act on `on`.
#[derive(Serialize, Deserialize)]
struct Acted<T, A> {
    on: T,
    act: A,
    by: By,
    bulk: Option<u64>,
}

#[derive(Serialize, Deserialize)]
struct By {
    name: Arc<str>,
    principal: Option<Arc<str>>,
    address: Option<Arc<str>>,
}

/// How a try ended for good.
#[derive(Serialize, Deserialize)]
struct EndedStep {
    step: StepId,
    attempt: u32,
    service: Arc<str>,
    /// None: refused.
    outcome: Option<Outcome>,
    status: Option<u16>,
    message: Option<String>,
    history: Told,
    sent_twice: bool,
}

/// That data of sagas is to go.
#[derive(Serialize, Deserialize)]
struct Erased {
    number: Option<u64>,
    sagas: Vec<SagaId>,
    field: Option<(String, String)>,
    when_settled: bool,
    by: By,
    reason: Arc<str>,
}

/// Why an input does not go as a letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoLetter {
    /// Only who holds what it is about can take it: a result that is not final, a mended case.
    NotByLetter,
    /// It has so many bytes, more than its kind may have.
    TooLong {
        /// So many.
        bytes: usize,
        /// So many it may have.
        most: usize,
    },
}

impl Letter {
    /// What an input says, for the owner of its partition.
    ///
    /// # Errors
    /// When it can't go as a letter.
    pub fn of(input: &Input, id: LetterId, partition: Partition) -> Result<Self, NoLetter> {
        let (kind, body) = Self::said(input).ok_or(NoLetter::NotByLetter)?;
        let (bytes, most) = (body.len(), kind.most_bytes());
        match bytes > most {
            true => Err(NoLetter::TooLong { bytes, most }),
            false => Ok(Self { id, partition, kind, body }),
        }
    }

    fn said(input: &Input) -> Option<(LetterKind, String)> {
        Some(match input {
            Input::Report { report, .. } => (LetterKind::Report, written(&**report)?),
            Input::SagaBegan { begin, .. } => (LetterKind::Began, written(begin)?),
            Input::SagaEnded { saga, .. } => {
                (LetterKind::Ended, written(&Ended { saga: saga.clone() })?)
            }
            Input::StepCalledBack { step, callback, .. } => {
                let (callback, history) = (callback.clone(), Told::of(&callback.history));
                let said = CalledBack { step: *step, callback, history };
                (LetterKind::CalledBack, written(&said)?)
            }
            Input::StepAct { step, act, actor, bulk, .. } => {
                (LetterKind::StepAct, written(&Acted::of(*step, act, actor, *bulk))?)
            }
            Input::CaseAct { case, act, actor, bulk, .. } => {
                (LetterKind::CaseAct, written(&Acted::of(*case, act, actor, *bulk))?)
            }
            Input::QuestionAct { question, act, actor, bulk, .. } => {
                (LetterKind::QuestionAct, written(&Acted::of(*question, act, actor, *bulk))?)
            }
            Input::StepEnded { step, attempt, service, result }
            | Input::EndedElsewhere { step, attempt, service, result } => {
                let ended = EndedStep::of(*step, *attempt, service, result)?;
                (LetterKind::StepEnded, written(&ended)?)
            }
            Input::StrangerAct { .. }
            | Input::Pause { .. }
            | Input::HoldRule { .. }
            | Input::Limit { .. }
            | Input::Audit { .. }
            | Input::Activate { .. } => seat::said(input)?,
            Input::Erase { erase, .. } => (LetterKind::Erase, written(&Erased::of(erase))?),
            Input::HistoryEnded { .. } | Input::Mend { .. } | Input::Unheld(_) | Input::Tick => {
                return None;
            }
        })
    }

    /// The input that it was, answered to `ticket`.
    ///
    /// # Errors
    /// When its body is not what its kind has, in words: a version that nobody knows here wrote it.
    pub fn input(&self, ticket: Ticket) -> Result<Input, String> {
        Ok(match self.kind {
            LetterKind::Report => {
                Input::Report { report: Arc::new(self.read()?), known_in: None, ticket }
            }
            LetterKind::Began => Input::SagaBegan { begin: self.read::<SagaBegin>()?, ticket },
            LetterKind::Ended => {
                let Ended { saga } = self.read()?;
                Input::SagaEnded { saga, ticket }
            }
            LetterKind::CalledBack => {
                let CalledBack { step, callback, history } = self.read()?;
                let callback = OutcomeCallback { history: history.into(), ..callback };
                Input::StepCalledBack { step, callback, ticket }
            }
            LetterKind::StepAct => {
                let Acted { on, act, by, bulk } = self.read::<Acted<StepId, StepAct>>()?;
                Input::StepAct { step: on, act, actor: by.into(), bulk, ticket }
            }
            LetterKind::CaseAct => {
                let Acted { on, act, by, bulk } = self.read::<Acted<CaseId, CaseAct>>()?;
                Input::CaseAct { case: on, act, actor: by.into(), bulk, ticket }
            }
            LetterKind::QuestionAct => {
                let Acted { on, act, by, bulk } = self.read::<Acted<QuestionId, QuestionAct>>()?;
                Input::QuestionAct { question: on, act, actor: by.into(), bulk, ticket }
            }
            LetterKind::StepEnded => self.read::<EndedStep>()?.into_input(),
            LetterKind::Erase => {
                let erase = Box::new(self.read::<Erased>()?.into());
                Input::Erase { erase, ticket }
            }
            LetterKind::Stranger
            | LetterKind::Pause
            | LetterKind::HoldRule
            | LetterKind::Limit
            | LetterKind::Audit
            | LetterKind::Activate => return seat::input(self, ticket),
        })
    }

    fn read<T: DeserializeOwned>(&self) -> Result<T, String> {
        let (id, kind) = (self.id, self.kind.as_str());
        serde_json::from_str(&self.body).map_err(|e| format!("letter {id} is no `{kind}`: {e}"))
    }
}

fn written<T: Serialize>(what: &T) -> Option<String> {
    serde_json::to_string(what).ok()
}

impl<T, A: Clone> Acted<T, A> {
    fn of(on: T, act: &A, actor: &Actor, bulk: Option<u64>) -> Self {
        Self { on, act: act.clone(), by: actor.into(), bulk }
    }
}

impl From<&Actor> for By {
    fn from(actor: &Actor) -> Self {
        let Actor { name, principal, address } = actor.clone();
        Self { name, principal, address }
    }
}

impl From<By> for Actor {
    fn from(By { name, principal, address }: By) -> Self {
        Self { name, principal, address }
    }
}

impl Erased {
    fn of(erase: &Erase) -> Self {
        let Erase { number, sagas, field, when_settled, actor, reason } = erase.clone();
        Self { number, sagas, field, when_settled, by: (&actor).into(), reason }
    }
}

impl From<Erased> for Erase {
    fn from(Erased { number, sagas, field, when_settled, by, reason }: Erased) -> Self {
        Self { number, sagas, field, when_settled, actor: by.into(), reason }
    }
}

impl Told {
    fn of(history: &Testimony) -> Self {
        let (entries, lost) = history.clone().into_parts();
        Self { given: history.is_given(), entries, lost }
    }
}

impl From<Told> for Testimony {
    fn from(Told { given, entries, lost }: Told) -> Self {
        Self::from_parts(given, entries, lost)
    }
}

impl EndedStep {
    fn of(step: StepId, attempt: u32, service: &Arc<str>, result: &StepResult) -> Option<Self> {
        let outcome = match result.answer {
            StepReading::Done(outcome) => Some(outcome),
            StepReading::Refused => None,
            _ => return None,
        };
        Some(Self {
            step,
            attempt,
            service: Arc::clone(service),
            outcome,
            status: result.status,
            message: result.message.clone(),
            history: Told::of(&result.history),
            sent_twice: result.sent_twice,
        })
    }

    fn into_input(self) -> Input {
        let Self { step, attempt, service, outcome, status, message, history, sent_twice } = self;
        let answer = outcome.map_or(StepReading::Refused, StepReading::Done);
        let history = history.into();
        let result = StepResult { answer, status, message, history, sent_twice };
        Input::EndedElsewhere { step, attempt, service, result }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: Partition = Partition(7);

    fn again(input: &Input) -> Input {
        let letter = Letter::of(input, LetterId(1), HERE).expect("a letter");
        letter.input(9).expect("reads back")
    }

    fn step() -> StepId {
        StepId { case: CaseId(135), ordinal: 2, tag: 77, part: None }
    }

    #[test]
    fn a_letter_says_what_its_input_said() {
        let actor = Actor { name: "kim".into(), principal: Some("token:ci".into()), address: None };
        let act = StepAct::Approve { reason: "it is right".to_owned() };
        let input = Input::StepAct { step: step(), act, actor, bulk: Some(3), ticket: 1 };
        let told = format!("{:?}", again(&input));
        assert_eq!(told, format!("{input:?}").replace("ticket: 1", "ticket: 9"));

        let saga = SagaId::new("order-1").expect("valid");
        let lost = vec![Lost { action: None, why: amends_protocol::Loss::Limit }];
        let history = Testimony::from_parts(true, vec![], lost);
        let callback = OutcomeCallback { history, ..OutcomeCallback::of(Outcome::Compensated) };
        let input = Input::StepCalledBack { step: step(), callback, ticket: 1 };
        let told = format!("{:?}", again(&input));
        assert_eq!(told, format!("{input:?}").replace("ticket: 1", "ticket: 9"));

        let ended = format!("{:?}", again(&Input::SagaEnded { saga: saga.clone(), ticket: 4 }));
        assert_eq!(ended, format!("{:?}", Input::SagaEnded { saga, ticket: 9 }));
    }

    #[test]
    fn an_erasure_goes_to_the_seat_and_a_part_of_it_to_whoever_holds_its_sagas() {
        let saga = SagaId::new("order-1").expect("valid");
        let erase = |number| Erase {
            number,
            sagas: vec![saga.clone()],
            field: Some(("customer".to_owned(), "ann".to_owned())),
            when_settled: true,
            actor: "kim".into(),
            reason: "asked for".into(),
        };
        assert_eq!(erase(None).partition(), Partition::SEAT);
        assert_eq!(erase(Some(3)).partition(), Partition::of(&saga));
        let input = Input::Erase { erase: Box::new(erase(Some(3))), ticket: 1 };
        assert_eq!(
            format!("{:?}", again(&input)),
            format!("{input:?}").replace("ticket: 1", "ticket: 9")
        );
    }

    #[test]
    fn a_final_outcome_goes_on_as_a_letter_and_what_is_not_final_does_not() {
        let ended = |answer| Input::StepEnded {
            step: step(),
            attempt: 2,
            service: "payment".into(),
            result: StepResult::new(answer, Some(200)).telling(vec![]).saying("done"),
        };
        for answer in [StepReading::Done(Outcome::Compensated), StepReading::Refused] {
            let input = ended(answer);
            let told = format!("{:?}", again(&input));
            assert_eq!(told, format!("{input:?}").replace("StepEnded", "EndedElsewhere"));
        }
        for answer in [StepReading::Unknown, StepReading::NotSent, StepReading::Definite] {
            let letter = Letter::of(&ended(answer), LetterId(1), HERE);
            assert_eq!(letter, Err(NoLetter::NotByLetter));
        }
    }

    #[test]
    fn a_letter_that_nobody_can_read_says_what_is_wrong_with_it() {
        let body = "{\"saga\":7}".to_owned();
        let letter = Letter { id: LetterId(7), partition: HERE, kind: LetterKind::Ended, body };
        let why = letter.input(1).expect_err("no saga");
        assert!(why.contains("00000000-0000-0000-0000-000000000007 is no `ended`"), "{why}");
    }
}
