//! One operation: a method on a path with its handler. The route and its description are made of the same value, so
//! that none is without the other.

use super::super::App;
use super::told::{Handled, Told};
use crate::access::{Needs, needs};
use amends_api::access::scope_for;
use amends_protocol::ProblemCode;
use amends_store::Store;
use axum::Router;
use axum::handler::Handler;
use axum::routing::{MethodFilter, MethodRouter, on};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// A method on a path: how it is answered, and what is told of it.
pub(crate) struct Operation<S: Store> {
    method: &'static str,
    path: &'static str,
    route: MethodRouter<App<S>>,
    told: Told,
    id: &'static str,
    tag: &'static str,
    summary: &'static str,
    /// What a status means here, in place of what its types say.
    meanings: Vec<(u16, &'static str)>,
}

macro_rules! methods {
    ($($name:ident = $filter:ident),+) => {$(
        #[doc = concat!("A `", stringify!($filter), "`.")]
        pub(crate) fn $name<S, H, T, I, O>(path: &'static str, handler: H) -> Operation<S>
        where
            S: Store,
            H: Handler<T, App<S>> + Handled<I, O>,
            T: 'static,
        {
            Operation::of::<H, I, O>(
                stringify!($name),
                path,
                on(MethodFilter::$filter, handler),
            )
        }
    )+};
}

methods!(get = GET, post = POST, put = PUT, delete = DELETE, options = OPTIONS);

impl<S: Store> Operation<S> {
    fn of<H: Handled<I, O>, I, O>(
        method: &'static str,
        path: &'static str,
        route: MethodRouter<App<S>>,
    ) -> Self {
        let mut told = Told::default();
        H::told(&mut told);
        // Requests to names that are not ours, those of other web sites that would change something, and those of who
        // may not.
        told.problems(&[ProblemCode::InvalidRequest, ProblemCode::Forbidden]);
        // What is shown is looked at, whatever is asked for, and how often whoever shows it asks.
        if !crate::access::is_probe(path) {
            told.problems(&[ProblemCode::Unauthorized, ProblemCode::Overloaded]);
        }
        Self { method, path, route, told, id: "", tag: "", summary: "", meanings: Vec::new() }
    }

    /// Its name for generated clients, what it is grouped by, and what it does.
    pub(crate) fn named(self, id: &'static str, tag: &'static str, summary: &'static str) -> Self {
        Self { id, tag, summary, ..self }
    }

    /// What a status means here.
    pub(crate) fn says(mut self, status: u16, meaning: &'static str) -> Self {
        self.meanings.push((status, meaning));
        self
    }

    /// Problems that the supervisor may have with it, besides those that reading the request brings.
    pub(crate) fn fails(mut self, codes: &[ProblemCode]) -> Self {
        self.told.problems(codes);
        self
    }

    fn described(&self) -> Value {
        let mut parameters: Vec<Value> = self
            .placeholders()
            .zip(&self.told.in_path)
            .map(|(name, schema)| json!({ "name": name, "in": "path", "required": true, "schema": schema }))
            .collect();
        parameters.extend(self.told.parameters.iter().cloned());
        let mut all =
            describe(&self.told, [self.id, self.tag, self.summary], parameters, &self.meanings);
        all["security"] = self.security();
        all
    }

    /// What must be shown, where access is controlled: nothing, or something that gives the scope.
    fn security(&self) -> Value {
        match needs(&self.method.to_uppercase(), self.path) {
            None | Some(Needs::Nothing) => json!([]),
            Some(Needs::Known) => json!([{ "token": [] }]),
            Some(Needs::The(right, _)) => json!([{ "token": [scope_for(right)] }]),
        }
    }

    fn placeholders(&self) -> impl Iterator<Item = &'static str> {
        self.path.split('{').skip(1).filter_map(|rest| rest.split('}').next())
    }

    /// What is wrong with what is told by hand: a status that its types don't know, a placeholder without a type.
    #[cfg(test)]
    pub(crate) fn mistakes(&self) -> Vec<String> {
        let at = format!("{} {}", self.method, self.path);
        let mut found = Vec::new();
        for (status, _) in &self.meanings {
            if !self.told.answers.contains_key(status) {
                found.push(format!("{at} never answers {status}"));
            }
        }
        if self.placeholders().count() != self.told.in_path.len() {
            found.push(format!("{at}: its handler does not take what is in its path"));
        }
        if self.id.is_empty() || !super::TAGS.iter().any(|(tag, _)| *tag == self.tag) {
            found.push(format!("{at} has no name, or a tag that is not explained"));
        }
        found
    }
}

/// An operation as the document has it.
pub(super) fn describe(
    told: &Told,
    [id, tag, summary]: [&str; 3],
    parameters: Vec<Value>,
    meanings: &[(u16, &'static str)],
) -> Value {
    let mut all = json!({
        "tags": [tag], "operationId": id, "summary": summary, "responses": responses(told, meanings),
    });
    if !parameters.is_empty() {
        all["parameters"] = parameters.into();
    }
    if !told.bodies.is_empty() {
        all["requestBody"] = json!({ "required": true, "content": told.bodies });
    }
    all
}

fn responses(told: &Told, meanings: &[(u16, &'static str)]) -> Value {
    let mut all = Map::new();
    for (status, answer) in &told.answers {
        let here = meanings.iter().find(|(of, _)| of == status).map(|(_, meaning)| *meaning);
        let meaning = match (here, answer.meaning.as_slice()) {
            (Some(meaning), _) => meaning.to_owned(),
            (None, []) => "Done.".to_owned(),
            (None, several) => several.join(" "),
        };
        let mut one = json!({ "description": meaning });
        if !answer.content.is_empty() {
            one["content"] = answer.content.clone().into();
        }
        if !answer.headers.is_empty() {
            let header =
                |text: &str| json!({ "description": text, "schema": { "type": "string" } });
            let headers =
                answer.headers.iter().map(|(name, text)| ((*name).to_owned(), header(text)));
            one["headers"] = headers.collect::<Map<_, _>>().into();
        }
        all.insert(status.to_string(), one);
    }
    all.into()
}

/// The routes of operations.
pub(crate) fn router<S: Store>(operations: Vec<Operation<S>>) -> Router<App<S>> {
    operations.into_iter().fold(Router::new(), |router, one| router.route(one.path, one.route))
}

/// The paths of the document, and every schema that they refer to.
pub(crate) fn paths<S: Store>(
    operations: &[Operation<S>],
) -> (Map<String, Value>, BTreeMap<String, Value>) {
    let (mut paths, mut schemas) = (Map::new(), BTreeMap::new());
    for operation in operations {
        let item = paths.entry(operation.path).or_insert_with(|| json!({}));
        item[operation.method] = operation.described();
        schemas.extend(operation.told.schemas.clone());
    }
    (paths, schemas)
}
