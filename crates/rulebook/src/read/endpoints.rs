//! Mapped requests of an action: method, path, headers and body.

use super::answers;
use crate::endpoint::check_segments;
use crate::fields::{self, Fields};
use crate::mistakes::{Diagnostics, quote};
use crate::template::TemplateError;
use crate::template::{TemplateErrorKind, foreign_placeholder, is_placeholder};
use crate::tree::{Entry, Kind, Node};
use crate::{
    Action, BodyTemplate, Diagnostic, Endpoint, EndpointPlaces, Endpoints, PLACEHOLDERS, Poll,
    Span, Template, codes, plan,
};
use amends_protocol::Verb;
use serde_json::Value;

const ENDPOINT_KEYS: &[&str] = &[
    "method", "path", "headers", "body", "covers", "done", "already", "nothing", "accepted",
    "retry", "refused", "stuck", "poll",
];

const POLL_KEYS: &[&str] =
    &["path", "done", "already", "nothing", "accepted", "retry", "refused", "stuck"];

const FORM: &str = "application/x-www-form-urlencoded";

const METHODS: &[(&str, &str)] =
    &[("POST", "POST"), ("PUT", "PUT"), ("PATCH", "PATCH"), ("DELETE", "DELETE"), ("GET", "GET")];

/// Headers that the connection itself needs; a mapped one would break the request or its framing.
const RESERVED_HEADERS: &[&str] = &[
    "host",
    "content-length",
    "transfer-encoding",
    "connection",
    "keep-alive",
    "te",
    "trailer",
    "upgrade",
    "expect",
];

/// Headers by which a request says who sends it: the supervisor's, and those of what stands between it and the service.
/// A mapped one is left out.
const IDENTIFYING_HEADERS: &[&str] = &[
    "forwarded",
    "via",
    "x-real-ip",
    "x-client-ip",
    "true-client-ip",
    "proxy-authorization",
    "proxy-connection",
    "saga-id",
];
const IDENTIFYING_PREFIXES: &[&str] = &["webhook-", "amends-", "x-amends-", "x-forwarded-"];

/// Reads `endpoints:` of an action. `class_known` is false if the action has a mistake of its own.
pub(crate) fn read(
    node: &Node,
    action: &Action,
    class_known: bool,
    found: &mut Diagnostics,
) -> Endpoints {
    let mut endpoints = Endpoints::default();
    let Some(fields) = Fields::open(node, "`endpoints`", &["compensate", "retry", "notify"], found)
    else {
        return endpoints;
    };
    for verb in Verb::ALL {
        let Some(entry) = fields.entry(verb.as_str()) else {
            continue;
        };
        if class_known && !plan::fits(*verb, action) {
            let message = format!(
                "`{verb}` is never asked of `{}`, which is {}",
                action.name,
                action.class.as_str()
            );
            found.add(
                Diagnostic::new(codes::UNUSED_ENDPOINT, entry.key_span, message)
                    .with_help("leave it out"),
            );
        }
        let endpoint = read_one(entry, &format!("endpoint `{verb}`"), found);
        match verb {
            Verb::Compensate => endpoints.compensate = endpoint,
            Verb::Retry => endpoints.retry = endpoint,
            Verb::Notify => endpoints.notify = endpoint,
        }
    }
    endpoints
}

fn read_one(entry: &Entry, what: &str, found: &mut Diagnostics) -> Option<Endpoint> {
    let fields = Fields::open(&entry.value, what, ENDPOINT_KEYS, found)?;
    let method = match fields.get("method") {
        Some(node) => read_method(node, found),
        None => Some("POST"),
    };
    let path = match fields.get("path") {
        Some(node) => read_path(node, found),
        None => {
            let mistake =
                Diagnostic::new(codes::MISSING_KEY, fields.span, format!("{what} has no `path`"));
            let help = "add for example `path: \"/payments/{data.paymentId}/refund\"`";
            fields.tell_missing(mistake.with_help(help), found);
            None
        }
    };
    let headers = fields.get("headers").map_or_else(Vec::new, |node| read_headers(node, found));
    let body = fields.get("body").map(|node| read_body(node, found));
    let form = is_form(&headers, fields.get("headers"), body.is_some(), found);
    if let (true, Some(body), Some(node)) = (form, &body, fields.get("body")) {
        check_form(body, node, found);
    }
    let covers_saga = fields.get("covers").is_some_and(|node| read_covers(node, found));
    let answers = answers::read(&fields, found);
    let poll = fields.get("poll").and_then(|node| read_poll(node, found));
    Some(Endpoint {
        method: method?.to_owned(),
        path: path?,
        headers,
        body,
        form,
        covers_saga,
        answers,
        poll,
        places: places(entry.key_span, &fields),
    })
}

fn places(verb: Span, fields: &Fields<'_>) -> EndpointPlaces {
    let at = |key: &str| fields.get(key).map(|node| node.span);
    let headers = match fields.get("headers").map(|node| &node.kind) {
        Some(Kind::Map(entries)) => {
            entries.iter().map(|e| (e.key.to_ascii_lowercase(), e.value.span)).collect()
        }
        _ => Vec::new(),
    };
    EndpointPlaces {
        verb,
        method: at("method"),
        path: at("path").unwrap_or(verb),
        headers,
        body: at("body"),
    }
}

fn read_covers(node: &Node, found: &mut Diagnostics) -> bool {
    let Some(text) = fields::text(node, "`covers`", found) else { return false };
    if text != "saga" && text != "request" {
        let message = format!("{} is nothing that a request covers", quote(text));
        let help = "`request` (if not said): it undoes one request of the action; `saga`: all that the action did for the saga";
        let mistake = Diagnostic::new(codes::INVALID_WORD, node.span, message);
        found.add(mistake.with_help(help));
    }
    text == "saga"
}

/// Whether the body is a form; what goes out must be what its `content-type` says.
fn is_form(
    headers: &[(String, Template)],
    node: Option<&Node>,
    with_body: bool,
    found: &mut Diagnostics,
) -> bool {
    let Some((_, kind)) = headers.iter().find(|(name, _)| name == "content-type") else {
        return false;
    };
    let text = kind.to_string().to_ascii_lowercase();
    let essence = text.split(';').next().unwrap_or_default().trim();
    if essence == FORM {
        return true;
    }
    if with_body && essence != "application/json" && !essence.ends_with("+json") {
        let node = node.and_then(|node| match &node.kind {
            Kind::Map(all) => all.iter().find(|e| e.key.eq_ignore_ascii_case("content-type")),
            Kind::List(_) | Kind::Scalar { .. } => None,
        });
        if let Some(entry) = node {
            let message = format!("a body can't go out as {}", quote(&kind.to_string()));
            let help = format!("it goes out as JSON, or as a form with `content-type: {FORM}`");
            bad(&entry.value, message, &help, found);
        }
    }
    false
}

/// A form has texts and numbers by name, and nothing inside of them.
fn check_form(body: &BodyTemplate, node: &Node, found: &mut Diagnostics) {
    let BodyTemplate::Object(entries) = body else {
        let help = "write `body: { name: \"{data.field}\" }`";
        return bad(node, "the body of a form must be a mapping".to_owned(), help, found);
    };
    let values = fields::entries(node, "`body`", found).unwrap_or_default();
    for ((key, value), entry) in entries.iter().zip(values) {
        if !matches!(value, BodyTemplate::Text(_) | BodyTemplate::Constant(_)) {
            let message = format!("{} of a form can't hold a list or a mapping", quote(key));
            let help = "spell the inner name out, as the service wants it: `\"metadata[saga]\": \"{sagaId}\"`";
            bad(&entry.value, message, help, found);
        }
    }
}

fn read_poll(node: &Node, found: &mut Diagnostics) -> Option<Poll> {
    let fields = Fields::open(node, "`poll`", POLL_KEYS, found)?;
    let path = fields.get("path").and_then(|node| read_path_of(node, true, found));
    Some(Poll { path, answers: answers::read(&fields, found) })
}

fn bad(node: &Node, message: String, help: &str, found: &mut Diagnostics) {
    found.add(Diagnostic::new(codes::BAD_ENDPOINT, node.span, message).with_help(help));
}

fn read_method(node: &Node, found: &mut Diagnostics) -> Option<&'static str> {
    let text = fields::text(node, "`method`", found)?;
    let method = METHODS.iter().find(|(m, _)| *m == text).map(|(m, _)| *m);
    if method.is_none() {
        bad(
            node,
            format!("{} is not a method", quote(text)),
            "one of `POST` (if not said), `PUT`, `PATCH`, `DELETE`, `GET`",
            found,
        );
    }
    method
}

fn read_path(node: &Node, found: &mut Diagnostics) -> Option<Template> {
    read_path_of(node, false, found)
}

fn read_path_of(node: &Node, of_answer: bool, found: &mut Diagnostics) -> Option<Template> {
    let text = fields::text(node, "`path`", found)?;
    let parse = if of_answer { Template::parse_of_answer } else { Template::parse };
    let template = parse(text).map_err(|error| tell_template(node, text, &error, found)).ok()?;
    let safe = |t: &str| t.bytes().all(|b| b.is_ascii_graphic() && !b"#\\\"<>^`|".contains(&b));
    if !text.starts_with('/') || text.starts_with("//") {
        bad(
            node,
            format!("the path {} does not begin with one `/`", quote(text)),
            "write the path alone; the host is the service's `url`",
            found,
        );
    } else if !template.texts().all(safe) || template.texts().any(|t| t.contains(['{', '}'])) {
        let message = format!("the path {} holds characters that a path doesn't have", quote(text));
        match foreign_placeholder(text) {
            Some(foreign) => bad(node, message, &format!("write `{{{}}}`", foreign.name), found),
            None => bad(node, message, "percent-encode them, e.g. a space as `%20`", found),
        }
    } else if let Some(name) = template.secret_in_path() {
        bad(
            node,
            format!("the secret `{{{name}}}` stands in the path"),
            "paths are logged on the way; put it into a header, the body or the query",
            found,
        );
    } else if let Err(why) = check_segments(text) {
        bad(node, why, "write the path without it", found);
    } else {
        tell_foreign_placeholder(node, text, found);
        return Some(template);
    }
    None
}

fn read_headers(node: &Node, found: &mut Diagnostics) -> Vec<(String, Template)> {
    let mut headers: Vec<(String, Template)> = Vec::new();
    for entry in fields::entries(node, "`headers`", found).unwrap_or_default() {
        let name = entry.key.to_ascii_lowercase();
        let token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
        let mistake = if name.is_empty() || name.len() > 128 || !name.bytes().all(token) {
            Some(format!("{} is not the name of a header", quote(&entry.key)))
        } else if RESERVED_HEADERS.contains(&name.as_str()) {
            Some(format!("the header `{name}` is set by the connection"))
        } else if headers.iter().any(|(known, _)| *known == name) {
            Some(format!("the header `{name}` stands twice; capitals make no difference"))
        } else {
            None
        };
        if let Some(message) = mistake {
            found.add(
                Diagnostic::new(codes::BAD_ENDPOINT, entry.key_span, message)
                    .with_help("rename it or leave it out"),
            );
            continue;
        }
        if IDENTIFYING_HEADERS.contains(&name.as_str())
            || IDENTIFYING_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
        {
            let message = format!("the header `{name}` says who sends a request; it is left out");
            let help = "leave it out here too; what a service should know of the saga goes into a header of its own, the path or the body";
            found.add(
                Diagnostic::new(codes::UNSENT_HEADER, entry.key_span, message).with_help(help),
            );
            continue;
        }
        let Some(text) = fields::text(&entry.value, "a header", found) else {
            continue;
        };
        let Some(template) = read_template(&entry.value, text, found) else {
            continue;
        };
        if template.texts().all(|t| t.bytes().all(|b| b == b' ' || b.is_ascii_graphic())) {
            headers.push((name, template));
        } else {
            bad(
                &entry.value,
                format!("the header `{name}` holds characters that a header cannot carry"),
                "keep to printable ASCII",
                found,
            );
        }
    }
    headers
}

/// Reads as deep as the tree is; the tree's depth is limited.
fn read_body(node: &Node, found: &mut Diagnostics) -> BodyTemplate {
    match &node.kind {
        Kind::List(items) => {
            BodyTemplate::List(items.iter().map(|item| read_body(item, found)).collect())
        }
        Kind::Map(_) if fields::unquoted_placeholder(node).is_some() => {
            let name = fields::unquoted_placeholder(node).unwrap_or_default();
            fields::tell_missing_quotes(name, node.span, found);
            BodyTemplate::Constant(Value::Null)
        }
        Kind::Map(entries) => BodyTemplate::Object(
            entries.iter().map(|e| (e.key.clone(), read_body(&e.value, found))).collect(),
        ),
        Kind::Scalar { text, .. } => match fields::business_scalar(node, found) {
            Some(crate::Scalar::Text(_)) => {
                let template = read_template(node, text, found);
                template.map_or(BodyTemplate::Constant(Value::Null), BodyTemplate::Text)
            }
            Some(other) => BodyTemplate::Constant(fields::json(&other)),
            None => BodyTemplate::Constant(Value::Null),
        },
    }
}

/// What was meant by something in braces that is no placeholder.
fn help_to_placeholder(written: &str, found: &Diagnostics) -> String {
    let name = written.trim();
    let is_name = |text: &str| {
        !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b))
    };
    let is_secret = |text: &str| {
        let small = text.to_ascii_lowercase();
        ["secret", "token", "password", "apikey", "api_key"].iter().any(|word| small.contains(word))
    };
    let of_environment = |text: &str| {
        text.contains(|c: char| c.is_ascii_uppercase()) && text == text.to_ascii_uppercase()
    };
    if is_placeholder(name) {
        return format!("write `{{{name}}}`, without spaces");
    }
    if let Some(close) = found.closest(name, PLACEHOLDERS.iter().copied()) {
        return format!("did you mean `{{{close}}}`?");
    }
    let last = name.rsplit('.').next().unwrap_or(name);
    if name == "secret" || name == "secret." || name == "env" {
        "a secret of the server's configuration is written `{secret.NAME}`".to_owned()
    } else if is_name(last) && (is_secret(name) || of_environment(last) || name.starts_with("env."))
    {
        format!(
            "a secret of the server's configuration is written `{{secret.{last}}}`, a business field `{{data.{last}}}`"
        )
    } else if let Some(path) = name.strip_prefix("report.data.").filter(|path| !path.is_empty()) {
        format!("did you mean `{{data.{path}}}`?")
    } else if name.split('.').all(is_name) && name != "data" && name != "report" {
        format!("a business field of the report is written `{{data.{name}}}`")
    } else {
        "a business field of the report is written `{data.name}`".to_owned()
    }
}

fn read_template(node: &Node, text: &str, found: &mut Diagnostics) -> Option<Template> {
    let template =
        Template::parse(text).map_err(|error| tell_template(node, text, &error, found)).ok()?;
    tell_foreign_placeholder(node, text, found);
    Some(template)
}

/// `{{data.id}}` and `${data.id}` are how other tools write it; here a part of that is sent as it stands.
fn tell_foreign_placeholder(node: &Node, text: &str, found: &mut Diagnostics) {
    let Some(foreign) = foreign_placeholder(text) else { return };
    let message = format!("{} sends {} as it stands", quote(text), quote(&foreign.sent));
    found.add(
        Diagnostic::new(codes::FOREIGN_PLACEHOLDER, node.span, message)
            .with_label("a placeholder has single braces and no `$`")
            .with_help(format!("write `{{{}}}`", foreign.name)),
    );
}

fn tell_template(node: &Node, text: &str, error: &TemplateError, found: &mut Diagnostics) {
    let mistake = match &error.kind {
        TemplateErrorKind::Unbalanced => {
            let message = format!("a brace without its partner in {}", quote(text));
            Diagnostic::new(codes::UNKNOWN_PLACEHOLDER, node.span, message)
                .with_help("a placeholder is `{sagaId}`; for the brace itself write `{{` or `}}`")
        }
        TemplateErrorKind::Unknown(name) => {
            let mut mistake = Diagnostic::new(
                codes::UNKNOWN_PLACEHOLDER,
                node.span,
                format!("no placeholder `{{{}}}`", quote(name).trim_matches('`')),
            );
            mistake.help = Some(help_to_placeholder(name, found));
            mistake.with_label(format!("in {}", quote(&text[error.at.clone()])))
        }
    };
    found.add(mistake);
}
