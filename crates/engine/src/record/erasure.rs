//! That business data went, as it is stored: what was asked for, and of each saga what became of it.

use super::Actor;
use amends_api::audit::ActDigest;
use amends_protocol::{CaseId, SagaId, Timestamp};
use amends_rulebook::SecretValues;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// That the business data of a case goes, kept with the case: what comes to it later goes once it is settled again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Erasure {
    /// The last one that was asked for.
    pub number: u64,
    /// UTC milliseconds when it was.
    pub asked_at: i64,
    /// By whom.
    pub by: Arc<str>,
    /// UTC milliseconds when data went last; none while all of it waits for the case to settle.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub done_at: Option<i64>,
    /// What went until now.
    #[serde(default, skip_serializing_if = "Gone::is_nothing")]
    pub gone: Gone,
}

/// What went: how much, and digests by which whoever has it can show that it was this.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Gone {
    /// Values.
    pub fields: u64,
    /// Bytes of JSON.
    pub bytes: u64,
    /// Goes into each digest, so that no table of digests of likely values fits two cases. Told to nobody.
    pub nonce: String,
    /// Of each row that held some.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub digests: Vec<GoneDigest>,
}

/// The digest of what one row held.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GoneDigest {
    /// Which row: `report 0`, a step's id, `case`, `saga`.
    pub of: String,
    /// SHA-256 of the nonce, a line break, `of`, a line break, and what went as JSON: without spaces, names in order.
    pub digest: ActDigest,
}

impl Gone {
    /// Of nothing yet.
    #[must_use]
    pub fn with(nonce: String) -> Self {
        Self { nonce, ..Self::default() }
    }

    /// Whether nothing went.
    #[must_use]
    pub fn is_nothing(&self) -> bool {
        self.digests.is_empty()
    }

    /// The digest of what a row held.
    #[must_use]
    pub fn digest(&self, of: &str, json: &str) -> ActDigest {
        ActDigest::of(&format!("{}\n{of}\n{json}", self.nonce))
    }

    /// The rows of which this is what they held, of those whose name begins so.
    #[must_use]
    pub fn confirmed(&self, of: &str, json: &str) -> Vec<String> {
        let is_it = |gone: &&GoneDigest| {
            gone.of.starts_with(of) && gone.digest == self.digest(&gone.of, json)
        };
        self.digests.iter().filter(is_it).map(|gone| gone.of.clone()).collect()
    }

    /// One digest over all, for the audit.
    #[must_use]
    pub fn whole(&self) -> ActDigest {
        let all: Vec<String> =
            self.digests.iter().map(|gone| format!("{} {}", gone.of, gone.digest)).collect();
        ActDigest::of(&all.join("\n"))
    }
}

/// An erasure: what somebody wanted gone, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ErasureRow {
    /// From 1; the key.
    pub number: u64,
    /// When it was asked for.
    pub at: Timestamp,
    /// By whom.
    pub actor: Actor,
    /// Why.
    pub reason: Arc<str>,
    /// The field by which its sagas were found, if they were not named.
    pub field: Option<ErasedField>,
    /// Of how many sagas; 0 if an older version has written it.
    pub sagas: u64,
}

/// A field by whose value sagas were found. The value itself is not kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErasedField {
    /// Its name, as it was asked for.
    pub name: String,
    /// Goes into the digest.
    pub nonce: String,
    /// Of the value, as [`GoneDigest::digest`] with the field's name in place of the row's.
    pub digest: ActDigest,
}

impl ErasedField {
    /// The field, with a digest in place of its value.
    #[must_use]
    pub fn of(name: &str, value: &str, nonce: String) -> Self {
        let digest = Gone::with(nonce.clone()).digest(name, value);
        Self { name: name.to_owned(), nonce, digest }
    }

    /// Whether this was the value.
    #[must_use]
    pub fn was(&self, value: &str) -> bool {
        Gone::with(self.nonce.clone()).digest(&self.name, value) == self.digest
    }
}

/// What became of one saga of an erasure.
#[derive(Clone, Debug, PartialEq)]
pub struct ErasedRow {
    /// The erasure; with the saga the key.
    pub erasure: u64,
    /// The saga.
    pub saga: SagaId,
    /// Its case; none of a saga that had only announced itself.
    pub case: Option<CaseId>,
    /// When its data went last; none while that waits for the case to settle.
    pub done_at: Option<Timestamp>,
    /// What went.
    pub gone: Gone,
    /// Values that went with this write: where a reason in the audit repeats one, the reason goes too. Not kept.
    pub values: SecretValues,
}
