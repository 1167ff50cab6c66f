//! Names of things: sagas, cases, steps, actions, reports. Each is checked once, where it comes in.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use sha2::{Digest, Sha256};
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// Longest saga id, request id, report id, service or action name, in bytes. They are keys in every participant's
/// database, so the limit is part of the protocol.
pub const NAME_LIMIT: usize = 128;

/// A name that breaks the rule of its kind, with the rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidName {
    /// What was being named, e.g. `saga id`.
    pub what: &'static str,
    /// The text as it came in.
    pub text: String,
    /// What such a name must look like.
    pub rule: &'static str,
}

impl fmt::Display for InvalidName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown: String = self.text.chars().take(NAME_LIMIT).collect();
        write!(f, "`{shown}` is not a {}: {}", self.what, self.rule)
    }
}

impl std::error::Error for InvalidName {}

/// Names one business transaction: opaque text, 1 to 128 bytes of printable ASCII without spaces.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SagaId(Arc<str>);

impl SagaId {
    /// Checks and takes a saga id.
    ///
    /// # Errors
    /// [`InvalidName`] when the text is empty, too long, or holds a byte outside `!`..=`~`.
    pub fn new(text: &str) -> Result<Self, InvalidName> {
        if is_opaque_name(text) {
            Ok(Self(text.into()))
        } else {
            Err(InvalidName {
                what: "saga id",
                text: text.to_owned(),
                rule: "1 to 128 bytes of printable ASCII without spaces",
            })
        }
    }

    /// The text itself.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Whether `text` may be a saga id, request id or report id: 1 to 128 bytes of printable ASCII without spaces.
#[must_use]
pub fn is_opaque_name(text: &str) -> bool {
    !text.is_empty() && text.len() <= NAME_LIMIT && text.bytes().all(|b| b.is_ascii_graphic())
}

/// Names one operation of one service, written `service.action`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ActionName {
    /// The participant.
    pub service: Arc<str>,
    /// The operation within it.
    pub action: Arc<str>,
}

impl ActionName {
    /// Puts the two parts together.
    #[must_use]
    pub fn new(service: &str, action: &str) -> Self {
        Self { service: service.into(), action: action.into() }
    }
}

impl fmt::Display for ActionName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.service, self.action)
    }
}

impl FromStr for ActionName {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        match text.split_once('.') {
            Some((service, action)) if !service.is_empty() && !action.is_empty() => {
                Ok(Self::new(service, action))
            }
            _ => Err(InvalidName {
                what: "service and action",
                text: text.to_owned(),
                rule: "written `service.action`",
            }),
        }
    }
}

/// A case in one supervisor's store; counts up from 1. Written `c-17`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CaseId(pub u64);

impl fmt::Display for CaseId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "c-{}", self.0)
    }
}

impl FromStr for CaseId {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        text.strip_prefix("c-").and_then(|n| n.parse().ok()).map(Self).ok_or_else(|| InvalidName {
            what: "case id",
            text: text.to_owned(),
            rule: "written `c-` and a number, as in `c-17`",
        })
    }
}

/// A step of a case, and the idempotency key of all its attempts. Written `s-17-3-9f86d081884c7d65`.
///
/// The last part is a digest of the store's salt, saga, verb and action: nobody else can tell it, and two supervisors
/// that give out the same case number still never use the same key for different work. It holds no `.`, which Standard
/// Webhooks forbids in message ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StepId {
    /// The case that the step belongs to.
    pub case: CaseId,
    /// Position in the case's plan, from 1.
    pub ordinal: u32,
    /// Digest of what the step asks for.
    pub tag: u64,
    /// Which of its requests is meant, if one is.
    pub part: Option<PartTag>,
}

/// Tells one request of a step from its others: the first 12 digits of the SHA-256 of its id, whenever it came to be
/// known. Written behind the step's id, as in `s-17-3-9f86d081884c7d65-2c26b46b68ff`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PartTag(u64);

impl PartTag {
    /// Digits of the tag.
    const DIGITS: usize = 12;

    /// The tag of a request.
    #[must_use]
    pub fn of(request: &str) -> Self {
        let digest = Sha256::digest(request.as_bytes());
        let bytes = digest.iter().take(Self::DIGITS / 2);
        Self(bytes.fold(0, |tag, byte| tag << 8 | u64::from(*byte)))
    }
}

impl fmt::Display for PartTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:0width$x}", self.0, width = Self::DIGITS)
    }
}

impl StepId {
    /// The id of the step that asks for `verb` (its wire word) on `action` in `saga`.
    #[must_use]
    pub fn derive(
        case: CaseId,
        ordinal: u32,
        saga: &SagaId,
        verb: &str,
        action: &ActionName,
    ) -> Self {
        let parts = [saga.as_str(), verb, &action.service, &action.action];
        Self { case, ordinal, tag: digest(&parts), part: None }
    }
}

/// FNV-1a, 64 bits, over length-prefixed parts (so that `ab`,`c` and `a`,`bc` differ). Stable for ever: it is in keys
/// that participants store. Source: <http://www.isthe.com/chongo/tech/comp/fnv/>.
#[must_use]
pub fn digest(parts: &[&str]) -> u64 {
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    let mut eat = |byte: u8| {
        hash ^= u64::from(byte);
        hash = hash.wrapping_mul(0x0000_0100_0000_01b3);
    };
    for part in parts {
        (part.len() as u64).to_le_bytes().into_iter().for_each(&mut eat);
        part.bytes().for_each(&mut eat);
    }
    hash
}

impl fmt::Display for StepId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "s-{}-{}-{:016x}", self.case.0, self.ordinal, self.tag)?;
        self.part.map_or(Ok(()), |part| write!(f, "-{part}"))
    }
}

impl FromStr for StepId {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let parse = || {
            let mut parts = text.strip_prefix("s-")?.splitn(4, '-');
            let case = CaseId(parts.next()?.parse().ok()?);
            let ordinal = parts.next()?.parse().ok()?;
            let tag = u64::from_str_radix(parts.next()?, 16).ok()?;
            let part = match parts.next() {
                None => None,
                Some(part) if part.len() == PartTag::DIGITS => {
                    Some(PartTag(u64::from_str_radix(part, 16).ok()?))
                }
                Some(_) => return None,
            };
            Some(Self { case, ordinal, tag, part })
        };
        parse().ok_or_else(|| InvalidName {
            what: "step id",
            text: text.to_owned(),
            rule: "written `s-<case>-<ordinal>-<16 hex digits>`, as in `s-17-3-9f86d081884c7d65`; 12 more digits behind another `-` name one of its requests",
        })
    }
}

/// What makes a report the same report: CloudEvents `source` and `id`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReportKey {
    /// The reporting service, as it names itself.
    pub source: Arc<str>,
    /// Unique per source.
    pub id: Arc<str>,
}

impl fmt::Display for ReportKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.source, self.id)
    }
}

macro_rules! text_serde {
    ($($name:ty),*) => {$(
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
            }
        }
    )*};
}

impl fmt::Display for SagaId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for SagaId {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        Self::new(text)
    }
}

text_serde!(SagaId, ActionName, CaseId, StepId);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn saga_ids_are_printable_ascii_of_bounded_length() {
        assert!(SagaId::new("order-1").is_ok());
        for bad in ["", "a b", "naïve", "tab\t", &"x".repeat(129)] {
            assert!(SagaId::new(bad).is_err(), "{bad:?} must be refused");
        }
    }

    #[test]
    fn ids_survive_print_and_parse() {
        let saga = SagaId::new("order-1").expect("valid");
        let id =
            StepId::derive(CaseId(17), 3, &saga, "compensate", &ActionName::new("payment", "pay"));
        assert_eq!(id.to_string().parse(), Ok(id));
        assert_eq!("c-17".parse(), Ok(CaseId(17)));
        assert!("17".parse::<CaseId>().is_err());
        assert!("s-1-2".parse::<StepId>().is_err());
        let part = StepId { part: Some(PartTag::of("foo")), ..id };
        assert_eq!(part.to_string(), format!("{id}-2c26b46b68ff"), "of the SHA-256 of `foo`");
        assert_eq!(part.to_string().parse(), Ok(part));
        assert!(format!("{id}-2c26").parse::<StepId>().is_err());
    }

    #[test]
    fn digest_has_no_prefix_hazard() {
        assert_ne!(digest(&["ab", "c"]), digest(&["a", "bc"]));
    }
}
