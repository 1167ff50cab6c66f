//! What handlers answer, by its status: the type of an answer says it, and the document of the API repeats it.

use super::openapi::{Answered, JSON, Told};
use crate::not_seen_by::NotSeenBy;
use amends_api::{NOT_SEEN_BY, SilentNodeView};
use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::json;
use utoipa::ToSchema;

/// The nodes that did not answer, where the answer has no place for them.
const SILENT_NODES: &str = "Amends-Silent-Nodes";

/// Something that all nodes know a part of.
pub(crate) struct Merged<T> {
    pub(crate) body: T,
    /// The names of those whose part is missing, or old.
    silent: Vec<String>,
}

impl<T> Merged<T> {
    pub(crate) fn of(body: T, silent: &[SilentNodeView]) -> Self {
        Self { body, silent: silent.iter().map(|node| node.name.clone()).collect() }
    }
}

impl<T: IntoResponse> IntoResponse for Merged<T> {
    fn into_response(self) -> Response {
        let mut response = self.body.into_response();
        if let (false, Ok(names)) =
            (self.silent.is_empty(), HeaderValue::from_str(&self.silent.join(", ")))
        {
            response.headers_mut().insert("amends-silent-nodes", names);
        }
        response
    }
}

impl<T: Answered> Answered for Merged<T> {
    fn told(told: &mut Told) {
        T::told(told);
        let meaning = "Names of nodes that did not answer, with commas between: what they work on is missing here, or old.";
        told.answer_header(200, SILENT_NODES, meaning);
    }
}

/// A list that has no pages.
pub(crate) struct Rows<T>(pub(crate) Vec<T>);

impl<T: Serialize> IntoResponse for Rows<T> {
    fn into_response(self) -> Response {
        Json(self.0).into_response()
    }
}

impl<T: ToSchema> Answered for Rows<T> {
    fn told(told: &mut Told) {
        let item = told.schema::<T>();
        told.answer(200, JSON, json!({ "type": "array", "items": item }));
    }
}

/// What is set for all sagas, as it is now, and which nodes have yet to read it.
pub(crate) struct Set<T>(pub(crate) NotSeenBy, pub(crate) T);

impl<T: IntoResponse> IntoResponse for Set<T> {
    fn into_response(self) -> Response {
        let mut answer = self.1.into_response();
        let late = self.0.0.join(", ");
        if let Ok(late) = HeaderValue::from_str(&late)
            && !late.is_empty()
        {
            answer.headers_mut().insert(NOT_SEEN_BY, late);
        }
        answer
    }
}

impl<T: Answered> Answered for Set<T> {
    fn told(told: &mut Told) {
        T::told(told);
        told.answer_header(
            200,
            "Amends-Not-Seen-By",
            "Nodes that live and have not yet read it after 3 s, by name: they go by it as soon as they have.",
        );
    }
}

/// Something that was made, and where it is.
pub(crate) struct Created<T> {
    pub(crate) location: Option<String>,
    pub(crate) body: T,
}

impl<T: Serialize> IntoResponse for Created<T> {
    fn into_response(self) -> Response {
        let made = (StatusCode::CREATED, Json(self.body));
        match self.location {
            Some(location) => ([(header::LOCATION, location)], made).into_response(),
            None => made.into_response(),
        }
    }
}

impl<T: ToSchema> Answered for Created<T> {
    fn told(told: &mut Told) {
        let schema = told.schema::<T>();
        told.answer(201, JSON, schema);
        told.answer_header(201, "Location", "Where it is, if it has an address.");
    }
}

/// There is nothing more to say.
pub(crate) struct NoContent;

impl IntoResponse for NoContent {
    fn into_response(self) -> Response {
        StatusCode::NO_CONTENT.into_response()
    }
}

impl Answered for NoContent {
    fn told(told: &mut Told) {
        told.empty(204);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_did_not_answer_is_named_in_a_header() {
        let silent = |name: &str| SilentNodeView {
            name: name.to_owned(),
            silent_ms: 4_000,
            parts: 21,
            as_of: None,
        };
        let some = Merged::of(NoContent, &[silent("b"), silent("c")]).into_response();
        assert_eq!(some.headers()["amends-silent-nodes"], "b, c");
        let none = Merged::of(NoContent, &[]).into_response();
        assert!(none.headers().is_empty());
    }

    #[test]
    fn an_answer_names_the_nodes_that_have_yet_to_read_what_was_set() {
        let answer = |late: &[&str]| {
            let late = NotSeenBy(late.iter().map(|name| (*name).to_owned()).collect());
            Set(late, Rows::<u8>(Vec::new())).into_response()
        };
        assert_eq!(answer(&["b", "c"]).headers()[NOT_SEEN_BY], "b, c");
        assert!(!answer(&[]).headers().contains_key(NOT_SEEN_BY));
    }
}
