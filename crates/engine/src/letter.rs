//! What a node that does not hold a saga's partition, or the seat, leaves for whoever does. Plain data; a store never
//! looks into it.

use crate::Partition;
use std::fmt;
use std::str::FromStr;

/// Names a letter: a UUID that its sender made, unlike any other for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LetterId(pub u128);

/// As UUIDs are written: `01234567-89ab-cdef-0123-456789abcdef`.
impl fmt::Display for LetterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = format!("{:032x}", self.0);
        let places = [(0, 8), (8, 12), (12, 16), (16, 20), (20, 32)];
        let groups = places.map(|(from, to)| digits.get(from..to).unwrap_or_default());
        f.write_str(&groups.join("-"))
    }
}

impl FromStr for LetterId {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "`{text}` is no letter; write the `letter` of a receipt, a UUID in small letters"
            )
        };
        let id = u128::from_str_radix(&text.replace('-', ""), 16).map(Self).map_err(|_| wrong())?;
        if id.to_string() == text { Ok(id) } else { Err(wrong()) }
    }
}

/// Something that only the owner of a partition can take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Letter {
    /// Its own id.
    pub id: LetterId,
    /// Whose it is.
    pub partition: Partition,
    /// What it says.
    pub kind: LetterKind,
    /// JSON, as long as its kind may be.
    pub body: String,
}

/// Most bytes of a letter's body, but of one with the sources of a rulebook: of those as many as the API takes, and as
/// much again for what JSON adds.
const LETTER_BYTES: usize = 1 << 20;
const SOURCES_BYTES: usize = 32 << 20;

/// What a letter says. Its word is stored, so it never changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LetterKind {
    /// A service has failed.
    Report,
    /// A saga was announced.
    Began,
    /// It was said to have ended.
    Ended,
    /// A service says later what became of a step.
    CalledBack,
    /// A person acts on a step.
    StepAct,
    /// A person acts on a case.
    CaseAct,
    /// A person answers a question.
    QuestionAct,
    /// A step has ended at a node that does not hold it any more.
    StepEnded,
    /// A person says something of a name that a rulebook does not know.
    Stranger,
    /// A person pauses or resumes a service.
    Pause,
    /// A person holds or releases rules.
    HoldRule,
    /// A person sets limits of a service.
    Limit,
    /// Something for the audit.
    Audit,
    /// A version of a rulebook is to become active.
    Activate,
    /// Business data of sagas is to go.
    Erase,
}

impl LetterKind {
    /// Each of them.
    pub const ALL: [Self; 15] = [
        Self::Report,
        Self::Began,
        Self::Ended,
        Self::CalledBack,
        Self::StepAct,
        Self::CaseAct,
        Self::QuestionAct,
        Self::StepEnded,
        Self::Stranger,
        Self::Pause,
        Self::HoldRule,
        Self::Limit,
        Self::Audit,
        Self::Activate,
        Self::Erase,
    ];

    /// Its word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Report => "report",
            Self::Began => "began",
            Self::Ended => "ended",
            Self::CalledBack => "called_back",
            Self::StepAct => "step_act",
            Self::CaseAct => "case_act",
            Self::QuestionAct => "question_act",
            Self::StepEnded => "step_ended",
            Self::Stranger => "stranger",
            Self::Pause => "pause",
            Self::HoldRule => "hold_rule",
            Self::Limit => "limit",
            Self::Audit => "audit",
            Self::Activate => "activate",
            Self::Erase => "erase",
        }
    }
}

impl LetterKind {
    /// Most bytes of its body.
    #[must_use]
    pub const fn most_bytes(self) -> usize {
        match self {
            Self::Activate => SOURCES_BYTES,
            _ => LETTER_BYTES,
        }
    }
}

impl FromStr for LetterKind {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        let known = Self::ALL.into_iter().find(|kind| kind.as_str() == word);
        known.ok_or_else(|| format!("`{word}` is no kind of letter that this version knows"))
    }
}

/// How far an inbox has been read. Only the store that gave it knows what it means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LetterMark(pub [i64; 2]);

/// What is to be read of a partition's inbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LettersWanted {
    /// Whose inbox.
    pub partition: Partition,
    /// Letters that came after the mark of the reading before; none: from the beginning.
    pub after: Option<LetterMark>,
    /// At most so many.
    pub most: usize,
}

/// Some of the letters that were left for a partition, in the order in which they came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LettersRead {
    /// Whose inbox.
    pub partition: Partition,
    /// They stay where they are until a commit takes them, and may be told again until then.
    pub letters: Vec<Letter>,
    /// Those that only a newer version can read, and what is wrong with them in words. They stay where they are.
    pub unread: Vec<(LetterId, String)>,
    /// Where to read on.
    pub next: LetterMark,
    /// When the reading began, there was nothing behind them.
    pub ended: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_written_as_a_uuid() {
        let id = LetterId(0x0123_4567_89ab_cdef_0123_4567_89ab_cdef);
        assert_eq!(id.to_string(), "01234567-89ab-cdef-0123-456789abcdef");
        assert_eq!(LetterId(7).to_string(), "00000000-0000-0000-0000-000000000007");
        assert_eq!(id.to_string().parse(), Ok(id));
        for wrong in
            ["", "7", "0123456789abcdef0123456789abcdef", "01234567-89AB-cdef-0123-456789abcdef"]
        {
            assert!(wrong.parse::<LetterId>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn every_kind_has_its_word() {
        for kind in LetterKind::ALL {
            assert_eq!(kind.as_str().parse(), Ok(kind));
        }
        assert!("postcard".parse::<LetterKind>().is_err());
    }
}
