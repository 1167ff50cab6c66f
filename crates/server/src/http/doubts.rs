//! What the newest cases of a rulebook leave in doubt: `GET /v1/rulebooks/{name}/questions`. Looks at the newest cases
//! only, so that an answer comes soon however much is stored.

use super::filters::Asked;
use super::path::Id;
use super::{ApiError, App, cases};
use amends_api::{QuestionEffect, QuestionKind, QuestionsOfKind, RulebookQuestions};
use amends_protocol::{CaseId, Timestamp};
use amends_rulebook::Rulebook;
use amends_store::{CaseFilter, PageRequest, Store};
use axum::Json;
use axum::extract::State;
use std::collections::{BTreeMap, BTreeSet};

/// Cases that are looked at.
const CASES: u32 = 500;

/// `GET /v1/rulebooks/{name}/questions`
pub(crate) async fn show<S: Store>(
    State(app): State<App<S>>,
    Id(name): Id<String>,
    _: Asked<()>,
) -> Result<Json<RulebookQuestions>, ApiError> {
    let book = app.supervisor.active_books().into_iter().find(|book| book.name() == name);
    let none = || ApiError::not_found(format!("there is no active rulebook `{name}`"));
    let book = book.ok_or_else(none)?;
    let _turn = app.long_read()?;
    let filter = CaseFilter { rulebooks: vec![name.clone()], ..CaseFilter::default() };
    let newest = app.supervisor.store().cases(filter, PageRequest::first(CASES)).await?;
    let mut doubts = Doubts::default();
    for listed in newest.items {
        match cases::doubts(&app, listed.case.id).await {
            Ok(questions) => {
                let found = questions.iter().map(|question| (question.kind, question.effect));
                doubts.see(listed.case.id, listed.case.opened_at, found);
            }
            // Removed in the meantime, or quarantined.
            Err(error) if matches!(error.status(), 404 | 409) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(Json(doubts.view(&book)))
}

/// What was counted.
#[derive(Debug, Default)]
pub(crate) struct Doubts {
    cases: u64,
    since: Option<Timestamp>,
    kinds: BTreeMap<QuestionKind, Counts>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    stuck: u64,
    would_be_stuck: u64,
    example: Option<CaseId>,
}

impl Doubts {
    /// Counts a case, each kind once. The newest case comes first.
    pub(crate) fn see(
        &mut self,
        case: CaseId,
        opened_at: Timestamp,
        questions: impl Iterator<Item = (QuestionKind, QuestionEffect)>,
    ) {
        self.cases += 1;
        self.since = Some(opened_at);
        for (kind, effect) in questions.collect::<BTreeSet<_>>() {
            let counts = self.kinds.entry(kind).or_default();
            counts.example.get_or_insert(case);
            match effect {
                QuestionEffect::Hold => counts.stuck += 1,
                QuestionEffect::Note => counts.would_be_stuck += 1,
            }
        }
    }

    /// As the API tells it.
    pub(crate) fn view(self, book: &Rulebook) -> RulebookQuestions {
        let of_kind = |kind: &QuestionKind| {
            let counts = self.kinds.get(kind).copied().unwrap_or_default();
            QuestionsOfKind {
                kind: *kind,
                effect: book.settings().effect_of(*kind),
                stuck: counts.stuck,
                would_be_stuck: counts.would_be_stuck,
                example: counts.example,
            }
        };
        RulebookQuestions {
            rulebook: book.name().to_owned(),
            cases: self.cases,
            since: self.since,
            kinds: QuestionKind::ALL.iter().map(of_kind).collect(),
        }
    }
}
