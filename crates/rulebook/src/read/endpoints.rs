//! Mapped requests of an action: method, path, headers, body and what the statuses mean.

use crate::endpoint::check_segments;
use crate::fields::{self, Fields};
use crate::mistakes::{Diagnostics, quote};
use crate::template::TemplateErrorKind;
use crate::tree::{Kind, Node};
use crate::{
    Action, BodyTemplate, Diagnostic, Endpoint, Endpoints, PLACEHOLDERS, StatusSet, Template,
    codes, plan,
};
use amends_protocol::Verb;
use serde_json::Value;

const ENDPOINT_KEYS: &[&str] = &["method", "path", "headers", "body", "done", "nothing", "refused"];

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
        let endpoint = read_one(&entry.value, &format!("endpoint `{verb}`"), found);
        match verb {
            Verb::Compensate => endpoints.compensate = endpoint,
            Verb::Retry => endpoints.retry = endpoint,
            Verb::Notify => endpoints.notify = endpoint,
        }
    }
    endpoints
}

fn read_one(node: &Node, what: &str, found: &mut Diagnostics) -> Option<Endpoint> {
    let fields = Fields::open(node, what, ENDPOINT_KEYS, found)?;
    let method = match fields.get("method") {
        Some(node) => read_method(node, found),
        None => Some("POST"),
    };
    let path = match fields.get("path") {
        Some(node) => read_path(node, found),
        None => {
            let mistake =
                Diagnostic::new(codes::MISSING_KEY, fields.span, format!("{what} has no `path`"));
            found.add(
                mistake.with_help("add for example `path: \"/payments/{data.paymentId}/refund\"`"),
            );
            None
        }
    };
    let headers = fields.get("headers").map_or_else(Vec::new, |node| read_headers(node, found));
    let body = fields.get("body").map(|node| read_body(node, found));
    let mut statuses =
        |key: &str| fields.get(key).map_or_else(Vec::new, |node| read_statuses(node, found));
    let lists = [statuses("done"), statuses("nothing"), statuses("refused")];
    check_statuses(&lists, found);
    let sets = |n: usize| lists[n].iter().map(|(set, _)| *set).collect();
    Some(Endpoint {
        method: method?.to_owned(),
        path: path?,
        headers,
        body,
        done: sets(0),
        nothing: sets(1),
        refused: sets(2),
    })
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
    let text = fields::text(node, "`path`", found)?;
    let template = read_template(node, text, found)?;
    let safe = |t: &str| t.bytes().all(|b| b.is_ascii_graphic() && !b"#\\\"<>^`|".contains(&b));
    if !text.starts_with('/') || text.starts_with("//") {
        bad(
            node,
            format!("the path {} does not begin with one `/`", quote(text)),
            "write the path alone; the host is the service's `url`",
            found,
        );
    } else if !template.texts().all(safe) || template.texts().any(|t| t.contains(['{', '}'])) {
        bad(
            node,
            format!("the path {} holds characters that a path doesn't have", quote(text)),
            "percent-encode them, e.g. a space as `%20`",
            found,
        );
    } else if let Err(why) = check_segments(text) {
        bad(node, why, "write the path without it", found);
    } else {
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
        Kind::Map(entries) => BodyTemplate::Object(
            entries.iter().map(|e| (e.key.clone(), read_body(&e.value, found))).collect(),
        ),
        Kind::Scalar { text, .. } => match fields::scalar(node) {
            Some(crate::Scalar::Text(_)) => {
                let template = read_template(node, text, found);
                template.map_or(BodyTemplate::Constant(Value::Null), BodyTemplate::Text)
            }
            Some(other) => BodyTemplate::Constant(fields::json(&other)),
            None => BodyTemplate::Constant(Value::Null),
        },
    }
}

fn read_template(node: &Node, text: &str, found: &mut Diagnostics) -> Option<Template> {
    let error = match Template::parse(text) {
        Ok(template) => return Some(template),
        Err(error) => error,
    };
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
            let close = found.did_you_mean(name, PLACEHOLDERS.iter().copied());
            mistake.help = close.or_else(|| {
                Some("a business field of the report is written `{data.name}`".to_owned())
            });
            mistake.with_label(format!("in {}", quote(&text[error.at.clone()])))
        }
    };
    found.add(mistake);
    None
}

fn read_statuses<'n>(node: &'n Node, found: &mut Diagnostics) -> Vec<(StatusSet, &'n Node)> {
    let mut sets = Vec::new();
    for item in fields::one_or_many(node) {
        let Some(text) = fields::text(item, "a status", found) else {
            continue;
        };
        let class = text
            .strip_suffix("xx")
            .and_then(|d| d.parse::<u16>().ok())
            .filter(|d| (2..=5).contains(d));
        let one = text.parse::<u16>().ok().filter(|s| (200..=599).contains(s));
        match one.map(StatusSet::One).or(class.map(StatusSet::Class)) {
            Some(set) => sets.push((set, item)),
            None => {
                let mistake = Diagnostic::new(
                    codes::INVALID_STATUS,
                    item.span,
                    format!("{} is not a final HTTP status", quote(text)),
                );
                found
                    .add(mistake.with_help(
                        "write a number from 200 to 599, or `2xx`, `3xx`, `4xx`, `5xx`",
                    ));
            }
        }
    }
    sets
}

fn check_statuses(lists: &[Vec<(StatusSet, &Node)>; 3], found: &mut Diagnostics) {
    let names = ["done", "nothing", "refused"];
    let mut seen: Vec<(StatusSet, usize, &Node)> = Vec::new();
    for (meaning, list) in lists.iter().enumerate() {
        for (set, node) in list {
            match seen.iter().find(|(other, _, _)| other == set) {
                Some((_, first, at)) if *first != meaning => {
                    let message = format!(
                        "status `{set}` means both `{}` and `{}`",
                        names[*first], names[meaning]
                    );
                    let mistake = Diagnostic::new(codes::AMBIGUOUS_STATUS, node.span, message);
                    found.add(
                        mistake
                            .with_place(at.span, format!("`{}` here", names[*first]))
                            .with_help("leave it in one of the lists"),
                    );
                }
                Some(_) => {}
                // There are 404 sets at most, so the search above stays short.
                None => seen.push((*set, meaning, node)),
            }
        }
    }
}
