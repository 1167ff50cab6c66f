//! Letters that their owner has refused for good. Whoever left one may have been told that it was taken, so it is kept
//! for people to see.

use crate::{Actor, Answer, Input, Letter, LetterKind};
use amends_protocol::{CaseId, ProblemCode, SagaId, Timestamp};
use serde_json::Value;

/// Most bytes of what is said of one.
const DETAIL_BYTES: usize = 4 << 10;

/// A letter that was refused for good.
#[derive(Clone, Debug, PartialEq)]
pub struct RefusedLetter {
    /// The letter, as it may be kept: a callback without its proof, an activation without its sources.
    pub letter: Letter,
    /// What it said of itself.
    pub about: LetterAbout,
    /// Why.
    pub code: ProblemCode,
    /// Why, in words.
    pub detail: String,
    /// When.
    pub at: Timestamp,
}

/// What a letter says of itself, for people.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LetterAbout {
    /// What it is, in words: `retry` of step `c-17-1` by kim.
    pub what: String,
    /// Which service it comes from, if it says so.
    pub source: Option<String>,
    /// The report's own id, if it is one.
    pub event_id: Option<String>,
    /// The saga that it is about, if it names one.
    pub saga: Option<SagaId>,
    /// The case that it is about, if it names that.
    pub case: Option<CaseId>,
}

impl RefusedLetter {
    /// A letter, and why it was refused.
    #[must_use]
    pub fn new(mut letter: Letter, (code, why): (ProblemCode, &str), at: Timestamp) -> Self {
        let about = letter.about();
        letter.forget_what_is_not_kept();
        let detail = why[..why.floor_char_boundary(DETAIL_BYTES)].to_owned();
        Self { letter, about, code, detail, at }
    }
}

impl Letter {
    /// What it says of itself; of one that can't be read, what its kind tells.
    #[must_use]
    pub fn about(&self) -> LetterAbout {
        let what = self.kind.title().to_owned();
        let Ok(input) = self.input(0) else {
            return LetterAbout { what, ..LetterAbout::default() };
        };
        let by = |what: String, actor: &Actor| format!("{what} by {}", actor.name);
        match input {
            Input::Report { report, .. } => LetterAbout {
                what,
                source: Some(report.source.clone()),
                event_id: Some(report.id.clone()),
                saga: Some(report.saga_id.clone()),
                case: None,
            },
            Input::SagaBegan { begin, .. } => LetterAbout {
                what,
                source: Some(begin.service),
                saga: Some(begin.saga_id),
                ..LetterAbout::default()
            },
            Input::SagaEnded { saga, .. } => {
                LetterAbout { what, saga: Some(saga), ..LetterAbout::default() }
            }
            Input::StepCalledBack { step, .. } => {
                about_case(format!("{what} of `{step}`"), step.case)
            }
            Input::StepEnded { step, service, .. }
            | Input::EndedElsewhere { step, service, .. } => LetterAbout {
                source: Some(service.to_string()),
                ..about_case(format!("{what} of `{step}`"), step.case)
            },
            Input::StepAct { step, act, actor, .. } => {
                about_case(by(format!("`{}` of step `{step}`", act.name()), &actor), step.case)
            }
            Input::CaseAct { case, act, actor, .. } => {
                about_case(by(format!("`{}` of case `{case}`", act.name()), &actor), case)
            }
            Input::QuestionAct { question, act, actor, .. } => {
                let what = format!("`{}` of question `{question}`", act.name());
                about_case(by(what, &actor), question.case)
            }
            Input::StrangerAct { actor, .. }
            | Input::Pause { actor, .. }
            | Input::HoldRule { actor, .. }
            | Input::Limit { actor, .. }
            | Input::Audit { actor, .. } => {
                LetterAbout { what: by(what, &actor), ..LetterAbout::default() }
            }
            Input::Activate { activation, .. } => {
                let what = format!("{what} `{}`", activation.rulebook.name());
                LetterAbout { what: by(what, &activation.actor), ..LetterAbout::default() }
            }
            Input::Erase { erase, .. } => {
                let what = match erase.number {
                    Some(number) => format!("erasure `er-{number}`"),
                    None => what,
                };
                let saga = erase.sagas.first().filter(|_| erase.sagas.len() == 1).cloned();
                LetterAbout { what: by(what, &erase.actor), saga, ..LetterAbout::default() }
            }
            Input::HistoryEnded { .. } | Input::Mend { .. } | Input::Unheld(_) | Input::Tick => {
                LetterAbout { what, ..LetterAbout::default() }
            }
        }
    }

    /// A proof opens a step to whoever has it, and a value by which sagas were found is to go with them: people read
    /// what was refused. The sources of a rulebook are long, and whoever wanted them active has them.
    fn forget_what_is_not_kept(&mut self) {
        let path = match self.kind {
            LetterKind::CalledBack => "/callback/proof",
            LetterKind::Erase => "/field",
            LetterKind::Activate => "/what/sources",
            _ => return,
        };
        if let Ok(mut said) = serde_json::from_str::<Value>(&self.body)
            && let Some(value) = said.pointer_mut(path)
        {
            *value = Value::Null;
            self.body = said.to_string();
        }
    }
}

fn about_case(what: String, case: CaseId) -> LetterAbout {
    LetterAbout { what, case: Some(case), ..LetterAbout::default() }
}

impl LetterKind {
    /// What it is, in words.
    #[must_use]
    pub const fn title(self) -> &'static str {
        match self {
            Self::Report => "a report",
            Self::Began => "the announcement of a saga",
            Self::Ended => "the end of a saga",
            Self::CalledBack => "the outcome that a service told",
            Self::StepAct => "an act on a step",
            Self::CaseAct => "an act on a case",
            Self::QuestionAct => "an act on a question",
            Self::StepEnded => "the outcome of a request",
            Self::Stranger => "a word on a stranger",
            Self::Pause => "a pause of a service, or its end,",
            Self::HoldRule => "a hold of rules, or its end,",
            Self::Limit => "limits of a service",
            Self::Audit => "an entry of the audit",
            Self::Activate => "the activation of rulebook",
            Self::Erase => "an erasure",
        }
    }
}

impl Answer {
    /// Why it refuses what was asked for, if it does so for good.
    #[must_use]
    pub fn refused(&self) -> Option<(ProblemCode, &str)> {
        match self {
            Self::NotFound(why) => Some((ProblemCode::NotFound, why)),
            Self::Conflict(why) => Some((ProblemCode::Conflict, why)),
            Self::Dropped { detail, .. } => Some((ProblemCode::Conflict, detail)),
            Self::Unproven(why) => Some((ProblemCode::Unproven, why)),
            Self::Invalid(why) => Some((ProblemCode::InvalidRequest, why)),
            Self::Received { .. }
            | Self::Announced(_)
            | Self::Done
            | Self::Set(_)
            | Self::Erased(_)
            | Self::Posted(_)
            | Self::Kept
            | Self::Unavailable(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{LetterId, Partition};
    use amends_api::StepAct;
    use amends_protocol::{CallbackProof, Outcome, OutcomeCallback, SagaBegin, StepId};

    fn letter(input: &Input) -> Letter {
        Letter::of(input, LetterId(7), Partition(7)).expect("a letter")
    }

    fn step() -> StepId {
        StepId { case: CaseId(135), ordinal: 2, tag: 77, part: None }
    }

    #[test]
    fn a_letter_says_what_it_is_and_about_what() {
        let act = StepAct::Approve { reason: "it is right".to_owned() };
        let input =
            Input::StepAct { step: step(), act, actor: "kim".into(), bulk: None, ticket: 1 };
        let about = letter(&input).about();
        assert_eq!(about.what, format!("`approve` of step `{}` by kim", step()));
        assert_eq!((about.case, about.saga), (Some(CaseId(135)), None));

        let saga_id = SagaId::new("order-1").expect("valid");
        let begin = SagaBegin {
            saga_id: saga_id.clone(),
            service: "order".to_owned(),
            action: None,
            deadline: Timestamp(9),
            data: serde_json::Map::new(),
        };
        let about = letter(&Input::SagaBegan { begin, ticket: 1 }).about();
        assert_eq!((about.saga, about.source.as_deref()), (Some(saga_id), Some("order")));
    }

    #[test]
    fn a_letter_that_nobody_can_read_says_its_kind() {
        let id = LetterId(1);
        let (kind, body) = (LetterKind::Ended, "{".to_owned());
        let about = Letter { id, partition: Partition(7), kind, body }.about();
        assert_eq!((&*about.what, about.saga), ("the end of a saga", None));
    }

    #[test]
    fn what_is_kept_of_a_callback_has_no_proof() {
        let proof = Some(CallbackProof::new("open sesame"));
        let callback = OutcomeCallback { proof, ..OutcomeCallback::of(Outcome::Compensated) };
        let whole = letter(&Input::StepCalledBack { step: step(), callback, ticket: 1 });
        let why = (ProblemCode::Unproven, "the proof is wrong");
        let refused = RefusedLetter::new(whole.clone(), why, Timestamp(1));
        assert!(whole.body.contains("sesame") && !refused.letter.body.contains("sesame"));
        assert_eq!(refused.about, whole.about());
    }

    #[test]
    fn what_is_said_of_it_is_bounded() {
        let whole = letter(&Input::SagaEnded { saga: SagaId::new("s").expect("valid"), ticket: 1 });
        let long = format!("x{}", "é".repeat(DETAIL_BYTES));
        let refused = RefusedLetter::new(whole, (ProblemCode::Conflict, &long), Timestamp(1));
        assert_eq!(refused.detail.len(), DETAIL_BYTES - 1, "no character is cut in two");
    }
}
