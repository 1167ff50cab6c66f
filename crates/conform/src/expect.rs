//! What an answer must be. Each expectation that is not met becomes a finding with the exchange as its evidence.

use crate::context::Ask;
use crate::finding::{Finding, Stop, Tried, shown_body};
use crate::wire::{Exchange, HttpAnswer};
use amends_protocol::{Problem, ProblemCode, headers};

/// Body shown within a sentence is cut here; the whole of it stands below.
const PHRASE_CHARS: usize = 120;

impl Exchange {
    /// A finding about this exchange.
    pub(crate) fn wrong(&self, expected: impl Into<String>, came: impl Into<String>) -> Stop {
        Stop::Failed(Box::new(Finding {
            expected: expected.into(),
            came: came.into(),
            exchange: Some(self.clone()),
            story: Vec::new(),
            help: None,
        }))
    }

    /// The same, with what came in the answer's own words.
    pub(crate) fn unlike(&self, expected: impl Into<String>) -> Stop {
        self.wrong(expected, self.in_words())
    }

    fn in_words(&self) -> String {
        let answer = match &self.came {
            Ok(answer) => answer,
            Err(why) => return why.to_string(),
        };
        let body = answer.json();
        let said = body["outcome"]
            .as_str()
            .map(|outcome| format!("the outcome `{outcome}`"))
            .or_else(|| body["type"].as_str().map(|kind| format!("a problem of type `{kind}`")));
        match said {
            Some(said) => format!("{} with {said}", answer.status),
            None if answer.body.is_empty() => format!("{} without a body", answer.status),
            None => {
                let text = shown_body(&answer.body);
                let short: String = text.chars().take(PHRASE_CHARS).collect();
                format!("{} with `{short}`", answer.status)
            }
        }
    }

    /// The answer, whatever it is.
    pub(crate) fn answered(&self, expected: &str) -> Tried<&HttpAnswer> {
        self.came.as_ref().map_err(|_| self.unlike(expected))
    }

    /// A 2xx.
    pub(crate) fn succeeds(&self, what: &str) -> Tried<&HttpAnswer> {
        let expected = format!("{what}: an answer of 200 to 299");
        let answer = self.answered(&expected)?;
        match answer.is_success() {
            true => Ok(answer),
            false => Err(self.unlike(expected)),
        }
    }

    /// A problem of this kind under its own status.
    pub(crate) fn is_problem(&self, code: ProblemCode, what: &str) -> Tried<Problem> {
        let status = code.status();
        let expected = format!("{what}: {status} with a problem of type `{}`", code.as_str());
        let answer = self.answered(&expected)?;
        if answer.status != status {
            return Err(self.unlike(expected));
        }
        let problem = self.any_problem(&expected)?;
        match problem.is(code) {
            true => Ok(problem),
            false => Err(self.unlike(expected)),
        }
    }

    /// An RFC 9457 problem of whatever kind.
    pub(crate) fn any_problem(&self, expected: &str) -> Tried<Problem> {
        let answer = self.answered(expected)?;
        let content_type = answer.header("content-type").unwrap_or("none").to_ascii_lowercase();
        if !content_type.starts_with("application/problem+json") {
            let came = format!("{} with the content type `{content_type}`", answer.status);
            return Err(self.wrong(format!("{expected}, as `application/problem+json`"), came));
        }
        let problem: Problem = serde_json::from_slice(&answer.body)
            .map_err(|error| self.wrong(expected, format!("a body that is no problem: {error}")))?;
        if problem.status != 0 && problem.status != answer.status {
            let came = format!("`status` is {} and the answer's {}", problem.status, answer.status);
            return Err(self.wrong(format!("{expected}, with the same status in its body"), came));
        }
        Ok(problem)
    }

    /// Whether the answer is a problem of this kind, under any status.
    pub(crate) fn says(&self, code: ProblemCode) -> bool {
        let problem = |answer: &HttpAnswer| serde_json::from_slice::<Problem>(&answer.body).ok();
        self.came.as_ref().ok().and_then(problem).is_some_and(|problem| problem.is(code))
    }

    /// The saga and the request that it belongs to.
    pub(crate) fn names(&self, ask: &Ask) -> Tried {
        let answer = self.answered("an answer")?;
        for (name, wanted) in [(headers::SAGA_ID, &ask.saga), (headers::REQUEST_ID, &ask.request)] {
            if answer.header(name) != Some(wanted) {
                let came = match answer.header(name) {
                    Some(other) => format!("`{name}: {other}`"),
                    None => format!("no `{name}`"),
                };
                return Err(self.wrong(format!("`{name}: {wanted}` on the answer"), came));
            }
        }
        Ok(())
    }

    /// The same status and the same bytes as another answer.
    pub(crate) fn repeats(&self, first: &HttpAnswer, what: &str) -> Tried<&HttpAnswer> {
        let expected = format!(
            "{what}: the first answer again, {} with `{}`",
            first.status,
            shown_body(&first.body)
        );
        let again = self.answered(&expected)?;
        match again.status == first.status && again.body == first.body {
            true => Ok(again),
            false => Err(self.unlike(expected)),
        }
    }
}
