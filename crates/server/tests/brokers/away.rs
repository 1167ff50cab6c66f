//! The store is away for half a minute while reports come: they wait at the broker, which neither loses them nor brings
//! them in a storm, and each is compensated once when it is back.

use super::{answer, connected, event, is_metric, metric, named, sagas, take_away, until};
use crate::shop::{coupons, rulebook, settled};
use amends_server::Running;
use serde_json::{Value, json};
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

/// How long it is away.
const AWAY: Duration = Duration::from_secs(30);
/// Reports that come at a time, and the pause until more do.
const REPORTS: usize = 4;
const PAUSE: Duration = Duration::from_millis(500);

/// A broker of a story, with one supervisor `a`.
pub trait Broker {
    const WAY: &'static str;

    fn folder(&self) -> &Path;
    async fn supervisor(&self) -> Running;
    /// Publishes, and returns once the broker has it.
    async fn publish(&self, event: &Value);
    /// How many messages the broker does not know as taken.
    async fn untaken(&self) -> u64;
}

/// A failure of a charge for which a coupon was redeemed.
pub fn failure(n: usize) -> Value {
    let mut event = event("payment", n);
    event["data"] = json!({ "code": "card-declined", "action": "charge", "data": { "couponId": format!("c-{n}") } });
    event
}

/// Lets it happen. `meanwhile` is told the number of the next report once all before it wait, publishes some more, and
/// says how many.
pub async fn reports_wait_and_each_is_compensated_once(
    broker: &impl Broker,
    meanwhile: impl AsyncFnOnce(&Running, usize) -> usize,
) {
    let (address, heard) = coupons().await;
    fs::write(broker.folder().join("rules.yaml"), rulebook(&address)).expect("written");
    let way = way_of(broker);
    let running = broker.supervisor().await;
    broker.publish(&failure(0)).await;
    until("the first is taken", async || broker.untaken().await == 0).await;
    until("it is settled", async || settled(&running).await == 1).await;
    connected(&running, way, true).await;

    let other = take_away(broker.folder(), "a");
    let (gone, mut reports) = (Instant::now(), 1);
    while gone.elapsed() < AWAY {
        for n in reports..reports + REPORTS {
            broker.publish(&failure(n)).await;
        }
        reports += REPORTS;
        assert_eq!(broker.untaken().await, reports as u64 - 1, "none counts before it is durable");
        tokio::time::sleep(PAUSE).await;
    }
    let waiting = format!("amends_messages_waiting{{way=\"{way}\"}}");
    is_metric(&running, &waiting, reports as u64 - 1).await;
    reports += meanwhile(&running, reports).await;
    let again = format!("amends_messages_total{{way=\"{way}\",result=\"again\"}}");
    assert!(metric(&running, &again).await > 0, "they were tried");
    let ready = answer(&running, "/readyz?verbose").await;
    assert!(ready.contains("503") && !ready.contains(way), "by its store alone: {ready}");
    connected(&running, way, true).await;
    assert_eq!(
        heard.lock().expect("not poisoned").len(),
        1,
        "nothing is asked that is not durable"
    );

    other.execute_batch("ROLLBACK").expect("given back");
    until("all are taken", async || broker.untaken().await == 0).await;
    until("all are settled", async || settled(&running).await == reports).await;
    assert_eq!(sagas(&running).await, named(0..reports), "each has one case");
    is_metric(&running, &waiting, 0).await;
    assert!(answer(&running, "/readyz").await.contains("200 OK"));
    let mut asked = heard.lock().expect("not poisoned").clone();
    asked.sort();
    let mut wanted: Vec<_> = (0..reports).map(|n| format!("/coupons/c-{n}/release")).collect();
    wanted.sort();
    assert_eq!(asked, wanted, "each once");
    running.stop().await.expect("ended in order");
}

fn way_of<B: Broker>(_: &B) -> &'static str {
    B::WAY
}
