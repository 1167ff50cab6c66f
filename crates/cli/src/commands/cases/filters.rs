//! Which cases are meant: the filters that lists and the export share, the same as the API's.

use crate::client::Query;
use crate::complete;
use amends_api::{Amount, CaseState, ClosedOn};
use amends_protocol::{ActionName, SagaId};
use clap_complete::ArgValueCompleter;

/// Filters of cases. Everything given has to match.
#[derive(Debug, clap::Args)]
pub struct CaseFilters {
    /// Only cases in these states: open, stuck, unmatched, settled
    #[arg(long, value_delimiter = ',')]
    state: Vec<CaseState>,
    /// Only cases settled on this evidence: proven, forward, quiet, by_person
    #[arg(long, value_name = "WORD", value_delimiter = ',')]
    closed_on: Vec<ClosedOn>,
    /// Only the case of this saga
    #[arg(long)]
    saga: Option<SagaId>,
    /// Only cases of this rulebook
    #[arg(long, add = ArgValueCompleter::new(complete::rulebooks))]
    rulebook: Option<String>,
    /// Only cases with this report: SERVICE/CODE or SERVICE/*
    #[arg(long)]
    report: Option<String>,
    /// Only cases with a step of this service
    #[arg(long, add = ArgValueCompleter::new(complete::services))]
    service: Option<String>,
    /// Only cases with a step of this action: SERVICE.ACTION
    #[arg(long)]
    action: Option<ActionName>,
    /// Only cases of this group of open work, see `cases groups`; `g-late`: all past their objective
    #[arg(long, value_name = "ID", add = ArgValueCompleter::new(complete::groups))]
    group: Option<String>,
    /// Only cases with this text in the saga id or message
    #[arg(long, value_name = "TEXT")]
    find: Option<String>,
    /// Only cases that concern this customer
    #[arg(long, value_name = "TEXT")]
    customer: Option<String>,
    /// Only cases about an amount of this currency, e.g. EUR
    #[arg(long, value_name = "CODE")]
    currency: Option<String>,
    /// Only cases about this much or more, of that currency or of any
    #[arg(long, value_name = "AMOUNT")]
    amount_min: Option<Amount>,
    /// Only cases about this much or less
    #[arg(long, value_name = "AMOUNT")]
    amount_max: Option<Amount>,
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
    /// As parameters of the API, each at most once.
    pub fn pairs(&self) -> Vec<(&'static str, String)> {
        let states = self.state.iter().map(|state| state.as_str());
        let closed_on = self.closed_on.iter().map(|closed_on| closed_on.as_str());
        let all = [
            ("state", joined(states)),
            ("closed_on", joined(closed_on)),
            ("saga", self.saga.as_ref().map(ToString::to_string)),
            ("rulebook", self.rulebook.clone()),
            ("report", self.report.clone()),
            ("service", self.service.clone()),
            ("action", self.action.as_ref().map(ToString::to_string)),
            ("group", self.group.clone()),
            ("q", self.find.clone()),
            ("customer", self.customer.clone()),
            ("currency", self.currency.clone()),
            ("amount_min", self.amount_min.map(|amount| amount.to_string())),
            ("amount_max", self.amount_max.map(|amount| amount.to_string())),
            ("older_than", self.older_than.clone()),
            ("younger_than", self.younger_than.clone()),
            ("opened_after", self.opened_after.clone()),
            ("opened_before", self.opened_before.clone()),
            ("sort", self.sort.clone()),
        ];
        all.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
    }

    /// As a query of the API.
    pub fn query(&self) -> Query {
        let mut query = Query::default();
        for (name, value) in self.pairs() {
            query.push(name, &value);
        }
        query
    }
}

fn joined(words: impl Iterator<Item = &'static str>) -> Option<String> {
    let words: Vec<_> = words.collect();
    (!words.is_empty()).then(|| words.join(","))
}

#[cfg(test)]
mod tests {
    use super::CaseFilters;
    use clap::Args;
    use serde_json::Value;

    /// Parameters that are no filters, or that have another name on a command line.
    const OTHERWISE: &[&str] = &["q", "limit", "cursor"];

    #[test]
    fn every_filter_of_the_api_is_an_option() {
        let text = include_str!("../../../../../docs/reference/openapi.json");
        let document: Value = serde_json::from_str(text).expect("JSON");
        let parameters = document["paths"]["/v1/cases"]["get"]["parameters"].as_array();
        let names: Vec<&str> =
            parameters.expect("a list").iter().filter_map(|p| p["name"].as_str()).collect();
        assert!(names.len() > 10, "{names:?}");
        let command = CaseFilters::augment_args(clap::Command::new("cases"));
        let options: Vec<&str> = command.get_arguments().filter_map(|a| a.get_long()).collect();
        for name in names.into_iter().filter(|name| !OTHERWISE.contains(name)) {
            assert!(options.contains(&name.replace('_', "-").as_str()), "{name}: {options:?}");
        }
        assert!(options.contains(&"find"), "`q` of the API");
    }
}
