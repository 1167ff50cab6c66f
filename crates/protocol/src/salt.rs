//! What makes the ids and keys of one store its own: a random salt, made once with the store. Nothing is drawn here.

use crate::{ActionName, CallbackProof, CaseId, SagaId, StepId, Verb};
use sha2::{Digest, Sha256};
use std::fmt;

/// Bytes of a salt.
pub const SALT_BYTES: usize = 16;

/// Bytes of the digest that a key or a proof is made of: 32 digits, so that a key fits where 36 characters do.
const KEY_BYTES: usize = 16;

/// A store's salt. Whoever does not know it can't tell ids and keys before they are used. It is part of every backup,
/// so that a restored supervisor asks under the same keys.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Salt(Option<[u8; SALT_BYTES]>);

impl Salt {
    /// Of engines that ask nobody: ids are the same in every run.
    pub const NONE: Self = Self(None);

    /// The salt that a store keeps.
    #[must_use]
    pub const fn new(bytes: [u8; SALT_BYTES]) -> Self {
        Self(Some(bytes))
    }

    /// The id of the step that asks for `verb` on `action` in `saga`, in a store with this salt.
    #[must_use]
    pub fn step_id(
        self,
        case: CaseId,
        ordinal: u32,
        saga: &SagaId,
        verb: Verb,
        action: &ActionName,
    ) -> StepId {
        let parts = [saga.as_str(), verb.as_str(), &action.service, &action.action];
        match self {
            Self::NONE => StepId::derive(case, ordinal, saga, verb.as_str(), action),
            _ => StepId { case, ordinal, tag: self.tag(&parts), part: None },
        }
    }

    fn tag(self, parts: &[&str]) -> u64 {
        let mut tag = [0; size_of::<u64>()];
        tag.copy_from_slice(&self.sha256(parts)[..size_of::<u64>()]);
        u64::from_be_bytes(tag)
    }

    /// The idempotency key of a mapped request: the same for the same question, at most 36 characters. `generation`
    /// counts how often a person has decided to ask anew.
    #[must_use]
    pub fn key(
        self,
        saga: &SagaId,
        verb: Verb,
        action: &ActionName,
        request: Option<&str>,
        generation: u32,
    ) -> String {
        let generation = generation.to_string();
        let of_request = if request.is_some() { "of" } else { "" };
        let parts = [
            saga.as_str(),
            verb.as_str(),
            &action.service,
            &action.action,
            of_request,
            request.unwrap_or_default(),
            &generation,
        ];
        self.secret("k-", &parts)
    }

    /// What proves that a callback about a step comes from whoever was sent the step. It is made anew where it is
    /// compared, so it is stored nowhere, and holds after a restart and in a restored store.
    #[must_use]
    pub fn callback_proof(self, step: StepId) -> CallbackProof {
        // That of the row: which request of its action it is about may be learned between two tries.
        let row = StepId { part: None, ..step };
        CallbackProof::new(self.secret("p-", &["callback", &row.to_string()]))
    }

    /// A text that is random to whoever does not know the salt, and the same for the same parts.
    #[must_use]
    pub fn nonce(self, parts: &[&str]) -> String {
        self.secret("n-", parts)
    }

    fn secret(self, prefix: &str, parts: &[&str]) -> String {
        use std::fmt::Write as _;
        let mut secret = String::with_capacity(prefix.len() + 2 * KEY_BYTES);
        secret.push_str(prefix);
        for byte in &self.sha256(parts)[..KEY_BYTES] {
            // A text takes everything.
            let _ = write!(secret, "{byte:02x}");
        }
        secret
    }

    /// Over length-prefixed parts, so that `ab`,`c` and `a`,`bc` differ.
    fn sha256(self, parts: &[&str]) -> [u8; 32] {
        let mut hash = Sha256::new();
        hash.update(self.0.unwrap_or_default());
        for part in parts {
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part.as_bytes());
        }
        hash.finalize().into()
    }
}

/// Never shown: who knows it knows every id.
impl fmt::Debug for Salt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if *self == Self::NONE { "Salt(none)" } else { "Salt(…)" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn saga() -> SagaId {
        SagaId::new("order-1").expect("valid")
    }

    #[test]
    fn two_stores_give_different_ids_and_keys_and_one_store_always_the_same() {
        let pay = ActionName::new("payment", "pay");
        let id = |salt: Salt| salt.step_id(CaseId(1), 1, &saga(), Verb::Compensate, &pay);
        let key = |salt: Salt| salt.key(&saga(), Verb::Compensate, &pay, Some("p-1"), 0);
        let (one, other) = (Salt::new([1; SALT_BYTES]), Salt::new([2; SALT_BYTES]));
        assert_ne!(id(one), id(other));
        assert_eq!(id(one), id(one));
        assert_ne!(key(one), key(other));
        assert_eq!(key(one), key(one));
        assert!(key(one).len() <= 36, "{}", key(one));
    }

    #[test]
    fn every_step_of_every_store_has_a_proof_of_its_own() {
        let pay = ActionName::new("payment", "pay");
        let salts = [Salt::new([1; SALT_BYTES]), Salt::new([2; SALT_BYTES])];
        let steps = salts
            .map(|s| [1, 2].map(|n| (s, s.step_id(CaseId(1), n, &saga(), Verb::Compensate, &pay))));
        let steps: Vec<_> = steps.into_iter().flatten().collect();
        for (n, (salt, step)) in steps.iter().enumerate() {
            let proof = salt.callback_proof(*step);
            for (m, (salt, step)) in steps.iter().enumerate() {
                assert_eq!(proof.is(&salt.callback_proof(*step)), n == m, "{n} and {m}");
            }
        }
        let (salt, step) = steps[0];
        let part = StepId { part: Some(crate::PartTag::of("r-1")), ..step };
        assert!(salt.callback_proof(part).is(&salt.callback_proof(step)), "learned later");
        // Who knows the step's id and not the salt can't make it.
        assert!(!Salt::NONE.callback_proof(step).is(&salt.callback_proof(step)));
    }

    #[test]
    fn every_part_of_the_question_makes_another_key() {
        let salt = Salt::new([7; SALT_BYTES]);
        let (pay, book) = (ActionName::new("payment", "pay"), ActionName::new("hotel", "book"));
        let keys = [
            salt.key(&saga(), Verb::Compensate, &pay, None, 0),
            salt.key(&saga(), Verb::Compensate, &pay, Some(""), 0),
            salt.key(&saga(), Verb::Compensate, &pay, Some("p-1"), 0),
            salt.key(&saga(), Verb::Compensate, &pay, Some("p-1"), 1),
            salt.key(&saga(), Verb::Retry, &pay, Some("p-1"), 0),
            salt.key(&saga(), Verb::Compensate, &book, Some("p-1"), 0),
        ];
        let different: std::collections::BTreeSet<_> = keys.iter().collect();
        assert_eq!(different.len(), keys.len(), "{keys:?}");
    }
}
