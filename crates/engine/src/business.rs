//! Whom a case concerns and how much it is about: read from its reports and evidence by the roles that the rulebook
//! gives to their fields. A pure function of what is known, whatever the order in which it came.

use crate::case::Case;
use crate::conflict::{Data, field};
use crate::{Business, ReportRole, ReportRow, StepState};
use amends_api::{Money, Totals};
use amends_protocol::{ActionName, HistoryState, Verb};
use amends_rulebook::{Currency, DataRole, Rulebook, is_currency};
use serde_json::Value;
use std::collections::BTreeSet;

/// Longest customer or key, in bytes.
const TEXT_LIMIT: usize = 128;

/// What one piece of data says to the business.
#[derive(Default)]
struct Said {
    customer: Option<String>,
    key: Option<String>,
    amount: Option<Money>,
}

impl Said {
    fn by(data: &Data, service: &str, book: &Rulebook) -> Self {
        let mut said = Self::default();
        for (path, role) in book.roles_of(service) {
            match role {
                DataRole::Customer => said.customer = said.customer.or_else(|| text(data, path)),
                DataRole::Key => said.key = said.key.or_else(|| text(data, path)),
                DataRole::Amount(currency) => {
                    said.amount = said.amount.or_else(|| money(data, path, currency));
                }
            }
        }
        said
    }

    fn or(self, other: Self) -> Self {
        Self {
            customer: self.customer.or(other.customer),
            key: self.key.or(other.key),
            amount: self.amount.or(other.amount),
        }
    }
}

fn text(data: &Data, path: &str) -> Option<String> {
    let text = match field(data, path)? {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => return None,
    };
    (1..=TEXT_LIMIT).contains(&text.len()).then_some(text)
}

fn money(data: &Data, path: &str, currency: &Currency) -> Option<Money> {
    let Value::Number(number) = field(data, path)? else { return None };
    let currency = match currency {
        Currency::Fixed(name) => name.to_string(),
        Currency::Field(path) => field(data, path)?.as_str()?.to_ascii_uppercase(),
    };
    let amount = number.as_str().parse().ok()?;
    is_currency(&currency).then_some(Money { currency, amount })
}

impl Case {
    /// Takes down whom it concerns and how much it is about, as far as is known by now.
    pub(crate) fn note_business(&mut self, book: &Rulebook) {
        if !book.has_roles() {
            return;
        }
        let business = self.business(book);
        if self.row.extra.business != business {
            self.row.extra.business = business;
            self.row_changed = true;
        }
    }

    fn business(&self, book: &Rulebook) -> Business {
        let mut reports: Vec<&ReportRow> = self.reports.iter().collect();
        // A root says what its saga is about; what follows from it may speak of a part.
        let is_derived = |row: &ReportRow| row.role == ReportRole::Derived;
        reports.sort_by_key(|row| (is_derived(row), &row.report.source, &row.report.id));
        let of_reports = reports
            .into_iter()
            .map(|row| Said::by(&row.report.data.data, row.report.service(), book))
            .fold(Said::default(), Said::or);
        let (of_requests, amounts) = self.of_requests(book);
        let Said { customer, key, amount } = of_reports.or(of_requests);
        let amounts = if amounts.is_empty() { amount.into_iter().collect() } else { amounts };
        let order = amounts.iter().map(|m| format!("{}:{}", m.currency, m.amount.sort_key()));
        Business { customer, key, order: order.collect(), amounts }
    }

    /// What was told of the requests that are undone one by one: of the first, and the sum of their amounts. What has
    /// the same key counts once, whoever told of it.
    fn of_requests(&self, book: &Rulebook) -> (Said, Vec<Money>) {
        let (mut first, mut totals) = (Said::default(), Totals::default());
        let mut counted: BTreeSet<String> = BTreeSet::new();
        for action in self.undone() {
            for (request, state) in self.requests_of(&action) {
                if matches!(state, HistoryState::Failed | HistoryState::Fenced) {
                    continue;
                }
                let told = self.heard().data_of(&action, &request);
                let said = told.map(|(_, data)| Said::by(data, &action.service, book));
                let said = said.fold(Said::default(), Said::or);
                if let Some(money) = &said.amount {
                    let what = said.key.clone().unwrap_or_else(|| format!("{action} {request}"));
                    if counted.insert(what) {
                        totals.add(std::slice::from_ref(money));
                    }
                }
                first = first.or(said);
            }
        }
        (first, totals.amounts())
    }

    /// The actions that the plan undoes.
    fn undone(&self) -> BTreeSet<ActionName> {
        let steps = self.steps.iter().filter(|step| {
            let is_meant = !matches!(step.state, StepState::Shadow | StepState::Superseded);
            step.verb == Verb::Compensate && !step.extra.fence && is_meant
        });
        steps.map(|step| step.action.clone()).collect()
    }

    /// How much it is about, for who counts all cases.
    pub(crate) fn amounts(&self) -> Box<[Money]> {
        self.row.extra.business.amounts.as_slice().into()
    }
}
