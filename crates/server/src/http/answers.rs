//! What handlers answer, by its status: the type of an answer says it, and the document of the API repeats it.

use super::openapi::{Answered, JSON, Told};
use axum::Json;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::json;
use utoipa::ToSchema;

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
