//! Which business fields of a case nobody is shown: those that its own version of the rulebook calls secret, and those
//! that the active one does by now. Where the own version can't be read any more, everything is.

use super::{ApiError, App};
use crate::access::Caller;
use crate::views::{self, Sight, Veiled};
use amends_api::access::{Right, Within};
use amends_api::{CaseSummary, Page, StepView};
use amends_engine::RulebookRef;
use amends_rulebook::SecretFields;
use amends_store::{CaseFilter, ListedCase, ListedStep, RowPage, Store};
use std::collections::HashMap;

/// The secret fields of a case that is planned with this version; of one without a rulebook, those of all active ones.
pub(crate) async fn secrets_of<S: Store>(
    app: &App<S>,
    rulebook: Option<&RulebookRef>,
) -> SecretFields {
    let active = app.supervisor.active_books();
    let all = |secrets: SecretFields, name: Option<&str>| {
        let books = active.iter().filter(|book| name.is_none_or(|name| name == book.name()));
        books.fold(secrets, |secrets, book| secrets.with(book.secrets()))
    };
    let Some(version) = rulebook else { return all(SecretFields::default(), None) };
    let own = app.versions.get(&app.supervisor, &app.workshop, &version.hash).await.ok().flatten();
    let own = own.map_or_else(SecretFields::everything, |book| book.secrets().clone());
    all(own, Some(&version.name))
}

/// What whoever asks sees of a case that is planned with this version.
pub(crate) async fn sight_of<S: Store>(
    app: &App<S>,
    caller: &Caller,
    rulebook: Option<&RulebookRef>,
) -> Sight {
    let within = rulebook.map_or(Within::Everywhere, |version| Within::Rulebook(&version.name));
    let data = caller.may(Right::ReadData, within);
    Sight { secrets: secrets_of(app, rulebook).await, data }
}

/// Whether somebody may look for cases by what they hold: what they can't see, they can't find out by searching either.
///
/// # Errors
/// `forbidden`, if the filter asks for business data.
pub(crate) fn may_search(caller: &Caller, filter: &CaseFilter) -> Result<(), ApiError> {
    let CaseFilter { text, customer, currency, amount_min, amount_max, .. } = filter;
    let asks = [
        text.is_some(),
        customer.is_some(),
        currency.is_some(),
        amount_min.is_some(),
        amount_max.is_some(),
    ];
    if !asks.contains(&true) {
        return Ok(());
    }
    Ok(caller.must_for(Right::ReadData, &filter.rulebooks)?)
}

/// The same for many rows, each version looked up once.
#[derive(Default)]
struct SightOfPage(HashMap<Option<RulebookRef>, Sight>);

impl SightOfPage {
    async fn of<S: Store>(
        &mut self,
        app: &App<S>,
        caller: &Caller,
        rulebook: Option<&RulebookRef>,
    ) -> Sight {
        let key = rulebook.cloned();
        if let Some(known) = self.0.get(&key) {
            return known.clone();
        }
        let sight = sight_of(app, caller, rulebook).await;
        self.0.insert(key, sight.clone());
        sight
    }
}

/// A page of cases as people see it.
pub(crate) async fn summaries<S: Store>(
    app: &App<S>,
    caller: &Caller,
    rows: RowPage<ListedCase>,
) -> Page<CaseSummary> {
    let (wall, kept_back) = (app.supervisor.on_the_wall(), app.supervisor.kept_back());
    let quarantine = app.supervisor.quarantine();
    let (mut sights, mut items) = (SightOfPage::default(), Vec::with_capacity(rows.items.len()));
    for listed in rows.items {
        let sight = sights.of(app, caller, listed.case.rulebook.as_ref()).await;
        let listed = Veiled::listed_case(wall.listed_case(listed), sight);
        let mut summary = views::case_summary(listed, &kept_back);
        summary.quarantined = quarantine.holds(summary.id);
        items.push(summary);
    }
    Page { items, next: rows.next, searched_until: rows.searched_until }
}

/// A page of steps as people see it.
pub(crate) async fn listed_steps<S: Store>(
    app: &App<S>,
    caller: &Caller,
    rows: RowPage<ListedStep>,
) -> Page<StepView> {
    let (wall, kept_back) = (app.supervisor.on_the_wall(), app.supervisor.kept_back());
    let (mut sights, mut items) = (SightOfPage::default(), Vec::with_capacity(rows.items.len()));
    for listed in rows.items {
        let sight = sights.of(app, caller, listed.rulebook.as_ref()).await;
        let listed = Veiled::listed_step(wall.listed_step(listed), sight);
        items.push(views::listed_step(listed, &kept_back));
    }
    Page { items, next: rows.next, searched_until: rows.searched_until }
}
