//! From the tree to a configuration. Reads on after a mistake, so that all of them are found at once.

use super::fields::{self, Fields};
use super::mistakes::{Mistakes, quote};
use super::{
    ANSWER_TIMEOUT, ActionPlan, CallPlan, Config, Count, FailsWith, KeySource, NoticePlan, Observe,
    RECOVERY_TIMEOUT, REPORT_TIMEOUT, START_TIMEOUT,
};
use crate::process::ProcessPlan;
use crate::template::{BodyTemplate, Template};
use amends_protocol::wire::signature::SigningKey;
use amends_rulebook::tree::{self, Entry, Kind, Node};
use amends_rulebook::{Diagnostic, Span};
use http::{HeaderName, Method};
use serde_json::json;
use std::collections::BTreeMap;
use std::net::SocketAddr;

/// Longest configuration; a long one has a few thousand bytes.
const TEXT_LIMIT_BYTES: usize = 1 << 20;

const TOP_KEYS: &[&str] = &[
    "service",
    "actions",
    "fences",
    "notices",
    "signing",
    "process",
    "supervisor",
    "downstream",
    "timeouts",
];
const TIMEOUT_KEYS: &[&str] = &["answer", "report", "start", "recovery"];
const ACTION_KEYS: &[&str] = &[
    "method",
    "path",
    "headers",
    "body",
    "fails_with",
    "refuses_with",
    "slow",
    "calls",
    "observe",
];

const FENCE_KEYS: &[&str] = &["method", "path", "headers", "body", "fails_with"];

type Fetch<'f> = &'f dyn Fn(&KeySource) -> Result<String, String>;

pub(super) fn read(text: &str, fetch: Fetch<'_>) -> Result<Config, Vec<Diagnostic>> {
    let mut found = Mistakes::default();
    let config = config(text, fetch, &mut found);
    let mistakes = found.into_sorted();
    match config {
        Some(config) if mistakes.is_empty() => Ok(config),
        _ => Err(mistakes),
    }
}

fn config(text: &str, fetch: Fetch<'_>, found: &mut Mistakes) -> Option<Config> {
    let nowhere = Span::default();
    if text.len() > TEXT_LIMIT_BYTES {
        found.add("too-large", nowhere, "the configuration is longer than 1 MiB", "shorten it");
        return None;
    }
    let root = match tree::parse(text) {
        Ok((root, mistakes)) => {
            found.take(mistakes);
            root
        }
        Err(mistake) => {
            found.take([*mistake]);
            return None;
        }
    };
    let Some(root) = root else {
        let help = "it needs at least `service` and one action; see docs/reference/conformance.md";
        found.add("missing-key", nowhere, "there is no configuration to be read", help);
        return None;
    };
    let top = Fields::open(&root, "the configuration", TOP_KEYS, found)?;
    let service = top.needed("service", found).and_then(|node| {
        let text = fields::text(node, "`service`", found)?;
        fields::name(text, node.span, "a service", found)
    });
    let actions = top.needed("actions", found).map(|node| actions(node, found));
    let fences = top.get("fences").map_or_else(Vec::new, |node| fences(node, found));
    let notices = top.get("notices").map_or_else(Vec::new, |node| notices(node, found));
    let signer = top.get("signing").and_then(|node| signing(node, fetch, found));
    let supervisor = top.get("supervisor").and_then(|n| listen(n, "`supervisor`", found));
    let downstream = top.get("downstream").and_then(|n| listen(n, "`downstream`", found));
    if let (Some((one, _)), Some((other, span))) = (supervisor, downstream)
        && one == other
    {
        let message = "`supervisor` and `downstream` listen at the same address";
        found.add("invalid-url", span, message, "give each its own port");
    }
    let timeouts = top.get("timeouts");
    let timeouts = timeouts.and_then(|node| Fields::open(node, "`timeouts`", TIMEOUT_KEYS, found));
    let mut timeout = |key: &str, usual| {
        let node = timeouts.as_ref().and_then(|fields| fields.get(key));
        node.and_then(|node| fields::duration(node, &format!("`{key}`"), found)).unwrap_or(usual)
    };
    let [answer_timeout, report_timeout] = [("answer", ANSWER_TIMEOUT), ("report", REPORT_TIMEOUT)]
        .map(|(key, usual)| timeout(key, usual));
    let [start_timeout, recovery_timeout] =
        [("start", START_TIMEOUT), ("recovery", RECOVERY_TIMEOUT)]
            .map(|(key, usual)| timeout(key, usual));
    let process = top.get("process").and_then(|node| process(node, found));
    Some(Config {
        answer_timeout,
        report_timeout,
        process: process.map(|plan| ProcessPlan { start_timeout, recovery_timeout, ..plan }),
        service: service?.to_owned(),
        actions: actions?,
        fences,
        notices,
        signer,
        supervisor: supervisor.map(|(address, _)| address),
        downstream: downstream.map(|(address, _)| address),
    })
}

fn actions(node: &Node, found: &mut Mistakes) -> Vec<ActionPlan> {
    let entries = fields::entries(node, "`actions`", found).unwrap_or_default();
    if entries.is_empty() {
        let help = "name one that succeeds with a body of its own";
        found.add("missing-key", node.span, "`actions` needs at least one action", help);
    }
    entries.iter().filter_map(|entry| action(entry, ACTION_KEYS, found)).collect()
}

/// Actions without an undo of their own.
fn fences(node: &Node, found: &mut Mistakes) -> Vec<ActionPlan> {
    let entries = fields::entries(node, "`fences`", found).unwrap_or_default();
    entries.iter().filter_map(|entry| action(entry, FENCE_KEYS, found)).collect()
}

fn action(entry: &Entry, keys: &[&str], found: &mut Mistakes) -> Option<ActionPlan> {
    let what = format!("action {}", quote(&entry.key));
    let name = fields::name(&entry.key, entry.key_span, "an action", found);
    let action = Fields::open(&entry.value, &what, keys, found)?;
    let method = action.get("method").map_or(Some(Method::POST), |node| method(node, found));
    let path = match action.get("path") {
        Some(node) => fields::path(node, "`path`", found),
        None => Template::parse(&format!("/{}", entry.key)).ok(),
    };
    let headers = action.get("headers").map_or_else(Vec::new, |node| headers(node, found));
    let body = match action.get("body") {
        Some(node) => fields::body(node, "`body`", found),
        None => Some(BodyTemplate::empty()),
    };
    let refuses_with = other_body(&action, "refuses_with", found);
    let slow = other_body(&action, "slow", found);
    let fails_with = action.get("fails_with").and_then(|node| fails_with(node, found));
    let calls = action.get("calls").and_then(|node| calls(node, found));
    let observe = action.get("observe").and_then(|node| observe(node, found));
    Some(ActionPlan {
        name: name?.to_owned(),
        method: method?,
        path: path?,
        headers,
        body: body?,
        fails_with,
        refuses_with,
        slow,
        calls,
        observe,
    })
}

/// A further body, for another kind of request.
fn other_body(of: &Fields<'_>, key: &str, found: &mut Mistakes) -> Option<BodyTemplate> {
    let fields = Fields::open(of.get(key)?, &format!("`{key}`"), &["body"], found)?;
    fields::body(fields.needed("body", found)?, "`body`", found)
}

fn method(node: &Node, found: &mut Mistakes) -> Option<Method> {
    let text = fields::text(node, "`method`", found)?;
    let known = [Method::POST, Method::PUT, Method::PATCH, Method::DELETE];
    let method = known.into_iter().find(|method| method.as_str() == text);
    if method.is_none() {
        let message = format!("{} cannot stand in `method`", quote(text));
        let help = "an action changes something: `POST`, `PUT`, `PATCH` or `DELETE`";
        found.add("invalid-word", node.span, message, help);
    }
    method
}

fn headers(node: &Node, found: &mut Mistakes) -> Vec<(HeaderName, Template)> {
    let entries = fields::entries(node, "`headers`", found).unwrap_or_default();
    let mut all = Vec::new();
    for entry in entries {
        let name = entry.key.parse::<HeaderName>();
        if name.is_err() {
            let message = format!("{} is not the name of a header", quote(&entry.key));
            found.add("bad-endpoint", entry.key_span, message, "use letters, digits and `-`");
        }
        let value = fields::template(&entry.value, "a header", found);
        if let (Ok(name), Some(value)) = (name, value) {
            all.push((name, value));
        }
    }
    all
}

fn fails_with(node: &Node, found: &mut Mistakes) -> Option<FailsWith> {
    let fields = Fields::open(node, "`fails_with`", &["body", "code"], found)?;
    let body = fields.needed("body", found).and_then(|n| fields::body(n, "`body`", found));
    let code = fields.needed("code", found).and_then(|n| fields::code(n, found));
    Some(FailsWith { body: body?, code: code?.to_owned() })
}

fn calls(node: &Node, found: &mut Mistakes) -> Option<CallPlan> {
    let keys = ["body", "service", "action", "answer", "twice"];
    let fields = Fields::open(node, "`calls`", &keys, found)?;
    let body = fields.needed("body", found).and_then(|n| fields::body(n, "`body`", found));
    let mut named = |key: &str, what: &str| {
        let node = fields.needed(key, found)?;
        let text = fields::text(node, &format!("`{key}`"), found)?;
        fields::name(text, node.span, what, found).map(str::to_owned)
    };
    let service = named("service", "a service");
    let action = named("action", "an action");
    let answer = fields.get("answer").map_or_else(|| json!({}), fields::json);
    let twice = other_body(&fields, "twice", found);
    Some(CallPlan { body: body?, service: service?, action: action?, answer, twice })
}

fn observe(node: &Node, found: &mut Mistakes) -> Option<Observe> {
    let fields = Fields::open(node, "`observe`", &["get", "count"], found)?;
    let get = fields.needed("get", found).and_then(|n| fields::path(n, "`get`", found));
    let count = fields.needed("count", found).and_then(|node| {
        let text = fields::text(node, "`count`", found)?;
        match text {
            "status" => Some(Count::Status),
            _ if text.starts_with('/') => Some(Count::Pointer(text.to_owned())),
            _ => {
                let message = format!("{} is neither a JSON pointer nor `status`", quote(text));
                let help = "a JSON pointer begins with `/`: `/count`";
                found.add("invalid-word", node.span, message, help);
                None
            }
        }
    });
    Some(Observe { get: get?, count: count? })
}

fn notices(node: &Node, found: &mut Mistakes) -> Vec<NoticePlan> {
    let entries = fields::entries(node, "`notices`", found).unwrap_or_default();
    let mut all = Vec::new();
    for entry in entries {
        let name = fields::name(&entry.key, entry.key_span, "a notice", found);
        let what = format!("notice {}", quote(&entry.key));
        let observe = match entry.value.is_nothing() {
            true => None,
            false => Fields::open(&entry.value, &what, &["observe"], found)
                .and_then(|fields| fields.get("observe"))
                .and_then(|node| observe(node, found)),
        };
        if let Some(name) = name {
            all.push(NoticePlan { name: name.to_owned(), observe });
        }
    }
    all
}

fn signing(node: &Node, fetch: Fetch<'_>, found: &mut Mistakes) -> Option<SigningKey> {
    let keys = ["env", "file", "secret"];
    let fields = Fields::open(node, "`signing`", &keys, found)?;
    let given: Vec<&Entry> = keys.iter().filter_map(|key| fields.entry(key)).collect();
    let [entry] = given.as_slice() else {
        let message = format!("`signing` has {} keys", given.len());
        let help = "say where the key is with one of `env`, `file` and `secret`";
        found.add("missing-key", node.span, message, help);
        return None;
    };
    let text = fields::text(&entry.value, &format!("`{}`", entry.key), found)?.to_owned();
    let source = match entry.key.as_str() {
        "env" => KeySource::Environment(text),
        "file" => KeySource::File(text),
        _ => KeySource::Secret(text),
    };
    let signer = match &source {
        KeySource::Secret(shown) => SigningKey::read(shown),
        KeySource::Environment(_) | KeySource::File(_) => {
            fetch(&source).and_then(|shown| SigningKey::read(&shown))
        }
    };
    match signer {
        Ok(signer) => Some(signer),
        Err(why) => {
            let message = format!("the signing key can't be had from `{}`: {why}", entry.key);
            found.add(
                "import-failed",
                entry.value.span,
                message,
                "a key is `whsec_` and base64 of 24 to 64 bytes",
            );
            None
        }
    }
}

/// How the participant is started.
fn process(node: &Node, found: &mut Mistakes) -> Option<ProcessPlan> {
    let fields = Fields::open(node, "`process`", &["command", "env"], found)?;
    let command = fields.needed("command", found)?;
    let command = match &command.kind {
        Kind::List(words) if !words.is_empty() => {
            let words: Vec<_> =
                words.iter().map(|word| fields::text(word, "a word of `command`", found)).collect();
            words.into_iter().map(|word| word.map(str::to_owned)).collect::<Option<Vec<_>>>()
        }
        _ => {
            let message = format!("`command` must be a list, not {}", command.describe());
            let help = "write the program and its arguments: `[python3, coupon.py]`";
            found.add("wrong-type", command.span, message, help);
            None
        }
    };
    let mut env = BTreeMap::new();
    let entries = fields.get("env").and_then(|node| fields::entries(node, "`env`", found));
    for entry in entries.unwrap_or_default() {
        if let Some(value) = fields::text(&entry.value, &quote(&entry.key), found) {
            env.insert(entry.key.clone(), value.to_owned());
        }
    }
    Some(ProcessPlan { command: command?, env, ..ProcessPlan::default() })
}

/// The fixed address of one of the kit's own listeners.
fn listen(node: &Node, what: &str, found: &mut Mistakes) -> Option<(SocketAddr, Span)> {
    let fields = Fields::open(node, what, &["listen"], found)?;
    let node = fields.needed("listen", found)?;
    let text = fields::text(node, "`listen`", found)?;
    match text.parse::<SocketAddr>() {
        Ok(address) if address.port() != 0 => Some((address, node.span)),
        Ok(_) => {
            let message = format!("{} takes any free port", quote(text));
            let help = "name a port: the participant has to know it before the kit starts";
            found.add("invalid-url", node.span, message, help);
            None
        }
        Err(_) => {
            let message = format!("{} is not an address to listen at", quote(text));
            let help = "write an IP address and a port: `127.0.0.1:7190`";
            found.add("invalid-url", node.span, message, help);
            None
        }
    }
}
