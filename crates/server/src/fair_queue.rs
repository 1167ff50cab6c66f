//! A queue that one source's flood does not take from the others. Each source has a line of its own, and the lines take
//! turns, so that whoever has little waits for a turn of each and not for all that a flood has queued. How long a line
//! may become depends on what is still free, so that there is room for whoever comes next: the dynamic threshold of
//! shared-memory switches (Choudhury and Hahne, 1998). Pure: no clock, no channel, no thread.

use rustc_hash::FxHashMap;
use std::collections::VecDeque;
use std::hash::Hash;

/// A line may be so many times as long as what is free: one source alone has four fifths of the queue, two have four
/// ninths each, and there is always room for another.
const SHARE_OF_FREE: usize = 4;

/// The queue.
#[derive(Debug)]
pub(crate) struct FairQueue<S, T> {
    most: usize,
    length: usize,
    /// None of them is empty.
    lines: FxHashMap<S, VecDeque<T>>,
    /// The sources of the lines, the next one first.
    turns: VecDeque<S>,
}

/// There is no room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoRoom {
    /// For anybody.
    Full,
    /// For this source, of which so many wait already.
    ShareUsed(usize),
}

impl<S: Clone + Eq + Hash, T> FairQueue<S, T> {
    /// A queue for at most so many.
    pub(crate) fn new(most: usize) -> Self {
        Self { most, length: 0, lines: FxHashMap::default(), turns: VecDeque::new() }
    }

    /// Puts one at the end of its source's line.
    ///
    /// # Errors
    /// When there is no room for it; nothing has changed then.
    pub(crate) fn push(&mut self, source: &S, one: T) -> Result<(), NoRoom> {
        let free = self.most - self.length;
        if free == 0 {
            return Err(NoRoom::Full);
        }
        let waiting = self.lines.get(source).map_or(0, VecDeque::len);
        if waiting >= free.saturating_mul(SHARE_OF_FREE) {
            return Err(NoRoom::ShareUsed(waiting));
        }
        if waiting == 0 {
            self.turns.push_back(source.clone());
        }
        self.lines.entry(source.clone()).or_default().push_back(one);
        self.length += 1;
        Ok(())
    }

    /// Takes the first of the line whose turn it is.
    pub(crate) fn pop(&mut self) -> Option<T> {
        let source = self.turns.pop_front()?;
        let line = self.lines.get_mut(&source)?;
        let one = line.pop_front()?;
        self.length -= 1;
        if line.is_empty() {
            self.lines.remove(&source);
        } else {
            self.turns.push_back(source);
        }
        Some(one)
    }

    /// How many wait.
    pub(crate) const fn len(&self) -> usize {
        self.length
    }

    /// Takes out all that wait, in whatever order.
    pub(crate) fn drain(&mut self) -> Vec<T> {
        self.turns.clear();
        self.length = 0;
        self.lines.drain().flat_map(|(_, line)| line).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn flooded(most: usize) -> FairQueue<&'static str, u32> {
        let mut queue = FairQueue::new(most);
        let mut n = 0;
        while queue.push(&"flood", n).is_ok() {
            n += 1;
        }
        queue
    }

    #[test]
    fn a_flood_leaves_room_for_others() {
        let mut queue = flooded(1_000);
        assert_eq!(queue.len(), 800, "four fifths");
        assert_eq!(queue.push(&"flood", 0), Err(NoRoom::ShareUsed(800)));
        for n in 0..100 {
            queue.push(&"order", n).expect("room for who does not flood");
        }
        // A second flood gets the same as the first one could have, and room is left for a third.
        while queue.push(&"second", 0).is_ok() {}
        assert!(queue.len() < 1_000);
        assert_eq!(queue.push(&"third", 0), Ok(()));
    }

    #[test]
    fn who_has_little_waits_for_one_turn_of_each_and_not_for_the_flood() {
        let mut queue = flooded(1_000);
        queue.push(&"order", 1).expect("room");
        queue.push(&"payment", 2).expect("room");
        queue.push(&"order", 3).expect("room");
        let first: Vec<u32> = std::iter::from_fn(|| queue.pop()).take(6).collect();
        assert_eq!(first, [0, 1, 2, 1, 3, 2], "in turns: of the flood, of order, of payment");
    }

    #[test]
    fn a_short_queue_is_used_whole_by_one_source() {
        for most in 1..=4 {
            assert_eq!(flooded(most).len(), most);
        }
        let mut full = flooded(3);
        assert_eq!(full.push(&"order", 1), Err(NoRoom::Full));
        assert_eq!(full.pop(), Some(0));
        assert_eq!(full.push(&"order", 1), Ok(()));
    }

    #[test]
    fn what_is_drained_is_gone() {
        let mut queue = flooded(10);
        assert_eq!(queue.drain().len(), 8);
        assert_eq!((queue.len(), queue.pop()), (0, None));
        assert_eq!(queue.push(&"order", 1), Ok(()));
        assert_eq!(queue.pop(), Some(1));
    }

    proptest! {
        /// Against a list of all that came: nothing is lost or doubled, each line keeps its order, and nobody has two
        /// turns while another one waits.
        #[test]
        fn each_line_keeps_its_order_and_nobody_waits_for_two_turns_of_another(
            acts in prop::collection::vec((0_u8..6, any::<bool>()), 1..400),
            most in 1_usize..60,
        ) {
            let mut queue = FairQueue::new(most);
            let mut waiting: Vec<VecDeque<usize>> = vec![VecDeque::new(); 6];
            // How often another source was served since this one began to wait or was served itself.
            let mut served = [[0_u32; 6]; 6];
            for (n, (source, comes)) in acts.into_iter().enumerate() {
                let held: usize = waiting.iter().map(VecDeque::len).sum();
                if comes {
                    let line = usize::from(source);
                    match queue.push(&source, (line, n)) {
                        Ok(()) => {
                            if waiting[line].is_empty() {
                                served[line] = [0; 6];
                            }
                            waiting[line].push_back(n);
                        }
                        Err(NoRoom::Full) => prop_assert_eq!(held, most),
                        Err(NoRoom::ShareUsed(mine)) => {
                            prop_assert_eq!(mine, waiting[line].len());
                            prop_assert!(mine >= SHARE_OF_FREE * (most - held));
                        }
                    }
                } else if let Some((line, one)) = queue.pop() {
                    prop_assert_eq!(waiting[line].pop_front(), Some(one));
                    served[line] = [0; 6];
                    for other in (0..6).filter(|other| !waiting[*other].is_empty()) {
                        served[other][line] += 1;
                        prop_assert!(other == line || served[other][line] <= 1);
                    }
                } else {
                    prop_assert_eq!(held, 0);
                }
                prop_assert_eq!(queue.len(), waiting.iter().map(VecDeque::len).sum::<usize>());
            }
        }
    }
}
