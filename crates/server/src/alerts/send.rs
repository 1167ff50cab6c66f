//! Gathers news, sends what is due, looks for cases that are too old. A hook that does not answer is tried again for a
//! while; it holds up nothing but itself.

use super::message::{Known, slack, webhook};
use super::{AlertOptions, Board, Group, Kind, News};
use crate::clock::{Clock, SystemClock};
use crate::dispatch::WebClient;
use amends_protocol::{CaseId, CaseState, Timestamp};
use amends_store::{CaseFilter, PageRequest, Store};
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

/// Cases that one look for old ones takes.
const OLD_CASES: u32 = 500;

/// Old cases that are remembered as told; past it, the memory starts anew and some are told again.
const OLD_CASES_KNOWN: usize = 100_000;

/// Pause between two looks for old cases, at most; a tenth of the objective if that is shorter.
const LOOK_EVERY: Duration = Duration::from_secs(30);

struct Teller<S> {
    store: S,
    client: WebClient,
    options: Arc<AlertOptions>,
    under_way: Arc<Semaphore>,
    /// Cases that were told of as too old.
    old: BTreeSet<CaseId>,
}

/// Tells of what comes until told to stop.
pub(crate) async fn watch<S: Store>(
    store: S,
    client: WebClient,
    options: AlertOptions,
    mut news: mpsc::Receiver<News>,
    mut stopping: watch::Receiver<bool>,
) {
    let mut board = Board::new(ms(options.group_wait), ms(options.every));
    let look = options.objective.map(|objective| (objective / 10).min(LOOK_EVERY));
    let mut looks = tokio::time::interval(look.unwrap_or(LOOK_EVERY).max(Duration::from_millis(1)));
    looks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let under_way = Arc::new(Semaphore::new(UNDER_WAY));
    let options = Arc::new(options);
    let mut teller = Teller { store, client, options, under_way, old: BTreeSet::new() };
    loop {
        let due = async {
            match board.next_at() {
                Some(at) => SystemClock.sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        let wake = tokio::select! {
            _ = stopping.wait_for(|stop| *stop) => Wake::Stop,
            heard = news.recv() => heard.map_or(Wake::Stop, Wake::Heard),
            _ = looks.tick(), if look.is_some() => Wake::Look,
            () = due => Wake::Due,
        };
        match wake {
            Wake::Stop => return,
            Wake::Heard(news) => board.heard(news),
            Wake::Look => {
                teller.too_old(SystemClock.now()).await.into_iter().for_each(|n| board.heard(n));
            }
            Wake::Due => {
                for group in board.due(SystemClock.now()) {
                    teller.tell(&group).await;
                }
            }
        }
    }
}

/// Why the loop goes on.
enum Wake {
    Stop,
    Heard(News),
    Look,
    Due,
}

impl<S: Store> Teller<S> {
    async fn too_old(&mut self, now: Timestamp) -> Vec<News> {
        let Some(objective) = self.options.objective else { return Vec::new() };
        let before = Timestamp(
            now.0.saturating_sub(i64::try_from(objective.as_millis()).unwrap_or(i64::MAX)),
        );
        let filter = CaseFilter {
            state: vec![CaseState::Open, CaseState::Stuck, CaseState::Unmatched],
            opened_before: Some(before),
            ..CaseFilter::default()
        };
        let found = match self.store.cases(filter, PageRequest::first(OLD_CASES)).await {
            Ok(found) => found.items,
            Err(error) => {
                tracing::warn!(%error, "old cases could not be looked for");
                return Vec::new();
            }
        };
        if self.old.len() > OLD_CASES_KNOWN {
            self.old.clear();
        }
        found
            .into_iter()
            .filter(|case| self.old.insert(case.id))
            .map(|case| News {
                at: now,
                kind: Kind::TooOld,
                subject: String::new(),
                case: Some(case.id),
                reason: format!("{} since {}", case.report, case.opened_at),
            })
            .collect()
    }

    async fn tell(&self, group: &Group) {
        let known = self.known(group).await;
        let now = SystemClock.now();
        let options = &self.options;
        let body = Bytes::from(webhook(group, &known, &options.public_url, now).to_string());
        // The same on every try and for every hook; a receiver tells repetitions by it.
        let subject = group.subject.replace(|c: char| !c.is_ascii_alphanumeric(), "-");
        let id = format!("alert-{}-{}-{subject}", now.0, group.kind.as_str().replace('.', "-"));
        for hook in &options.webhooks {
            self.post(hook, body.clone(), Some(id.clone()));
        }
        let body = Bytes::from(slack(group, &known, &options.public_url).to_string());
        for hook in &options.slack {
            self.post(hook, body.clone(), None);
        }
    }

    async fn known(&self, group: &Group) -> Known {
        let Some(case) = group.cases.first() else { return Known::default() };
        match self.store.case(*case).await {
            Ok(Some(found)) => Known {
                report: Some(found.detail.summary.report),
                message: found.detail.summary.message,
                saga: Some(found.detail.summary.saga_id.to_string()),
            },
            Ok(None) => Known::default(),
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
