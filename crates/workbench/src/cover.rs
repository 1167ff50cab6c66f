//! Whether lists of conditions take every report, and an example of one that none of them takes. Exact: what a field can
//! hold is divided into kinds that no condition tells apart, and the combinations of kinds are walked, leaving out whole
//! branches that one list takes. Past its bound it says that it doesn't know, never that there is none.

use amends_rulebook::value_set::{Found, Landmarks};
use amends_rulebook::{Condition, Example, Field, Number, Scalar};
use rustc_hash::{FxHashMap, FxHashSet};
use serde_json::Value;
use std::collections::BTreeMap;
use std::ops::Range;

/// Conditions looked at in one search, a tenth of a second of work: 100,000 rules that compare one field for equality
/// need a quarter of it, and so do a thousand that divide two fields among themselves.
const LOOKS: usize = 2_000_000;

/// What came of a search.
#[derive(Debug, PartialEq)]
pub(crate) enum Cover {
    /// No list takes this one.
    Gap(Example),
    /// Every report is taken by some list.
    Whole,
    /// The bound was reached first.
    Unknown,
}

/// What a field can hold, one example for each kind of value that some condition tells from the others.
pub(crate) struct Kinds<'c> {
    field: &'c Field,
    values: Vec<Option<Value>>,
    /// Where the numbers stand, in ascending order.
    numbers: Range<usize>,
    /// By kind: the lists that ask for it, in ascending order.
    takers: Vec<Vec<usize>>,
    /// By kind: a list asks for it that asks for a stretch of numbers.
    stretches: Vec<bool>,
    /// Lists with a condition on this field.
    asks: Vec<bool>,
    /// Kinds that count.
    counts: Vec<bool>,
}

/// Several lists of conditions over the same fields.
pub(crate) struct Lists<'c> {
    /// Sorted by field.
    fields: Vec<Kinds<'c>>,
    /// By list: the fields that it looks at.
    looks_at: Vec<Vec<usize>>,
    looks: usize,
}

impl<'c> Lists<'c> {
    /// None if there are too many kinds of reports to tell apart. `action` is told from all other ones.
    pub(crate) fn new(lists: &[&'c [Condition]], action: Option<&str>) -> Option<Self> {
        let mut landmarks: BTreeMap<&'c Field, Landmarks> = BTreeMap::new();
        for condition in lists.iter().flat_map(|l| l.iter()) {
            landmarks.entry(&condition.field).or_default().add(condition.accepts());
        }
        if let (Some(marks), Some(action)) = (landmarks.get_mut(&Field::Action), action) {
            marks.add_text(action);
        }
        let mut looks = LOOKS;
        let mut fields = Vec::new();
        for (field, marks) in landmarks {
            fields.push(Kinds::new(field, &marks, lists, &mut looks)?);
        }
        let place = |c: &Condition| fields.iter().position(|k: &Kinds<'c>| *k.field == c.field);
        let looks_at = lists.iter().map(|l| l.iter().filter_map(place).collect()).collect();
        Some(Self { fields, looks_at, looks })
    }

    /// Leaves only those kinds of values that `counts` allows.
    pub(crate) fn keep(&mut self, counts: impl Fn(&Field, &Option<Value>) -> bool) {
        for kinds in &mut self.fields {
            for (value, keep) in kinds.values.iter().zip(&mut kinds.counts) {
                *keep &= counts(kinds.field, value);
            }
        }
    }

    /// Leaves only what some list asks for, and numbers between two of which one is in a stretch that is asked for.
    pub(crate) fn keep_what_is_asked_for(&mut self) {
        for kinds in &mut self.fields {
            kinds.keep_what_is_asked_for();
        }
    }

    /// How much was looked at so far.
    pub(crate) fn looked(&self) -> usize {
        LOOKS - self.looks
    }

    /// Looks for a report that no list takes.
    pub(crate) fn find_gap(&mut self) -> Cover {
        let chosen = vec![None; self.fields.len()];
        let mut walk =
            Walk { fields: &self.fields, looks_at: &self.looks_at, chosen, looks: self.looks };
        let lists: Vec<usize> = (0..self.looks_at.len()).collect();
        let gap = walk.find(&lists);
        self.looks = gap.map_or(0, |_| walk.looks);
        match gap {
            Some(true) => Cover::Gap(example(&self.fields, &walk.chosen)),
            Some(false) => Cover::Whole,
            None => Cover::Unknown,
        }
    }
}

impl<'c> Kinds<'c> {
    fn new(
        field: &'c Field,
        marks: &Landmarks,
        lists: &[&'c [Condition]],
        looks: &mut usize,
    ) -> Option<Self> {
        let (mut values, mut numbers) = marks.kinds();
        if !matches!(field, Field::Data(_)) {
            values.retain(|v| v.as_ref().is_none_or(Value::is_string));
            numbers = 0..0;
        }
        let places: FxHashMap<Scalar, usize> = values
            .iter()
            .enumerate()
            .filter_map(|(n, v)| Some((scalar(v.as_ref()?)?, n)))
            .collect();
        let mut takers = vec![Vec::new(); values.len()];
        let mut stretches = vec![false; values.len()];
        let mut asks = vec![false; lists.len()];
        for (n, list) in lists.iter().enumerate() {
            let Some(condition) = list.iter().find(|c| c.field == *field) else {
                continue;
            };
            asks[n] = true;
            let accepts = condition.accepts();
            if let Some(listed) = accepts.listed() {
                *looks = looks.checked_sub(listed.len())?;
                listed.iter().filter_map(|s| places.get(s)).for_each(|kind| takers[*kind].push(n));
                continue;
            }
            *looks = looks.checked_sub(values.len())?;
            for (kind, value) in values.iter().enumerate() {
                if accepts.contains(value.as_ref().map_or(Found::Absent, Found::from)) {
                    takers[kind].push(n);
                    stretches[kind] |= accepts.is_stretch();
                }
            }
        }
        let counts = vec![true; values.len()];
        Some(Self { field, values, numbers, takers, stretches, asks, counts })
    }

    fn keep_what_is_asked_for(&mut self) {
        let asked: Vec<bool> = self.takers.iter().map(|t| !t.is_empty()).collect();
        let mut enclosed = vec![false; self.values.len()];
        let mut last: Option<usize> = None;
        for kind in self.numbers.clone().filter(|kind| asked[*kind]) {
            if let Some(before) = last
                && (self.stretches[before] || self.stretches[kind])
            {
                enclosed[before + 1..kind].fill(true);
            }
            last = Some(kind);
        }
        for (kind, counts) in self.counts.iter_mut().enumerate() {
            *counts &= asked[kind] || enclosed[kind];
        }
    }
}

/// The search, field by field.
struct Walk<'l, 'c> {
    fields: &'l [Kinds<'c>],
    /// By list: the fields that it looks at.
    looks_at: &'l [Vec<usize>],
    /// By field: the kind chosen for it.
    chosen: Vec<Option<usize>>,
    looks: usize,
}

impl Walk<'_, '_> {
    /// Whether some report is taken by none of `lists`, which agree with what is chosen so far. None: out of looks.
    fn find(&mut self, lists: &[usize]) -> Option<bool> {
        let (fields, looks_at) = (self.fields, self.looks_at);
        let mut asked = vec![0usize; fields.len()];
        for list in lists {
            self.looks = self.looks.checked_sub(1 + looks_at[*list].len())?;
            let mut takes_all = true;
            for at in looks_at[*list].iter().filter(|at| self.chosen[**at].is_none()) {
                asked[*at] += 1;
                takes_all = false;
            }
            if takes_all {
                return Some(false);
            }
        }
        // The field that most lists look at leaves the fewest branches.
        let open = (0..fields.len()).filter(|at| self.chosen[*at].is_none());
        let Some(at) = open.max_by_key(|at| (asked[*at], std::cmp::Reverse(*at))) else {
            return Some(true);
        };
        let kinds = &fields[at];
        let rest: Vec<usize> = lists.iter().copied().filter(|n| !kinds.asks[*n]).collect();
        let alive: FxHashSet<usize> = lists.iter().copied().collect();
        // What is left is the same for kinds with the same takers.
        let mut seen: FxHashSet<(Vec<usize>, bool)> = FxHashSet::default();
        for (kind, value) in kinds.values.iter().enumerate() {
            self.looks = self.looks.checked_sub(1)?;
            if !kinds.counts[kind] || !self.fits(kinds.field, value) {
                continue;
            }
            self.looks = self.looks.checked_sub(rest.len() + kinds.takers[kind].len())?;
            let takers = kinds.takers[kind].iter().copied().filter(|n| alive.contains(n));
            let mut left: Vec<usize> = rest.iter().copied().chain(takers).collect();
            left.sort_unstable();
            if !seen.insert((left.clone(), is_nested(value))) {
                continue;
            }
            self.chosen[at] = Some(kind);
            if self.find(&left)? {
                return Some(true);
            }
            self.chosen[at] = None;
        }
        Some(false)
    }

    /// `data.a.b` can only be there if `data.a` is an object.
    fn fits(&self, field: &Field, value: &Option<Value>) -> bool {
        let chosen = self.fields.iter().zip(&self.chosen);
        let mut chosen = chosen.filter_map(|(k, n)| Some((k.field, &k.values[(*n)?])));
        chosen.all(|(other, held)| {
            (value.is_none() || !other.encloses(field) || is_nested(held))
                && (held.is_none() || !field.encloses(other) || is_nested(value))
        })
    }
}

fn is_nested(value: &Option<Value>) -> bool {
    value.as_ref().is_some_and(Value::is_array)
}

fn scalar(value: &Value) -> Option<Scalar> {
    match value {
        Value::String(text) => Some(Scalar::Text(text.as_str().into())),
        Value::Number(number) => Number::from_json(number).map(Scalar::Number),
        Value::Bool(flag) => Some(Scalar::Bool(*flag)),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// Outer fields before inner ones.
fn example(fields: &[Kinds<'_>], chosen: &[Option<usize>]) -> Example {
    let mut example = Example::default();
    for (kinds, kind) in fields.iter().zip(chosen) {
        example.set(kinds.field, kind.map_or(&None, |kind| &kinds.values[kind]));
    }
    example
}

#[cfg(test)]
mod tests {
    use super::*;
    use amends_rulebook::{Facts, Matcher, Span};
    use proptest::prelude::*;

    const NOWHERE: Span = Span { file: 0, start: 0, end: 0 };

    fn gap(lists: &[Vec<Condition>]) -> Cover {
        let lists: Vec<&[Condition]> = lists.iter().map(Vec::as_slice).collect();
        Lists::new(&lists, None).expect("few kinds").find_gap()
    }

    fn field(path: &str) -> Field {
        Field::Data(path.split('.').map(Into::into).collect())
    }

    fn on(path: &str, matcher: Matcher) -> Condition {
        Condition::new(field(path), vec![matcher], NOWHERE)
    }

    #[test]
    fn a_prefix_that_is_itself_an_example_word_ends() {
        let lists = [
            vec![on("a", Matcher::Prefix("other".into()))],
            vec![on("a", Matcher::Prefix("o".into()))],
        ];
        assert!(matches!(gap(&lists), Cover::Gap(_)));
    }

    #[test]
    fn what_lies_in_an_object_is_absent_without_it() {
        let outer_absent = vec![on("a", Matcher::Present(false))];
        let inner = |present| vec![on("a.b", Matcher::Present(present))];
        assert_eq!(gap(&[outer_absent.clone(), inner(true), inner(false)]), Cover::Whole);
        // `a` without `b`, as an object or as anything else.
        assert!(matches!(gap(&[outer_absent, inner(true)]), Cover::Gap(_)));
    }

    fn matcher() -> impl Strategy<Value = Matcher> {
        let number = || (0i64..4).prop_map(Number::from);
        let scalar = prop_oneof![
            number().prop_map(Scalar::Number),
            prop_oneof![Just("a"), Just("ab"), Just("other")].prop_map(|t| Scalar::Text(t.into())),
            any::<bool>().prop_map(Scalar::Bool),
        ];
        let scalar = scalar.boxed();
        prop_oneof![
            scalar.clone().prop_map(Matcher::Equals),
            prop::collection::vec(scalar.clone(), 1..4).prop_map(Matcher::OneOf),
            scalar.prop_map(Matcher::Not),
            prop_oneof![Just(""), Just("a"), Just("o")].prop_map(|p| Matcher::Prefix(p.into())),
            number().prop_map(Matcher::Gt),
            number().prop_map(Matcher::Gte),
            number().prop_map(Matcher::Lt),
            number().prop_map(Matcher::Lte),
            any::<bool>().prop_map(Matcher::Present),
        ]
    }

    fn list() -> impl Strategy<Value = Vec<Condition>> {
        let one = prop::sample::select(vec!["a", "a.b", "c"]);
        let all = prop::collection::btree_map(one, prop::collection::vec(matcher(), 1..3), 1..3);
        all.prop_map(|all| {
            let one = |(path, matchers): (&str, _)| Condition::new(field(path), matchers, NOWHERE);
            all.into_iter().map(one).collect()
        })
    }

    /// Everything that the values above can make a difference to, tried out one by one.
    fn by_trying(lists: &[Vec<Condition>]) -> bool {
        let mut simple = vec![Value::Null, true.into(), false.into(), Value::Array(Vec::new())];
        simple.extend((-1..9).map(|n| Value::from(f64::from(n) / 2.0)));
        simple.extend(["", "a", "ab", "ac", "o", "other", "z"].map(Value::from));
        let mut outer = simple.clone();
        outer.extend(simple.iter().map(|v| serde_json::json!({ "b": v })));
        outer.iter().any(|a| {
            simple.iter().any(|c| {
                let data = serde_json::Map::from_iter([
                    ("a".to_owned(), a.clone()),
                    ("c".to_owned(), c.clone()),
                ]);
                let facts = Facts {
                    service: "",
                    code: "",
                    action: None,
                    entry: None,
                    caller: None,
                    message: None,
                    data: &data,
                };
                !lists.iter().any(|list| list.iter().all(|c| c.holds(&facts)))
            })
        })
    }

    proptest! {
        #[test]
        fn a_gap_is_found_just_if_there_is_one(lists in prop::collection::vec(list(), 1..6)) {
            match gap(&lists) {
                Cover::Gap(example) => {
                    let facts = example.facts("", "");
                    prop_assert!(!lists.iter().any(|list| list.iter().all(|c| c.holds(&facts))), "{example:?}");
                }
                Cover::Whole => prop_assert!(!by_trying(&lists)),
                Cover::Unknown => prop_assert!(false, "a few conditions are within the bound"),
            }
        }
    }
}
