//! A History that the case needs could not be read for a long time, although its service is in reach.

use super::Facts;
use crate::agenda::Agenda;
use crate::case::Case;
use crate::lane::Job;
use crate::{CaseMemo, Question, Said, Statement};
use amends_api::QuestionKind;
use amends_protocol::Timestamp;
use std::collections::BTreeSet;
use std::sync::Arc;

pub(super) fn is_possible(memo: &CaseMemo) -> bool {
    memo.walks.iter().any(|walk| walk.unavailable)
}

pub(super) fn add(facts: &Facts<'_>, all: &mut BTreeSet<Question>) {
    let kind = QuestionKind::HistoryUnavailable;
    all.extend(facts.memo.walks.iter().filter(|walk| walk.unavailable).map(|walk| Question {
        kind,
        effect: facts.book.settings().effect_of(kind),
        service: Arc::clone(&walk.service),
        action: None,
        field: None,
        statements: BTreeSet::from([Statement {
            by: Arc::clone(&walk.service),
            request: None,
            says: Said::NoHistory,
        }]),
        can_ask_again: !walk.answered,
    }));
}

impl Case {
    /// Takes over from the lanes which Histories that are awaited are in question.
    pub(crate) fn mark_unavailable(&mut self, agenda: &Agenda) {
        for walk in self.row.detail.walks.iter_mut().filter(|w| !w.answered && !w.unavailable) {
            let lane = agenda.lanes.get(&walk.service);
            if lane.is_some_and(|lane| lane.histories.in_question) {
                walk.unavailable = true;
                self.row_changed = true;
            }
        }
    }

    /// A person says to go on without a History.
    pub(super) fn go_without_history(&mut self, service: &str) {
        let walks = self.row.detail.walks.iter_mut();
        for walk in walks.filter(|walk| *walk.service == *service && walk.unavailable) {
            walk.answered = true;
            walk.due_at = None;
            walk.message = Some("a person went without it".to_owned());
        }
    }

    /// A person wants it to be tried now.
    pub(super) fn ask_history_now(&mut self, service: &str, now: Timestamp, agenda: &mut Agenda) {
        let id = self.row.id;
        let walks = self.row.detail.walks.iter_mut();
        for walk in walks.filter(|walk| *walk.service == *service && !walk.answered) {
            walk.due_at = Some(now.0);
            agenda.enqueue(&walk.service, Job::Walk(id));
        }
    }
}
