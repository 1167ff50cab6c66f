//! Looking at the participant: its History of a saga, and how often an effect is in force.

use super::history::{Entry, History};
use super::{Ask, TestContext, encoded};
use crate::config::{Count, Observe};
use crate::finding::Tried;
use crate::step::{Signed, sign};
use crate::wire::{Exchange, Sent};
use amends_protocol::{HISTORY_NEXT_LIMIT, headers, is_history_next};
use serde::Deserialize;
use serde_json::Value;

/// Pages of a History after which there should have been an end: no check makes a saga of so many requests.
const PAGES: usize = 100;

impl TestContext {
    /// Reads the History of a saga, page by page.
    pub(crate) async fn history(&self, saga: &str) -> Tried<History> {
        let exchange = self.exchange(self.history_request(saga, Signed::Rightly)).await;
        let mut history = self.read_history(exchange)?;
        let mut pages = 1;
        while let Some(next) = history.next.take() {
            let expected = format!(
                "`next` of a History is at most {HISTORY_NEXT_LIMIT} bytes of printable ASCII without blanks, and leads on: after {PAGES} pages it has an end"
            );
            if !is_history_next(&next) || pages == PAGES {
                return Err(history.exchange.unlike(expected));
            }
            let sent = self.history_request_after(saga, Some(&next), Signed::Rightly);
            let more = self.read_history(self.exchange(sent).await)?;
            history.exchange = more.exchange;
            history.entries.extend(more.entries);
            history.next = more.next;
            pages += 1;
        }
        Ok(history)
    }

    pub(crate) fn history_request(&self, saga: &str, signed: Signed) -> Sent {
        self.history_request_after(saga, None, signed)
    }

    /// The request for the page behind this `next`.
    pub(crate) fn history_request_after(
        &self,
        saga: &str,
        next: Option<&str>,
        signed: Signed,
    ) -> Sent {
        let after = next.map(|next| format!("?after={}", encoded(next))).unwrap_or_default();
        let mut sent = Sent::get(format!("/amends/v1/history/{}{after}", encoded(saga)));
        sent.set(headers::SAGA_ID, saga);
        if let Some(signer) = &self.stage.config.signer {
            sign(&mut sent, signer, &format!("history-{}", self.stage.next()), signed);
        }
        sent
    }

    pub(super) fn read_history(&self, exchange: Exchange) -> Tried<History> {
        #[derive(Deserialize)]
        struct Read {
            entries: Vec<Entry>,
            #[serde(default)]
            next: Option<String>,
        }
        let expected = "a History: 200 with `entries`";
        let answer = exchange.answered(expected)?;
        let read = serde_json::from_slice::<Read>(&answer.body);
        match read {
            Ok(Read { entries, next }) if answer.status == 200 => {
                Ok(History { exchange, entries, next })
            }
            _ => Err(exchange.unlike(expected)),
        }
    }

    /// Compares how often the effect of requests of one saga is in force with how often it should be. Says nothing if
    /// it can't be seen from outside.
    pub(crate) async fn shows(&self, asks: &[&Ask], times: i64, what: &str) -> Tried {
        let Some(observe) = &self.action.observe else { return Ok(()) };
        self.observed(observe, asks, times, what).await
    }

    /// The same of a notice.
    pub(crate) async fn shows_notice(&self, asks: &[&Ask], times: i64, what: &str) -> Tried {
        match self.notice.as_ref().and_then(|notice| notice.observe.as_ref()) {
            Some(observe) => self.observed(observe, asks, times, what).await,
            None => Ok(()),
        }
    }

    async fn observed(&self, observe: &Observe, asks: &[&Ask], times: i64, what: &str) -> Tried {
        let looks = if observe.get.is_of_one_request() { asks.len() } else { 1 };
        let mut sum = 0;
        let mut last = None;
        for ask in asks.iter().take(looks) {
            let exchange = self.exchange(Sent::get(observe.get.fill_path(&ask.values))).await;
            sum += observe.count.of(&exchange)?;
            last = Some(exchange);
        }
        let expected = format!("{what}: the effect is in force {}", in_words(times));
        match last {
            Some(exchange) if sum != times => Err(exchange.wrong(expected, in_words(sum))),
            _ => Ok(()),
        }
    }
}

impl Count {
    fn of(&self, exchange: &Exchange) -> Tried<i64> {
        let expected = "`observe` shows the effect: 2xx, or 404 if there is none";
        let answer = exchange.answered(expected)?;
        if answer.status == 404 {
            return Ok(0);
        }
        if !answer.is_success() {
            return Err(exchange.unlike(expected));
        }
        let Self::Pointer(pointer) = self else { return Ok(1) };
        let body = answer.json();
        match body.pointer(pointer) {
            None | Some(Value::Null | Value::Bool(false)) => Ok(0),
            Some(Value::Bool(true)) => Ok(1),
            Some(Value::Array(items)) => Ok(i64::try_from(items.len()).unwrap_or(i64::MAX)),
            Some(value) => value.as_i64().ok_or_else(|| {
                exchange.wrong(format!("a count at `{pointer}`"), format!("`{value}`"))
            }),
        }
    }
}

fn in_words(times: i64) -> String {
    match times {
        0 => "not at all".to_owned(),
        1 => "once".to_owned(),
        2 => "twice".to_owned(),
        times => format!("{times} times"),
    }
}
