//! `/cases`: the list with its filters, which are all in the address; and `/cases?view=causes`, the same work by what
//! holds it up.

use super::page::{Frame, PageError, Part, see, show};
use super::visitor::Visitor;
use super::words::{case_sign, date_and_time, relative, upcoming};
use crate::access::Caller;
use crate::all_nodes::OfAll;
use crate::clock::{Clock, SystemClock};
use crate::http::{App, Query, case_filter, found_cases, may_search};
use crate::overview::group_view;
use crate::views::bare_groups;
use amends_api::access::{Right, Within};
use amends_api::remedies::{Remedied, Remedy};
use amends_api::signs::Signed;
use amends_api::{
    BulkActName, CaseState, CaseSummary, ClosedOn, GroupView, Page as Rows, StepStateName, Totals,
    amounts_in_words, totals_in_words,
};
use amends_store::Store;
use askama::Template;
use axum::extract::State;
use axum::http::Uri;
use axum::response::Response;

/// What a filter of the list may hold, in the order of its form.
const FIELDS: [&str; 18] = [
    "q",
    "state",
    "closed_on",
    "service",
    "action",
    "report",
    "rulebook",
    "older_than",
    "younger_than",
    "sort",
    "group",
    "saga",
    "opened_after",
    "opened_before",
    "customer",
    "currency",
    "amount_min",
    "amount_max",
];

/// What stood in the form, as it came.
pub(super) struct Filter {
    pairs: Vec<(String, String)>,
}

#[derive(Template)]
#[template(path = "cases.html")]
struct ListPage {
    frame: Frame,
    filter: Filter,
    rows: Rows<CaseSummary>,
    group: Option<GroupView>,
    known: Known,
}

#[derive(Template)]
#[template(path = "causes.html")]
struct CausesPage {
    frame: Frame,
    groups: Vec<GroupView>,
}

/// What the fields of the form offer.
struct Known {
    services: Vec<String>,
    actions: Vec<String>,
    reports: Vec<String>,
    rulebooks: Vec<String>,
    /// Some rulebook says what business fields mean.
    has_roles: bool,
}

/// `GET /cases`
pub(super) async fn list<S: Store>(
    State(app): State<App<S>>,
    uri: Uri,
    visitor: Visitor,
) -> Result<Response, PageError> {
    let filter = Filter::of(&uri);
    if filter.has_empty_fields(&uri) {
        // A form sends its empty fields too; an address that people share should not have them.
        return Ok(see(&filter.address("/cases", &[])));
    }
    let itself = uri.path_and_query().map_or_else(|| "/cases".to_owned(), ToString::to_string);
    if filter.get("view") == "causes" {
        // A cause is one over all rulebooks.
        let everything = visitor.caller.must(Right::Read, Within::Everywhere);
        everything.map_err(|problem| PageError::from(*problem).back("/cases"))?;
        let mut frame = Frame::live(&app, Part::Cases, "Cases by cause", itself, &visitor);
        let OfAll { what: mut groups, silent } = app.supervisor.groups().await?;
        frame.silent = silent;
        if !visitor.caller.sees_data() {
            bare_groups(&mut groups);
        }
        return Ok(show(&CausesPage { frame, groups }));
    }
    let frame = Frame::live(&app, Part::Cases, "Cases", itself, &visitor);
    let mut query = Query::from_pairs(filter.pairs.clone());
    let wrong = |error| PageError::from(error).back("/cases");
    let (mut wanted, page) =
        (case_filter(&mut query, SystemClock.now()).map_err(wrong)?, query.page().map_err(wrong)?);
    may_search(&visitor.caller, &wanted).map_err(wrong)?;
    let id = query.group().map_err(wrong)?;
    query.finish().map_err(wrong)?;
    let mut group = None;
    if let Some(id) = id {
        let members = app.supervisor.members(id).await?;
        let found = members.group.filter(|_| visitor.caller.reads(None));
        let mut groups: Vec<GroupView> =
            found.iter().map(|(key, of)| group_view((key, of), SystemClock.now())).collect();
        if !visitor.caller.sees_data() {
            bare_groups(&mut groups);
        }
        group = groups.pop();
        wanted.members = Some(members.cases);
    }
    let rows = found_cases(&app, &visitor.caller, wanted, page).await;
    let rows = rows.map_err(|e| wrong(e.into()))?;
    let known = Known::of(&app, &visitor.caller, &filter);
    Ok(show(&ListPage { frame, filter, rows, group, known }))
}

impl Filter {
    pub(super) fn of(uri: &Uri) -> Self {
        let query = uri.query().unwrap_or_default();
        let pairs = form_urlencoded::parse(query.as_bytes()).into_owned();
        Self { pairs: pairs.filter(|(_, value)| !value.trim().is_empty()).collect() }
    }

    fn has_empty_fields(&self, uri: &Uri) -> bool {
        let query = uri.query().unwrap_or_default();
        form_urlencoded::parse(query.as_bytes()).count() != self.pairs.len()
    }

    /// A field; empty if it is not there.
    pub(super) fn get(&self, name: &str) -> &str {
        self.pairs.iter().find(|(n, _)| n == name).map_or("", |(_, value)| value)
    }

    /// Every field that came.
    pub(super) fn pairs(&self) -> &[(String, String)] {
        &self.pairs
    }

    fn is_empty(&self) -> bool {
        !self.pairs.iter().any(|(name, _)| FIELDS.contains(&name.as_str()) && name != "sort")
    }

    /// An address with this filter and more.
    pub(super) fn address(&self, path: &str, more: &[(&str, &str)]) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        let own = self
            .pairs
            .iter()
            .filter(|(name, _)| name != "cursor" && !more.iter().any(|(n, _)| n == name));
        for (name, value) in own {
            query.append_pair(name, value);
        }
        query.extend_pairs(more);
        match query.finish() {
            query if query.is_empty() => path.to_owned(),
            query => format!("{path}?{query}"),
        }
    }
}

impl Known {
    fn of<S: Store>(app: &App<S>, caller: &Caller, filter: &Filter) -> Self {
        let mut known = Self {
            services: Vec::new(),
            actions: Vec::new(),
            reports: Vec::new(),
            rulebooks: Vec::new(),
            has_roles: false,
        };
        let active = app.supervisor.active_books().into_iter();
        for book in active.filter(|book| caller.reads(Some(book.name()))) {
            known.has_roles |= book.has_roles();
            known.rulebooks.push(book.name().to_owned());
            known.services.extend(book.services().iter().map(|s| s.name.to_string()));
            known.actions.extend(book.actions().iter().map(|action| action.name.to_string()));
            known.reports.extend((0..book.reports().len()).map(|n| book.report_name(n)));
        }
        // What a link asks for stays in the form, also when no active rulebook knows it.
        for (list, field) in [
            (&mut known.services, "service"),
            (&mut known.actions, "action"),
            (&mut known.rulebooks, "rulebook"),
        ] {
            let wanted = filter.get(field);
            if !wanted.is_empty() && !list.iter().any(|known| known == wanted) {
                list.push(wanted.to_owned());
            }
        }
        for list in [&mut known.services, &mut known.actions, &mut known.reports] {
            list.sort_unstable();
        }
        known
    }
}

impl ListPage {
    fn next(&self) -> Option<String> {
        let cursor = self.rows.next.as_deref()?;
        Some(self.filter.address("/cases", &[("cursor", cursor)]))
    }

    fn export(&self, format: &str) -> String {
        let all = Filter {
            pairs: self.filter.pairs.iter().filter(|(name, _)| name != "limit").cloned().collect(),
        };
        all.address("/v1/cases:export", &[("format", format)])
    }

    /// Fields that the form does not show; they stay as they are.
    fn unseen(&self) -> impl Iterator<Item = &(String, String)> {
        let unseen = ["group", "saga", "opened_after", "opened_before", "amount_max"];
        let business = ["customer", "currency", "amount_min"];
        self.filter.pairs.iter().filter(move |(name, _)| {
            let name = name.as_str();
            unseen.contains(&name) || (!self.known.has_roles && business.contains(&name))
        })
    }

    /// Whether any case says whom it concerns or how much it is about.
    fn shows_business(&self) -> bool {
        self.rows.items.iter().any(|case| case.customer.is_some() || !case.amounts.is_empty())
    }

    /// What the cases of this page are about together.
    fn sum(&self) -> String {
        let mut totals = Totals::default();
        self.rows.items.iter().for_each(|case| totals.add(&case.amounts));
        let cases = self.rows.items.len() as u64;
        match totals_in_words(&totals.amounts(), cases, totals.without()) {
            words if words.is_empty() => format!("no amount in {cases} cases"),
            words => words,
        }
    }

    fn bulk(&self, act: &str) -> String {
        self.filter.address("/bulk/new", &[("act", act), ("of", "cases")])
    }
}

/// What the cases of a group are about together.
pub(super) fn totals(group: &GroupView) -> String {
    totals_in_words(&group.amounts, group.cases, group.without_amount)
}

/// How many steps of a case have ended, as `3 of 4`.
fn ended_of(case: &CaseSummary) -> String {
    let count = |state| case.steps.get(&state).copied().unwrap_or_default();
    let all: u32 =
        case.steps.iter().filter(|(s, _)| **s != StepStateName::Shadow).map(|(_, n)| n).sum();
    format!("{} of {all}", count(StepStateName::Done) + count(StepStateName::Superseded))
}

/// The bulk acts on a group, what helps most likely first, each with its word; none where no act on its members would
/// change anything.
pub(super) fn group_acts(group: &GroupView) -> Vec<(BulkActName, &'static str)> {
    let is_possible = |act: &BulkActName| match act {
        BulkActName::Retry | BulkActName::Approve => group.example_step.is_some(),
        // What goes on by itself is not given up by one press.
        BulkActName::Waive => group.example_step.is_some() && group.stuck,
        BulkActName::Replan | BulkActName::Accept => true,
    };
    let acts = group.cause.remedies().iter().filter_map(|remedy| remedy.on_many());
    acts.filter(is_possible).map(|act| (act, on_all(act))).collect()
}

fn on_all(act: BulkActName) -> &'static str {
    match act {
        BulkActName::Retry => "Retry all",
        BulkActName::Waive => "Waive all",
        BulkActName::Approve => "Approve all",
        BulkActName::Replan => "Replan all",
        BulkActName::Accept => "Accept all",
    }
}
