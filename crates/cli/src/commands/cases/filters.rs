//! Which cases are meant: the filters that lists and the export share, the same as the API's.

use crate::client::Query;
use amends_protocol::{ActionName, CaseState, SagaId};

/// Filters of cases. Everything given has to match.
#[derive(Debug, clap::Args)]
pub struct CaseFilters {
    /// Only cases in these states: open, stuck, unmatched, settled
    #[arg(long, value_delimiter = ',')]
    state: Vec<CaseState>,
    /// Only the case of this saga
    #[arg(long)]
    saga: Option<SagaId>,
    /// Only cases of this rulebook
    #[arg(long)]
    rulebook: Option<String>,
    /// Only cases with this report: SERVICE/CODE or SERVICE/*
    #[arg(long)]
    report: Option<String>,
    /// Only cases with a step of this service
    #[arg(long)]
    service: Option<String>,
    /// Only cases with a step of this action: SERVICE.ACTION
    #[arg(long)]
    action: Option<ActionName>,
    /// Only cases of this group of open work, see `cases groups`
    #[arg(long, value_name = "ID")]
    group: Option<String>,
    /// Only cases with this text in the saga id or message
    #[arg(long, value_name = "TEXT")]
    find: Option<String>,
    /// Only cases opened longer ago than this: 90s, 15m, 2h, 7d
    #[arg(long, value_name = "TIME")]
    older_than: Option<String>,
    /// Only cases opened less long ago than this
    #[arg(long, value_name = "TIME")]
    younger_than: Option<String>,
    /// Only cases opened after this time (RFC 3339)
    #[arg(long, value_name = "TIME")]
    opened_after: Option<String>,
    /// Only cases opened before this time (RFC 3339)
    #[arg(long, value_name = "TIME")]
    opened_before: Option<String>,
    /// Which come first: newest, oldest
    #[arg(long, value_name = "ORDER")]
    sort: Option<String>,
}

impl CaseFilters {
    /// As parameters of the API.
    pub fn query(&self) -> Query {
        let mut query = Query::default();
        for state in &self.state {
            query.push("state", state.as_str());
        }
        query.push_opt("saga", self.saga.as_ref());
        query.push_opt("rulebook", self.rulebook.as_ref());
        query.push_opt("report", self.report.as_ref());
        query.push_opt("service", self.service.as_ref());
        query.push_opt("action", self.action.as_ref());
        query.push_opt("group", self.group.as_ref());
        query.push_opt("q", self.find.as_ref());
        query.push_opt("older_than", self.older_than.as_ref());
        query.push_opt("younger_than", self.younger_than.as_ref());
        query.push_opt("opened_after", self.opened_after.as_ref());
        query.push_opt("opened_before", self.opened_before.as_ref());
        query.push_opt("sort", self.sort.as_ref());
        query
    }
}
