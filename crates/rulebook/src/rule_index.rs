//! Finds the one rule for a report without looking at all rules: hash by service, then by exact code, then by each prefix
//! length that occurs; inside a bucket, hash by the field that most rules compare for equality.

use crate::condition::Field;
use crate::matcher::Scalar;
use crate::value_set::Found;
use crate::{CodePattern, Facts, Rule, RuleId};
use rustc_hash::FxHashMap;
use std::sync::Arc;

/// Rules listed one after another cost less than another level of hashing up to about here.
const LIST_UP_TO: usize = 8;

/// A rule with `one_of` stands in the index once per value, and once per combination when several fields do so. Past
/// this many entries per bucket, rules are listed instead: slower to find, never wrong, and never exponential.
const ENTRIES_PER_BUCKET: usize = 2_000_000;

/// Fields hashed one below the other. Each costs one look-up per report; hardly any rulebook needs a third.
const LEVELS: usize = 8;

/// All rules, by pattern.
#[derive(Debug, Default)]
pub(crate) struct RuleIndex {
    services: FxHashMap<Arc<str>, ServiceRules>,
    any: RulesOfPattern,
}

#[derive(Debug, Default)]
struct ServiceRules {
    exact: FxHashMap<Arc<str>, RulesOfPattern>,
    prefixes: FxHashMap<Arc<str>, RulesOfPattern>,
    /// Lengths of all prefixes, longest first.
    lengths: Vec<usize>,
}

/// The rules of one pattern.
#[derive(Debug, Default)]
pub struct RulesOfPattern {
    /// Every rule with conditions, in the order written.
    pub conditional: Vec<RuleId>,
    /// Every rule without; more than one is a mistake.
    pub unconditional: Vec<RuleId>,
    pub(crate) tree: Node,
}

/// Rules with conditions, hashed by one field after another.
#[derive(Debug)]
pub(crate) enum Node {
    List(Vec<RuleId>),
    Hash(Box<Level>),
}

#[derive(Debug)]
pub(crate) struct Level {
    pub(crate) field: Field,
    texts: FxHashMap<Arc<str>, Node>,
    others: FxHashMap<Scalar, Node>,
    /// Rules that don't compare the field for equality.
    pub(crate) rest: Node,
}

impl Default for Node {
    fn default() -> Self {
        Self::List(Vec::new())
    }
}

impl RuleIndex {
    /// `rules[i].id` is `RuleId(i)`.
    pub(crate) fn new(rules: &[Rule]) -> Self {
        let mut index = Self::default();
        for rule in rules {
            let bucket = index.bucket_for(rule);
            if rule.when.is_empty() {
                bucket.unconditional.push(rule.id);
            } else {
                bucket.conditional.push(rule.id);
            }
        }
        for service in index.services.values_mut() {
            service.lengths = service.prefixes.keys().map(|p| p.len()).collect();
            service.lengths.sort_unstable_by(|a, b| b.cmp(a));
            service.lengths.dedup();
        }
        for bucket in index.buckets_mut() {
            let mut entries = ENTRIES_PER_BUCKET;
            bucket.tree =
                Node::new(bucket.conditional.clone(), rules, &mut Vec::new(), &mut entries);
        }
        index
    }

    fn bucket_for(&mut self, rule: &Rule) -> &mut RulesOfPattern {
        let Some(service) = &rule.pattern.service else {
            return &mut self.any;
        };
        let service = self.services.entry(service.clone()).or_default();
        match &rule.pattern.code {
            CodePattern::Exact(code) => service.exact.entry(code.clone()).or_default(),
            CodePattern::Prefix(prefix) => service.prefixes.entry(prefix.clone()).or_default(),
        }
    }

    fn buckets_mut(&mut self) -> impl Iterator<Item = &mut RulesOfPattern> {
        let of_services = self.services.values_mut();
        of_services
            .flat_map(|s| s.exact.values_mut().chain(s.prefixes.values_mut()))
            .chain(std::iter::once(&mut self.any))
    }

    /// Every bucket, in no particular order.
    pub(crate) fn buckets(&self) -> impl Iterator<Item = &RulesOfPattern> {
        let of_services = self.services.values();
        of_services
            .flat_map(|s| s.exact.values().chain(s.prefixes.values()))
            .chain(std::iter::once(&self.any))
    }

    /// The buckets whose pattern covers the report, most specific first.
    pub(crate) fn covering<'s>(
        &'s self,
        service: &str,
        code: &'s str,
    ) -> impl Iterator<Item = &'s RulesOfPattern> {
        let service = self.services.get(service);
        let exact = service.and_then(|s| s.exact.get(code));
        let prefixes = service.into_iter().flat_map(move |s| {
            s.lengths.iter().filter_map(move |n| s.prefixes.get(code.get(..*n)?))
        });
        exact.into_iter().chain(prefixes).chain(std::iter::once(&self.any))
    }
}

impl RulesOfPattern {
    /// The rule of this bucket that answers the report.
    pub(crate) fn find(&self, rules: &[Rule], facts: &Facts<'_>) -> Option<RuleId> {
        self.tree.find(rules, facts).or_else(|| self.unconditional.first().copied())
    }
}

impl Node {
    fn new(ids: Vec<RuleId>, rules: &[Rule], spent: &mut Vec<Field>, entries: &mut usize) -> Self {
        if ids.len() <= LIST_UP_TO || spent.len() >= LEVELS {
            return Self::List(ids);
        }
        let Some(field) = busiest_field(&ids, rules, spent) else {
            return Self::List(ids);
        };
        let mut branches: FxHashMap<Scalar, Vec<RuleId>> = FxHashMap::default();
        let mut rest = Vec::new();
        for id in &ids {
            let Some(values) = listed(&rules[id.0 as usize], &field) else {
                rest.push(*id);
                continue;
            };
            let Some(left) = entries.checked_sub(values.len()) else {
                return Self::List(ids);
            };
            *entries = left;
            for value in values {
                branches.entry(value).or_default().push(*id);
            }
        }
        spent.push(field.clone());
        let mut level = Level {
            field,
            texts: FxHashMap::default(),
            others: FxHashMap::default(),
            rest: Self::default(),
        };
        for (value, ids) in branches {
            let node = Self::new(ids, rules, spent, entries);
            match value {
                Scalar::Text(text) => level.texts.insert(text, node),
                other => level.others.insert(other, node),
            };
        }
        level.rest = Self::new(rest, rules, spent, entries);
        spent.pop();
        Self::Hash(Box::new(level))
    }

    pub(crate) fn find(&self, rules: &[Rule], facts: &Facts<'_>) -> Option<RuleId> {
        match self {
            Self::List(ids) => ids
                .iter()
                .copied()
                .find(|id| rules[id.0 as usize].when.iter().all(|c| c.holds(facts))),
            Self::Hash(level) => level
                .branch(level.field.find(facts))
                .and_then(|node| node.find(rules, facts))
                .or_else(|| level.rest.find(rules, facts)),
        }
    }
}

impl Level {
    /// Rules that compare the field for equality and accept this value.
    pub(crate) fn branch(&self, found: Found<'_>) -> Option<&Node> {
        match found {
            Found::Text(t) => self.texts.get(t),
            Found::Number(n) => self.others.get(&Scalar::Number(n)),
            Found::Bool(b) => self.others.get(&Scalar::Bool(b)),
            Found::Absent | Found::Nested => None,
        }
    }

    /// All of them.
    pub(crate) fn branches(&self) -> impl Iterator<Item = &Node> {
        self.texts.values().chain(self.others.values())
    }
}

/// The field that most of the rules compare for equality.
fn busiest_field(ids: &[RuleId], rules: &[Rule], spent: &[Field]) -> Option<Field> {
    let mut counts: FxHashMap<&Field, usize> = FxHashMap::default();
    for condition in ids.iter().flat_map(|id| &rules[id.0 as usize].when) {
        if condition.accepts.can_be_listed() && !spent.contains(&condition.field) {
            *counts.entry(&condition.field).or_default() += 1;
        }
    }
    let best = counts.into_iter().max_by(|a, b| a.1.cmp(&b.1).then_with(|| b.0.cmp(a.0)));
    best.map(|(field, _)| field.clone())
}

/// The values of `field` that the rule accepts, if they can be listed.
pub(crate) fn listed(rule: &Rule, field: &Field) -> Option<Vec<Scalar>> {
    rule.when.iter().find(|c| c.field == *field)?.accepts.listed()
}
