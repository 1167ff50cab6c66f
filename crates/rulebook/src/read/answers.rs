//! What the answers of a mapped endpoint mean: lists of statuses, and of statuses with fields of the body.

use crate::fields::{self, Fields};
use crate::mistakes::{Diagnostics, quote};
use crate::tree::{Kind, Node};
use crate::{AnswerMap, AnswerPattern, Diagnostic, Mapped, Scalar, StatusSet, codes};
use std::sync::Arc;

/// Reads `done`, `already`, `nothing`, … of an endpoint or of its `poll`.
pub(super) fn read(fields: &Fields<'_>, found: &mut Diagnostics) -> AnswerMap {
    let mut seen: Vec<(AnswerPattern, Mapped, &Node)> = Vec::new();
    for meaning in Mapped::ALL {
        let items = fields.get(meaning.as_str()).map_or(&[][..], fields::one_or_many);
        for node in items {
            let Some(pattern) = read_pattern(node, found) else { continue };
            match seen.iter().find(|(other, _, _)| *other == pattern) {
                Some((_, first, at)) if first != meaning => {
                    let (first, second) = (first.as_str(), meaning.as_str());
                    let message = format!("status `{pattern}` means both `{first}` and `{second}`");
                    found.add(
                        Diagnostic::new(codes::AMBIGUOUS_STATUS, node.span, message)
                            .with_place(at.span, format!("`{first}` here"))
                            .with_help("leave it in one of the lists"),
                    );
                }
                Some(_) => {}
                None => seen.push((pattern, *meaning, node)),
            }
        }
    }
    AnswerMap::new(seen.into_iter().map(|(pattern, meaning, _)| (pattern, meaning)).collect())
}

/// `404`, `4xx`, or `{ status: 400, body: { error.code: already_refunded } }`.
fn read_pattern(node: &Node, found: &mut Diagnostics) -> Option<AnswerPattern> {
    if !matches!(node.kind, Kind::Map(_)) {
        return Some(AnswerPattern { status: read_status(node, found)?, body: Vec::new() });
    }
    let fields = Fields::open(node, "an answer", &["status", "body"], found)?;
    let Some(status) = fields.get("status") else {
        let mistake = Diagnostic::new(codes::MISSING_KEY, node.span, "an answer has no `status`");
        let help = "write `{ status: 400, body: { code: already_refunded } }`";
        fields.tell_missing(mistake.with_help(help), found);
        return None;
    };
    let status = read_status(status, found);
    let mut body = Vec::new();
    if let Some(node) = fields.get("body") {
        read_fields(node, "", &mut body, found);
        if body.is_empty() {
            let mistake = Diagnostic::new(
                codes::BAD_ENDPOINT,
                node.span,
                "`body` of an answer names no field",
            );
            found.add(mistake.with_help("name one, e.g. `body: { code: already_refunded }`"));
        }
    }
    body.sort();
    Some(AnswerPattern { status: status?, body })
}

/// Nested mappings and dots mean the same.
fn read_fields(
    node: &Node,
    above: &str,
    body: &mut Vec<(Arc<str>, Scalar)>,
    found: &mut Diagnostics,
) {
    let entries = fields::entries(node, "`body` of an answer", found);
    if entries.is_some_and(<[_]>::is_empty) {
        let message = "`body` of an answer names no field";
        let mistake = Diagnostic::new(codes::BAD_ENDPOINT, node.span, message);
        found.add(mistake.with_help("name one, e.g. `body: { code: already_refunded }`"));
    }
    for entry in entries.unwrap_or_default() {
        let path =
            if above.is_empty() { entry.key.clone() } else { format!("{above}.{}", entry.key) };
        if matches!(entry.value.kind, Kind::Map(_)) {
            read_fields(&entry.value, &path, body, found);
            continue;
        }
        match fields::business_scalar(&entry.value, found) {
            Some(wanted) => body.push((path.into(), wanted)),
            None => fields::wrong_type(&entry.value, "a field of an answer", "one value", found),
        }
    }
}

fn read_status(node: &Node, found: &mut Diagnostics) -> Option<StatusSet> {
    let text = fields::text(node, "a status", found)?;
    let class =
        text.strip_suffix("xx").and_then(|d| d.parse::<u16>().ok()).filter(|d| (2..=5).contains(d));
    let one = text.parse::<u16>().ok().filter(|s| (200..=599).contains(s));
    let set = one.map(StatusSet::One).or(class.map(StatusSet::Class));
    if set.is_none() {
        let message = format!("{} is not a final HTTP status", quote(text));
        found.add(
            Diagnostic::new(codes::INVALID_STATUS, node.span, message)
                .with_help("write a number from 200 to 599, or `2xx`, `3xx`, `4xx`, `5xx`"),
        );
    }
    set
}
