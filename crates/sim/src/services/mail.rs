//! Reports: what a failing service publishes, and what happens to it on its way to the supervisor.

use super::model::{Around, Services, order_id, request_id};
use crate::event::{BEGINNING, Letter, WorldEvent};
use crate::scenario::{MailTrouble, ORDER};

use amends_protocol::{HistoryState, Report, ReportData, Timestamp};
use amends_rulebook::Example;
use amends_simulate::SeededRng;
use serde_json::Map;
use std::sync::Arc;

impl Services {
    pub(super) fn publish(
        &mut self,
        saga: usize,
        node: usize,
        code: &str,
        fields: Option<&Example>,
        cause: Option<usize>,
        around: &mut Around<'_>,
    ) -> usize {
        let index = self.sagas[saga].reports.len();
        let trouble = self.sagas[saga].mail.get(&index).cloned().unwrap_or_default();
        let mut caused_by: Vec<String> = cause.iter().map(|n| report_id(saga, *n)).collect();
        let before = index.checked_sub(1);
        let circles = |n: usize| {
            self.sagas[saga].mail.get(&n).is_some_and(|t| t.contains(&MailTrouble::Circle))
        };
        if circles(index) {
            caused_by.push(report_id(saga, index + 1));
        }
        if let Some(before) = before.filter(|n| circles(*n)) {
            caused_by.push(report_id(saga, before));
        }
        if trouble.contains(&MailTrouble::StrangeCause) {
            caused_by.push("of-somebody-else".to_owned());
        }
        let report = self.write(saga, node, code, fields, caused_by, around.queue.now());
        self.sagas[saga].reports.push(Arc::new(report));
        let letter = Letter { saga, report: index };
        let mut late = SeededRng::of(self.seed, &[3, saga as u64, index as u64]).between(1, 300);
        for trouble in &trouble {
            if let MailTrouble::Late(ms) = trouble {
                late += ms;
            }
        }
        if trouble.contains(&MailTrouble::Lost) {
            around.story.tell(|| format!("the report {} is lost", report_id(saga, index)));
            return index;
        }
        around.queue.after(late, WorldEvent::Mail(letter));
        for trouble in trouble {
            if let MailTrouble::Again(ms) = trouble {
                around.queue.after(late + ms, WorldEvent::Mail(letter));
            }
        }
        index
    }

    /// What a service believes the time to be.
    fn clock_of(&self, service: &str, now: i64) -> Timestamp {
        Timestamp(BEGINNING.0 + now + self.skews.get(service).copied().unwrap_or(0))
    }

    #[allow(clippy::too_many_arguments)] // one report has that many parts
    fn write(
        &self,
        saga: usize,
        node: usize,
        code: &str,
        fields: Option<&Example>,
        caused_by: Vec<String>,
        now: i64,
    ) -> Report {
        let name = &self.book.get(self.action_of(saga, node)).name;
        let service = &*name.service;
        let mut data = fields.map_or_else(Map::new, |fields| fields.data.clone());
        data.insert(ORDER.to_owned(), order_id(saga).into());
        let mut history = self.own_requests(saga, service, false);
        history.extend(self.own_calls(saga, service).into_iter().map(|mut call| {
            if call.state == HistoryState::Started {
                call.state = HistoryState::Unknown; // nobody waits for its answer any more
            }
            call
        }));
        Report {
            id: report_id(saga, self.sagas[saga].reports.len()),
            source: service.to_owned(),
            saga_id: self.sagas[saga].plan.id.clone(),
            time: Some(self.clock_of(service, now)),
            traceparent: None,
            data: ReportData {
                code: code.to_owned(),
                action: Some(name.action.to_string()),
                request_id: Some(request_id(saga, node)),
                caused_by,
                history,
                entry: None,
                caller: None,
                message: fields.and_then(|f| f.message.clone()),
                data,
            },
        }
    }
}

fn report_id(saga: usize, report: usize) -> String {
    format!("report-{saga}-{report}")
}
