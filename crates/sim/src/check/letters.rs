//! What nodes leave for each other is taken once, by whoever may, and nobody is told anything of it before that is so.

use super::seen::{Check, Seen, when};
use crate::stored::Stored;
use amends_engine::{LetterId, LetterKind, Partition};
use amends_protocol::Timestamp;
use std::collections::{BTreeMap, BTreeSet};

/// How long a letter may lie, in milliseconds: everything that keeps it lasts minutes.
const LONGEST_MS: u64 = 30 * 60_000;

/// Every letter whose sender was told of it is there; it is taken once; a reading that comes to its end has told all
/// that is there; what became of it is told once it has been taken; and none lies for ever.
#[derive(Default)]
pub(super) struct Letters {
    lie: BTreeMap<LetterId, (Partition, LetterKind, Timestamp)>,
    taken: BTreeSet<LetterId>,
    /// By process, since it began to read from the beginning.
    told: BTreeMap<(u64, Partition), BTreeSet<LetterId>>,
}

impl Check for Letters {
    fn name(&self) -> &'static str {
        "letters"
    }

    fn see(&mut self, now: Timestamp, seen: &Seen<'_>, _store: &Stored) -> Result<(), String> {
        match seen {
            Seen::Letters { left, taken } => {
                for id in *taken {
                    let is_there = self.lie.remove(id).is_some();
                    when(!is_there, || format!("letter {id} is taken a second time"))?;
                    self.taken.insert(*id);
                }
                let new = left.iter().map(|one| (one.id, (one.partition, one.kind, now)));
                self.lie.extend(new);
                Ok(())
            }
            Seen::Posted { letter } => {
                let is_there = self.lie.contains_key(letter) || self.taken.contains(letter);
                when(!is_there, || format!("letter {letter} is said to be left, and is not"))
            }
            Seen::LetterAnswered { letter } => {
                let is_taken = self.taken.contains(letter);
                when(!is_taken, || format!("letter {letter} is answered, and is not taken"))
            }
            Seen::InboxRead { process, partition, is_anew, told, ended, there } => {
                let all = self.told.entry((*process, *partition)).or_default();
                if *is_anew {
                    all.clear();
                }
                all.extend(*told);
                let passed = there.iter().find(|id| *ended && !all.contains(id));
                when(passed.is_some(), || {
                    format!("the inbox of {partition} was read to its end, and not {passed:?}")
                })
            }
            Seen::Beats { .. } => {
                let is_old = |at: &Timestamp| now.ms_since(*at) > LONGEST_MS;
                let old = self.lie.iter().find(|(_, (_, _, at))| is_old(at));
                old.map_or(Ok(()), |(id, (partition, kind, _))| {
                    Err(format!("letter {id} (`{}`) lies in {partition} for ever", kind.as_str()))
                })
            }
            _ => Ok(()),
        }
    }
}
