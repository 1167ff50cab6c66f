//! Finds rules of equal rank that can both answer one report, and conditions that no report meets. Exact: it intersects
//! what the conditions accept. Near linear while rules of one pattern compare a common field for equality.

use crate::condition::{Condition, Field};
use crate::rule_index::{Node, RuleIndex, RulesOfPattern, listed};
use crate::value_set::{Found, ValueSet};
use crate::{Rule, RuleId, Scalar};

/// Values looked at over the whole check, about a second of work. Rules that share no field that is compared for equality
/// have to be compared each with each; some 3,000 of them under one pattern come up to here.
const WORK_LIMIT: usize = 10_000_000;

/// What the check found.
#[derive(Debug, Default)]
pub(crate) struct Overlaps {
    /// Pairs that can both match, the earlier one first; each rule at most once as the later one.
    pub(crate) pairs: Vec<(RuleId, RuleId)>,
    /// A rule at which the work limit was used up; what comes after wasn't compared.
    pub(crate) gave_up_at: Option<RuleId>,
}

/// Compares all rules of equal rank.
pub(crate) fn overlaps(rules: &[Rule], index: &RuleIndex) -> Overlaps {
    let mut found = Overlaps::default();
    let mut work = WORK_LIMIT;
    for bucket in index.buckets() {
        if let Some((first, others)) = bucket.unconditional.split_first() {
            found.pairs.extend(others.iter().map(|other| (*first, *other)));
        }
        compare(bucket, rules, &mut work, &mut found);
    }
    found.pairs.sort_unstable_by_key(|(a, b)| (*b, *a));
    found
}

fn compare(bucket: &RulesOfPattern, rules: &[Rule], work: &mut usize, found: &mut Overlaps) {
    for id in &bucket.conditional {
        let rule = &rules[id.0 as usize];
        match earlier_overlap(&bucket.tree, rule, rules, work) {
            Search::Found(earlier) => found.pairs.push((earlier, *id)),
            Search::None => {}
            Search::OutOfWork => {
                found.gave_up_at.get_or_insert(*id);
                return;
            }
        }
    }
}

enum Search {
    Found(RuleId),
    None,
    OutOfWork,
}

/// A rule before `rule` that overlaps it.
fn earlier_overlap(node: &Node, rule: &Rule, rules: &[Rule], work: &mut usize) -> Search {
    match node {
        Node::List(ids) => {
            for id in ids.iter().take_while(|id| **id < rule.id) {
                let other = &rules[id.0 as usize];
                let cost = other.when.iter().chain(&rule.when).map(|c| c.accepts.weight()).sum();
                match work.checked_sub(cost) {
                    Some(left) => *work = left,
                    None => return Search::OutOfWork,
                }
                if !disjoint(&other.when, &rule.when) {
                    return Search::Found(*id);
                }
            }
            Search::None
        }
        Node::Hash(level) => {
            let values = listed(rule, &level.field);
            let branches: Box<dyn Iterator<Item = &Node>> = match &values {
                Some(values) => Box::new(values.iter().filter_map(|v| level.branch(as_found(v)))),
                None => Box::new(level.branches()),
            };
            for node in branches.chain(std::iter::once(&level.rest)) {
                *work = work.saturating_sub(1);
                match earlier_overlap(node, rule, rules, work) {
                    Search::None => {}
                    end => return end,
                }
            }
            Search::None
        }
    }
}

fn as_found(scalar: &Scalar) -> Found<'_> {
    match scalar {
        Scalar::Text(t) => Found::Text(t),
        Scalar::Number(n) => Found::Number(n.clone()),
        Scalar::Bool(b) => Found::Bool(*b),
    }
}

/// Whether no report meets both lists of conditions.
pub(crate) fn disjoint(a: &[Condition], b: &[Condition]) -> bool {
    let mut both: Vec<(&Field, ValueSet)> = Vec::with_capacity(a.len() + b.len());
    let (mut a, mut b) = (a.iter().peekable(), b.iter().peekable());
    loop {
        let take = match (a.peek(), b.peek()) {
            (None, None) => break,
            (Some(_), None) => std::cmp::Ordering::Less,
            (None, Some(_)) => std::cmp::Ordering::Greater,
            (Some(x), Some(y)) => x.field.cmp(&y.field),
        };
        let (left, right) = (
            if take.is_le() { a.next() } else { None },
            if take.is_ge() { b.next() } else { None },
        );
        match (left, right) {
            (Some(x), Some(y)) => {
                let set = x.accepts.and(&y.accepts);
                if set.is_empty() {
                    return true;
                }
                both.push((&x.field, set));
            }
            (Some(one), None) | (None, Some(one)) => both.push((&one.field, one.accepts.clone())),
            (None, None) => break,
        }
    }
    impossible(&both)
}

/// Whether no report meets the conditions of one rule; says at which one it shows.
pub(crate) fn contradiction(when: &[Condition]) -> Option<&Condition> {
    let single = when.iter().find(|c| c.accepts.is_empty());
    single.or_else(|| {
        let sets: Vec<_> = when.iter().map(|c| (&c.field, c.accepts.clone())).collect();
        if impossible(&sets) { when.first() } else { None }
    })
}

/// Fields are independent of each other but for one thing: `data.a.b` can only be there if `data.a` is an object.
/// `sets` is sorted by field, so an object's inner fields follow it directly.
fn impossible(sets: &[(&Field, ValueSet)]) -> bool {
    sets.iter().enumerate().any(|(n, (outer, set))| {
        let inner_must_be_there = sets[n + 1..]
            .iter()
            .take_while(|(inner, _)| outer.encloses(inner))
            .any(|(_, set)| !set.accepts_absent());
        set.is_empty() || (inner_must_be_there && set.and(&ValueSet::nested()).is_empty())
    })
}
