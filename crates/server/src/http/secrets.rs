//! Which business fields of a case nobody is shown: those that its own version of the rulebook calls secret, and those
//! that the active one does by now. Where the own version can't be read any more, everything is.

use super::App;
use crate::views::{self, Veiled};
use amends_api::{CaseSummary, Page, StepView};
use amends_engine::RulebookRef;
use amends_rulebook::SecretFields;
use amends_store::{ListedCase, ListedStep, RowPage, Store};
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

/// The same for many rows, each version looked up once.
#[derive(Default)]
pub(crate) struct SecretsOfPage(HashMap<Option<RulebookRef>, SecretFields>);

impl SecretsOfPage {
    pub(crate) async fn of<S: Store>(
        &mut self,
        app: &App<S>,
        rulebook: Option<&RulebookRef>,
    ) -> SecretFields {
        let key = rulebook.cloned();
        if let Some(known) = self.0.get(&key) {
            return known.clone();
        }
        let secrets = secrets_of(app, rulebook).await;
        self.0.insert(key, secrets.clone());
        secrets
    }
}

/// A page of cases as people see it.
pub(crate) async fn summaries<S: Store>(
    app: &App<S>,
    rows: RowPage<ListedCase>,
) -> Page<CaseSummary> {
    let (wall, kept_back) = (app.supervisor.on_the_wall(), app.supervisor.kept_back());
    let quarantine = app.supervisor.quarantine();
    let (mut secrets, mut items) = (SecretsOfPage::default(), Vec::with_capacity(rows.items.len()));
    for listed in rows.items {
        let hidden = secrets.of(app, listed.case.rulebook.as_ref()).await;
        let listed = Veiled::listed_case(wall.listed_case(listed), hidden);
        let mut summary = views::case_summary(listed, &kept_back);
        summary.quarantined = quarantine.holds(summary.id);
        items.push(summary);
    }
    Page { items, next: rows.next, searched_until: rows.searched_until }
}

/// A page of steps as people see it.
pub(crate) async fn listed_steps<S: Store>(
    app: &App<S>,
    rows: RowPage<ListedStep>,
) -> Page<StepView> {
    let (wall, kept_back) = (app.supervisor.on_the_wall(), app.supervisor.kept_back());
    let (mut secrets, mut items) = (SecretsOfPage::default(), Vec::with_capacity(rows.items.len()));
    for listed in rows.items {
        let hidden = secrets.of(app, listed.rulebook.as_ref()).await;
        let listed = Veiled::listed_step(wall.listed_step(listed), hidden);
        items.push(views::listed_step(listed, &kept_back));
    }
    Page { items, next: rows.next, searched_until: rows.searched_until }
}
