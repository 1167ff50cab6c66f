//! What the types of a handler say of its operation: which parameters and bodies it takes, what it answers. Each type
//! that a handler takes or answers says its part once, beside the code that reads or writes it.

use super::super::{ApiError, App};
use amends_protocol::{Problem, ProblemCode};
use amends_store::Store;
use axum::Json;
use axum::extract::State;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use utoipa::ToSchema;

pub(crate) const JSON: &str = "application/json";
pub(crate) const PLAIN: &str = "text/plain";
pub(crate) const PROBLEM: &str = "application/problem+json";

/// What is told of one operation.
#[derive(Debug, Default)]
pub(crate) struct Told {
    /// Of the query and of the head.
    pub(super) parameters: Vec<Value>,
    /// Schemas of the `{…}` of its path, in order.
    pub(super) in_path: Vec<Value>,
    /// Schemas of bodies by content type.
    pub(super) bodies: Map<String, Value>,
    /// Answers by status.
    pub(super) answers: BTreeMap<u16, DescribedStatus>,
    /// Every schema that something here refers to.
    pub(super) schemas: BTreeMap<String, Value>,
}

/// What is told of one status.
#[derive(Debug, Default)]
pub(super) struct DescribedStatus {
    /// What it means; several sentences where it is several problems.
    pub(super) meaning: Vec<String>,
    /// Schemas by content type; none: no body.
    pub(super) content: Map<String, Value>,
    /// Names and meanings of headers.
    pub(super) headers: Vec<(&'static str, &'static str)>,
}

impl Told {
    /// A reference to the schema of a type, which then stands in the document.
    pub(crate) fn schema<T: ToSchema>(&mut self) -> Value {
        let mut found = Vec::new();
        T::schemas(&mut found);
        let name = T::name().into_owned();
        let reference = json!({ "$ref": format!("#/components/schemas/{name}") });
        found.push((name, T::schema()));
        for (name, schema) in found {
            self.schemas
                .entry(name)
                .or_insert_with(|| serde_json::to_value(schema).unwrap_or_default());
        }
        reference
    }

    /// A schema that is written by hand.
    pub(crate) fn named(&mut self, name: &str, schema: Value) -> Value {
        self.schemas.insert(name.to_owned(), schema);
        json!({ "$ref": format!("#/components/schemas/{name}") })
    }

    /// A `{…}` of the path.
    pub(crate) fn path(&mut self, schema: Value) {
        self.in_path.push(schema);
    }

    /// A parameter of the query, which may be left out.
    pub(crate) fn query(&mut self, name: &str, meaning: &str, schema: Value) {
        self.parameters.push(json!({
            "name": name, "in": "query", "required": false, "description": meaning, "schema": schema,
        }));
    }

    /// A header of the request.
    pub(crate) fn header(&mut self, name: &str, required: bool, meaning: &str, schema: Value) {
        self.parameters.push(json!({
            "name": name, "in": "header", "required": required, "description": meaning, "schema": schema,
        }));
    }

    /// A body of this content type.
    pub(crate) fn body(&mut self, kind: &str, schema: Value) {
        self.bodies.insert(kind.to_owned(), json!({ "schema": schema }));
    }

    /// An answer; more content types of the same status are put beside it.
    pub(crate) fn answer(&mut self, status: u16, kind: &str, schema: Value) {
        let answer = self.answers.entry(status).or_default();
        answer.content.insert(kind.to_owned(), json!({ "schema": schema }));
    }

    /// An answer without a body.
    pub(crate) fn empty(&mut self, status: u16) {
        self.answers.entry(status).or_default();
    }

    /// A header of an answer.
    pub(crate) fn answer_header(&mut self, status: u16, name: &'static str, meaning: &'static str) {
        self.answers.entry(status).or_default().headers.push((name, meaning));
    }

    /// Problems that it may be answered with. One says what it means by its title.
    pub(crate) fn problems(&mut self, codes: &[ProblemCode]) {
        let schema = self.schema::<Problem>();
        for code in codes {
            let answer = self.answers.entry(code.status()).or_default();
            let meaning = format!("`{}`: {}.", code.as_str(), code.title().trim_end_matches('.'));
            if !answer.meaning.contains(&meaning) {
                answer.meaning.push(meaning);
            }
            answer.content.entry(PROBLEM).or_insert_with(|| json!({ "schema": schema }));
            let waits = matches!(code, ProblemCode::Overloaded | ProblemCode::Unavailable);
            if waits && !answer.headers.iter().any(|(name, _)| *name == "Retry-After") {
                answer.headers.push(("Retry-After", "Seconds to wait."));
            }
        }
    }
}

/// Something that a handler takes from a request.
pub(crate) trait Taken {
    /// Says what.
    fn told(told: &mut Told);
}

/// Something that a handler answers.
pub(crate) trait Answered {
    /// Says what.
    fn told(told: &mut Told);
}

impl<S: Store> Taken for State<App<S>> {
    fn told(_: &mut Told) {}
}

impl<T: ToSchema> Answered for Json<T> {
    fn told(told: &mut Told) {
        let schema = told.schema::<T>();
        told.answer(200, JSON, schema);
    }
}

impl<T: Answered> Answered for Result<T, ApiError> {
    fn told(told: &mut Told) {
        T::told(told);
        told.problems(&[ProblemCode::Internal, ProblemCode::Unavailable]);
    }
}

/// A handler: a function of what it takes, `I`, to what it answers, `O`.
pub(crate) trait Handled<I, O> {
    /// Says all that its types say.
    fn told(told: &mut Told);
}

macro_rules! handled {
    ($($taken:ident),*) => {
        impl<F, Fut, O, $($taken),*> Handled<($($taken,)*), O> for F
        where
            F: Fn($($taken),*) -> Fut,
            Fut: Future<Output = O>,
            O: Answered,
            $($taken: Taken),*
        {
            fn told(told: &mut Told) {
                $($taken::told(told);)*
                O::told(told);
            }
        }
    };
}

handled!();
handled!(A);
handled!(A, B);
handled!(A, B, C);
handled!(A, B, C, D);
handled!(A, B, C, D, E);
