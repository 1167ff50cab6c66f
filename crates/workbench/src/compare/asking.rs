//! What two rulebooks do differently without another plan: where and how steps are asked for, how long they are tried, and
//! what holds for all cases.

use amends_protocol::Verb;
use amends_rulebook::{
    Action, AnswerMap, AnswerPattern, Endpoint, Mapped, RetryPolicy, Rulebook, Service,
    length_of_time,
};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// One such difference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AskingChange {
    /// A service, an action as `service.action`, a report as `service/code`, or `all cases`.
    pub about: String,
    /// What of it, as a rulebook writes it, e.g. `retry_policy.timeout`; `service`, `action` or `report` if one of the two rulebooks doesn't have it.
    pub what: String,
    /// In the first rulebook; none if it has no such thing.
    pub before: Option<String>,
    /// In the second.
    pub after: Option<String>,
}

/// By what it is about and what of it: how it is.
type Told = BTreeMap<(String, String), String>;

/// What is said only of something that is there.
const THERE: [&str; 3] = ["service", "action", "report"];

pub(super) fn compare(a: &Rulebook, b: &Rulebook) -> Vec<AskingChange> {
    let (before, after) = (told(a), told(b));
    let mut keys: Vec<_> = before.keys().chain(after.keys()).collect();
    keys.sort_unstable();
    keys.dedup();
    let is_there = |told: &Told, about: &String| {
        THERE.iter().any(|what| told.contains_key(&(about.clone(), (*what).to_owned())))
    };
    keys.into_iter()
        .filter(|key| before.get(*key) != after.get(*key))
        // Of something that is new or gone, nothing more needs to be told.
        .filter(|(about, what)| {
            THERE.contains(&what.as_str()) || is_there(&before, about) == is_there(&after, about)
        })
        .map(|key| AskingChange {
            about: key.0.clone(),
            what: key.1.clone(),
            before: before.get(key).cloned(),
            after: after.get(key).cloned(),
        })
        .collect()
}

impl AskingChange {
    pub(super) fn to_text(&self) -> String {
        let Self { about, what, before, after } = self;
        if THERE.contains(&what.as_str()) {
            let sign = if after.is_some() { '+' } else { '-' };
            return format!("  {sign} {what} {about}\n");
        }
        let or_none = |text: &Option<String>| text.clone().unwrap_or_else(|| "none".to_owned());
        format!("  ~ {about}: {what} {} instead of {}\n", or_none(after), or_none(before))
    }

    pub(super) fn to_json(&self) -> Value {
        json!({ "about": self.about, "what": self.what, "before": self.before, "after": self.after })
    }
}

fn told(book: &Rulebook) -> Told {
    let mut all = Told::new();
    let mut tell = |about: &str, what: &str, how: Option<String>| {
        if let Some(how) = how {
            all.insert((about.to_owned(), what.to_owned()), how);
        }
    };
    let settings = book.settings();
    tell("all cases", "settle.quiet", Some(length_of_time(settings.quiet_ms)));
    tell("all cases", "cause_wait", Some(length_of_time(settings.cause_wait_ms)));
    for service in book.services() {
        of_service(service, &mut |what, how| tell(&service.name, what, how));
    }
    for action in book.actions() {
        let name = action.name.to_string();
        of_action(book, action, &mut |what, how| tell(&name, what, how));
    }
    for (n, report) in book.reports().iter().enumerate() {
        let name = book.report_name(n);
        tell(&name, "report", Some(String::new()));
        tell(&name, "in", report.action.map(|id| book.get(id).name.to_string()));
    }
    all
}

fn of_service(service: &Service, tell: &mut dyn FnMut(&str, Option<String>)) {
    tell("service", Some(String::new()));
    tell("url", service.url.clone());
    tell("concurrency", Some(service.concurrency.to_string()));
    tell("signing_key", service.signing_key.clone());
    tell("history", service.history_ms.map(length_of_time));
}

fn of_action(book: &Rulebook, action: &Action, tell: &mut dyn FnMut(&str, Option<String>)) {
    tell("action", Some(String::new()));
    tell("class", Some(action.class.as_str().to_owned()));
    tell("compensation", action.compensation.as_deref().map(str::to_owned));
    tell("correction", action.correction.map(|id| book.get(id).name.action.to_string()));
    let calls = action.calls.written(|id| book.get(id).name.to_string());
    tell("calls", (!calls.is_empty()).then(|| calls.join(", ")));
    of_policy(&action.retry, tell);
    for verb in [Verb::Compensate, Verb::Retry, Verb::Notify] {
        tell(&format!("endpoints.{verb}"), action.endpoints.get(verb).map(request));
    }
}

fn of_policy(policy: &RetryPolicy, tell: &mut dyn FnMut(&str, Option<String>)) {
    tell("retry_policy.first", Some(length_of_time(policy.first_ms)));
    tell("retry_policy.cap", Some(length_of_time(policy.cap_ms)));
    tell("retry_policy.timeout", Some(length_of_time(policy.timeout_ms)));
    tell("retry_policy.attempts", policy.max_attempts.map(|n| n.to_string()));
    tell("retry_policy.age", policy.max_age_ms.map(length_of_time));
    tell("retry_policy.accepted", Some(length_of_time(policy.accepted_ms)));
}

/// A mapped request in one line, e.g. `PUT /payments/{data.paymentId}/void, done 2xx, nothing 404`.
fn request(endpoint: &Endpoint) -> String {
    let mut text = format!("{} {}", endpoint.method, endpoint.path);
    for (name, value) in &endpoint.headers {
        text += &format!(", {name}: {value}");
    }
    if let Some(body) = &endpoint.body {
        text += &format!(", body {body}");
    }
    if endpoint.covers_saga {
        text += ", covers saga";
    }
    text += &meanings(&endpoint.answers);
    if let Some(poll) = &endpoint.poll {
        let path = poll.path.as_ref().map_or_else(String::new, |path| format!(" {path}"));
        text += &format!("; poll{path}{}", meanings(&poll.answers));
    }
    text
}

fn meanings(answers: &AnswerMap) -> String {
    let mut text = String::new();
    for meaning in Mapped::ALL {
        let all: Vec<_> = answers.of(*meaning).map(AnswerPattern::to_string).collect();
        if !all.is_empty() {
            text += &format!(", {} {}", meaning.as_str(), all.join(" "));
        }
    }
    text
}
