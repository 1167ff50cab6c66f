//! Bridges as people write them: `[bridges.NAME]`. All mistakes are found at once, each with what helps.

use super::mapping::{Bridge, Field};
use super::place::EventPlace;
use crate::ingest::trust::Channel;
use amends_engine::SUPERVISOR;
use amends_protocol::{NAME_RULE, is_opaque_name};
use serde_json::Value as Json;
use std::collections::{BTreeMap, BTreeSet};
use toml::{Table, Value};

/// What a bridge may say.
const KEYS: [&str; 15] = [
    "topics",
    "subjects",
    "services",
    "when",
    "saga",
    "source",
    "id",
    "code",
    "action",
    "entry",
    "caller",
    "request_id",
    "time",
    "message",
    "data",
];
/// How places are written.
const PLACES: &str = "a place is written `/field` (a JSON Pointer into the body), `header:NAME`, `key:` or `key:/field`, or `channel:`";

/// A bridge as it stands in the configuration: its name, and its table or why there is none.
pub(crate) type GivenBridge = (String, Result<Table, String>);

/// Reads bridges; gives what is wrong with each, by name. One with a mistake is left out.
pub(crate) fn read_bridges(given: Vec<GivenBridge>) -> (Vec<Bridge>, Vec<(String, String)>) {
    let (mut bridges, mut mistakes) = (Vec::<Bridge>::new(), Vec::new());
    for (name, table) in given {
        let mut reading = Reading { table: table.unwrap_or_default(), wrong: Vec::new() };
        let bridge = reading.bridge(&name);
        for other in &bridges {
            reading.beside(&bridge, other);
        }
        mistakes.extend(reading.wrong.iter().map(|why| (name.clone(), why.clone())));
        bridges.push(bridge);
    }
    let is_wrong = |bridge: &Bridge| mistakes.iter().any(|(name, _)| *name == bridge.name);
    bridges.retain(|bridge| !is_wrong(bridge));
    (bridges, mistakes)
}

/// One table, and what was found wrong in it.
struct Reading {
    table: Table,
    wrong: Vec<String>,
}

impl Reading {
    fn bridge(&mut self, name: &str) -> Bridge {
        self.know_all_keys();
        if !is_opaque_name(name) {
            self.wrong.push(format!("`{name}` is no name of a bridge; {NAME_RULE}"));
        }
        let source = self.field("source", service);
        let services = self.services(source.as_ref());
        let (topics, subjects) =
            (self.channels("topics", &services), self.channels("subjects", &services));
        if topics.is_empty() && subjects.is_empty() && self.wrong.is_empty() {
            self.wrong.push(
                "it reads nothing: give `topics` for Kafka, or `subjects` for NATS".to_owned(),
            );
        }
        let saga = self.place("saga");
        if saga.is_none() && !self.table.contains_key("saga") {
            self.wrong
                .push(format!("`saga` is missing: where the id of the saga stands; {PLACES}"));
        }
        let code = self.field("code", code);
        for (name, found) in [("source", &source), ("code", &code)] {
            if found.is_none() && !self.table.contains_key(name) {
                self.wrong
                    .push(format!("`{name}` is missing: a text, or where it stands; {PLACES}"));
            }
        }
        // What stands in for what is missing is never used: a bridge with a mistake is left out.
        let none = || Field::Fixed(String::new());
        Bridge {
            name: name.to_owned(),
            topics,
            subjects,
            when: self.when(),
            saga: saga.unwrap_or(EventPlace::Channel),
            source: source.unwrap_or_else(none),
            code: code.unwrap_or_else(none),
            id: self.place("id"),
            action: self.field("action", is_name),
            entry: self.field("entry", full_name),
            caller: self.field("caller", full_name),
            request_id: self.place("request_id"),
            time: self.place("time"),
            message: self.place("message"),
            data: self.data(),
        }
    }

    fn know_all_keys(&mut self) {
        for key in self.table.keys().filter(|key| !KEYS.contains(&key.as_str())) {
            let near = KEYS.iter().min_by_key(|known| strsim::levenshtein(known, key));
            let near = near.filter(|known| strsim::levenshtein(known, key) <= 2);
            self.wrong.push(match near {
                Some(near) => format!("`{key}` is no key of a bridge; did you mean `{near}`?"),
                None => format!("`{key}` is no key of a bridge; there are {}", KEYS.join(", ")),
            });
        }
    }

    /// Who may be named by its events: all that `source` can say, or those that are listed.
    fn services(&mut self, source: Option<&Field>) -> Vec<String> {
        let listed = self.texts("services");
        match source.map(Field::all) {
            None => listed,
            Some(Some(all)) => {
                if self.table.contains_key("services") {
                    self.wrong.push("`services` is for a `source` that the event says; this one can say only what is written".to_owned());
                }
                let all: BTreeSet<&str> = all.into_iter().collect();
                all.into_iter().map(str::to_owned).collect()
            }
            Some(None) => {
                if listed.is_empty() {
                    self.wrong.push("`source` is what the event says: list in `services` who may be named, `[\"*\"]` for all".to_owned());
                }
                listed
            }
        }
    }

    fn channels(&mut self, key: &str, services: &[String]) -> Vec<Channel> {
        let mut channels = Vec::new();
        for pattern in self.texts(key) {
            let is_right = match key {
                "topics" => is_topic(&pattern),
                _ => is_subject(&pattern),
            };
            if !is_right {
                self.wrong.push(match key {
                    "topics" => format!("`{pattern}` in `topics` is no topic: letters, digits, `_` and `-`, with `.` between words; a word may be `*`, the last `>`"),
                    _ => format!("`{pattern}` in `subjects` is no subject: words with `.` between them; a word may be `*`, the last `>`"),
                });
            } else if !services.is_empty() {
                match Channel::read(&pattern, services) {
                    Ok(channel) => channels.push(channel),
                    Err(why) => self.wrong.push(why),
                }
            }
        }
        channels
    }

    /// Two that read one channel are told apart by their conditions.
    fn beside(&mut self, bridge: &Bridge, other: &Bridge) {
        let pairs =
            [(&bridge.topics, &other.topics), (&bridge.subjects, &other.subjects)].into_iter();
        for (ours, theirs) in pairs {
            for channel in ours {
                let is_shared = theirs.iter().any(|one| one.meets(channel));
                if is_shared && (bridge.when.is_empty() || other.when.is_empty()) {
                    self.wrong.push(format!(
                        "`{}` is read by the bridge `{}` as well: give both a `when`, by which their events are told apart",
                        channel.pattern, other.name
                    ));
                }
            }
        }
    }

    fn when(&mut self) -> Vec<(EventPlace, Vec<Json>)> {
        let Some(given) = self.table.get("when").cloned() else { return Vec::new() };
        let Value::Table(given) = given else {
            self.wrong.push(
                "`when` must be a table of places and what stands there, as in { \"/status\" = \"FAILED\" }".to_owned(),
            );
            return Vec::new();
        };
        let mut when = Vec::new();
        for (place, wanted) in given {
            let wanted = match wanted {
                Value::Array(all) => all,
                one => vec![one],
            };
            let values: Vec<Json> = wanted.iter().filter_map(scalar).collect();
            if values.len() != wanted.len() || values.is_empty() {
                self.wrong.push(format!(
                    "`when`: what `{place}` is compared with must be a text, a whole number, true or false, or a list of them"
                ));
            }
            match EventPlace::read(&place) {
                Ok(Some(place)) => when.push((place, values)),
                Ok(None) => self.wrong.push(format!("`when`: `{place}` is no place; {PLACES}")),
                Err(why) => self.wrong.push(format!("`when`: {why}")),
            }
        }
        // A body that is none need not be read to see that an event is not meant.
        when.sort_by_key(|(place, _)| !place.is_outside());
        when
    }

    fn place(&mut self, key: &str) -> Option<EventPlace> {
        let given = self.table.get(key)?.clone();
        let Value::String(text) = given else {
            self.wrong.push(format!("`{key}` must be a place in quotes; {PLACES}"));
            return None;
        };
        let read = EventPlace::read(&text);
        if let Ok(None) = read {
            self.wrong.push(format!(
                "`{key}` is `{text}`, the same in each event; say where it stands: {PLACES}"
            ));
        }
        read.unwrap_or_else(|why| {
            self.wrong.push(format!("`{key}`: {why}"));
            None
        })
    }

    fn field(&mut self, key: &str, check: fn(&str) -> Result<(), String>) -> Option<Field> {
        let field = match self.table.get(key)?.clone() {
            Value::String(text) => match EventPlace::read(&text) {
                Ok(Some(place)) => Some(Field::At(place)),
                Ok(None) => Some(Field::Fixed(text)),
                Err(why) => {
                    self.wrong.push(format!("`{key}`: {why}"));
                    None
                }
            },
            Value::Table(table) => self.worded(key, &table),
            _ => {
                self.wrong.push(format!(
                    "`{key}` must be a text, or `{{ at = \"/field\", values = {{ THEIRS = \"ours\" }}, otherwise = \"ours\" }}`"
                ));
                None
            }
        };
        for text in field.iter().filter_map(Field::all).flatten() {
            if let Err(why) = check(text) {
                self.wrong.push(format!("`{key}`: `{text}` {why}"));
            }
        }
        field
    }

    fn worded(&mut self, key: &str, table: &Table) -> Option<Field> {
        let before = self.wrong.len();
        for known in table.keys().filter(|k| !["at", "values", "otherwise"].contains(&k.as_str())) {
            self.wrong.push(format!(
                "`{key}.{known}` is not known; there are `at`, `values` and `otherwise`"
            ));
        }
        let at = match table.get("at").and_then(Value::as_str).map(EventPlace::read) {
            Some(Ok(Some(place))) => Some(place),
            Some(Err(why)) => {
                self.wrong.push(format!("`{key}.at`: {why}"));
                None
            }
            Some(Ok(None)) | None => {
                self.wrong.push(format!("`{key}.at` must say where it stands; {PLACES}"));
                None
            }
        };
        let values = table.get("values").and_then(Value::as_table).map(|values| {
            let text = |value: &Value| value.as_str().map(str::to_owned);
            values.iter().map(|(from, to)| Some((from.clone(), text(to)?))).collect()
        });
        let values: BTreeMap<String, String> = values.flatten().unwrap_or_default();
        if values.is_empty() {
            self.wrong.push(format!(
                "`{key}.values` must be a table of their words and ours, as in {{ CARD_DECLINED = \"card-declined\" }}"
            ));
        }
        let otherwise = match table.get("otherwise") {
            None => None,
            Some(Value::String(text)) => Some(text.clone()),
            Some(_) => {
                self.wrong.push(format!("`{key}.otherwise` must be a text"));
                None
            }
        };
        let at = at.filter(|_| self.wrong.len() == before)?;
        Some(Field::Worded { at, values, otherwise })
    }

    fn data(&mut self) -> Vec<(Vec<String>, EventPlace)> {
        let Some(given) = self.table.get("data").cloned() else { return Vec::new() };
        let mut data = Vec::new();
        match given {
            Value::Table(table) => self.fields(&[], &table, &mut data),
            _ => self.wrong.push(
                "`data` must be a table of the report's fields and where each stands, as in { amount = \"/payment/amount\" }".to_owned(),
            ),
        }
        data
    }

    fn fields(
        &mut self,
        path: &[String],
        table: &Table,
        data: &mut Vec<(Vec<String>, EventPlace)>,
    ) {
        for (name, value) in table {
            let path = [path, std::slice::from_ref(name)].concat();
            let shown = path.join(".");
            match value {
                Value::Table(inner) => self.fields(&path, inner, data),
                Value::String(text) => match EventPlace::read(text) {
                    Ok(Some(place)) => data.push((path, place)),
                    Ok(None) => {
                        self.wrong.push(format!("`data.{shown}` is `{text}`, no place; {PLACES}"));
                    }
                    Err(why) => self.wrong.push(format!("`data.{shown}`: {why}")),
                },
                _ => self.wrong.push(format!("`data.{shown}` must be a place in quotes; {PLACES}")),
            }
        }
    }

    /// A list of texts; none if there is none.
    fn texts(&mut self, key: &str) -> Vec<String> {
        let Some(given) = self.table.get(key) else { return Vec::new() };
        let all = given.as_array().and_then(|all| {
            all.iter().map(|one| one.as_str().map(str::to_owned)).collect::<Option<Vec<_>>>()
        });
        match all.filter(|all| !all.is_empty()) {
            Some(all) => all,
            None => {
                self.wrong.push(format!("`{key}` must be a list of texts with at least one"));
                Vec::new()
            }
        }
    }
}

fn scalar(value: &Value) -> Option<Json> {
    match value {
        Value::String(text) => Some(Json::String(text.clone())),
        Value::Integer(number) => Some(Json::from(*number)),
        Value::Boolean(truth) => Some(Json::Bool(*truth)),
        _ => None,
    }
}

/// What Kafka itself takes, and `*` and `>` for words.
fn is_topic(topic: &str) -> bool {
    let is_letter =
        |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.' | b'*' | b'>');
    topic.len() <= 249 && topic.bytes().all(is_letter) && is_subject(topic)
}

/// Words with dots between them; a word may be `*`, and the last one `>`.
fn is_subject(subject: &str) -> bool {
    let count = subject.split('.').count();
    subject.split('.').enumerate().all(|(n, word)| match word {
        "*" => true,
        ">" => n + 1 == count,
        word => {
            !word.is_empty() && word.bytes().all(|b| b.is_ascii_graphic() && b != b'*' && b != b'>')
        }
    })
}

fn is_name(text: &str) -> Result<(), String> {
    if is_opaque_name(text) { Ok(()) } else { Err(format!("is no name; {NAME_RULE}")) }
}

fn service(text: &str) -> Result<(), String> {
    is_name(text)?;
    match text == SUPERVISOR || text.contains(['/', ':', '*']) {
        true => {
            Err("is no name of a service: it has no `/`, `:` and `*`, and is not the supervisor's"
                .to_owned())
        }
        false => Ok(()),
    }
}

fn code(text: &str) -> Result<(), String> {
    is_name(text)?;
    if text.contains(['/', '*']) {
        Err("is no code: it has no `/` and `*`".to_owned())
    } else {
        Ok(())
    }
}

fn full_name(text: &str) -> Result<(), String> {
    let is_one = text
        .split_once('.')
        .is_some_and(|(service, action)| is_opaque_name(service) && is_opaque_name(action));
    if is_one { Ok(()) } else { Err("must be written `service.action`".to_owned()) }
}

#[cfg(test)]
#[path = "given_tests.rs"]
mod tests;
