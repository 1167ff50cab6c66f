//! Schemas as clients want them: every object has a name and the members that it lists. It has no others, unless it is
//! on the list of open ones, each with its reason.

use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// Schemas whose objects may have other members than those listed.
const OPEN: &[(&str, &str)] = &[
    // Participants send them, and their protocol ignores what it does not know, so that it can grow on either side.
    ("Callback", "part of the participants' protocol"),
    ("Evidence", "part of the participants' protocol"),
    ("HistoryAnswer", "part of the participants' protocol"),
    ("HistoryEntry", "part of the participants' protocol"),
    ("OutcomeCallback", "part of the participants' protocol"),
    ("ReportData", "part of the participants' protocol"),
    ("ReportEvent", "CloudEvents allow extension attributes"),
    ("ReportReceipt", "part of the participants' protocol"),
    ("ReportRef", "part of the participants' protocol"),
    ("StepAnswer", "part of the participants' protocol"),
    ("StepRequest", "part of the participants' protocol"),
    // RFC 9457 allows extension members.
    ("BatchProblem", "RFC 9457 allows extension members"),
    ("Problem", "RFC 9457 allows extension members"),
];

/// All schemas, flattened and closed.
pub(crate) fn closed(schemas: BTreeMap<String, Value>) -> Map<String, Value> {
    let flat = schemas.iter().map(|(name, schema)| (name.clone(), flattened(schema, &schemas)));
    let mut flat: Map<String, Value> =
        flat.flat_map(|(name, schema)| apart(name, schema)).collect();
    for (name, schema) in &mut flat {
        match OPEN.iter().find(|(open, _)| open == name) {
            Some((_, why)) => {
                schema["x-open"] = json!(format!("other members may be there: {why}"))
            }
            None => close(schema),
        }
    }
    flat
}

/// `allOf` of objects as the one object that serde writes for them: closed objects can't be laid over each other.
fn flattened(schema: &Value, all: &BTreeMap<String, Value>) -> Value {
    let Some(parts) = schema.get("allOf").and_then(Value::as_array) else { return schema.clone() };
    let (mut properties, mut required) = (Map::new(), Vec::new());
    for part in parts {
        let name = part["$ref"].as_str().and_then(|target| target.rsplit('/').next());
        let whole = match name.and_then(|name| all.get(name)) {
            Some(part) => flattened(part, all),
            None => part.clone(),
        };
        properties.extend(whole["properties"].as_object().cloned().unwrap_or_default());
        required.extend(whole["required"].as_array().cloned().unwrap_or_default());
    }
    let mut flat = json!({ "type": "object", "properties": properties, "required": required });
    if let Some(text) = schema.get("description") {
        flat["description"] = text.clone();
    }
    flat
}

/// A choice of objects that a word tells apart (`act`), and each of them by a name of its own: `StepActRetry`.
fn apart(name: String, mut schema: Value) -> Vec<(String, Value)> {
    let (mut named, mut told_by) = (Vec::new(), None);
    let choices = schema.get_mut("oneOf").and_then(Value::as_array_mut);
    for variant in choices.into_iter().flatten() {
        let Some((member, word)) = word_of(variant) else { continue };
        let own = format!("{name}{}", capitals(&word));
        let reference = json!({ "$ref": format!("#/components/schemas/{own}") });
        variant["properties"][&member]["description"] = json!("Which of them it is.");
        told_by = Some(member);
        named.push((own, std::mem::replace(variant, reference)));
    }
    if let Some(member) = told_by {
        schema["discriminator"] = json!({ "propertyName": member });
    }
    named.push((name, schema));
    named
}

/// The member of an object that can only be one word.
fn word_of(variant: &Value) -> Option<(String, String)> {
    variant["properties"].as_object()?.iter().find_map(|(member, schema)| {
        match schema["enum"].as_array()?.as_slice() {
            [Value::String(word)] => Some((member.clone(), word.clone())),
            _ => None,
        }
    })
}

/// `ask_again` as `AskAgain`.
fn capitals(word: &str) -> String {
    let capital = |part: &str| part[..1].to_ascii_uppercase() + &part[1..];
    word.split('_').filter(|part| part.is_ascii() && !part.is_empty()).map(capital).collect()
}

fn close(schema: &mut Value) {
    match schema {
        Value::Object(members) => {
            members.values_mut().for_each(close);
            // A member that is called `properties` is no schema: its value has no `type`.
            if members.contains_key("properties") && members.get("type") == Some(&json!("object")) {
                members.entry("additionalProperties").or_insert(Value::Bool(false));
            }
        }
        Value::Array(items) => items.iter_mut().for_each(close),
        _ => {}
    }
}
