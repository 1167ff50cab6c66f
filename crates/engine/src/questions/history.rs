//! A History that the case needs could not be read for a long time, although its service is in reach.

use super::Facts;
use crate::case::Case;
use crate::service_queue::EffectKey;
use crate::turn::Turn;
use crate::{CaseExtra, Question, Said, Statement};
use amends_api::QuestionKind;
use amends_protocol::Timestamp;
use std::collections::BTreeSet;
use std::sync::Arc;

pub(super) fn is_possible(extra: &CaseExtra) -> bool {
    extra.histories.iter().any(|query| query.unavailable)
}

pub(super) fn add(facts: &Facts<'_>, all: &mut BTreeSet<Question>) {
    let kind = QuestionKind::HistoryUnavailable;
    all.extend(facts.extra.histories.iter().filter(|query| query.unavailable).map(|query| {
        Question {
            kind,
            effect: facts.book.settings().effect_of(kind),
            service: Arc::clone(&query.service),
            action: None,
            field: None,
            statements: BTreeSet::from([Statement {
                by: Arc::clone(&query.service),
                request: None,
                says: Said::NoHistory,
            }]),
            can_ask_again: !query.answered,
        }
    }));
}

impl Case {
    /// Takes over from the queues which Histories that are awaited are in question.
    pub(crate) fn mark_unavailable(&mut self, turn: &Turn) {
        for query in self.row.extra.histories.iter_mut().filter(|w| !w.answered && !w.unavailable) {
            let queue = turn.traffic.queues.get(&query.service);
            if queue.is_some_and(|queue| queue.histories.in_question) {
                query.unavailable = true;
                self.row_changed = true;
            }
        }
    }

    /// A person says to go on without a History.
    pub(super) fn go_without_history(&mut self, service: &str) {
        let histories = self.row.extra.histories.iter_mut();
        for query in histories.filter(|query| *query.service == *service && query.unavailable) {
            query.answered = true;
            query.due_at = None;
            query.message = Some("a person went without it".to_owned());
        }
    }

    /// A person wants it to be tried now.
    pub(super) fn ask_history_now(&mut self, service: &str, now: Timestamp, turn: &mut Turn) {
        let id = self.row.id;
        let histories = self.row.extra.histories.iter_mut();
        for query in histories.filter(|query| *query.service == *service && !query.answered) {
            query.due_at = Some(now.0);
            turn.traffic.enqueue(&query.service, EffectKey::History(id));
        }
    }
}
