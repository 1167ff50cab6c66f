//! Reads query parameters strictly: each by its name, each checked, and none unknown.

use super::ApiError;
use crate::duration::duration;
use amends_api::ClosedOn;
use amends_engine::QuestionFilter;
use amends_protocol::{CaseId, Timestamp};
use amends_store::{CaseFilter, PAGE_LIMIT, PageRequest, StepFilter};
use axum::http::Uri;
use std::fmt::Display;
use std::str::FromStr;

/// Longest text to search for, in bytes; a longer one can't be part of a saga id, and hardly of a message.
const SEARCH_LIMIT: usize = 256;

/// Parameters that have not been taken yet.
pub(crate) struct Query {
    pairs: Vec<(String, String)>,
    known: Vec<&'static str>,
}

impl Query {
    /// The query of an address.
    pub(crate) fn of(uri: &Uri) -> Result<Self, ApiError> {
        let read = axum::extract::Query::<Vec<(String, String)>>::try_from_uri(uri);
        let axum::extract::Query(pairs) =
            read.map_err(|e| ApiError::filter(format!("the query can't be read: {e}")))?;
        Ok(Self::from_pairs(pairs))
    }

    /// Parameters that came otherwise.
    pub(crate) fn from_pairs(pairs: Vec<(String, String)>) -> Self {
        Self { pairs, known: Vec::new() }
    }

    /// Every value of a parameter, in order; `a=x&a=y` and `a=x,y` are the same.
    fn take_all(&mut self, name: &'static str) -> Vec<String> {
        self.known.push(name);
        let (taken, left) =
            std::mem::take(&mut self.pairs).into_iter().partition(|(n, _)| n == name);
        self.pairs = left;
        let taken: Vec<(String, String)> = taken;
        taken.into_iter().map(|(_, value)| value).collect()
    }

    /// A parameter that may be there once.
    pub(crate) fn text(&mut self, name: &'static str) -> Result<Option<String>, ApiError> {
        let mut all = self.take_all(name);
        if all.len() > 1 {
            return Err(ApiError::filter(format!(
                "`{name}` is there {} times; give it once",
                all.len()
            )));
        }
        match all.pop() {
            Some(text) if text.is_empty() => {
                Err(ApiError::filter(format!("`{name}` is empty; leave it out instead")))
            }
            other => Ok(other),
        }
    }

    /// A parameter of a type.
    pub(crate) fn one<T>(&mut self, name: &'static str) -> Result<Option<T>, ApiError>
    where
        T: FromStr,
        T::Err: Display,
    {
        let parse =
            |text: String| text.parse().map_err(|e| ApiError::filter(format!("`{name}`: {e}")));
        self.text(name)?.map(parse).transpose()
    }

    /// A parameter that may be there several times, or hold several values.
    pub(crate) fn many<T>(&mut self, name: &'static str) -> Result<Vec<T>, ApiError>
    where
        T: FromStr,
        T::Err: Display,
    {
        let all = self.take_all(name);
        let each = all.iter().flat_map(|value| value.split(','));
        each.map(|text| text.trim().parse().map_err(|e| ApiError::filter(format!("`{name}`: {e}"))))
            .collect()
    }

    fn time(&mut self, name: &'static str) -> Result<Option<Timestamp>, ApiError> {
        let parse = |text: String| {
            Timestamp::parse(&text).map_err(|e| ApiError::filter(format!("`{name}`: {e}")))
        };
        self.text(name)?.map(parse).transpose()
    }

    /// A length of time, as the moment that lies so long ago.
    fn ago(&mut self, name: &'static str, now: Timestamp) -> Result<Option<Timestamp>, ApiError> {
        let parse = |text: String| {
            let span = duration(&text).and_then(|span| i64::try_from(span.as_millis()).ok());
            let wrong = || format!("`{name}` is `{text}`; write e.g. 90s, 15m, 2h or 7d");
            span.map(|ms| Timestamp(now.0.saturating_sub(ms)))
                .ok_or_else(|| ApiError::filter(wrong()))
        };
        self.text(name)?.map(parse).transpose()
    }

    /// The id of a group of open work.
    pub(crate) fn group(&mut self) -> Result<Option<String>, ApiError> {
        match self.text("group")? {
            Some(id) if !id.starts_with("g-") => Err(ApiError::filter(format!(
                "`group` is `{id}`; take an `id` of `GET /v1/groups`, as in `g-9f86d081884c7d65`"
            ))),
            other => Ok(other),
        }
    }

    /// Closing words, by the parameter or by the name that the resource's member has.
    fn closed_on(&mut self) -> Result<Vec<ClosedOn>, ApiError> {
        let mut words: Vec<ClosedOn> = self.many("closed_on")?;
        words.extend(self.many::<ClosedOn>("closedOn")?);
        Ok(words)
    }

    fn search(&mut self, name: &'static str) -> Result<Option<String>, ApiError> {
        match self.text(name)? {
            Some(text) if text.len() > SEARCH_LIMIT => Err(ApiError::filter(format!(
                "`{name}` has {} bytes; at most {SEARCH_LIMIT} are searched for",
                text.len()
            ))),
            other => Ok(other),
        }
    }

    /// `limit` and `cursor`.
    pub(crate) fn page(&mut self) -> Result<PageRequest, ApiError> {
        let limit = match self.text("limit")? {
            None => PageRequest::default().limit,
            Some(text) => {
                text.parse().ok().filter(|n| (1..=PAGE_LIMIT).contains(n)).ok_or_else(|| {
                    ApiError::filter(format!(
                        "`limit` is `{text}`; it must be a number from 1 to {PAGE_LIMIT}"
                    ))
                })?
            }
        };
        Ok(PageRequest { limit, cursor: self.text("cursor")? })
    }

    /// Refuses what is left over.
    pub(crate) fn finish(self) -> Result<(), ApiError> {
        let Some((name, _)) = self.pairs.first() else { return Ok(()) };
        let known = if self.known.is_empty() {
            "none is".to_owned()
        } else {
            self.known.join(", ") + " are"
        };
        Err(ApiError::filter(format!("unknown parameter `{name}`; {known} understood here")))
    }
}

/// The filter of the list of cases.
pub(crate) fn case_filter(query: &mut Query, now: Timestamp) -> Result<CaseFilter, ApiError> {
    let (older, younger) = (query.ago("older_than", now)?, query.ago("younger_than", now)?);
    let (after, before) = (query.time("opened_after")?, query.time("opened_before")?);
    let filter = CaseFilter {
        state: query.many("state")?,
        closed_on: query.closed_on()?,
        saga: query.one("saga")?,
        rulebook: query.text("rulebook")?,
        report: query.text("report")?,
        service: query.text("service")?,
        action: query.one("action")?,
        text: query.search("q")?,
        customer: query.search("customer")?,
        currency: query.text("currency")?.map(|text| text.to_ascii_uppercase()),
        amount_min: query.one("amount_min")?,
        amount_max: query.one("amount_max")?,
        opened_after: after.into_iter().chain(younger).max(),
        opened_before: before.into_iter().chain(older).min(),
        among: None,
        order: query.one("sort")?.unwrap_or_default(),
    };
    match filter.report.as_deref().filter(|r| !r.contains('/')) {
        Some(report) => Err(ApiError::filter(format!(
            "`report` is `{report}`; write `service/code` or `service/*`"
        ))),
        None => Ok(filter),
    }
}

/// The filter of the list of open questions.
pub(crate) fn question_filter(query: &mut Query) -> Result<QuestionFilter, ApiError> {
    Ok(QuestionFilter {
        kinds: query.many("kind")?,
        effect: query.one("effect")?,
        service: query.text("service")?,
        case: query.one("case")?,
        rulebook: query.text("rulebook")?,
        after: None,
    })
}

/// The filter of the list of steps.
pub(crate) fn step_filter(query: &mut Query) -> Result<StepFilter, ApiError> {
    let cases: Vec<CaseId> = query.many("case")?;
    let (case, cases) = match cases.as_slice() {
        [] => (None, None),
        [one] => (Some(*one), None),
        _ => (None, Some(cases)),
    };
    Ok(StepFilter {
        ids: None,
        case,
        cases,
        saga: query.one("saga")?,
        rulebook: query.text("rulebook")?,
        service: query.text("service")?,
        action: query.one("action")?,
        verb: query.one("verb")?,
        state: query.many("state")?,
        outcome: query.one("outcome")?,
        reason: query.one("reason")?,
        text: query.search("q")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use amends_api::CaseState;
    use amends_protocol::SagaId;
    use amends_store::CaseOrder;

    const NOW: Timestamp = Timestamp(1_700_000_000_000);

    fn query(text: &'static str) -> Query {
        Query::of(&Uri::from_static(text)).expect("a query")
    }

    fn detail(error: &ApiError) -> &str {
        error.problem().detail.as_deref().unwrap_or_default()
    }

    #[test]
    fn a_filter_is_read_from_its_parameters() {
        let mut query = query(
            "/v1/cases?state=open,stuck&state=unmatched&closed_on=quiet,by_hand&closedOn=proven&saga=o-1&action=payment.pay&limit=7&q=a%20b",
        );
        let filter = case_filter(&mut query, NOW).expect("a filter");
        assert_eq!(filter.state, [CaseState::Open, CaseState::Stuck, CaseState::Unmatched]);
        let words = [ClosedOn::Quiet, ClosedOn::ByPerson, ClosedOn::Proven];
        assert_eq!(filter.closed_on, words, "words of before are read too");
        assert_eq!(filter.saga, SagaId::new("o-1").ok());
        assert_eq!(filter.action.map(|a| a.to_string()).as_deref(), Some("payment.pay"));
        assert_eq!(filter.text.as_deref(), Some("a b"));
        assert_eq!(query.page().expect("a page").limit, 7);
        query.finish().expect("nothing left");
    }

    #[test]
    fn an_age_and_a_moment_narrow_together() {
        let mut query =
            query("/?older_than=1h&opened_before=2001-01-01T00:00:00Z&younger_than=2d&sort=oldest");
        let filter = case_filter(&mut query, NOW).expect("a filter");
        assert_eq!(filter.opened_before, Timestamp::parse("2001-01-01T00:00:00Z").ok());
        assert_eq!(filter.opened_after, Some(Timestamp(NOW.0 - 172_800_000)));
        assert_eq!(filter.order, CaseOrder::Oldest);
    }

    #[test]
    fn whom_it_concerns_and_how_much() {
        let mut written = query("/?customer=c%207&currency=eur&amount_min=0.50&amount_max=1e3");
        let filter = case_filter(&mut written, NOW).expect("a filter");
        assert_eq!(filter.customer.as_deref(), Some("c 7"));
        assert_eq!(filter.currency.as_deref(), Some("EUR"));
        assert_eq!(
            (filter.amount_min, filter.amount_max),
            ("0.5".parse().ok(), "1000".parse().ok())
        );
        written.finish().expect("nothing left");
    }

    #[test]
    fn whatever_is_wrong_is_said_with_its_name() {
        for (text, said) in [
            ("/?stat=open", "unknown parameter `stat`"),
            ("/?state=closed", "unknown case state `closed`; one of: open"),
            ("/?saga=a%20b", "`saga`:"),
            ("/?saga=a&saga=b", "`saga` is there 2 times"),
            ("/?service=", "`service` is empty"),
            ("/?report=payment", "write `service/code`"),
            ("/?opened_after=yesterday", "`opened_after`: `yesterday`"),
            ("/?older_than=yesterday", "write e.g. 90s"),
            ("/?sort=best", "unknown order `best`; one of: newest, oldest"),
            ("/?amount_min=12,50", "`amount_min`: not an amount"),
            ("/?customer=", "`customer` is empty"),
            ("/?limit=0", "from 1 to 500"),
            ("/?limit=501", "from 1 to 500"),
            ("/?limit=many", "from 1 to 500"),
        ] {
            let mut query = query(text);
            let read = case_filter(&mut query, NOW)
                .and_then(|_| query.page())
                .and_then(|_| query.finish());
            let error = read.expect_err(text);
            assert!(detail(&error).contains(said), "{text}: {}", detail(&error));
            assert_eq!(error.problem().status, 400);
        }
    }

    #[test]
    fn an_unknown_parameter_is_told_the_known_ones() {
        let mut query = query("/?nope=1");
        let _ = step_filter(&mut query).expect("empty");
        let error = query.finish().expect_err("unknown");
        assert!(detail(&error).contains("case, saga, rulebook, service"), "{}", detail(&error));
    }
}
