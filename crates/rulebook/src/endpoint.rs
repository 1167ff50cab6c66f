//! How a step is asked for at a service that knows nothing of the participant protocol: one request per verb, and what
//! its status codes mean. Sends nothing.

use crate::template::{Fields, Place};
use crate::{BodyTemplate, Template};
use amends_protocol::Verb;
use serde_json::Value;
use std::fmt;

/// The mapped requests of one action; none means the participant protocol.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Endpoints {
    /// For `compensate`.
    pub compensate: Option<Endpoint>,
    /// For `retry`.
    pub retry: Option<Endpoint>,
    /// For `notify`.
    pub notify: Option<Endpoint>,
}

impl Endpoints {
    /// The mapped request of a verb.
    #[must_use]
    pub fn get(&self, verb: Verb) -> Option<&Endpoint> {
        match verb {
            Verb::Compensate => self.compensate.as_ref(),
            Verb::Retry => self.retry.as_ref(),
            Verb::Notify => self.notify.as_ref(),
        }
    }
}

/// One mapped request.
#[derive(Clone, Debug, PartialEq)]
pub struct Endpoint {
    /// HTTP method in capitals.
    pub method: String,
    /// Begins with one slash; the host is always the service's.
    pub path: Template,
    /// Names in lower case.
    pub headers: Vec<(String, Template)>,
    /// JSON body; none sends none.
    pub body: Option<BodyTemplate>,
    /// Statuses that mean done.
    pub done: Vec<StatusSet>,
    /// Statuses that mean that there was nothing to do.
    pub nothing: Vec<StatusSet>,
    /// Statuses that mean that the service cannot, for good.
    pub refused: Vec<StatusSet>,
}

/// One status, or a hundred of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StatusSet {
    /// E.g. 204.
    One(u16),
    /// E.g. `2xx`, as its first digit.
    Class(u16),
}

/// What a status means for the step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mapped {
    /// The step is done.
    Done,
    /// There was nothing to do.
    Nothing,
    /// The service cannot, for good.
    Refused,
}

/// A request with every placeholder filled in.
#[derive(Clone, Debug, PartialEq)]
pub struct RenderedRequest {
    /// HTTP method in capitals.
    pub method: String,
    /// Path and query, percent-encoded.
    pub path: String,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    /// JSON body.
    pub body: Option<Value>,
}

impl Endpoint {
    /// What a status means; a single status stands above its class. None: read it as the participant protocol does.
    #[must_use]
    pub fn classify(&self, status: u16) -> Option<Mapped> {
        let lists = [
            (&self.refused, Mapped::Refused),
            (&self.nothing, Mapped::Nothing),
            (&self.done, Mapped::Done),
        ];
        let find = |wanted: StatusSet| {
            lists.iter().find(|(set, _)| set.contains(&wanted)).map(|(_, m)| *m)
        };
        find(StatusSet::One(status)).or_else(|| find(StatusSet::Class(status / 100)))
    }

    /// Fills in the placeholders; `fields` gives the value of e.g. `sagaId` or `data.paymentId`.
    ///
    /// # Errors
    /// Says which field is missing, or cannot stand where it is asked for.
    pub fn render(
        &self,
        fields: &dyn Fn(&str) -> Option<Value>,
    ) -> Result<RenderedRequest, String> {
        let path = self.path.fill(fields, Place::Path)?;
        check_segments(&path)?;
        let mut headers = Vec::with_capacity(self.headers.len());
        for (name, value) in &self.headers {
            headers.push((name.clone(), value.fill(fields, Place::Header)?));
        }
        let body = self.body.as_ref().map(|b| b.fill(fields as Fields<'_>)).transpose()?;
        Ok(RenderedRequest { method: self.method.clone(), path, headers, body })
    }
}

/// A value must not climb to another path: `..` is harmless to us and dangerous behind a proxy that resolves it.
pub(crate) fn check_segments(path: &str) -> Result<(), String> {
    let before_query = path.split('?').next().unwrap_or(path);
    match before_query.split('/').find(|s| matches!(*s, "." | "..")) {
        Some(segment) => Err(format!("the path `{path}` has a segment `{segment}`")),
        None => Ok(()),
    }
}

impl fmt::Display for StatusSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::One(status) => write!(f, "{status}"),
            Self::Class(digit) => write!(f, "{digit}xx"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn endpoint() -> Endpoint {
        Endpoint {
            method: "POST".to_owned(),
            path: Template::parse("/payments/{data.paymentId}/refund").expect("valid"),
            headers: vec![("x-saga".to_owned(), Template::parse("{sagaId}").expect("valid"))],
            body: Some(BodyTemplate::Text(Template::parse("{data.amount}").expect("valid"))),
            done: vec![StatusSet::Class(2)],
            nothing: vec![StatusSet::One(404), StatusSet::One(204)],
            refused: vec![StatusSet::Class(4)],
        }
    }

    #[test]
    fn a_single_status_stands_above_its_class() {
        let read = |status| endpoint().classify(status);
        assert_eq!(read(200), Some(Mapped::Done));
        assert_eq!(read(204), Some(Mapped::Nothing));
        assert_eq!(read(404), Some(Mapped::Nothing));
        assert_eq!(read(410), Some(Mapped::Refused));
        assert_eq!(read(503), None);
    }

    #[test]
    fn a_request_is_filled_in_or_says_what_is_missing() {
        let fields = |payment: &'static str| {
            move |name: &str| match name {
                "data.paymentId" => Some(json!(payment)),
                "data.amount" => Some(json!(7)),
                "sagaId" => Some(json!("o-1")),
                _ => None,
            }
        };
        let request = endpoint().render(&fields("p/7")).expect("all there");
        assert_eq!(request.path, "/payments/p%2F7/refund");
        assert_eq!(request.headers, [("x-saga".to_owned(), "o-1".to_owned())]);
        assert_eq!(request.body, Some(json!(7)));
        assert_eq!(
            endpoint().render(&|_| None),
            Err("field `data.paymentId` is missing".to_owned())
        );
        assert!(
            endpoint().render(&fields("..")).is_err(),
            "a value must not climb out of its place"
        );
    }
}
