//! What came and could not be taken, for people: messages of a broker, and what one node left for another. Where each
//! came from, why it was not taken, and what to do about it.

use crate::RejectedWay;
use amends_protocol::{CaseId, InvalidName, Timestamp};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use sha2::{Digest as _, Sha256};
use std::fmt;
use std::str::FromStr;

/// A rejected message, by the place that it came from: the same place is the same message. Written
/// `r-9f86d081884c7d65`, which needs no escape in an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RejectedId(u64);

impl RejectedId {
    /// Of the message at this place, e.g. `nats/REPORTS/17`.
    #[must_use]
    pub fn of_place(place: &str) -> Self {
        let digest = Sha256::digest(place.as_bytes());
        Self(digest.iter().take(8).fold(0, |tag, byte| tag << 8 | u64::from(*byte)))
    }
}

impl fmt::Display for RejectedId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "r-{:016x}", self.0)
    }
}

impl FromStr for RejectedId {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let digits = text.strip_prefix("r-").filter(|digits| {
            digits.len() == 16 && digits.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
        });
        let tag = digits.and_then(|digits| u64::from_str_radix(digits, 16).ok());
        tag.map(Self).ok_or_else(|| InvalidName {
            what: "id of a rejected message",
            text: text.to_owned(),
            rule: "written `r-<16 hex digits>`, as in `r-9f86d081884c7d65`",
        })
    }
}

impl Serialize for RejectedId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for RejectedId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

/// A message that could not be taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RejectedView {
    /// Its id, by the place.
    #[cfg_attr(
        feature = "openapi",
        schema(value_type = String, pattern = "^r-[0-9a-f]{16}$", example = "r-9f86d081884c7d65")
    )]
    pub id: RejectedId,
    /// How it came.
    pub way: RejectedWay,
    /// Where it lies at the broker, or what another node left, in words.
    pub place: String,
    /// Who it says that it comes from, if that could be read. Nobody has proved it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// The event's own id, if that could be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event_id: Option<String>,
    /// The saga that it is about, if that could be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub saga_id: Option<String>,
    /// Why it was not taken: the code of a problem.
    #[cfg_attr(feature = "openapi", schema(example = "invalid-report"))]
    pub code: String,
    /// What exactly is wrong with it. It may repeat a word of the message; without `read:data` only the kind is told.
    pub detail: String,
    /// Since when it lies here.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub rejected_at: Timestamp,
    /// When it was sent, by the clock of the broker or the store.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = DateTime))]
    pub sent_at: Option<Timestamp>,
    /// Bytes of its body that are kept.
    pub bytes: u64,
    /// Its body was longer than what is kept.
    pub cut: bool,
}

/// Such a message, whole: answer of `GET /v1/reports/rejected/{id}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RejectedMessage {
    /// What its row in the list tells.
    #[serde(flatten)]
    pub summary: RejectedView,
    /// Its headers, in their order; those that hold a credential without it.
    pub headers: Vec<RejectedHeader>,
    /// Its body.
    pub body: RejectedBody,
}

/// A header of a message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RejectedHeader {
    /// Its name.
    pub name: String,
    /// What it says.
    pub value: String,
}

/// The body of a message: one of these three.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum RejectedBody {
    /// It is text.
    Text(String),
    /// It is no text: in base64.
    Base64(String),
    /// It is not shown, and why: it can't be read, so nobody can say where in it a secret field stands.
    Withheld(String),
}

/// What a person does about a rejected message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "act", rename_all = "snake_case", deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum RejectedAct {
    /// It is read once more, with the configuration and the rulebooks of now. Taken, it is a report like any other.
    Retry {
        /// Why.
        #[cfg_attr(
            feature = "openapi",
            schema(min_length = 1, max_length = 2000, pattern = r"\S")
        )]
        reason: String,
    },
    /// Nobody needs it: it is removed.
    Discard {
        /// Why.
        #[cfg_attr(
            feature = "openapi",
            schema(min_length = 1, max_length = 2000, pattern = r"\S")
        )]
        reason: String,
    },
}

impl RejectedAct {
    /// Why.
    #[must_use]
    pub fn reason(&self) -> &str {
        match self {
            Self::Retry { reason } | Self::Discard { reason } => reason,
        }
    }
}

/// What came of an act on a rejected message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RejectedDone {
    /// The case that it belongs to, if it was taken and that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, example = "c-17"))]
    pub case_id: Option<CaseId>,
    /// It was taken before: nothing was doubled.
    pub duplicate: bool,
    /// Rejected messages that are left.
    pub left: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_has_one_id_and_only_ids_as_they_are_written_are_read() {
        let id = RejectedId::of_place("nats/REPORTS/17");
        assert_eq!(id, RejectedId::of_place("nats/REPORTS/17"), "a redelivery is the same one");
        assert_ne!(id, RejectedId::of_place("nats/REPORTS/18"));
        assert_eq!(id.to_string().parse(), Ok(id));
        let known = RejectedId::of_place("test").to_string();
        assert_eq!(known, "r-9f86d081884c7d65", "of SHA-256, which never changes");
        for wrong in
            ["", "r-", "r-9f86", "9f86d081884c7d65", "r-9F86D081884C7D65", "r-+f86d081884c7d65"]
        {
            assert!(wrong.parse::<RejectedId>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_body_is_told_under_one_name() {
        let text = serde_json::to_string(&RejectedBody::Text("{".to_owned())).expect("JSON");
        assert_eq!(text, r#"{"text":"{"}"#);
    }
}
