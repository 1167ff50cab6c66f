//! Reads query parameters strictly: each by its name, and none unknown.

use super::ApiError;
use axum::http::Uri;
use std::fmt::Display;
use std::str::FromStr;

/// Parameters that have not been taken yet.
pub(crate) struct Query {
    pairs: Vec<(String, String)>,
    known: Vec<&'static str>,
}

impl Query {
    /// The query of an address.
    pub(crate) fn of(uri: &Uri) -> Result<Self, ApiError> {
        let read = axum::extract::Query::<Vec<(String, String)>>::try_from_uri(uri);
        let axum::extract::Query(pairs) =
            read.map_err(|e| ApiError::filter(format!("the query can't be read: {e}")))?;
        Ok(Self::from_pairs(pairs))
    }

    /// Parameters that came otherwise.
    pub(crate) fn from_pairs(pairs: Vec<(String, String)>) -> Self {
        Self { pairs, known: Vec::new() }
    }

    /// Every value of a parameter, in order; `a=x&a=y` and `a=x,y` are the same.
    pub(super) fn take_all(&mut self, name: &'static str) -> Vec<String> {
        self.known.push(name);
        let (taken, left) =
            std::mem::take(&mut self.pairs).into_iter().partition(|(n, _)| n == name);
        self.pairs = left;
        let taken: Vec<(String, String)> = taken;
        taken.into_iter().map(|(_, value)| value).collect()
    }

    /// A parameter that may be there once.
    pub(crate) fn text(&mut self, name: &'static str) -> Result<Option<String>, ApiError> {
        let mut all = self.take_all(name);
        if all.len() > 1 {
            return Err(ApiError::filter(format!(
                "`{name}` is there {} times; give it once",
                all.len()
            )));
        }
        match all.pop() {
            Some(text) if text.is_empty() => {
                Err(ApiError::filter(format!("`{name}` is empty; leave it out instead")))
            }
            other => Ok(other),
        }
    }

    /// A parameter of a type.
    pub(crate) fn one<T>(&mut self, name: &'static str) -> Result<Option<T>, ApiError>
    where
        T: FromStr,
        T::Err: Display,
    {
        let parse =
            |text: String| text.parse().map_err(|e| ApiError::filter(format!("`{name}`: {e}")));
        self.text(name)?.map(parse).transpose()
    }

    /// Refuses what is left over, and names what may have been meant.
    pub(crate) fn finish(self) -> Result<(), ApiError> {
        let Some((name, _)) = self.pairs.first() else { return Ok(()) };
        let near = nearest(name, &self.known);
        let meant = near.map_or(String::new(), |near| format!("; did you mean `{near}`?"));
        let known = match self.known.as_slice() {
            [] => "none is".to_owned(),
            names => names.join(", ") + " are",
        };
        let mark = if meant.is_empty() { ";" } else { "" };
        Err(ApiError::filter(format!(
            "unknown parameter `{name}`{meant}{mark} {known} understood here"
        )))
    }
}

/// The name that a mistyped one is closest to, if it is close: a third of it may be other letters.
fn nearest(name: &str, known: &[&'static str]) -> Option<&'static str> {
    /// Longer ones are not mistyped, and comparing them takes time.
    const COMPARED: usize = 64;
    if name.len() > COMPARED {
        return None;
    }
    let allowed = (name.chars().count() / 3).max(1);
    let distances = known.iter().map(|one| (strsim::damerau_levenshtein(name, one), *one));
    distances.filter(|(distance, _)| *distance <= allowed).min().map(|(_, one)| one)
}
