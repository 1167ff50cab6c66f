//! The check of a chain: entries go in one by one, oldest first, and out comes the first thing that is wrong.

use super::digest::{ActDigest, ChainLink, ChainedAct};
use serde::{Serialize, Serializer};
use std::fmt;

/// A check under way.
#[derive(Debug)]
pub struct ChainCheck {
    anchor: Option<ChainLink>,
    before: ChainLink,
    behind: ChainLink,
    first: Option<u64>,
    entries: u64,
    suspect: Option<Suspect>,
    broken: Option<ChainBreak>,
}

/// The first entry that did not fit: what became of it may be told by those behind it.
#[derive(Debug)]
struct Suspect {
    entry: ChainedAct,
    told: ActDigest,
}

/// What a check has found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ChainReport {
    /// How many entries were looked at.
    pub entries: u64,
    /// The number of the first.
    pub first: Option<u64>,
    /// The last, to be kept elsewhere as an anchor.
    pub last: ChainLink,
    /// What is wrong, and where first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub broken: Option<ChainBreak>,
}

/// What is wrong with a chain, at the first place where something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChainBreak {
    /// An entry says something else than when it was written, or another one stands in its place.
    Changed(u64),
    /// Entries are not there any more, these and those between them.
    Missing(u64, u64),
    /// Two entries stand in each other's place.
    Swapped(u64, u64),
    /// An entry that the supervisor has not written.
    Added(u64),
    /// The chain is whole, and is not the one that the anchor was taken from: it was made anew.
    NotTheAnchors(u64),
    /// The entry of the anchor is older than what is kept; nothing can be said.
    AnchorTooOld(u64),
}

impl ChainBreak {
    /// The number of the entry where it is.
    #[must_use]
    pub const fn at(self) -> u64 {
        match self {
            Self::Changed(at)
            | Self::Missing(at, _)
            | Self::Swapped(at, _)
            | Self::Added(at)
            | Self::NotTheAnchors(at)
            | Self::AnchorTooOld(at) => at,
        }
    }

    const fn word(self) -> &'static str {
        match self {
            Self::Changed(_) => "changed",
            Self::Missing(..) => "missing",
            Self::Swapped(..) => "swapped",
            Self::Added(_) => "added",
            Self::NotTheAnchors(_) => "not_the_anchors",
            Self::AnchorTooOld(_) => "anchor_too_old",
        }
    }
}

impl fmt::Display for ChainBreak {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Changed(at) => {
                write!(f, "entry {at} is not what was written: it was changed or replaced")
            }
            Self::Missing(first, last) if first == last => write!(f, "entry {first} is missing"),
            Self::Missing(first, last) => write!(f, "entries {first} to {last} are missing"),
            Self::Swapped(one, other) => {
                write!(f, "entries {one} and {other} stand in each other's place")
            }
            Self::Added(at) => write!(f, "entry {at} was added: the supervisor has not written it"),
            Self::NotTheAnchors(at) => {
                write!(
                    f,
                    "entry {at} is not the one of the anchor: the chain was made anew since that was taken"
                )
            }
            Self::AnchorTooOld(at) => {
                write!(
                    f,
                    "entry {at} of the anchor is older than what is kept, so nothing can be said: take a newer anchor"
                )
            }
        }
    }
}

impl Serialize for ChainBreak {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serde_json::json!({ "at": self.at(), "what": self.word(), "sentence": self.to_string() })
            .serialize(serializer)
    }
}

impl ChainCheck {
    /// Of the entries behind `before`, which is [`ChainLink::START`] or the last one that retention has removed.
    #[must_use]
    pub const fn new(before: ChainLink, anchor: Option<ChainLink>) -> Self {
        Self {
            anchor,
            before,
            behind: before,
            first: None,
            entries: 0,
            suspect: None,
            broken: None,
        }
    }

    /// Looks at the next entry and at the digest that stands with it; an entry of the supervisor has one.
    pub fn take(&mut self, entry: ChainedAct, told: Option<ActDigest>) {
        let number = entry.number;
        self.entries += 1;
        self.first.get_or_insert(number);
        let told = told.unwrap_or(ActDigest::NONE);
        if let Some(suspect) = &self.suspect {
            if suspect.belongs_to(&entry, self.behind.digest, told) {
                self.broken = Some(ChainBreak::Swapped(suspect.entry.number, number));
                self.suspect = None;
            }
        } else if self.broken.is_none() && entry.digest(self.behind.digest) != told {
            let next = self.behind.number + 1;
            self.broken = Some(match number {
                _ if told == ActDigest::NONE => ChainBreak::Added(number),
                _ if number > next => ChainBreak::Missing(next, number - 1),
                _ => ChainBreak::Changed(number),
            });
            self.suspect = Some(Suspect { entry, told });
        }
        let anchored = self.anchor.filter(|anchor| anchor.number == number);
        if self.broken.is_none() && anchored.is_some_and(|anchor| anchor.digest != told) {
            self.broken = Some(ChainBreak::NotTheAnchors(number));
        }
        self.behind = ChainLink { number, digest: told };
    }

    /// What was found, once all have been looked at. `last` is what the supervisor wrote down as its last entry.
    #[must_use]
    pub fn finish(self, last: ChainLink) -> ChainReport {
        let end = self.behind;
        let broken = self.broken.or(match end.number {
            number if number < last.number => Some(ChainBreak::Missing(number + 1, last.number)),
            number if number > last.number => Some(ChainBreak::Added(last.number + 1)),
            number if end.digest != last.digest => Some(ChainBreak::Changed(number)),
            _ => None,
        });
        let broken = broken.or_else(|| self.anchor.and_then(|anchor| self.anchored(anchor)));
        ChainReport { entries: self.entries, first: self.first, last: end, broken }
    }

    /// What an anchor says that is of none of the entries.
    fn anchored(&self, anchor: ChainLink) -> Option<ChainBreak> {
        let ChainLink { number, digest } = anchor;
        match number {
            _ if number > self.behind.number => {
                Some(ChainBreak::Missing(self.behind.number + 1, number))
            }
            _ if number < self.before.number => Some(ChainBreak::AnchorTooOld(number)),
            _ if number == self.before.number && digest != self.before.digest => {
                Some(ChainBreak::NotTheAnchors(number))
            }
            _ => None,
        }
    }
}

impl Suspect {
    /// Whether it was written at the place of a later entry: behind the one before that place, which is the later entry
    /// itself where the two are neighbours.
    fn belongs_to(&self, later: &ChainedAct, before: ActDigest, later_told: ActDigest) -> bool {
        let mut there = self.entry.clone();
        there.number = later.number;
        [before, later_told].into_iter().any(|before| there.digest(before) == self.told)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::Content;
    use amends_protocol::Timestamp;

    type Row = (ChainedAct, Option<ActDigest>);

    fn chain(entries: u64) -> Vec<Row> {
        let mut before = ActDigest::NONE;
        (1..=entries)
            .map(|number| {
                let entry = ChainedAct {
                    number,
                    at: Timestamp(1_000 + number.cast_signed()),
                    actor: "kim".to_owned(),
                    principal: None,
                    address: Some("10.0.0.7".to_owned()),
                    act: "waive".to_owned(),
                    case: Some(format!("c-{number}")),
                    step: None,
                    reason: Content::Text(format!("reason {number}")),
                    detail: Content::Text("null".to_owned()),
                };
                before = entry.digest(before);
                (entry, Some(before))
            })
            .collect()
    }

    fn link(rows: &[Row], number: u64) -> ChainLink {
        let (_, told) = rows.iter().find(|(entry, _)| entry.number == number).expect("there");
        ChainLink { number, digest: told.expect("chained") }
    }

    fn found(rows: &[Row], last: ChainLink, anchor: Option<ChainLink>) -> Option<ChainBreak> {
        let mut check = ChainCheck::new(ChainLink::START, anchor);
        rows.iter().cloned().for_each(|(entry, told)| check.take(entry, told));
        check.finish(last).broken
    }

    /// Somebody changes the rows of a chain of seven, in every way that an own digest of each row would not tell.
    #[test]
    fn each_way_to_falsify_a_chain_is_found_at_its_first_place() {
        let whole = chain(7);
        let last = link(&whole, 7);
        let falsify = |how: &dyn Fn(&mut Vec<Row>)| {
            let mut rows = whole.clone();
            how(&mut rows);
            found(&rows, last, None)
        };
        assert_eq!(falsify(&|_| ()), None);
        let changed = falsify(&|rows| rows[2].0.actor = "ann".to_owned());
        assert_eq!(changed, Some(ChainBreak::Changed(3)));
        let with_digest = falsify(&|rows| {
            rows[2].0.actor = "ann".to_owned();
            rows[2].1 = Some(rows[2].0.digest(rows[1].1.expect("chained")));
        });
        assert_eq!(with_digest, Some(ChainBreak::Changed(4)), "the next one does not follow it");
        assert_eq!(falsify(&|rows| drop(rows.remove(2))), Some(ChainBreak::Missing(3, 3)));
        assert_eq!(falsify(&|rows| drop(rows.drain(..2))), Some(ChainBreak::Missing(1, 2)));
        assert_eq!(falsify(&|rows| rows.truncate(5)), Some(ChainBreak::Missing(6, 7)));
        for (one, other) in [(2, 3), (1, 5), (0, 6)] {
            let swapped = falsify(&|rows| {
                rows.swap(one, other);
                (rows[one].0.number, rows[other].0.number) = (one as u64 + 1, other as u64 + 1);
            });
            assert_eq!(swapped, Some(ChainBreak::Swapped(one as u64 + 1, other as u64 + 1)));
        }
        let added = falsify(&|rows| {
            let mut row = rows[6].clone();
            row.0.number = 8;
            rows.push((row.0, None));
        });
        assert_eq!(added, Some(ChainBreak::Added(8)));
        let chained = falsify(&|rows| *rows = chain(8));
        assert_eq!(chained, Some(ChainBreak::Added(8)), "the supervisor knows of seven");
    }

    /// Whoever can write the store can also make the whole chain anew: only what was kept elsewhere tells.
    #[test]
    fn an_anchor_finds_a_chain_that_was_made_anew() {
        let whole = chain(7);
        let anchor = Some(link(&whole, 4));
        let mut anew = chain(7);
        anew[1].0.actor = "ann".to_owned();
        for n in 1..anew.len() {
            let before = anew[n - 1].1.expect("chained");
            anew[n].1 = Some(anew[n].0.digest(before));
        }
        let last = link(&anew, 7);
        assert_eq!(found(&anew, last, None), None, "it is whole");
        assert_eq!(found(&anew, last, anchor), Some(ChainBreak::NotTheAnchors(4)));
        assert_eq!(found(&whole, link(&whole, 7), anchor), None);
        let shorter = chain(3);
        let cut = found(&shorter, link(&shorter, 3), anchor);
        assert_eq!(cut, Some(ChainBreak::Missing(4, 4)), "cut off, and the last one set back");
    }

    #[test]
    fn what_retention_has_removed_leaves_an_anchor_of_its_own() {
        let whole = chain(7);
        let (before, last) = (link(&whole, 3), link(&whole, 7));
        let check = |from: usize, anchor| {
            let mut check = ChainCheck::new(before, anchor);
            whole[from..].iter().cloned().for_each(|(entry, told)| check.take(entry, told));
            check.finish(last)
        };
        let report = check(3, Some(before));
        assert_eq!((report.broken, report.entries, report.first), (None, 4, Some(4)));
        assert_eq!(check(4, None).broken, Some(ChainBreak::Missing(4, 4)));
        let older = Some(link(&whole, 2));
        assert_eq!(check(3, older).broken, Some(ChainBreak::AnchorTooOld(2)));
        let other = Some(ChainLink { number: 3, digest: ActDigest::of("another") });
        assert_eq!(check(3, other).broken, Some(ChainBreak::NotTheAnchors(3)));
    }
}
