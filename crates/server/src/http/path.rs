//! Reads ids out of paths. A text that is no id names nothing, so the answer is `not-found` and says what an id looks
//! like.

use super::ApiError;
use axum::extract::{FromRequestParts, Path};
use axum::http::request::Parts;
use std::fmt::Display;
use std::str::FromStr;

/// The one `{…}` of a path.
pub(crate) struct Id<T>(pub(crate) T);

impl<S, T> FromRequestParts<S> for Id<T>
where
    S: Send + Sync,
    T: FromStr,
    T::Err: Display,
{
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let Path(text) = Path::<String>::from_request_parts(parts, state)
            .await
            .map_err(|e| ApiError::not_found(format!("the path can't be read: {e}")))?;
        text.parse().map(Self).map_err(|e| ApiError::not_found(format!("{e}")))
    }
}

/// The two texts of a path.
pub(crate) struct Pair(pub(crate) String, pub(crate) String);

impl<S: Send + Sync> FromRequestParts<S> for Pair {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        match Path::<(String, String)>::from_request_parts(parts, state).await {
            Ok(Path((first, second))) => Ok(Self(first, second)),
            Err(e) => Err(ApiError::not_found(format!("the path can't be read: {e}"))),
        }
    }
}
