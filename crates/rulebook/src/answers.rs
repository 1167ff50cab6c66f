//! What the answers of a mapped endpoint mean: by status, and by fields of a JSON body where a status says too little.

use crate::Scalar;
use crate::value_set::Found;
use serde_json::Value;
use std::cmp::Reverse;
use std::fmt;
use std::sync::Arc;

/// What answers mean, the most specific pattern first.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AnswerMap {
    entries: Vec<(AnswerPattern, Mapped)>,
}

/// Answers that are alike: of these statuses, with these fields in their body.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct AnswerPattern {
    /// Its statuses.
    pub status: StatusSet,
    /// What its body must say, all of it: the path of a field (`error.code`) and its value.
    pub body: Vec<(Arc<str>, Scalar)>,
}

/// One status, or a hundred of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum StatusSet {
    /// E.g. 204.
    One(u16),
    /// E.g. `2xx`, as its first digit. 202 is not in it: what was only accepted is not done.
    Class(u16),
}

/// What an answer means for the step. Of two patterns that are equally specific the later meaning here counts: it
/// promises less.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Mapped {
    /// The step is done.
    Done,
    /// It had been undone before, by whomever.
    Already,
    /// There was nothing to do.
    Nothing,
    /// It was taken, and is not done yet.
    Accepted,
    /// Not now: it is asked for again.
    Retry,
    /// The service cannot, for good.
    Refused,
    /// A person must look.
    Stuck,
}

impl Mapped {
    /// All of them, as the lists of an endpoint are read.
    pub const ALL: &[Self] = &[
        Self::Done,
        Self::Already,
        Self::Nothing,
        Self::Accepted,
        Self::Retry,
        Self::Refused,
        Self::Stuck,
    ];

    /// The key of its list in a rulebook.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Already => "already",
            Self::Nothing => "nothing",
            Self::Accepted => "accepted",
            Self::Retry => "retry",
            Self::Refused => "refused",
            Self::Stuck => "stuck",
        }
    }
}

impl AnswerMap {
    /// Of patterns in any order.
    #[must_use]
    pub fn new(mut entries: Vec<(AnswerPattern, Mapped)>) -> Self {
        entries.sort_by_key(|(pattern, meaning)| (pattern.rank(), Reverse(*meaning)));
        Self { entries }
    }

    /// Whether nothing is mapped.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The patterns of a meaning, the most specific first.
    pub fn of(&self, meaning: Mapped) -> impl Iterator<Item = &AnswerPattern> {
        self.entries.iter().filter(move |(_, m)| *m == meaning).map(|(pattern, _)| pattern)
    }

    /// Whether only what a body says makes an answer of this status a success: without that it is none.
    #[must_use]
    pub fn wants_more_than(&self, status: u16) -> bool {
        let succeeds = |m: &Mapped| matches!(m, Mapped::Done | Mapped::Already);
        self.entries.iter().any(|(pattern, meaning)| {
            succeeds(meaning) && !pattern.body.is_empty() && pattern.status.has(status)
        })
    }

    /// What an answer means; `body` is its JSON, if it is any. None: nothing here speaks of it.
    #[must_use]
    pub fn classify(&self, status: u16, body: Option<&Value>) -> Option<Mapped> {
        self.entries.iter().find(|(pattern, _)| pattern.fits(status, body)).map(|(_, m)| *m)
    }
}

impl AnswerPattern {
    /// Smaller is more specific: what looks into the body stands above what doesn't, one status above its hundred.
    fn rank(&self) -> (Reverse<usize>, bool) {
        (Reverse(self.body.len()), matches!(self.status, StatusSet::Class(_)))
    }

    fn fits(&self, status: u16, body: Option<&Value>) -> bool {
        let says = |(path, wanted): &(Arc<str>, Scalar)| {
            let field = field_at(body?, path)?;
            Some(match (Found::from(field), wanted) {
                (Found::Text(said), Scalar::Text(wanted)) => said == &**wanted,
                (Found::Number(said), Scalar::Number(wanted)) => said == *wanted,
                (Found::Bool(said), Scalar::Bool(wanted)) => said == *wanted,
                _ => false,
            })
        };
        self.status.has(status) && self.body.iter().all(|field| says(field).unwrap_or(false))
    }
}

/// The field of an answer at a path: `error.code`, or `details.0.issue` for the first item of a list.
#[must_use]
pub fn field_at<'a>(body: &'a Value, path: &str) -> Option<&'a Value> {
    path.split('.').try_fold(body, |value, key| match value {
        Value::Array(items) => items.get(key.parse::<usize>().ok()?),
        _ => value.get(key),
    })
}

impl StatusSet {
    fn has(self, status: u16) -> bool {
        match self {
            Self::One(one) => one == status,
            Self::Class(digit) => status / 100 == digit && status != 202,
        }
    }
}

impl fmt::Display for StatusSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::One(status) => write!(f, "{status}"),
            Self::Class(digit) => write!(f, "{digit}xx"),
        }
    }
}

impl fmt::Display for AnswerPattern {
    /// As in a rulebook, e.g. `400 { error.code: already_refunded }`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.status)?;
        if self.body.is_empty() {
            return Ok(());
        }
        let fields: Vec<_> = self.body.iter().map(|(path, is)| format!("{path}: {is}")).collect();
        write!(f, " {{ {} }}", fields.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn on(status: StatusSet, body: &[(&str, &str)]) -> AnswerPattern {
        let field = |(path, is): &(&str, &str)| ((*path).into(), Scalar::Text((*is).into()));
        AnswerPattern { status, body: body.iter().map(field).collect() }
    }

    #[test]
    fn a_single_status_stands_above_its_hundred_and_a_body_above_both() {
        let map = AnswerMap::new(vec![
            (on(StatusSet::Class(2), &[]), Mapped::Done),
            (on(StatusSet::One(204), &[]), Mapped::Nothing),
            (on(StatusSet::Class(4), &[]), Mapped::Refused),
            (on(StatusSet::One(404), &[]), Mapped::Nothing),
            (on(StatusSet::Class(4), &[("error.code", "already_refunded")]), Mapped::Already),
            (on(StatusSet::One(200), &[("status", "pending")]), Mapped::Accepted),
        ]);
        let refunded = json!({ "error": { "code": "already_refunded" } });
        let read = |status, body: &Value| map.classify(status, Some(body));
        assert_eq!(read(200, &json!({ "status": "succeeded" })), Some(Mapped::Done));
        assert_eq!(read(200, &json!({ "status": "pending" })), Some(Mapped::Accepted));
        assert_eq!(read(204, &Value::Null), Some(Mapped::Nothing));
        assert_eq!(read(404, &refunded), Some(Mapped::Already));
        assert_eq!(read(404, &json!({ "error": "none" })), Some(Mapped::Nothing));
        assert_eq!(read(410, &json!([])), Some(Mapped::Refused));
        assert_eq!(read(503, &Value::Null), None);
        assert_eq!(map.classify(400, None), Some(Mapped::Refused), "no JSON at all");
    }

    #[test]
    fn a_number_in_a_path_names_an_item_of_a_list() {
        let body =
            json!({ "details": [{ "issue": "FULLY_REFUNDED" }, { "issue": "OTHER" }], "0": 7 });
        let issue = |path| field_at(&body, path).and_then(Value::as_str);
        assert_eq!(issue("details.0.issue"), Some("FULLY_REFUNDED"));
        assert_eq!(issue("details.1.issue"), Some("OTHER"));
        for path in ["details.2.issue", "details.issue", "details.-1.issue", "details.0x.issue"] {
            assert_eq!(issue(path), None, "{path}");
        }
        assert_eq!(field_at(&body, "0"), Some(&json!(7)), "a member may have a number's name");
    }

    #[test]
    fn what_was_only_accepted_is_never_done_by_its_hundred() {
        let map = AnswerMap::new(vec![(on(StatusSet::Class(2), &[]), Mapped::Done)]);
        assert_eq!(map.classify(202, None), None);
        let named = AnswerMap::new(vec![(on(StatusSet::One(202), &[]), Mapped::Done)]);
        assert_eq!(named.classify(202, None), Some(Mapped::Done));
    }

    #[test]
    fn of_two_that_fit_alike_the_one_counts_that_promises_less() {
        let entries = vec![
            (on(StatusSet::One(200), &[("a", "x")]), Mapped::Done),
            (on(StatusSet::One(200), &[("b", "y")]), Mapped::Refused),
        ];
        let both = json!({ "a": "x", "b": "y" });
        for entries in [entries.clone(), entries.into_iter().rev().collect()] {
            assert_eq!(AnswerMap::new(entries).classify(200, Some(&both)), Some(Mapped::Refused));
        }
    }
}
