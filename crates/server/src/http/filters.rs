//! What lists can be asked for. What a query may hold is a struct, and the document of the API tells of the same one.

use super::ApiError;
use super::openapi::{Taken, Told};
use super::parameters::{Age, GroupId, Limit, Moment, OneOrMore, ReportName, Search};
use super::query::Query;
use amends_api::{
    Amount, CaseState, ClosedOn, QuestionEffect, QuestionKind, StepStateName, StuckReason,
};
use amends_engine::QuestionFilter;
use amends_protocol::{ActionName, CaseId, Outcome, ProblemCode, SagaId, Timestamp, Verb};
use amends_store::{CaseFilter, CaseOrder, PageRequest, StepFilter};
use axum::extract::FromRequestParts;
use axum::http::request::Parts;

impl Query {
    /// The id of a group of open work.
    pub(crate) fn group(&mut self) -> Result<Option<String>, ApiError> {
        Ok(OfGroup::read(self)?.group.map(|GroupId(id)| id))
    }

    /// `limit` and `cursor`.
    pub(crate) fn page(&mut self) -> Result<PageRequest, ApiError> {
        Ok(Paging::read(self)?.request())
    }
}

/// A query that says what it may hold.
pub(crate) trait Questions: Sized {
    /// Takes its parameters out of a query.
    fn read(query: &mut Query) -> Result<Self, ApiError>;
    /// Says which they are.
    fn told(told: &mut Told);
}

macro_rules! questions {
    ($($(#[doc = $text:literal])+ pub(crate) struct $name:ident {
        $(#[doc = $meaning:literal] $field:ident: $kind:ty,)+
    })+) => {$(
        $(#[doc = $text])+
        #[derive(Debug)]
        pub(crate) struct $name {
            $(#[doc = $meaning] pub(super) $field: $kind,)+
        }

        impl $crate::http::filters::Questions for $name {
            fn read(
                query: &mut $crate::http::query::Query,
            ) -> Result<Self, $crate::http::ApiError> {
                use $crate::http::parameters::Parameter;
                Ok(Self { $($field: Parameter::take(query, stringify!($field))?,)+ })
            }

            fn told(told: &mut $crate::http::openapi::Told) {
                use $crate::http::parameters::Parameter;
                $(let schema = <$kind as Parameter>::schema(told);
                told.query(stringify!($field), $meaning.trim(), schema);)+
            }
        }
    )+};
}

questions! {
    /// What cases can be asked for.
    pub(crate) struct OfCases {
        /// In one of these states.
        state: Vec<CaseState>,
        /// Settled on one of these.
        closed_on: OneOrMore<ClosedOn>,
        /// Of this saga.
        saga: Option<SagaId>,
        /// Planned with one of these rulebooks, by name.
        rulebook: Vec<String>,
        /// With this first report: `service/code` or `service/*`.
        report: Option<ReportName>,
        /// That has to do with this service.
        service: Option<String>,
        /// With a step on this `service.action`.
        action: Option<ActionName>,
        /// With this in the saga id or the first report's message.
        q: Option<Search>,
        /// That concerns this customer (the field with the role `customer`).
        customer: Option<Search>,
        /// About an amount of this currency, e.g. EUR.
        currency: Option<String>,
        /// About this much or more, of that currency or of any: a decimal number.
        amount_min: Option<Amount>,
        /// About this much or less.
        amount_max: Option<Amount>,
        /// Opened at this moment or later.
        opened_after: Option<Moment>,
        /// Opened before this moment.
        opened_before: Option<Moment>,
        /// Opened longer ago than this: 90s, 15m, 2h, 7d.
        older_than: Option<Age>,
        /// Opened less long ago than this.
        younger_than: Option<Age>,
        /// The newest first, or the oldest.
        sort: Option<CaseOrder>,
    }

    /// What open questions can be asked for.
    pub(crate) struct OfQuestions {
        /// Of these kinds.
        kind: Vec<QuestionKind>,
        /// `hold`: those that hold their case; `note`: those that are only shown.
        effect: Option<QuestionEffect>,
        /// About this service.
        service: Option<String>,
        /// Of this case.
        case: Option<CaseId>,
        /// Of cases that are planned with one of these rulebooks, by name.
        rulebook: Vec<String>,
    }

    /// What steps can be asked for.
    pub(crate) struct OfSteps {
        /// Of one of these cases.
        case: Vec<CaseId>,
        /// Of this saga.
        saga: Option<SagaId>,
        /// Of cases planned with one of these rulebooks, by name.
        rulebook: Vec<String>,
        /// Asked of this service.
        service: Option<String>,
        /// On this `service.action`.
        action: Option<ActionName>,
        /// That ask so.
        verb: Option<Verb>,
        /// In one of these states.
        state: Vec<StepStateName>,
        /// Ended so.
        outcome: Option<Outcome>,
        /// Stuck for this reason.
        reason: Option<StuckReason>,
        /// With this in the message of the last try.
        q: Option<Search>,
    }

    /// A group of open work.
    pub(crate) struct OfGroup {
        /// Of this group of open work, by its id.
        group: Option<GroupId>,
    }

    /// One page of a list.
    pub(crate) struct Paging {
        /// Most rows.
        limit: Option<Limit>,
        /// `next` of the page before.
        cursor: Option<String>,
    }
}

pub(crate) use questions;

impl Paging {
    /// As the store takes it.
    pub(crate) fn request(self) -> PageRequest {
        let limit = self.limit.map_or(PageRequest::default().limit, |Limit(rows)| rows);
        PageRequest { limit, cursor: self.cursor }
    }
}

impl OfGroup {
    /// Its id.
    pub(crate) fn id(self) -> Option<String> {
        self.group.map(|GroupId(id)| id)
    }
}

impl OfCases {
    /// As the store takes it; ages are counted back from now.
    pub(crate) fn filter(self, now: Timestamp) -> CaseFilter {
        let ago = |age: Age| Timestamp(now.0.saturating_sub(age.0));
        let (older, younger) = (self.older_than.map(ago), self.younger_than.map(ago));
        let after = self.opened_after.map(|Moment(at)| at);
        let before = self.opened_before.map(|Moment(at)| at);
        CaseFilter {
            state: self.state,
            closed_on: self.closed_on.0,
            saga: self.saga,
            rulebooks: self.rulebook,
            report: self.report.map(|ReportName(name)| name),
            service: self.service,
            action: self.action,
            text: self.q.map(|Search(text)| text),
            customer: self.customer.map(|Search(text)| text),
            currency: self.currency.map(|text| text.to_ascii_uppercase()),
            amount_min: self.amount_min,
            amount_max: self.amount_max,
            opened_after: after.into_iter().chain(younger).max(),
            opened_before: before.into_iter().chain(older).min(),
            among: None,
            members: None,
            order: self.sort.unwrap_or_default(),
        }
    }
}

impl OfQuestions {
    /// As the engine takes it.
    pub(crate) fn filter(self) -> QuestionFilter {
        let Self { kind: kinds, effect, service, case, rulebook: rulebooks } = self;
        QuestionFilter { kinds, effect, service, case, rulebooks, after: None }
    }
}

impl OfSteps {
    /// As the store takes it.
    pub(crate) fn filter(self) -> StepFilter {
        let (case, cases) = match self.case.as_slice() {
            [] => (None, None),
            [one] => (Some(*one), None),
            _ => (None, Some(self.case)),
        };
        StepFilter {
            ids: None,
            members: None,
            case,
            cases,
            saga: self.saga,
            rulebooks: self.rulebook,
            service: self.service,
            action: self.action,
            verb: self.verb,
            state: self.state,
            outcome: self.outcome,
            reason: self.reason,
            text: self.q.map(|Search(text)| text),
        }
    }
}

/// The filter of the list of cases.
pub(crate) fn case_filter(query: &mut Query, now: Timestamp) -> Result<CaseFilter, ApiError> {
    Ok(OfCases::read(query)?.filter(now))
}

/// The filter of the list of open questions.
pub(crate) fn question_filter(query: &mut Query) -> Result<QuestionFilter, ApiError> {
    Ok(OfQuestions::read(query)?.filter())
}

/// The filter of the list of steps.
pub(crate) fn step_filter(query: &mut Query) -> Result<StepFilter, ApiError> {
    Ok(OfSteps::read(query)?.filter())
}

/// No parameters.
impl Questions for () {
    fn read(_: &mut Query) -> Result<Self, ApiError> {
        Ok(())
    }

    fn told(_: &mut Told) {}
}

impl<A: Questions, B: Questions> Questions for (A, B) {
    fn read(query: &mut Query) -> Result<Self, ApiError> {
        Ok((A::read(query)?, B::read(query)?))
    }

    fn told(told: &mut Told) {
        A::told(told);
        B::told(told);
    }
}

impl<A: Questions, B: Questions, C: Questions> Questions for (A, B, C) {
    fn read(query: &mut Query) -> Result<Self, ApiError> {
        Ok((A::read(query)?, B::read(query)?, C::read(query)?))
    }

    fn told(told: &mut Told) {
        A::told(told);
        B::told(told);
        C::told(told);
    }
}

/// A whole query: these parameters and no others.
pub(crate) struct Asked<Q>(pub(crate) Q);

impl<S: Send + Sync, Q: Questions> FromRequestParts<S> for Asked<Q> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        let mut query = Query::of(&parts.uri)?;
        let asked = Q::read(&mut query)?;
        query.finish()?;
        Ok(Self(asked))
    }
}

impl<Q: Questions> Taken for Asked<Q> {
    fn told(told: &mut Told) {
        Q::told(told);
        told.problems(&[ProblemCode::InvalidFilter]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use amends_api::CaseState;
    use amends_protocol::SagaId;
    use amends_store::CaseOrder;
    use axum::http::Uri;

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
            ("/?stat=open", "unknown parameter `stat`; did you mean `state`?"),
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
