//! The relay: takes reports from the outbox to the sink for as long as it takes; those of one saga in order, those of
//! different sagas a few at a time, so that no report holds another saga's back. A report leaves the queue only when the
//! supervisor (or a broker) has it, or says that it never will take it; the next start asks once more.

use crate::config::KitError;
use crate::kit::Kit;
use crate::observer::ReportNews;
use crate::sink::{Delivery, ReportSink, TRY_TIMEOUT};
use crate::store::{Claimed, HistoryStore, HistoryTx, OutgoingReport, ReportState};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinSet;

/// First pause after a failed try, and the longest one: a supervisor that comes back is fed within seconds.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Reports that are under way together: enough that a slow one costs the others little, few enough for a supervisor that
/// hears from a hundred services after an outage.
const AT_ONCE: usize = 8;

/// How long a claim keeps others off: longer than a try can take.
const HOLD_MS: u64 = 2 * TRY_TIMEOUT.as_secs() * 1_000;

/// Longest time without a look. Reports of this process announce themselves; those that another process left when it
/// died, or that it was told of by nobody, are found so.
const LOOK_AT_LEAST: Duration = Duration::from_secs(5);

/// How the way to the supervisor looks; when in doubt, with the last pause.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Open,
    /// The last try failed, and no other one has succeeded since: one at a time, after a pause.
    Doubtful(Duration),
}

impl Way {
    const fn at_once(self) -> usize {
        match self {
            Self::Open => AT_ONCE,
            Self::Doubtful(_) => 1,
        }
    }

    const fn doubted(self) -> Self {
        match self {
            Self::Open => Self::Doubtful(Duration::ZERO),
            Self::Doubtful(_) => self,
        }
    }

    fn next_pause(self) -> Duration {
        match self {
            Self::Open => FIRST_PAUSE,
            Self::Doubtful(pause) => (pause * 2).clamp(FIRST_PAUSE, LONGEST_PAUSE),
        }
    }
}

/// Takes reports to the sink until told to stop.
pub(crate) async fn relay<S: HistoryStore>(kit: Kit<S>, mut stop: watch::Receiver<()>) {
    let Some(sink) = kit.inner.sink.clone() else {
        tracing::warn!(
            service = kit.service(),
            "no supervisor is configured; reports stay in the outbox"
        );
        return;
    };
    if let Err(error) = revive(&kit).await {
        tracing::error!(%error, "dead reports cannot be tried again");
    }
    let mut way = Way::Open;
    let mut under_way = JoinSet::new();
    loop {
        let room = way.at_once().saturating_sub(under_way.len());
        let mut look_in = LOOK_AT_LEAST;
        match claim(&kit, room).await {
            Ok(claimed) => {
                look_in =
                    claimed.next_in_ms.map_or(look_in, |ms| look_in.min(Duration::from_millis(ms)));
                if claimed.reports.len() == room && room > 0 {
                    // There may be more, as soon as there is room.
                    look_in = Duration::ZERO;
                }
                for report in claimed.reports {
                    under_way.spawn(deliver(kit.clone(), Arc::clone(&sink), report));
                }
            }
            Err(error) => tracing::error!(%error, "the outbox cannot be read or written"),
        }
        let full = under_way.len() >= way.at_once();
        tokio::select! {
            // What is under way is given up; it is sent again, under its id, by whoever comes next.
            _ = stop.changed() => return,
            Some(ended) = under_way.join_next() => match ended {
                Ok(Try::Through) => way = Way::Open,
                // The pause grows once for all that were under way together.
                Ok(Try::Failed(_)) if !under_way.is_empty() => way = way.doubted(),
                Ok(Try::Failed(at_least)) => {
                    let pause = way.next_pause();
                    way = Way::Doubtful(pause);
                    tokio::select! {
                        _ = stop.changed() => return,
                        () = tokio::time::sleep(pause.max(at_least)) => {}
                    }
                }
                // A try that panicked is as good as one that failed; its claim runs out.
                Err(_) => way = way.doubted(),
            },
            () = kit.inner.outbox_filled.notified(), if !full => {}
            () = tokio::time::sleep(look_in), if !full => {}
        }
    }
}

/// How a try ended.
enum Try {
    /// The supervisor answered about the report itself.
    Through,
    Failed(Duration),
}

async fn claim<S: HistoryStore>(kit: &Kit<S>, room: usize) -> Result<Claimed, KitError> {
    let room = u32::try_from(room).unwrap_or(u32::MAX);
    match room {
        0 => Ok(Claimed::default()),
        _ => {
            kit.inner
                .store
                .write(None, move |tx| {
                    Box::pin(async move { tx.claim_reports(room, HOLD_MS).await })
                })
                .await
        }
    }
}

async fn deliver<S: HistoryStore>(
    kit: Kit<S>,
    sink: Arc<dyn ReportSink>,
    sent: OutgoingReport,
) -> Try {
    let id = sent.report.report_id.clone();
    let service = kit.service();
    let delivery = tokio::time::timeout(TRY_TIMEOUT, sink.deliver(&sent)).await;
    let delivery = delivery.unwrap_or_else(|_| Delivery::Later {
        why: format!("no answer within {} s", TRY_TIMEOUT.as_secs()),
        at_least: Duration::ZERO,
        turned_away: false,
    });
    let (state, error, pause, ended) = match delivery {
        Delivery::Taken => (ReportState::Sent, None, Duration::ZERO, Try::Through),
        Delivery::Refused(why) => {
            tracing::error!(
                service,
                report = id,
                saga = %sent.report.saga,
                why,
                "A REPORT WAS REFUSED; it stays in `amends_outbox` as `dead`, nobody acts on it, and the next start tries it \
                 once more"
            );
            (ReportState::Dead, Some(why), Duration::ZERO, Try::Through)
        }
        Delivery::Later { why, at_least, turned_away } => {
            match turned_away {
                true => tracing::error!(
                    service,
                    report = id,
                    why,
                    "REPORTS DO NOT GET THROUGH; check the address of the supervisor or broker, the credentials, and what is before it"
                ),
                false => tracing::warn!(service, report = id, why, "a report has to wait"),
            }
            let pause = pause_alone(sent.tries).max(at_least);
            (ReportState::Pending, Some(why), pause, Try::Failed(at_least))
        }
    };
    kit.inner.observer.report(match state {
        ReportState::Sent => ReportNews::Sent,
        ReportState::Dead => ReportNews::Refused,
        ReportState::Pending => ReportNews::Waits,
    });
    let pause_ms = u64::try_from(pause.as_millis()).unwrap_or(u64::MAX);
    let written: Result<(), KitError> = kit
        .inner
        .store
        .write(None, move |tx| {
            Box::pin(async move { tx.settle_report(&id, state, error.as_deref(), pause_ms).await })
        })
        .await;
    match written {
        Ok(()) => ended,
        Err(error) => {
            // Its claim runs out, and it is sent once more, which the supervisor recognises by its id.
            tracing::error!(%error, "the outbox cannot be written");
            Try::Failed(Duration::ZERO)
        }
    }
}

/// The pause of a report that failed this often before.
fn pause_alone(tries: u32) -> Duration {
    // Past this many doublings the limit has been reached long since.
    FIRST_PAUSE.saturating_mul(1 << tries.min(16)).min(LONGEST_PAUSE)
}

/// Puts dead reports back into the queue, at their old places: the supervisor may have learned to read them, or it was
/// another that refused them. One that is refused again stays dead until the next start.
async fn revive<S: HistoryStore>(kit: &Kit<S>) -> Result<(), KitError> {
    let revived: u64 = kit
        .inner
        .store
        .write(None, |tx| Box::pin(async move { tx.revive_reports().await }))
        .await?;
    if revived > 0 {
        tracing::warn!(service = kit.service(), revived, "dead reports are tried once more");
    }
    Ok(())
}
