//! Gathers alert, sends what is due, looks for cases that are too old. A hook that does not answer is tried again for a
//! while; it holds up nothing but itself.

use super::alert::quarantined;
use super::message::{Known, slack, webhook};
use super::{Alert, AlertGrouper, AlertOptions, Group, Kind};
use crate::clock::{Clock, SystemClock};
use crate::dispatch::WebClient;
use crate::supervisor::Supervisor;
use amends_engine::LateCase;
use amends_protocol::{CaseId, Timestamp};
use amends_rulebook::length_of_time;
use amends_store::Store;
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{Request, StatusCode, Uri};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Semaphore, mpsc, watch};

/// Pauses between the tries of one message; Standard Webhooks begins alike. After the last it is given up and logged.
const PAUSES: [Duration; 4] = [
    Duration::from_secs(5),
    Duration::from_secs(60),
    Duration::from_secs(300),
    Duration::from_secs(1_800),
];

/// Time for one try.
const TIMEOUT: Duration = Duration::from_secs(15);

/// Messages that are under way or wait for another try; more are given up.
const UNDER_WAY: usize = 256;

/// Late cases that are remembered as told; past it, the memory starts anew and some are told again.
const LATE_CASES_KNOWN: usize = 100_000;

/// Pause between two looks for late cases, at most; a tenth of the shortest objective if that is shorter.
const LOOK_EVERY: Duration = Duration::from_secs(30);

struct Teller<S> {
    supervisor: Supervisor<S>,
    client: WebClient,
    options: Arc<AlertOptions>,
    under_way: Arc<Semaphore>,
    /// Cases that were reported as late.
    late: BTreeSet<CaseId>,
}

/// Tells of what comes until told to stop.
pub(crate) async fn watch<S: Store>(
    supervisor: Supervisor<S>,
    client: WebClient,
    options: AlertOptions,
    mut alert: mpsc::Receiver<Alert>,
    mut stopping: watch::Receiver<bool>,
) {
    let mut grouper = AlertGrouper::new(ms(options.group_wait), ms(options.every));
    let under_way = Arc::new(Semaphore::new(UNDER_WAY));
    let options = Arc::new(options);
    let mut teller = Teller { supervisor, client, options, under_way, late: BTreeSet::new() };
    teller.found_at_start(SystemClock.now()).into_iter().for_each(|n| grouper.observe(n));
    let mut next_look = tokio::time::Instant::now();
    loop {
        let due = async {
            match grouper.next_at() {
                Some(at) => SystemClock.sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        let wake = tokio::select! {
            _ = stopping.wait_for(|stop| *stop) => Wake::Stop,
            heard = alert.recv() => heard.map_or(Wake::Stop, Wake::Heard),
            () = tokio::time::sleep_until(next_look) => Wake::Look,
            () = due => Wake::Due,
        };
        match wake {
            Wake::Stop => return,
            Wake::Heard(alert) => grouper.observe(alert),
            Wake::Look => {
                teller.late(SystemClock.now()).await.into_iter().for_each(|n| grouper.observe(n));
                next_look = tokio::time::Instant::now() + teller.pause();
            }
            Wake::Due => {
                for group in grouper.due(SystemClock.now()) {
                    teller.tell(&group).await;
                }
            }
        }
    }
}

/// Why the loop goes on.
enum Wake {
    Stop,
    Heard(Alert),
    Look,
    Due,
}

impl<S: Store> Teller<S> {
    /// Until the next look for late cases. Rulebooks come and go, so it is asked for after each.
    fn pause(&self) -> Duration {
        let books = self.supervisor.active_books();
        let rules = books.iter().flat_map(|book| book.rules());
        let stated = rules.filter_map(|rule| rule.objective_ms.map(Duration::from_millis));
        let shortest = stated.chain(self.options.objective).min();
        let pause = shortest.map_or(LOOK_EVERY, |objective| objective / 10);
        pause.clamp(Duration::from_millis(5), LOOK_EVERY)
    }

    /// What could not be read when the supervisor started, before anybody listened.
    fn found_at_start(&self, now: Timestamp) -> Vec<Alert> {
        let found = self.supervisor.quarantine();
        let cases = found.cases.iter().map(|q| quarantined(now, Some(q.case.id), &q.case.broken));
        cases.chain(found.rows.iter().map(|row| quarantined(now, None, row))).collect()
    }

    async fn late(&mut self, now: Timestamp) -> Vec<Alert> {
        let survey = match self.supervisor.survey().await {
            Ok(survey) => survey,
            Err(problem) => {
                let why = problem.detail.unwrap_or_default();
                tracing::warn!(why, "late cases could not be looked for");
                return Vec::new();
            }
        };
        // A case that was settled meanwhile, and opened again later, is reported again.
        if survey.late_cases.len() as u64 == survey.late {
            let still: BTreeSet<CaseId> = survey.late_cases.iter().map(|late| late.case).collect();
            self.late.retain(|case| still.contains(case));
        } else if self.late.len() > LATE_CASES_KNOWN {
            self.late.clear();
        }
        let new = survey.late_cases.iter().filter(|late| self.late.insert(late.case));
        new.map(|late| alert(late, now)).collect()
    }

    async fn tell(&self, group: &Group) {
        let known = self.known(group).await;
        let now = SystemClock.now();
        let options = &self.options;
        let told = webhook(group, &known, &options.public_url, now).to_string();
        let body = Bytes::from(options.withheld.hide_in_text(&told));
        // The same on every try and for every hook; a receiver tells repetitions by it.
        let subject = group.subject.replace(|c: char| !c.is_ascii_alphanumeric(), "-");
        let id = format!("alert-{}-{}-{subject}", now.0, group.kind.as_str().replace('.', "-"));
        for hook in &options.webhooks {
            self.post(hook, body.clone(), Some(id.clone()));
        }
        let told = slack(group, &known, &options.public_url).to_string();
        let body = Bytes::from(options.withheld.hide_in_text(&told));
        for hook in &options.slack {
            self.post(hook, body.clone(), None);
        }
    }

    async fn known(&self, group: &Group) -> Known {
        let Some(case) = group.cases.first() else { return Known::default() };
        match self.supervisor.store().case(*case).await {
            Ok(Some(found)) => Known {
                report: Some(found.stored.case.report.to_string()),
                message: found.stored.case.message.map(|message| message.to_string()),
                saga: Some(found.stored.case.saga.to_string()),
                customer: found.stored.case.extra.business.customer,
                amounts: found.stored.case.extra.business.amounts,
            },
            Ok(None) => Known::default(),
            Err(_) if group.kind == Kind::Quarantined => Known::default(),
            Err(error) => {
                tracing::warn!(%error, %case, "a case could not be read for an alert");
                Known::default()
            }
        }
    }

    fn post(&self, hook: &Uri, body: Bytes, signed_as: Option<String>) {
        let host = hook.host().unwrap_or_default().to_owned();
        let Ok(permit) = Arc::clone(&self.under_way).try_acquire_owned() else {
            tracing::error!(host, "too many alerts are under way; one is given up");
            return;
        };
        let (client, hook, options) =
            (self.client.clone(), hook.clone(), Arc::clone(&self.options));
        tokio::spawn(async move {
            let mut pauses = PAUSES.into_iter();
            loop {
                let why = match attempt(&client, &hook, &body, signed_as.as_deref(), &options).await
                {
                    Ok(()) => break,
                    Err(why) => why,
                };
                match pauses.next() {
                    Some(pause) => {
                        tracing::warn!(host, why, "an alert has to be sent again");
                        tokio::time::sleep(pause).await;
                    }
                    None => {
                        tracing::error!(host, why, "an alert could not be sent; it is given up");
                        break;
                    }
                }
            }
            drop(permit);
        });
    }
}

fn alert(late: &LateCase, now: Timestamp) -> Alert {
    Alert {
        at: now,
        kind: Kind::TooOld,
        subject: late.rule.as_deref().unwrap_or_default().to_owned(),
        case: Some(late.case),
        reason: format!("{}; opened at {}", length_of_time(late.objective_ms), late.opened_at),
    }
}

async fn attempt(
    client: &WebClient,
    hook: &Uri,
    body: &Bytes,
    signed_as: Option<&str>,
    options: &AlertOptions,
) -> Result<(), String> {
    let mut request = Request::post(hook.clone()).header(CONTENT_TYPE, "application/json");
    if let Some(id) = signed_as {
        let seconds = SystemClock.now().0.div_euclid(1_000);
        request = request.header("webhook-id", id).header("webhook-timestamp", seconds);
        if let Some(signer) = &options.signer {
            request = request.header("webhook-signature", signer.sign(id, seconds, body));
        }
    }
    let request = request.body(body.clone().into()).map_err(|error| error.to_string())?;
    match client.send(request, TIMEOUT).await? {
        status if status.is_success() => Ok(()),
        // Standard Webhooks: the receiver wants no more of it. Sending once more does no harm, and this may pass.
        StatusCode::GONE => {
            Err("answered 410: the hook is gone; take it out of the configuration".to_owned())
        }
        status => Err(format!("answered {status}")),
    }
}

fn ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
