//! How a step is asked for at a service that knows nothing of the participant protocol: one request per verb, and what
//! its answers mean. Sends nothing.

use crate::template::{Fields, Slot};
use crate::{AnswerMap, BodyTemplate, Mapped, Span, Template};
use amends_protocol::Verb;
use serde_json::Value;

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
    /// Whether every verb goes by the participant protocol.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.compensate.is_none() && self.retry.is_none() && self.notify.is_none()
    }

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
    /// Body; none sends none.
    pub body: Option<BodyTemplate>,
    /// The body goes out as `application/x-www-form-urlencoded`, not as JSON.
    pub form: bool,
    /// One request undoes all that the action did for the saga.
    pub covers_saga: bool,
    /// What its answers mean.
    pub answers: AnswerMap,
    /// How an answer that accepts the step is followed up.
    pub poll: Option<Poll>,
    /// Where its parts stand in the source.
    pub places: EndpointPlaces,
}

/// Where the parts of a mapped request stand. No part of what it asks: two requests that differ in this alone are one.
#[derive(Clone, Debug, Default)]
pub struct EndpointPlaces {
    /// The verb that it is for.
    pub verb: Span,
    /// `method:`, if it is written.
    pub method: Option<Span>,
    /// The path.
    pub path: Span,
    /// Headers, by name in lower case.
    pub headers: Vec<(String, Span)>,
    /// The body, if there is one.
    pub body: Option<Span>,
}

impl PartialEq for EndpointPlaces {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl EndpointPlaces {
    /// The value of a header.
    #[must_use]
    pub fn header(&self, name: &str) -> Span {
        let own = self.headers.iter().find(|(header, _)| header == name);
        own.map_or(self.verb, |(_, span)| *span)
    }
}

/// How one looks whether an accepted step is done by now.
#[derive(Clone, Debug, PartialEq)]
pub struct Poll {
    /// Where to look, if not where the `Location` of the answer says; `{answer.id}` takes a field of that answer.
    pub path: Option<Template>,
    /// What the answers to the looks mean.
    pub answers: AnswerMap,
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
    /// Body.
    pub body: Option<RenderedBody>,
}

/// A body with every placeholder filled in.
#[derive(Clone, Debug, PartialEq)]
pub enum RenderedBody {
    /// Goes out as JSON.
    Json(Value),
    /// Goes out as `application/x-www-form-urlencoded`, in this order.
    Form(Vec<(String, String)>),
}

impl Endpoint {
    /// Whether this status alone, whatever its body says, means that there was nothing to do: for an answer, or for a
    /// look at an accepted step.
    #[must_use]
    pub fn says_nothing_by(&self, status: u16) -> bool {
        let by_status =
            |answers: &AnswerMap| answers.classify(status, None) == Some(Mapped::Nothing);
        by_status(&self.answers) || self.poll.as_ref().is_some_and(|poll| by_status(&poll.answers))
    }

    /// Where a placeholder stands.
    #[must_use]
    pub fn place_of(&self, placeholder: &str) -> Span {
        let names = |template: &Template| template.fields().any(|field| field == placeholder);
        if names(&self.path) {
            return self.places.path;
        }
        match self.headers.iter().find(|(_, value)| names(value)) {
            Some((name, _)) => self.places.header(name),
            None => self.places.body.unwrap_or(self.places.verb),
        }
    }

    /// The placeholders of the request, some maybe twice.
    #[must_use]
    pub fn placeholders(&self) -> Vec<&str> {
        let mut all: Vec<&str> = self.path.fields().collect();
        all.extend(self.headers.iter().flat_map(|(_, value)| value.fields()));
        if let Some(body) = &self.body {
            body.fields_into(&mut all);
        }
        all
    }

    /// Whether one request to it can be about one request of the saga only.
    #[must_use]
    pub fn is_for_one_request(&self) -> bool {
        self.names_request() || (!self.covers_saga && self.data_fields().next().is_some())
    }

    /// Whether it can't be built without a request's id.
    #[must_use]
    pub fn names_request(&self) -> bool {
        self.placeholders().contains(&"requestId")
    }

    /// The business fields that it takes, as paths.
    pub fn data_fields(&self) -> impl Iterator<Item = &str> {
        self.placeholders().into_iter().filter_map(|name| name.strip_prefix("data."))
    }

    /// Its own headers, each filled in or with why it can't be.
    #[must_use]
    pub fn headers(
        &self,
        fields: &dyn Fn(&str) -> Option<Value>,
    ) -> Vec<(String, Result<String, String>)> {
        let fill =
            |(name, value): &(String, Template)| (name.clone(), value.fill(fields, Slot::Header));
        self.headers.iter().map(fill).collect()
    }

    /// Fills in the placeholders; `fields` gives the value of e.g. `sagaId` or `data.paymentId`.
    ///
    /// # Errors
    /// Says which field is missing, or cannot stand where it is asked for.
    pub fn render(
        &self,
        fields: &dyn Fn(&str) -> Option<Value>,
    ) -> Result<RenderedRequest, String> {
        let path = self.path.fill(fields, Slot::Path)?;
        check_segments(&path)?;
        let headers = self.headers(fields).into_iter().map(|(name, value)| Ok((name, value?)));
        let headers = headers.collect::<Result<_, String>>()?;
        let fields: Fields<'_> = fields;
        let body = match &self.body {
            None => None,
            Some(body) if self.form => Some(RenderedBody::Form(body.fill_form(fields)?)),
            Some(body) => Some(RenderedBody::Json(body.fill(fields)?)),
        };
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

impl Poll {
    /// Where to look, below the service's `url`; none if the answer's `Location` says it.
    ///
    /// # Errors
    /// As of [`Endpoint::render`].
    pub fn place(&self, fields: &dyn Fn(&str) -> Option<Value>) -> Result<Option<String>, String> {
        let Some(path) = &self.path else { return Ok(None) };
        let path = path.fill(fields, Slot::Path)?;
        check_segments(&path)?;
        Ok(Some(path))
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
            form: false,
            covers_saga: false,
            answers: AnswerMap::default(),
            poll: None,
            places: EndpointPlaces::default(),
        }
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
        assert_eq!(request.body, Some(RenderedBody::Json(json!(7))));
        assert_eq!(
            endpoint().render(&|_| None),
            Err("field `data.paymentId` is missing".to_owned())
        );
        assert!(
            endpoint().render(&fields("..")).is_err(),
            "a value must not climb out of its place"
        );
    }

    #[test]
    fn a_form_has_texts_in_their_order() {
        let text = |t: &str| BodyTemplate::Text(Template::parse(t).expect("valid"));
        let body = BodyTemplate::Object(vec![
            ("payment_intent".to_owned(), text("{data.payment}")),
            ("metadata[saga]".to_owned(), text("{sagaId}")),
            ("amount".to_owned(), BodyTemplate::Constant(json!(1200))),
        ]);
        let form = Endpoint { body: Some(body), form: true, path: path("/refunds"), ..endpoint() };
        let fields = |name: &str| match name {
            "data.payment" => Some(json!("pi_1")),
            "sagaId" => Some(json!("o-1")),
            _ => None,
        };
        let request = form.render(&fields).expect("all there");
        let pairs = [("payment_intent", "pi_1"), ("metadata[saga]", "o-1"), ("amount", "1200")];
        let pairs = pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
        assert_eq!(request.body, Some(RenderedBody::Form(pairs)));
        let nested = |name: &str| {
            if name == "data.payment" { Some(json!({ "id": 1 })) } else { fields(name) }
        };
        let why = form.render(&nested).expect_err("an object has no place in a form");
        assert!(why.contains("`data.payment`"), "{why}");
    }

    #[test]
    fn a_look_takes_its_place_from_the_answer() {
        let template = Template::parse_of_answer("/refunds/{answer.id}").expect("valid");
        let poll = Poll { path: Some(template), answers: AnswerMap::default() };
        let fields = |name: &str| (name == "answer.id").then(|| json!("re/1"));
        assert_eq!(poll.place(&fields), Ok(Some("/refunds/re%2F1".to_owned())));
        assert!(poll.place(&|_| None).is_err_and(|why| why.contains("`answer.id`")));
    }

    fn path(text: &str) -> Template {
        Template::parse(text).expect("valid")
    }
}
