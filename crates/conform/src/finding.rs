//! How a check ends: kept, broken with the evidence, skipped for lack of means, or not tried because of another.

use crate::wire::{Exchange, Sent};
use http::header;
use serde_json::{Map, Value, json};

/// Longest piece of a body that is shown.
const BODY_SHOWN_BYTES: usize = 2_000;

/// How a check ended.
#[derive(Clone, Debug)]
pub enum Verdict {
    /// The participant keeps the promise.
    Passed,
    /// It doesn't.
    Failed(Box<Finding>),
    /// Nothing is known, for lack of means.
    Skipped(Lack),
    /// Nothing is known, since a check failed that this one builds on.
    Blocked {
        /// That check.
        by: &'static str,
    },
}

impl Verdict {
    /// `passed`, `failed`, `skipped` or `blocked`.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Failed(_) => "failed",
            Self::Skipped(_) => "skipped",
            Self::Blocked { .. } => "blocked",
        }
    }
}

/// What is missing for a check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lack {
    /// Why it was skipped.
    pub reason: String,
    /// The line of the configuration that would allow it, if one would.
    pub add: Option<&'static str>,
}

/// A promise that was not kept, with the evidence.
#[derive(Clone, Debug)]
pub struct Finding {
    /// What the protocol wants.
    pub expected: String,
    /// What came instead.
    pub came: String,
    /// The exchange that shows it, if one does.
    pub exchange: Option<Exchange>,
    /// One line for every exchange of the check, in their order.
    pub story: Vec<String>,
    /// What would mend it, where the configuration may be at fault.
    pub help: Option<&'static str>,
}

/// Why a check ends before its end.
#[derive(Debug)]
pub(crate) enum Stop {
    Failed(Box<Finding>),
    Skipped(Lack),
}

impl Stop {
    /// A broken promise that no single exchange shows.
    pub(crate) fn found(expected: impl Into<String>, came: impl Into<String>) -> Self {
        let (expected, came) = (expected.into(), came.into());
        let (exchange, story, help) = (None, Vec::new(), None);
        Self::Failed(Box::new(Finding { expected, came, exchange, story, help }))
    }

    /// What can't be tried on this participant.
    pub(crate) fn skipped(reason: impl Into<String>, add: Option<&'static str>) -> Self {
        Self::Skipped(Lack { reason: reason.into(), add })
    }
}

/// How a check went.
pub(crate) type Tried<T = ()> = Result<T, Stop>;

/// A body for people: cut where it is long, said in words where it is no text.
pub(crate) fn shown_body(body: &[u8]) -> String {
    if body.is_empty() {
        return String::new();
    }
    let Ok(text) = std::str::from_utf8(body) else {
        return format!("({} bytes that are not UTF-8)", body.len());
    };
    match text.len() > BODY_SHOWN_BYTES {
        true => {
            let kept = text.floor_char_boundary(BODY_SHOWN_BYTES);
            format!("{}… ({} bytes)", &text[..kept], text.len())
        }
        false => text.to_owned(),
    }
}

/// The headers of a request, as lines.
pub(crate) fn sent_headers(sent: &Sent) -> Vec<(String, String)> {
    let text = |(name, value): (&http::HeaderName, &http::HeaderValue)| {
        (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned())
    };
    sent.headers.iter().map(text).collect()
}

/// Headers of an answer that the protocol knows.
const TELLING: &[&str] =
    &["content-type", "saga-id", "request-id", "amends-report", "retry-after", "location", "allow"];

/// The headers of an answer that mean something here.
pub(crate) fn telling_headers(headers: &http::HeaderMap) -> Vec<(String, String)> {
    let telling = |name: &&str| {
        let value = headers.get(*name)?;
        Some(((*name).to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
    };
    TELLING.iter().filter_map(telling).collect()
}

/// One line: what was asked, and in a few words what came.
pub(crate) fn told(exchange: &Exchange) -> String {
    let Sent { method, path, .. } = &exchange.sent;
    match &exchange.came {
        Ok(answer) => {
            let body = answer.json();
            let word = body["outcome"].as_str().or_else(|| {
                let type_uri = body["type"].as_str()?;
                type_uri.rsplit('/').next()
            });
            let word = word.map_or(String::new(), |word| format!(" {word}"));
            format!("{method} {path} → {}{word}", answer.status)
        }
        Err(why) => format!("{method} {path} → {why}"),
    }
}

impl Finding {
    /// As data.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let mut all = json!({ "expected": self.expected, "came": self.came, "story": self.story });
        if let Some(help) = self.help {
            all["help"] = help.into();
        }
        if let Some(exchange) = &self.exchange {
            let object = |pairs: Vec<(String, String)>| -> Map<String, Value> {
                pairs.into_iter().map(|(name, value)| (name, Value::from(value))).collect()
            };
            let sent = &exchange.sent;
            all["sent"] = json!({
                "method": sent.method.as_str(),
                "path": sent.path,
                "headers": object(sent_headers(sent)),
                "body": shown_body(&sent.body),
            });
            if let Ok(answer) = &exchange.came {
                all["answer"] = json!({
                    "status": answer.status,
                    "headers": object(telling_headers(&answer.headers)),
                    "body": shown_body(&answer.body),
                });
            }
        }
        all
    }

    /// For people, without indentation.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        let mut lines =
            vec![format!("expected: {}", self.expected), format!("came:     {}", self.came)];
        lines.extend(self.help.map(|help| format!("help:     {help}")));
        if let Some(exchange) = &self.exchange {
            let sent = &exchange.sent;
            lines.push(format!("sent:     {} {}", sent.method, sent.path));
            let within = |text: String| format!("          {text}");
            let content = header::CONTENT_TYPE.as_str();
            lines.extend(
                sent_headers(sent)
                    .into_iter()
                    .filter(|(name, value)| name != content || value != "application/json")
                    .map(|(name, value)| within(format!("{name}: {value}"))),
            );
            lines.extend(shown_body(&sent.body).lines().map(|line| within(line.to_owned())));
            if let Ok(answer) = &exchange.came {
                lines.push(format!("answer:   {}", answer.status));
                lines.extend(
                    telling_headers(&answer.headers)
                        .into_iter()
                        .map(|(name, value)| within(format!("{name}: {value}"))),
                );
                lines.extend(shown_body(&answer.body).lines().map(|line| within(line.to_owned())));
            }
        }
        if self.story.len() > 1 {
            lines.push("so far:".to_owned());
            lines.extend(self.story.iter().map(|line| format!("          {line}")));
        }
        lines
    }
}
