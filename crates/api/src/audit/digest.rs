//! What the digest of one entry covers, to the byte.
//!
//! INVARIANT: these bytes never change. Chains that were begun years ago, and anchors on paper, depend on them.

use amends_protocol::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest as _, Sha256};
use std::fmt;
use std::str::FromStr;

/// What stands first in the bytes: of what they are, and in which version of this format.
const FORMAT: &str = "amends-audit-1";

/// A SHA-256 digest; as text 64 small hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ActDigest([u8; 32]);

impl ActDigest {
    /// What the first entry of all follows.
    pub const NONE: Self = Self([0; 32]);

    /// The digest of a text.
    #[must_use]
    pub fn of(text: &str) -> Self {
        Self(Sha256::digest(text.as_bytes()).into())
    }

    /// As it is stored.
    #[must_use]
    pub const fn bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// From what is stored; none if that has another length.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }
}

impl fmt::Display for ActDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for ActDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for ActDigest {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let digits = text.as_bytes();
        let mut bytes = [0; 32];
        let is_hex = |digit: &u8| matches!(digit, b'0'..=b'9' | b'a'..=b'f');
        if digits.len() != 64 || !digits.iter().all(is_hex) {
            return Err("a digest is 64 hexadecimal digits in small letters".to_owned());
        }
        for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks(2)) {
            let digit = |digit: u8| (digit as char).to_digit(16).unwrap_or_default() as u8;
            *byte = digit(pair[0]) << 4 | digit(pair[1]);
        }
        Ok(Self(bytes))
    }
}

impl Serialize for ActDigest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ActDigest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// A place in the chain: an entry's number and digest, written `17:9f86…`. Kept elsewhere it is an anchor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ChainLink {
    /// The entry's number, from 1; 0 stands for the beginning.
    pub number: u64,
    /// Its digest.
    #[cfg_attr(feature = "openapi", schema(value_type = String, pattern = "^[0-9a-f]{64}$"))]
    pub digest: ActDigest,
}

impl ChainLink {
    /// Before the first entry.
    pub const START: Self = Self { number: 0, digest: ActDigest::NONE };
}

impl fmt::Display for ChainLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.number, self.digest)
    }
}

impl FromStr for ChainLink {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (number, digest) = text
            .split_once(':')
            .ok_or("it is written NUMBER:DIGEST, as `amends audit verify` shows it")?;
        let number = number.parse().map_err(|_| format!("`{number}` is not a number"))?;
        Ok(Self { number, digest: digest.parse()? })
    }
}

/// A text of an entry, or what is left of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// It is there.
    Text(String),
    /// It was erased, or may not be shown; this is its digest.
    Gone(ActDigest),
}

impl Content {
    /// Its digest. What is there is always looked at: a digest beside it is believed of nothing that can be seen.
    #[must_use]
    pub fn digest(&self) -> ActDigest {
        match self {
            Self::Text(text) => ActDigest::of(text),
            Self::Gone(digest) => *digest,
        }
    }
}

/// An entry of the audit, as its digest covers it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChainedAct {
    /// Its place, from 1.
    pub number: u64,
    /// When.
    pub at: Timestamp,
    /// Who.
    pub actor: String,
    /// As whom the request was let in.
    pub principal: Option<String>,
    /// From where.
    pub address: Option<String>,
    /// What, in a word.
    pub act: String,
    /// The case, as `c-17`.
    pub case: Option<String>,
    /// The step.
    pub step: Option<String>,
    /// Why.
    pub reason: Content,
    /// Details, as JSON without spaces, names in order.
    pub detail: Content,
}

impl ChainedAct {
    /// Its digest behind the entry before it. Each field stands as `<length in bytes>:<bytes>,`, so no two entries have
    /// the same bytes; a field that is absent is empty.
    #[must_use]
    pub fn digest(&self, before: ActDigest) -> ActDigest {
        let mut hash = Sha256::new();
        for field in [
            FORMAT,
            &before.to_string(),
            &self.number.to_string(),
            &self.at.0.to_string(),
            &self.actor,
            self.principal.as_deref().unwrap_or_default(),
            self.address.as_deref().unwrap_or_default(),
            &self.act,
            self.case.as_deref().unwrap_or_default(),
            self.step.as_deref().unwrap_or_default(),
            &self.reason.digest().to_string(),
            &self.detail.digest().to_string(),
        ] {
            hash.update(format!("{}:{field},", field.len()));
        }
        ActDigest(hash.finalize().into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry() -> ChainedAct {
        ChainedAct {
            number: 1,
            at: Timestamp(1_795_856_816_303),
            actor: "kim".to_owned(),
            principal: Some("token:ops".to_owned()),
            address: Some("10.0.0.7".to_owned()),
            act: "waive".to_owned(),
            case: Some("c-17".to_owned()),
            step: None,
            reason: Content::Text("paid back by hand".to_owned()),
            detail: Content::Text("null".to_owned()),
        }
    }

    /// The digest that this format has had from the beginning: made by another program, from this page's description
    /// alone.
    #[test]
    fn the_bytes_are_what_they_always_were() {
        let digest = entry().digest(ActDigest::NONE).to_string();
        assert_eq!(digest, "df65431945a35e017aad1d42c6b3dc62278e0c461123e7be0a8b7e978dc82733");
    }

    #[test]
    fn every_field_counts_and_none_can_flow_into_the_next() {
        let was = entry().digest(ActDigest::NONE);
        let changes: [fn(&mut ChainedAct); 12] = [
            |e| e.number = 2,
            |e| e.at.0 += 1,
            |e| e.actor = "ki".to_owned(),
            |e| (e.actor, e.principal) = ("kimtoken:ops".to_owned(), None),
            |e| e.principal = None,
            |e| e.address = None,
            |e| (e.principal, e.address) = (e.address.take(), e.principal.take()),
            |e| e.act = "retry".to_owned(),
            |e| e.case = None,
            |e| e.step = Some("s-17-1-9f86d081884c7d65".to_owned()),
            |e| e.reason = Content::Text("paid back by hand ".to_owned()),
            |e| e.detail = Content::Text("{}".to_owned()),
        ];
        for (place, change) in changes.iter().enumerate() {
            let mut other = entry();
            change(&mut other);
            assert_ne!(other.digest(ActDigest::NONE), was, "change {place}");
        }
        assert_ne!(entry().digest(ActDigest::of("another entry before")), was);
    }

    #[test]
    fn what_was_erased_leaves_the_digest_as_it_was() {
        let mut erased = entry();
        erased.reason = Content::Gone(erased.reason.digest());
        erased.detail = Content::Gone(erased.detail.digest());
        assert_eq!(erased.digest(ActDigest::NONE), entry().digest(ActDigest::NONE));
    }

    #[test]
    fn a_link_is_read_as_it_is_written_and_nothing_else_is() {
        let link = ChainLink { number: 17, digest: ActDigest::of("x") };
        assert_eq!(link.to_string().parse(), Ok(link));
        let hex = link.digest.to_string();
        for wrong in [
            "",
            "17",
            &hex,
            "x:00",
            &format!("17:{}", &hex[1..]),
            &format!("17:{}", hex.to_uppercase()),
        ] {
            assert!(wrong.parse::<ChainLink>().is_err(), "{wrong}");
        }
    }
}
