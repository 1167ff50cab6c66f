//! A bridge, and what it makes of an event: a report, or nothing if the event tells of no failure.

use super::place::{EventPlace, Foreign, Looked};
use crate::ingest::check;
use crate::ingest::fault::{Fault, invalid};
use crate::ingest::trust::{Channel, speaks_there};
use amends_api::{RejectedId, ReportWay};
use amends_protocol::wire::Traceparent;
use amends_protocol::{
    NAME_RULE, REPORT_MESSAGE_LIMIT, Report, ReportData, SagaId, Timestamp, headers, is_opaque_name,
};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// Where in events of one kind the parts of a report stand.
#[derive(Clone, Debug, PartialEq)]
pub struct Bridge {
    /// What people call it.
    pub name: String,
    /// The topics of Kafka that it reads, with who may be named there.
    pub(super) topics: Vec<Channel>,
    /// The subjects of NATS, likewise.
    pub(super) subjects: Vec<Channel>,
    /// What holds for events that tell of a failure; all of it. Places outside of the body come first.
    pub(super) when: Vec<(EventPlace, Vec<Value>)>,
    pub(super) saga: EventPlace,
    pub(super) source: Field,
    pub(super) code: Field,
    pub(super) id: Option<EventPlace>,
    pub(super) action: Option<Field>,
    pub(super) entry: Option<Field>,
    pub(super) caller: Option<Field>,
    pub(super) request_id: Option<EventPlace>,
    pub(super) time: Option<EventPlace>,
    pub(super) message: Option<EventPlace>,
    /// Fields of the report's data, by their path in it.
    pub(super) data: Vec<(Vec<String>, EventPlace)>,
}

/// A text of the report.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Field {
    /// The same in each.
    Fixed(String),
    /// As the event says.
    At(EventPlace),
    /// As the event says, in words of ours.
    Worded { at: EventPlace, values: BTreeMap<String, String>, otherwise: Option<String> },
}

/// What a bridge makes of an event.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Bridged {
    Report {
        report: Box<Report>,
        /// What the event doesn't have, or what can't be used: nothing that a report needs.
        left_out: Vec<String>,
    },
    /// It tells of no failure: why.
    Skipped(String),
}

/// The bridges that read a channel, in their order.
pub(crate) fn bridges_of<'a>(all: &'a [Bridge], way: ReportWay, channel: &str) -> Vec<&'a Bridge> {
    let reads = |bridge: &&Bridge| bridge.channels(way).iter().any(|one| one.matches(channel));
    all.iter().filter(reads).collect()
}

impl Bridge {
    /// What it reads on this way.
    #[must_use]
    pub fn channels(&self, way: ReportWay) -> &[Channel] {
        match way {
            ReportWay::Kafka => &self.topics,
            ReportWay::Nats => &self.subjects,
        }
    }

    /// Reads an event that came on a channel of its own.
    ///
    /// # Errors
    /// It tells of a failure, and no report can be made of it: why, and what to mend.
    pub(crate) fn read(&self, way: ReportWay, event: Foreign<'_>) -> Result<Bridged, Fault> {
        let looked = Looked::at(event);
        let why = |fault: Fault| Fault {
            detail: format!("by the bridge `{}`: {}", self.name, fault.detail),
            ..fault
        };
        // However the parts are found, it is no event.
        if way == ReportWay::Kafka && event.body.is_empty() {
            return Ok(Bridged::Skipped("it is empty: in Kafka, its key was deleted".to_owned()));
        }
        if let Some(skipped) = self.skips(&looked).map_err(why)? {
            return Ok(Bridged::Skipped(skipped));
        }
        let (report, left_out) = self.report(&looked, event).map_err(why)?;
        speaks_there(self.channels(way), event.channel, report.service()).map_err(why)?;
        Ok(Bridged::Report { report: Box::new(report), left_out })
    }

    /// The saga that an event is about, if that can be read: for people, believed by nobody.
    #[cfg(any(feature = "kafka", feature = "nats", test))]
    pub(crate) fn saga_of(&self, event: Foreign<'_>) -> Option<String> {
        scalar(&Looked::at(event).value(&self.saga).ok()??)
    }

    /// Why an event tells of no failure; none if it does.
    fn skips(&self, looked: &Looked<'_>) -> Result<Option<String>, Fault> {
        for (place, wanted) in &self.when {
            let found = looked.value(place)?;
            if !wanted.iter().any(|one| found.as_ref().is_some_and(|found| is(found, one))) {
                let found = found.as_ref().map_or("absent".to_owned(), shown);
                let wanted: Vec<_> = wanted.iter().map(shown).collect();
                return Ok(Some(format!(
                    "`{place}` is {found}, and the bridge `{}` reads only {}",
                    self.name,
                    wanted.join(", ")
                )));
            }
        }
        Ok(None)
    }

    fn report(
        &self,
        looked: &Looked<'_>,
        event: Foreign<'_>,
    ) -> Result<(Report, Vec<String>), Fault> {
        let mut left_out = Vec::new();
        let saga = needed(looked, "saga", &self.saga)?;
        let saga_id = SagaId::new(&saga)
            .map_err(|error| invalid(format!("`saga`, from `{}`: {error}", self.saga)))?;
        let id = match &self.id {
            Some(place) => needed(looked, "id", place)?,
            None => id_of_place(event.place),
        };
        let optional = |name: &str, field: &Option<Field>| match field {
            Some(field) => field.read(looked, name),
            None => Ok(None),
        };
        let data = ReportData {
            code: self.code.read(looked, "code")?.ok_or_else(|| missing("code", &self.code))?,
            action: optional("action", &self.action)?,
            entry: optional("entry", &self.entry)?,
            caller: optional("caller", &self.caller)?,
            request_id: self.request_id(looked, &mut left_out)?,
            message: self.message(looked, &mut left_out)?,
            data: self.data(looked, &mut left_out)?,
            ..ReportData::default()
        };
        let source = self.source.read(looked, "source")?;
        let report = Report {
            id,
            source: source.ok_or_else(|| missing("source", &self.source))?,
            saga_id,
            time: self.time(looked, &mut left_out)?,
            traceparent: trace(event.headers),
            data,
        };
        check::report(&report, &|name| self.told(name))?;
        Ok((report, left_out))
    }

    /// An attribute, with where it comes from.
    fn told(&self, name: &str) -> String {
        let place = match name {
            "id" => self.id.as_ref(),
            "source" => self.source.place(),
            _ => None,
        };
        place.map_or(format!("`{name}`"), |place| format!("`{name}`, from `{place}`,"))
    }

    fn request_id(
        &self,
        looked: &Looked<'_>,
        left_out: &mut Vec<String>,
    ) -> Result<Option<String>, Fault> {
        let Some(place) = &self.request_id else { return Ok(None) };
        let found = looked.value(place)?.as_ref().and_then(scalar);
        let usable = found.filter(|text| is_opaque_name(text));
        if usable.is_none() {
            left_out.push(format!("`request_id`: `{place}` is not there, or no name; {NAME_RULE}"));
        }
        Ok(usable)
    }

    fn message(
        &self,
        looked: &Looked<'_>,
        left_out: &mut Vec<String>,
    ) -> Result<Option<String>, Fault> {
        let Some(place) = &self.message else { return Ok(None) };
        let Some(found) = looked.value(place)? else {
            left_out.push(format!("`message`: `{place}` is not there"));
            return Ok(None);
        };
        let mut text = scalar(&found).unwrap_or_else(|| found.to_string());
        if text.len() > REPORT_MESSAGE_LIMIT {
            text.truncate(text.floor_char_boundary(REPORT_MESSAGE_LIMIT));
            left_out.push(format!("`message`: all after {REPORT_MESSAGE_LIMIT} bytes"));
        }
        Ok(Some(text))
    }

    fn time(
        &self,
        looked: &Looked<'_>,
        left_out: &mut Vec<String>,
    ) -> Result<Option<Timestamp>, Fault> {
        let Some(place) = &self.time else { return Ok(None) };
        let found = looked.value(place)?;
        let time = found.as_ref().and_then(moment);
        if time.is_none() {
            let found = found.as_ref().map_or("absent".to_owned(), shown);
            left_out.push(format!(
                "`time`: `{place}` is {found}; it must be RFC 3339 with an offset, or seconds or milliseconds since 1970"
            ));
        }
        Ok(time)
    }

    fn data(
        &self,
        looked: &Looked<'_>,
        left_out: &mut Vec<String>,
    ) -> Result<Map<String, Value>, Fault> {
        let mut data = Map::new();
        for (path, place) in &self.data {
            match looked.value(place)? {
                Some(value) => put(&mut data, path, value),
                None => left_out.push(format!("`data.{}`: `{place}` is not there", path.join("."))),
            }
        }
        Ok(data)
    }
}

impl Field {
    /// Where it is read, if it is.
    pub(super) fn place(&self) -> Option<&EventPlace> {
        match self {
            Self::Fixed(_) => None,
            Self::At(place) | Self::Worded { at: place, .. } => Some(place),
        }
    }

    /// All that it can say; none if that is the event's to say.
    pub(super) fn all(&self) -> Option<Vec<&str>> {
        match self {
            Self::Fixed(text) => Some(vec![text]),
            Self::At(_) => None,
            Self::Worded { values, otherwise, .. } => {
                Some(values.values().chain(otherwise).map(String::as_str).collect())
            }
        }
    }

    /// What it says in this event; none if nothing stands there.
    fn read(&self, looked: &Looked<'_>, name: &str) -> Result<Option<String>, Fault> {
        let text = |place: &EventPlace| -> Result<Option<String>, Fault> {
            looked.value(place)?.map(|found| text(name, place, &found)).transpose()
        };
        match self {
            Self::Fixed(fixed) => Ok(Some(fixed.clone())),
            Self::At(place) => text(place),
            Self::Worded { at, values, otherwise } => {
                let found = text(at)?;
                let word =
                    found.as_ref().and_then(|found| values.get(found)).or(otherwise.as_ref());
                match (word, found) {
                    (Some(word), _) => Ok(Some(word.clone())),
                    (None, None) => Ok(None),
                    (None, Some(found)) => Err(invalid(format!(
                        "`{name}`, from `{at}`, is `{found}`, for which `values` has no word and there is no `otherwise`"
                    ))),
                }
            }
        }
    }
}

/// What a report can't be without.
fn needed(looked: &Looked<'_>, name: &str, place: &EventPlace) -> Result<String, Fault> {
    match looked.value(place)? {
        Some(found) => text(name, place, &found),
        None => Err(invalid(format!("`{name}`: `{place}` is not there"))),
    }
}

fn missing(name: &str, field: &Field) -> Fault {
    let place = field.place().map(ToString::to_string).unwrap_or_default();
    invalid(format!("`{name}`: `{place}` is not there"))
}

fn text(name: &str, place: &EventPlace, found: &Value) -> Result<String, Fault> {
    scalar(found).ok_or_else(|| {
        let found = shown(found);
        invalid(format!("`{name}`, from `{place}`, is {found}; it must be a text or a number"))
    })
}

/// A text, a number or a truth as text.
fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(truth) => Some(truth.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// Whether a value is the wanted one; a header's text is compared as text.
fn is(found: &Value, wanted: &Value) -> bool {
    match (found, wanted) {
        (Value::String(found), wanted) => scalar(wanted).is_some_and(|wanted| wanted == *found),
        (found, wanted) => found == wanted,
    }
}

/// Enough of a value to know it again.
fn shown(value: &Value) -> String {
    const SHOWN: usize = 60;
    match value {
        Value::Array(_) => "a list".to_owned(),
        Value::Object(_) => "an object".to_owned(),
        other => format!("`{}`", other.to_string().chars().take(SHOWN).collect::<String>()),
    }
}

/// RFC 3339, or a number since 1970: seconds, perhaps with a fraction, or milliseconds.
fn moment(value: &Value) -> Option<Timestamp> {
    /// In seconds this would be in the year 5138, in milliseconds in 1973.
    const MILLISECONDS_FROM: f64 = 1e11;
    match value {
        Value::String(text) => Timestamp::parse(text).ok(),
        Value::Number(number) => {
            let number = number.as_f64()?;
            let ms = if number.abs() < MILLISECONDS_FROM { number * 1_000.0 } else { number };
            #[allow(clippy::cast_possible_truncation)] // what is too large for it is not writable
            Some(Timestamp(ms as i64)).filter(|time| time.is_writable())
        }
        _ => None,
    }
}

/// Puts a value at a path; a path that leads through another value was refused when the bridge was read.
fn put(into: &mut Map<String, Value>, path: &[String], value: Value) {
    match path {
        [] => {}
        [name] => drop(into.insert(name.clone(), value)),
        [name, rest @ ..] => {
            let inner = into.entry(name.clone()).or_insert_with(|| Value::Object(Map::new()));
            if let Value::Object(inner) = inner {
                put(inner, rest, value);
            }
        }
    }
}

/// The id of a report whose event has none: its place is there once. The same failure published twice is two reports
/// then, of one case.
fn id_of_place(place: &str) -> String {
    match is_opaque_name(place) {
        true => place.to_owned(),
        false => RejectedId::of_place(place).to_string(),
    }
}

fn trace(all: &[(String, Vec<u8>)]) -> Option<String> {
    let mut named = all.iter().filter(|(name, _)| name.eq_ignore_ascii_case(headers::TRACEPARENT));
    let text = named.next_back().and_then(|(_, value)| std::str::from_utf8(value).ok())?;
    Traceparent::parse(text).is_some().then(|| text.to_owned())
}

#[cfg(test)]
#[path = "mapping_tests.rs"]
mod tests;
