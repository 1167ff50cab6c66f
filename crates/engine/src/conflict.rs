//! Witnesses of equal standing who name different values of a field that a request can't be wrong about: where they
//! differ, what a person has chosen, and the question that is asked until then.

use crate::case::Case;
use crate::{DataField, Question, QuestionAnswer, Said, Statement, StepRow};
use amends_api::QuestionKind;
use amends_rulebook::{Endpoint, Number, Rulebook};
use serde_json::{Map, Value};
use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::Arc;

/// What undoing one request needs.
pub(crate) type Data = Map<String, Value>;

/// What those who count alike say of one request, the first of them first. Each has all fields of the endpoint.
pub(crate) type Statements<'a> = Vec<(Arc<str>, &'a Data)>;

/// The fields of an endpoint of which all must say the same: a wrong value would undo something else, or too much.
/// Those of its path, and those that are an amount or a key to the business.
fn must_agree<'e>(endpoint: &'e Endpoint, service: &str, book: &Rulebook) -> BTreeSet<&'e str> {
    let of_path = endpoint.path.fields().filter_map(|name| name.strip_prefix("data."));
    let counts = |path: &&str| {
        let roles = book.roles_of(service);
        roles.iter().any(|(declared, role)| **declared == **path && role.must_agree())
    };
    of_path.chain(endpoint.data_fields().filter(counts)).collect()
}

/// Whether two values mean the same: `12.5` and `12.50` do.
fn is_same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => Number::from_json(a) == Number::from_json(b),
        (a, b) => a == b,
    }
}

impl Case {
    /// The fields of a step's request of which its sources say different things, chosen or not.
    fn conflicts(
        &self,
        step: &StepRow,
        endpoint: &Endpoint,
        book: &Rulebook,
        told: &Statements<'_>,
    ) -> Vec<Question> {
        let mut found = Vec::new();
        for path in must_agree(endpoint, &step.action.service, book) {
            let value = |data: &'_ Data| field(data, path).unwrap_or(&Value::Null).clone();
            let said = |(by, data): &(Arc<str>, &Data)| Statement {
                by: Arc::clone(by),
                request: step.request().cloned(),
                says: Said::Value(value(data).to_string().into()),
            };
            let Some((_, first)) = told.first() else { continue };
            if told.iter().all(|(_, data)| is_same(&value(data), &value(first))) {
                continue;
            }
            let statements: BTreeSet<Statement> = told.iter().map(said).collect();
            let kind = QuestionKind::DataConflict;
            found.push(Question {
                kind,
                effect: book.settings().effect_of(kind),
                service: Arc::clone(&step.action.service),
                action: Some(step.action.clone()),
                field: Some(DataField { request: step.request().cloned(), path: path.into() }),
                statements,
                can_ask_again: false,
            });
        }
        found
    }

    /// What the first of these witnesses says, with the values that a person has chosen where they differ.
    ///
    /// # Errors
    /// What nobody has chosen yet.
    pub(crate) fn agreed<'a>(
        &self,
        step: &StepRow,
        endpoint: &Endpoint,
        book: &Rulebook,
        told: &Statements<'a>,
    ) -> Result<Cow<'a, Data>, Vec<Question>> {
        let Some((_, first)) = told.first() else { return Ok(Cow::Owned(Data::new())) };
        let mut data = Cow::Borrowed(*first);
        let mut open = Vec::new();
        for question in self.conflicts(step, endpoint, book, told) {
            let answers = self.row.extra.answers.iter();
            let choice = answers.rev().find_map(|answer: &QuestionAnswer| answer.choice(&question));
            match (choice, &question.field) {
                (Some(value), Some(field)) => put(data.to_mut(), &field.path, value),
                _ => open.push(question),
            }
        }
        if open.is_empty() { Ok(data) } else { Err(open) }
    }
}

/// A field that is not null, by its path.
pub(crate) fn field<'a>(data: &'a Data, path: &str) -> Option<&'a Value> {
    let mut keys = path.split('.');
    let first = data.get(keys.next()?)?;
    keys.try_fold(first, |value, key| value.get(key)).filter(|value| **value != Value::Null)
}

/// Sets a field that is there, by its path.
fn put(data: &mut Data, path: &str, value: &Value) {
    let mut keys = path.split('.');
    let Some(first) = keys.next() else { return };
    let place = data.get_mut(first);
    if let Some(place) = keys.try_fold(place, |place, key| Some(place?.get_mut(key))).flatten() {
        *place = value.clone();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_field_is_set_where_it_is_and_nowhere_else() {
        let mut data = json!({ "payment": { "id": "a", "of": 1 }, "id": "b" });
        let object = data.as_object_mut().expect("an object");
        put(object, "payment.id", &json!("c"));
        put(object, "payment.none", &json!("d"));
        assert_eq!(data, json!({ "payment": { "id": "c", "of": 1 }, "id": "b" }));
    }
}
