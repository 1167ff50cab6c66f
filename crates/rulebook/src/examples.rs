//! Example reports: fields that meet the conditions of a rule. Tries one value of each kind that the conditions can
//! tell apart, so it may find none where there is one; whether there is any, the workbench's check decides.

use crate::condition::{Condition, Field};
use crate::value_set::Landmarks;
use crate::{Facts, Rule, RuleId, Rulebook};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// Reports that are tried in one search.
const TRIES: usize = 4_000;

/// The fields of an example report that conditions look at.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Example {
    /// The action, without the service.
    pub action: Option<String>,
    /// The message.
    pub message: Option<String>,
    /// The action with which the saga began, as `service.action`.
    pub entry: Option<String>,
    /// The action that called the one that failed, as `service.action`.
    pub caller: Option<String>,
    /// Business fields.
    pub data: Map<String, Value>,
}

impl Rulebook {
    /// Fields of reports that a rule's conditions accept, at both ends of them; at most `limit`. One without fields for
    /// a rule without conditions, none if the conditions are too entangled to find any.
    #[must_use]
    pub fn examples_of(&self, rule: RuleId, limit: usize) -> Vec<Example> {
        self.rules().get(rule.0 as usize).map_or_else(Vec::new, |r| of_rule(r, limit))
    }
}

impl Example {
    /// Reports that a rule accepts: some combinations of values, then every further value of each field beside those
    /// of the first one, at most `values`.
    #[must_use]
    pub fn values_of(rule: &Rule, values: usize, combinations: usize) -> Vec<Self> {
        let mut found = of_rule(rule, combinations);
        let Some(first) = found.first().cloned() else { return found };
        let mut seen: BTreeSet<String> = found.iter().map(|e| e.to_json().to_string()).collect();
        for (field, all) in accepted(&rule.when) {
            for value in all.iter().filter(|v| v.is_some()) {
                let mut example = first.clone();
                let fits = example.set(&field, value)
                    && rule.when.iter().all(|c| c.holds(&example.facts("", "")));
                if fits && seen.insert(example.to_json().to_string()) {
                    found.push(example);
                }
                if found.len() >= combinations + values {
                    return found;
                }
            }
        }
        found
    }

    /// The example as a report of `service/code`.
    #[must_use]
    pub fn facts<'a>(&'a self, service: &'a str, code: &'a str) -> Facts<'a> {
        Facts {
            service,
            code,
            action: self.action.as_deref(),
            entry: self.entry.as_deref(),
            caller: self.caller.as_deref(),
            message: self.message.as_deref(),
            data: &self.data,
        }
    }

    /// As data, e.g. `{"action": "pay", "data": {"amount": 75}}`.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let mut all = Map::new();
        let texts = [
            ("action", &self.action),
            ("message", &self.message),
            ("entry", &self.entry),
            ("caller", &self.caller),
        ];
        for (name, text) in texts {
            all.extend(text.as_ref().map(|text| (name.to_owned(), json!(text))));
        }
        if !self.data.is_empty() {
            all.insert("data".to_owned(), Value::Object(self.data.clone()));
        }
        Value::Object(all)
    }

    /// For people, as a report of `name`.
    #[must_use]
    pub fn shown(&self, name: &str) -> String {
        let fields = self.to_json();
        if fields == json!({}) {
            format!("`{name}` without fields")
        } else {
            format!("`{name}` with `{fields}`")
        }
    }

    /// False if the field cannot hold this beside what is there already.
    pub fn set(&mut self, field: &Field, value: &Option<Value>) -> bool {
        let put = |to: &mut Option<String>, text: &String| {
            *to = Some(text.clone());
            true
        };
        match (field, value) {
            (_, None) => true,
            (Field::Action, Some(Value::String(text))) => put(&mut self.action, text),
            (Field::Message, Some(Value::String(text))) => put(&mut self.message, text),
            (Field::Entry, Some(Value::String(text))) => put(&mut self.entry, text),
            (Field::Caller, Some(Value::String(text))) => put(&mut self.caller, text),
            (Field::Action | Field::Message | Field::Entry | Field::Caller, Some(_)) => false,
            (Field::Data(path), Some(value)) => {
                let Some((last, outer)) = path.split_last() else {
                    return false;
                };
                let mut at = &mut self.data;
                for part in outer {
                    let inner = at.entry(part.to_string()).or_insert_with(|| json!({}));
                    // A list stands for anything nested, so it may as well be an object.
                    if inner.as_array().is_some() {
                        *inner = json!({});
                    }
                    match inner {
                        Value::Object(inner) => at = inner,
                        _ => return false,
                    }
                }
                at.insert(last.to_string(), value.clone());
                true
            }
        }
    }
}

/// By field, the values worth trying for these conditions.
fn candidates(conditions: &[Condition]) -> BTreeMap<Field, Vec<Option<Value>>> {
    let mut landmarks: BTreeMap<Field, Landmarks> = BTreeMap::new();
    for condition in conditions {
        landmarks.entry(condition.field.clone()).or_default().add(&condition.accepts);
    }
    landmarks.into_iter().map(|(field, marks)| (field, marks.examples())).collect()
}

/// Shows one combination of candidates after the other, until `enough` says so.
fn try_each(
    candidates: &BTreeMap<Field, Vec<Option<Value>>>,
    enough: &mut dyn FnMut(&Example) -> bool,
) {
    let fields: Vec<(&Field, &Vec<Option<Value>>)> = candidates.iter().collect();
    let mut at = vec![0usize; fields.len()];
    for _ in 0..TRIES {
        let mut example = Example::default();
        let fits =
            fields.iter().zip(&at).all(|((field, values), n)| example.set(field, &values[*n]));
        if fits && enough(&example) {
            return;
        }
        // The next combination, like an odometer.
        let Some(position) = (0..at.len()).find(|p| at[*p] + 1 < fields[*p].1.len()) else {
            return;
        };
        at[..position].fill(0);
        at[position] += 1;
    }
}

/// Reports that a rule accepts, at both ends of its conditions; at most `limit`.
fn of_rule(rule: &Rule, limit: usize) -> Vec<Example> {
    that_meet(&rule.when, limit)
}

/// A report that meets both lists of conditions, if one is found.
pub(crate) fn of_both(a: &[Condition], b: &[Condition]) -> Option<Example> {
    that_meet(&[a, b].concat(), 1).pop()
}

fn that_meet(conditions: &[Condition], limit: usize) -> Vec<Example> {
    if conditions.is_empty() {
        return vec![Example::default()];
    }
    let good = accepted(conditions);
    let mut found = Vec::new();
    if good.values().any(Vec::is_empty) {
        return found;
    }
    try_each(&good, &mut |example| {
        if conditions.iter().all(|c| c.holds(&example.facts("", ""))) {
            found.push(example.clone());
        }
        found.len() >= limit
    });
    found
}

/// By field, the values that all conditions on it accept, of those worth trying.
fn accepted(conditions: &[Condition]) -> BTreeMap<Field, Vec<Option<Value>>> {
    let mut good = candidates(conditions);
    for condition in conditions {
        let fits = |value: &Option<Value>| {
            let mut one = Example::default();
            one.set(&condition.field, value) && condition.holds(&one.facts("", ""))
        };
        if let Some(values) = good.get_mut(&condition.field) {
            values.retain(fits);
        }
    }
    good
}
