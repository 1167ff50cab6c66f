//! Nobody answers for a step but who was asked for it: a callback counts with the proof that went out with the step's
//! request, or without one after a 202 came back; and whoever has the proof is never turned away for want of it.

use super::seen::{Check, Seen, when};
use crate::stored::Stored;
use amends_engine::{Answer, Effect, StepReading};
use amends_node::EffectResult;
use amends_protocol::{CallbackProof, OutcomeCallback, StepId, Timestamp};
use std::collections::{BTreeMap, BTreeSet};

/// Keeps what went out with requests, and which of them were answered 202.
#[derive(Default)]
pub(super) struct Callbacks {
    sent: BTreeMap<StepId, CallbackProof>,
    accepted: BTreeSet<StepId>,
}

impl Callbacks {
    fn answered(
        &self,
        step: StepId,
        said: &OutcomeCallback,
        answer: &Answer,
    ) -> Result<(), String> {
        let proof = self.sent.get(&step);
        let is_proven = said.proof.as_ref().zip(proof).is_some_and(|(given, sent)| sent.is(given));
        match (answer, &said.proof) {
            (Answer::Done | Answer::Kept, _) if proof.is_none() => {
                Err(format!("{step} was never sent, and a callback about it is taken"))
            }
            (Answer::Done | Answer::Kept, Some(_)) => {
                when(!is_proven, || format!("a callback about {step} with a wrong proof is taken"))
            }
            (Answer::Done, None) => when(!self.accepted.contains(&step), || {
                format!("{step} was not taken with 202, and a callback without a proof counts")
            }),
            (Answer::Unproven(why), Some(_)) if is_proven => {
                Err(format!("whoever was asked for {step} is turned away: {why}"))
            }
            _ => Ok(()),
        }
    }
}

impl Check for Callbacks {
    fn name(&self) -> &'static str {
        "callbacks"
    }

    fn see(&mut self, _now: Timestamp, seen: &Seen<'_>, _store: &Stored) -> Result<(), String> {
        match seen {
            Seen::Effect { effect: Effect::Send(send), .. } => {
                let proof = self.sent.entry(send.step).or_insert_with(|| send.proof.clone());
                when(*proof != send.proof, || format!("{} is sent with two proofs", send.step))
            }
            Seen::Result {
                effect: Effect::Send(send), result: EffectResult::Step(result), ..
            } => {
                if matches!(result.answer, StepReading::Accepted { .. }) {
                    self.accepted.insert(send.step);
                }
                Ok(())
            }
            Seen::CalledBack { step, said, answer } => self.answered(*step, said, answer),
            _ => Ok(()),
        }
    }
}
