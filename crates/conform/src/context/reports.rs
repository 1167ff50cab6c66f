//! What the participant tells the supervisor, waited for.

use super::{Ask, Kind, TestContext};
use crate::fakes::{ReceivedReport, Try};
use crate::finding::{Stop, Tried};
use crate::wire::Exchange;
use amends_protocol::headers;
use std::time::Duration;

impl TestContext {
    /// The report about a failed request.
    pub(crate) async fn report_of(&self, ask: &Ask, answer: &Exchange) -> Tried<ReceivedReport> {
        let named =
            answer.came.as_ref().ok().and_then(|answer| answer.header(headers::AMENDS_REPORT));
        let named = named.map(str::to_owned);
        let is_it = |event: &ReceivedReport| {
            event.subject == ask.saga
                && (event.text("requestId") == Some(&ask.request)
                    || named.as_ref() == Some(&event.id))
        };
        self.told(is_it, &format!("a report about the request `{}`", ask.request)).await
    }

    /// A report that fulfils this and was taken.
    pub(crate) async fn told(
        &self,
        wanted: impl Fn(&ReceivedReport) -> bool,
        what: &str,
    ) -> Tried<ReceivedReport> {
        self.told_within(self.stage.config.report_timeout, wanted, what).await
    }

    /// The same with this much time.
    pub(crate) async fn told_within(
        &self,
        limit: Duration,
        wanted: impl Fn(&ReceivedReport) -> bool,
        what: &str,
    ) -> Tried<ReceivedReport> {
        let supervisor = self.supervisor()?;
        let taken = supervisor.told(|one| !one.turned_away && wanted(&one.event));
        match tokio::time::timeout(limit, taken).await {
            Ok(Some(one)) => Ok(one.event),
            _ => {
                let tries = supervisor.tries();
                let came = match tries.as_slice() {
                    [] => format!("no report of any kind within {limit:?}"),
                    some => {
                        let one = |one: &Try| {
                            format!(
                                "`{}` about `{}` → {}",
                                one.event.id, one.event.subject, one.status
                            )
                        };
                        let all: Vec<String> = some.iter().map(one).collect();
                        format!("within {limit:?} only: {}", all.join(", "))
                    }
                };
                Err(Stop::found(format!("{what} comes to `POST /v1/reports`"), came))
            }
        }
    }

    /// Waits until everything that the participant has to report of a saga so far has come, and gives it: a further
    /// failure of the saga is reported last, since reports go out in order.
    pub(crate) async fn all_reports_of(&self, saga: &str) -> Tried<Vec<ReceivedReport>> {
        let last = self.ask_in(saga, Kind::Fails);
        let answer = self.failed(&last).await?;
        let report = self.report_of(&last, &answer).await?;
        let tries = self.supervisor()?.tries().into_iter().map(|one| one.event);
        Ok(tries.filter(|event| event.subject == saga && event.id != report.id).collect())
    }
}
