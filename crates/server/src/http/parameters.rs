//! What a parameter of a query or a path may be: how its text is read, and how the document tells of it.

use super::ApiError;
use super::openapi::Told;
use super::query::Query;
use crate::duration::duration;
use amends_api::{
    Amount, CaseState, ClosedOn, QuestionEffect, QuestionId, QuestionKind, RejectedId, RejectedWay,
    StepStateName, StuckReason,
};
use amends_engine::LetterId;
use amends_protocol::{ActionName, CaseId, NAME_LIMIT, Outcome, SagaId, StepId, Timestamp, Verb};
use amends_store::{CaseOrder, DEFAULT_PAGE, PAGE_LIMIT};
use serde_json::{Value, json};

/// Longest text to search for, in bytes; a longer one can't be part of a saga id, and hardly of a message.
const SEARCH_LIMIT: usize = 256;

/// Something that is written as one text.
pub(crate) trait Text: Sized {
    /// Reads it; else what is wrong.
    fn read(text: &str) -> Result<Self, String>;
    /// Its schema.
    fn schema(told: &mut Told) -> Value;
}

/// A parameter of a query, which may be left out.
pub(crate) trait Parameter: Sized {
    /// Takes it out of a query by its name.
    fn take(query: &mut Query, name: &'static str) -> Result<Self, ApiError>;
    /// Its schema.
    fn schema(told: &mut Told) -> Value;
}

impl<T: Text> Parameter for Option<T> {
    fn take(query: &mut Query, name: &'static str) -> Result<Self, ApiError> {
        let read = |text: String| T::read(&text).map_err(|wrong| said(name, &wrong));
        query.text(name)?.map(read).transpose()
    }

    fn schema(told: &mut Told) -> Value {
        T::schema(told)
    }
}

impl<T: Text> Parameter for Vec<T> {
    fn take(query: &mut Query, name: &'static str) -> Result<Self, ApiError> {
        let all = query.take_all(name);
        let each = all.iter().flat_map(|value| value.split(','));
        let read = |text: &str| match text.trim() {
            "" => Err(said(name, "it is empty; leave it out to ask for all")),
            text => T::read(text).map_err(|wrong| said(name, &wrong)),
        };
        each.map(read).collect()
    }

    fn schema(told: &mut Told) -> Value {
        json!({ "type": "array", "items": T::schema(told) })
    }
}

fn said(name: &str, wrong: &str) -> ApiError {
    ApiError::filter(format!("`{name}`: {wrong}"))
}

/// Several, by the parameter's name or by the name that the resource's member has.
#[derive(Debug)]
pub(crate) struct OneOrMore<T>(pub(super) Vec<T>);

impl Parameter for OneOrMore<ClosedOn> {
    fn take(query: &mut Query, name: &'static str) -> Result<Self, ApiError> {
        let mut all: Vec<ClosedOn> = Parameter::take(query, name)?;
        let others: Vec<ClosedOn> = Parameter::take(query, "closedOn")?;
        all.extend(others);
        Ok(Self(all))
    }

    fn schema(told: &mut Told) -> Value {
        Vec::<ClosedOn>::schema(told)
    }
}

/// It is there, with a value or without.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Flag(pub(super) bool);

impl Parameter for Flag {
    fn take(query: &mut Query, name: &'static str) -> Result<Self, ApiError> {
        Ok(Self(!query.take_all(name).is_empty()))
    }

    fn schema(_: &mut Told) -> Value {
        json!({ "type": "string" })
    }
}

macro_rules! words {
    ($($name:ident),+) => {$(
        impl Text for $name {
            fn read(text: &str) -> Result<Self, String> {
                text.parse().map_err(|wrong: amends_protocol::UnknownWord| wrong.to_string())
            }

            fn schema(told: &mut Told) -> Value {
                told.schema::<Self>()
            }
        }
    )+};
}

words!(
    CaseState,
    ClosedOn,
    Outcome,
    QuestionEffect,
    QuestionKind,
    RejectedWay,
    StepStateName,
    StuckReason,
    Verb
);

macro_rules! texts {
    ($($name:ident: $schema:expr;)+) => {$(
        impl Text for $name {
            fn read(text: &str) -> Result<Self, String> {
                text.parse().map_err(|wrong| format!("{wrong}"))
            }

            fn schema(_: &mut Told) -> Value {
                $schema
            }
        }
    )+};
}

texts! {
    ActionName: json!({ "type": "string", "pattern": r"^[^.]+\..+$", "example": "payment.pay" });
    Amount: json!({ "type": "string", "pattern": "^-?[0-9]{1,18}(\\.[0-9]{1,18})?$", "example": "12.50" });
    CaseId: json!({ "type": "string", "pattern": "^c-[0-9]{1,19}$", "example": "c-17" });
    CaseOrder: json!({ "enum": ["newest", "oldest"], "default": "newest" });
    LetterId: json!({ "type": "string", "format": "uuid", "example": "01234567-89ab-cdef-0123-456789abcdef" });
    Position: json!({ "type": "integer", "minimum": 0, "maximum": u32::MAX });
    QuestionId: json!({ "type": "string", "pattern": "^q-[0-9]{1,19}-[0-9a-f]{16}$", "example": "q-17-9f86d081884c7d65" });
    RejectedId: json!({ "type": "string", "pattern": "^r-[0-9a-f]{16}$", "example": "r-9f86d081884c7d65" });
    SagaId: json!({ "type": "string", "minLength": 1, "maxLength": NAME_LIMIT, "pattern": "^[!-~]+$" });
    StepId: json!({
        "type": "string", "pattern": "^s-[0-9]{1,19}-[0-9]{1,9}-[0-9a-f]{16}(-[0-9a-f]{12})?$",
        "example": "s-17-3-9f86d081884c7d65",
    });
    String: json!({ "type": "string", "minLength": 1 });
}

/// The place of a report in its case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Position(pub(crate) usize);

impl std::str::FromStr for Position {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        text.parse().map(Self).map_err(|_| {
            format!("there is no report `{text}`; reports are counted from 0, in their order")
        })
    }
}

/// A text to search for.
#[derive(Debug)]
pub(crate) struct Search(pub(super) String);

impl Text for Search {
    fn read(text: &str) -> Result<Self, String> {
        if text.len() > SEARCH_LIMIT {
            return Err(format!(
                "it has {} bytes; at most {SEARCH_LIMIT} are searched for",
                text.len()
            ));
        }
        Ok(Self(text.to_owned()))
    }

    fn schema(_: &mut Told) -> Value {
        json!({
            "type": "string", "minLength": 1, "maxLength": SEARCH_LIMIT,
            "description": "The bound is in bytes of UTF-8; a schema can only count characters.",
        })
    }
}

/// `service/code`, or `service/*`.
#[derive(Debug)]
pub(crate) struct ReportName(pub(super) String);

impl Text for ReportName {
    fn read(text: &str) -> Result<Self, String> {
        if !text.contains('/') {
            return Err(format!("`{text}` names no report; write `service/code` or `service/*`"));
        }
        Ok(Self(text.to_owned()))
    }

    fn schema(_: &mut Told) -> Value {
        json!({ "type": "string", "pattern": "/", "example": "payment/card_declined" })
    }
}

/// The id of a group of open work.
#[derive(Debug)]
pub(crate) struct GroupId(pub(super) String);

impl Text for GroupId {
    fn read(text: &str) -> Result<Self, String> {
        if !text.starts_with("g-") {
            return Err(format!(
                "`{text}` is no group; take an `id` of `GET /v1/groups`, as in `g-9f86d081884c7d65`"
            ));
        }
        Ok(Self(text.to_owned()))
    }

    fn schema(_: &mut Told) -> Value {
        json!({ "type": "string", "pattern": "^g-", "example": "g-9f86d081884c7d65" })
    }
}

/// A point in time.
#[derive(Debug)]
pub(crate) struct Moment(pub(super) Timestamp);

/// `wait`: for the whole of what takes its time.
#[derive(Debug)]
pub(crate) struct Wait;

impl Text for Wait {
    fn read(text: &str) -> Result<Self, String> {
        match text {
            "wait" => Ok(Self),
            other => Err(format!(
                "`{other}` is unknown; write `wait`, or leave it out to have what is known now"
            )),
        }
    }

    fn schema(_: &mut Told) -> Value {
        json!({ "type": "string", "enum": ["wait"] })
    }
}

impl Text for Moment {
    fn read(text: &str) -> Result<Self, String> {
        Timestamp::parse(text).map(Self).map_err(|wrong| wrong.to_string())
    }

    fn schema(_: &mut Told) -> Value {
        json!({ "type": "string", "format": "date-time" })
    }
}

/// A length of time, in milliseconds.
#[derive(Debug)]
pub(crate) struct Age(pub(super) i64);

impl Text for Age {
    fn read(text: &str) -> Result<Self, String> {
        let span = duration(text).and_then(|span| i64::try_from(span.as_millis()).ok());
        span.map(Self)
            .ok_or_else(|| format!("`{text}` is no length of time; write e.g. 90s, 15m, 2h or 7d"))
    }

    fn schema(_: &mut Told) -> Value {
        json!({ "type": "string", "pattern": "^[0-9]{1,8}(ms|s|m|h|d)$", "example": "2h" })
    }
}

/// Rows of a page.
#[derive(Debug)]
pub(crate) struct Limit(pub(super) u32);

impl Text for Limit {
    fn read(text: &str) -> Result<Self, String> {
        text.parse()
            .ok()
            .filter(|rows| (1..=PAGE_LIMIT).contains(rows))
            .map(Self)
            .ok_or_else(|| format!("`{text}` is not a number from 1 to {PAGE_LIMIT}"))
    }

    fn schema(_: &mut Told) -> Value {
        json!({ "type": "integer", "minimum": 1, "maximum": PAGE_LIMIT, "default": DEFAULT_PAGE })
    }
}
