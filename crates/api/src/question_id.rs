//! The name of an open question.

use amends_protocol::{CaseId, InvalidName};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::fmt;
use std::str::FromStr;

/// An open question: what it is about decides it, so it is the same after a restart, and when it is asked again.
/// Written `q-17-9f86d081884c7d65`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct QuestionId {
    /// The case that it is asked in.
    pub case: CaseId,
    /// Digest of its kind and of what it is about.
    pub tag: u64,
}

impl fmt::Display for QuestionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "q-{}-{:016x}", self.case.0, self.tag)
    }
}

impl FromStr for QuestionId {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let parse = || {
            let (case, tag) = text.strip_prefix("q-")?.split_once('-')?;
            let tag = u64::from_str_radix(tag, 16).ok()?;
            Some(Self { case: CaseId(case.parse().ok()?), tag })
        };
        parse().ok_or_else(|| InvalidName {
            what: "question id",
            text: text.to_owned(),
            rule: "written `q-<case>-<16 hex digits>`, as in `q-17-9f86d081884c7d65`",
        })
    }
}

impl Serialize for QuestionId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for QuestionId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}
