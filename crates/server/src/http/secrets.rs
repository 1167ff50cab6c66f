//! Which business fields of a case nobody is shown: those that its own version of the rulebook calls secret, and those
//! that the active one does by now. Where the own version can't be read any more, everything is.
//!
//! Nobody finds out by asking either: a search by text finds a row by what is shown of it, and by nothing else.

use super::{ApiError, App};
use crate::access::Caller;
use crate::views::{self, Sight, Veiled};
use amends_api::access::{Right, Within};
use amends_api::{CaseSummary, Page, StepView};
use amends_engine::{CaseRow, RulebookRef, StepRow};
use amends_rulebook::SecretFields;
use amends_store::{
    CaseFilter, ListedCase, ListedStep, PAGE_LIMIT, PageRequest, RowPage, StepFilter, Store,
    StoreError,
};
use std::collections::HashMap;
use std::future::Future;

/// Pages that are looked through for one page of a search whose rows may not be found by what they hide.
const PAGES_FOR_ONE: usize = 20;

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

/// The same of a search for steps.
///
/// # Errors
/// `forbidden`, if the filter asks for business data.
pub(crate) fn may_search_steps(caller: &Caller, filter: &StepFilter) -> Result<(), ApiError> {
    match filter.text {
        Some(_) => Ok(caller.must_for(Right::ReadData, &filter.rulebooks)?),
        None => Ok(()),
    }
}

/// Cases that a filter finds, as whoever asks sees them.
pub(crate) async fn found_cases<S: Store>(
    app: &App<S>,
    caller: &Caller,
    filter: CaseFilter,
    request: PageRequest,
) -> Result<Page<CaseSummary>, StoreError> {
    let page = |request| async {
        let rows = app.supervisor.store().cases(filter.clone(), request).await?;
        Ok(summaries(app, caller, rows).await)
    };
    let wanted = filter.text.as_deref().map(|text| Wanted::new(app, text));
    let is_found = |wanted: &Wanted<S>, case: &CaseSummary| {
        wanted.is_in(Some(case.saga_id.as_str())) || wanted.is_in(case.message.as_deref())
    };
    as_seen(wanted, request, page, is_found).await
}

/// The same of steps.
pub(crate) async fn found_steps<S: Store>(
    app: &App<S>,
    caller: &Caller,
    filter: StepFilter,
    request: PageRequest,
) -> Result<Page<StepView>, StoreError> {
    let page = |request| async {
        let rows = app.supervisor.store().steps(filter.clone(), request).await?;
        Ok(listed_steps(app, caller, rows).await)
    };
    let wanted = filter.text.as_deref().map(|text| Wanted::new(app, text));
    let is_found = |wanted: &Wanted<S>, step: &StepView| wanted.is_in(step.message.as_deref());
    as_seen(wanted, request, page, is_found).await
}

/// A text that is searched for in what is shown.
pub(crate) struct Wanted<'a, S: Store> {
    app: &'a App<S>,
    text: String,
}

impl<'a, S: Store> Wanted<'a, S> {
    pub(crate) fn new(app: &'a App<S>, text: &str) -> Self {
        Self { app, text: text.to_ascii_lowercase() }
    }

    /// Whether what is shown of a text has it, whatever the case of its letters: as the store compares.
    pub(crate) fn is_in(&self, shown: Option<&str>) -> bool {
        let shown = shown.map(|text| self.app.withheld.hide(text).to_ascii_lowercase());
        shown.is_some_and(|text| text.contains(&self.text))
    }
}

/// A page of a search, without the rows that were found by what is not shown of them. Neither its length nor whether
/// there is a next page tells of such rows.
async fn as_seen<T, W, F>(
    wanted: Option<W>,
    mut request: PageRequest,
    page: impl Fn(PageRequest) -> F,
    is_found: impl Fn(&W, &T) -> bool,
) -> Result<Page<T>, StoreError>
where
    F: Future<Output = Result<Page<T>, StoreError>>,
{
    let Some(wanted) = wanted else { return page(request).await };
    let most = request.limit.clamp(1, PAGE_LIMIT);
    let mut found = Page { items: Vec::new(), next: None, searched_until: None };
    for _ in 0..PAGES_FOR_ONE {
        let mut rows = page(request.clone()).await?;
        rows.items.retain(|one| is_found(&wanted, one));
        found.items.append(&mut rows.items);
        (found.next, found.searched_until) = (rows.next, rows.searched_until);
        let missing = most.saturating_sub(u32::try_from(found.items.len()).unwrap_or(u32::MAX));
        match &found.next {
            Some(next) if missing > 0 && found.searched_until.is_none() => {
                request = PageRequest { limit: missing, cursor: Some(next.clone()) };
            }
            _ => break,
        }
    }
    // The page is full: does anything follow that may be seen? The first row that follows commonly does.
    let (mut cursor, mut limit) = (found.next.clone(), 1);
    for _ in 0..PAGES_FOR_ONE {
        if cursor.is_none() || found.searched_until.is_some() {
            break;
        }
        let rows = page(PageRequest { limit, cursor }).await?;
        if rows.searched_until.is_some() || rows.items.iter().any(|one| is_found(&wanted, one)) {
            break;
        }
        if rows.next.is_none() {
            found.next = None;
        }
        (cursor, limit) = (rows.next, PAGE_LIMIT);
    }
    Ok(found)
}

/// Steps that were looked up to act on them, as whoever acts sees them; of a search, those that it may find.
pub(crate) async fn steps_as_seen<S: Store>(
    app: &App<S>,
    caller: &Caller,
    wanted: Option<&str>,
    rows: Vec<ListedStep>,
) -> Vec<StepRow> {
    let wanted = wanted.map(|text| Wanted::new(app, text));
    let (mut sights, mut seen) = (SightOfPage::default(), Vec::with_capacity(rows.len()));
    for listed in rows {
        let sight = sights.of(app, caller, listed.rulebook.as_ref()).await;
        let step = Veiled::listed_step(listed, sight).rows().step;
        if wanted.as_ref().is_none_or(|wanted| wanted.is_in(step.extra.message.as_deref())) {
            seen.push(step);
        }
    }
    seen
}

/// The same of cases.
pub(crate) async fn cases_as_seen<S: Store>(
    app: &App<S>,
    caller: &Caller,
    wanted: Option<&str>,
    rows: Vec<ListedCase>,
) -> Vec<CaseRow> {
    let wanted = wanted.map(|text| Wanted::new(app, text));
    let (mut sights, mut seen) = (SightOfPage::default(), Vec::with_capacity(rows.len()));
    for listed in rows {
        let sight = sights.of(app, caller, listed.case.rulebook.as_ref()).await;
        let case = Veiled::listed_case(listed, sight).rows().case;
        let is_found = wanted.as_ref().is_none_or(|wanted| {
            wanted.is_in(Some(case.saga.as_str())) || wanted.is_in(case.message.as_deref())
        });
        if is_found {
            seen.push(case);
        }
    }
    seen
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
    let (mut sights, mut items) = (SightOfPage::default(), Vec::with_capacity(rows.items.len()));
    for listed in rows.items {
        let sight = sights.of(app, caller, listed.case.rulebook.as_ref()).await;
        let listed = Veiled::listed_case(wall.listed_case(listed), sight);
        let mut summary = views::case_summary(listed, &kept_back);
        summary.quarantined = app.supervisor.is_quarantined(summary.id);
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
