//! Renews our certificate when its files change, and tells people how it stands: that it was renewed, that what the
//! files say now can't be used, that it ends soon.

use super::offered::Offered;
use super::options::TlsOptions;
use crate::clock::{Clock as _, SystemClock};
use crate::renewed::Look;
use crate::telemetry::Metrics;
use amends_protocol::Timestamp;
use std::time::Duration;
use tokio::sync::mpsc;

/// How long before its end people are told, each day again. What renews certificates does it a month before.
const SOON: Duration = Duration::from_secs(14 * 86_400);
/// How often they are told.
const REMINDER: Duration = Duration::from_secs(86_400);

/// Looks every now and then, and whenever somebody asks, until the supervisor ends.
pub(crate) async fn watch(
    offered: Offered,
    metrics: Metrics,
    every: Duration,
    mut asked: mpsc::Receiver<()>,
) {
    let mut is_broken = false;
    let mut reminded: Option<Timestamp> = None;
    loop {
        match offered.look() {
            Look::Same => {}
            Look::Renewed => {
                (is_broken, reminded) = (false, None);
                tracing::info!(ends = %offered.ends(), "our certificate was renewed");
            }
            Look::Broken(why) => {
                is_broken = true;
                tracing::error!(
                    why,
                    "the changed files of our certificate can't be used; those before stay in force"
                );
            }
        }
        let (now, ends) = (SystemClock.now(), offered.ends());
        metrics.certificate(ends, is_broken);
        if let Some(why) = ends_soon(ends, now)
            && is_due(reminded, now)
        {
            reminded = Some(now);
            tracing::warn!(%ends, "{why}");
        }
        tokio::select! {
            () = tokio::time::sleep(every.min(REMINDER)) => {}
            Some(()) = asked.recv() => {}
        }
    }
}

fn is_due(reminded: Option<Timestamp>, now: Timestamp) -> bool {
    reminded.is_none_or(|at| u128::from(now.ms_since(at)) >= REMINDER.as_millis())
}

/// What to say of a certificate that ends soon or has ended.
fn ends_soon(ends: Timestamp, now: Timestamp) -> Option<&'static str> {
    if ends <= now {
        return Some(
            "our certificate has ended: clients refuse to connect; put a new one into its files",
        );
    }
    let soon = u128::from(ends.ms_since(now)) <= SOON.as_millis();
    soon.then_some("our certificate ends within two weeks; put a new one into its files")
}

/// Until when the certificate of a configuration is valid, and what to say if that is soon.
///
/// # Errors
/// Says what is wrong with its files.
pub fn standing(
    options: &TlsOptions,
    now: Timestamp,
) -> Result<(Timestamp, Option<&'static str>), String> {
    let ends = Offered::new(options.clone())?.ends();
    Ok((ends, ends_soon(ends, now)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_are_told_before_a_certificate_ends() {
        let at = |text: &str| Timestamp::parse(text).expect("a time");
        let ends = at("2030-03-31T00:00:00Z");
        assert_eq!(ends_soon(ends, at("2030-03-16T00:00:00Z")), None);
        let soon = ends_soon(ends, at("2030-03-17T00:00:00Z"));
        assert!(soon.is_some_and(|why| why.contains("two weeks")));
        let ended = ends_soon(ends, at("2030-03-31T00:00:00Z"));
        assert!(ended.is_some_and(|why| why.contains("has ended")));
    }

    #[test]
    fn they_are_reminded_once_a_day() {
        let at = |text: &str| Timestamp::parse(text).expect("a time");
        let first = at("2030-03-17T00:00:00Z");
        assert!(is_due(None, first) && !is_due(Some(first), at("2030-03-17T23:59:59Z")));
        assert!(is_due(Some(first), at("2030-03-18T00:00:00Z")));
    }
}
