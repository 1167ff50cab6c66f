//! Reads ids out of paths. A text that is no id names nothing, so the answer is `not-found` and says what an id looks
//! like.

use super::ApiError;
use super::openapi::{Taken, Told};
use super::parameters::Text;
use amends_protocol::ProblemCode;
use axum::extract::{FromRequestParts, Path};
use axum::http::request::Parts;

/// The one `{…}` of a path.
pub(crate) struct Id<T>(pub(crate) T);

impl<S: Send + Sync, T: Text> FromRequestParts<S> for Id<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let Path(text) = Path::<String>::from_request_parts(parts, state)
            .await
            .map_err(|e| ApiError::not_found(format!("the path can't be read: {e}")))?;
        T::read(&text).map(Self).map_err(ApiError::not_found)
    }
}

impl<T: Text> Taken for Id<T> {
    fn told(told: &mut Told) {
        let schema = T::schema(told);
        told.path(schema);
        told.problems(&[ProblemCode::NotFound]);
    }
}

/// The two `{…}` of a path.
pub(crate) struct Pair<A, B>(pub(crate) A, pub(crate) B);

impl<S: Send + Sync, A: Text, B: Text> FromRequestParts<S> for Pair<A, B> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let Path((first, second)) = Path::<(String, String)>::from_request_parts(parts, state)
            .await
            .map_err(|e| ApiError::not_found(format!("the path can't be read: {e}")))?;
        let read = || Ok(Self(A::read(&first)?, B::read(&second)?));
        read().map_err(|wrong: String| ApiError::not_found(wrong))
    }
}

impl<A: Text, B: Text> Taken for Pair<A, B> {
    fn told(told: &mut Told) {
        let (first, second) = (A::schema(told), B::schema(told));
        told.path(first);
        told.path(second);
        told.problems(&[ProblemCode::NotFound]);
    }
}
