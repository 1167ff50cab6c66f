//! What a list is narrowed to by name, each with the place of its case in the order of lists: a page looks at those
//! that come next, some at a time, until it is full.

use super::order::{CaseKey, Span};
use crate::CaseOrder;

/// Most that are looked at by one query.
const AT_ONCE: usize = 2_000;

/// Members that have not been looked at, in the order of the list.
pub(crate) struct Members<T> {
    left: std::vec::IntoIter<(CaseKey, T)>,
    /// How many cases may be looked at.
    budget: usize,
    /// How many cases the query before looked at.
    looked_at: usize,
    stop: Option<CaseKey>,
}

impl<T: Copy> Members<T> {
    /// Those within the span. One page looks at so many cases, so that it comes soon.
    pub(crate) fn of(
        members: impl Iterator<Item = (CaseKey, T)>,
        span: Span,
        order: CaseOrder,
        budget: usize,
    ) -> Self {
        let mut members: Vec<_> = members.filter(|(key, _)| span.has(*key)).collect();
        members.sort_by_key(|(key, _)| *key);
        if order == CaseOrder::Newest {
            members.reverse();
        }
        Self { left: members.into_iter(), budget, looked_at: 0, stop: None }
    }

    /// The next of them, whole cases: for a page with so many rows, and twice as many each time, since few fit what
    /// else is asked. None when all have been looked at, or this page may look at no more.
    pub(crate) fn next(&mut self, rows: usize) -> Option<Vec<(CaseKey, T)>> {
        let (first, _) = *self.left.as_slice().first()?;
        if self.budget == 0 {
            self.stop = Some(first);
            return None;
        }
        let cases = (self.looked_at * 2).clamp(rows, AT_ONCE.max(rows)).min(self.budget);
        let (mut some, mut last, mut seen) = (Vec::new(), None, 0);
        while let Some((key, _)) = self.left.as_slice().first() {
            if last != Some(*key) {
                if seen == cases {
                    break;
                }
                (last, seen) = (Some(*key), seen + 1);
            }
            some.extend(self.left.next());
        }
        self.budget -= seen;
        self.looked_at = seen;
        Some(some)
    }

    /// The case at which this page stopped, before it was full; it was not looked at.
    pub(crate) fn stop(&self) -> Option<CaseKey> {
        self.stop
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(n: i64) -> CaseKey {
        CaseKey { opened_at: n, id: n }
    }

    /// Of ten cases with two members each; the cases of each query, and where it stopped.
    fn looked_at(rows: usize, budget: usize) -> (Vec<usize>, Option<CaseKey>) {
        let all = (1..=10).flat_map(|n| [(key(n), 1), (key(n), 2)]);
        let mut members = Members::of(all, Span::default(), CaseOrder::Newest, budget);
        let mut sizes = Vec::new();
        while let Some(some) = members.next(rows) {
            assert_eq!(some.len() % 2, 0, "whole cases");
            sizes.push(some.len() / 2);
        }
        (sizes, members.stop())
    }

    #[test]
    fn a_page_looks_at_as_many_as_it_has_rows_and_at_more_only_if_few_fit() {
        assert_eq!(looked_at(2, 100), (vec![2, 4, 4], None));
        assert_eq!(looked_at(50, 100), (vec![10], None));
        assert_eq!(looked_at(2, 5), (vec![2, 3], Some(key(5))), "newest first");
        assert_eq!(looked_at(2, 10), (vec![2, 4, 4], None), "all of them");
    }

    #[test]
    fn it_begins_where_the_page_before_ended() {
        let all = || (1..=10).map(|n| (key(n), ()));
        for (order, expected) in [(CaseOrder::Newest, 6), (CaseOrder::Oldest, 8)] {
            let mut span = Span::default();
            span.after(Some(key(7)), order);
            let some = Members::of(all(), span, order, 100).next(1).expect("there are some");
            assert_eq!(some, [(key(expected), ())], "{order:?}");
        }
    }
}
