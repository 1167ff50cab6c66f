//! Deploys behind gateways: which services are away when, with which answer of their gateways, and what that came to.
//! The statuses are those that gateways have for it: 404 (no route), 401 (no identity yet) and 503 (no backend).

use crate::gateway::Gateway;
use crate::progress::Progress;
use crate::workload::SeededRng;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

/// What gateways answer while nobody is behind them. Each service is deployed once with each.
const STATUSES: [StatusCode; 3] =
    [StatusCode::NOT_FOUND, StatusCode::UNAUTHORIZED, StatusCode::SERVICE_UNAVAILABLE];
/// The part of a deploy's time that follows each, with everybody up.
const PAUSE_DIVISOR: u32 = 5;

/// One deploy: these services are away at the same time, and their gateways answer with this status.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Deploy {
    services: Vec<&'static str>,
    status: StatusCode,
}

/// Of so many services, those that are deployed at the same time: half of them, so that the others have something to
/// do.
const fn at_once(services: usize) -> usize {
    services.div_ceil(2)
}

/// Every service once with each status, half of them at a time.
fn plan(services: &[&'static str], seed: u64) -> Vec<Deploy> {
    let mut rng = SeededRng(seed ^ 0x6761_7465_7761_7973);
    let mut deploys = Vec::new();
    for status in STATUSES {
        let mut left = services.to_vec();
        while !left.is_empty() {
            let many = at_once(services.len()).min(left.len());
            let mut draw = || left.swap_remove(rng.below(left.len() as u64) as usize);
            let services = (0..many).map(|_| draw()).collect();
            deploys.push(Deploy { services, status });
        }
    }
    deploys
}

/// How long all deploys of so many services take, of which each takes `one`.
pub(crate) fn time_of_all(services: usize, one: Duration) -> Duration {
    let deploys = STATUSES.len() * services.div_ceil(at_once(services).max(1));
    (one + one / PAUSE_DIVISOR) * u32::try_from(deploys).unwrap_or(u32::MAX)
}

/// Deploys everybody as planned from the seed, each time for as long as `one`, and counts what was turned away.
pub(crate) async fn carry_out(
    gateways: &BTreeMap<&'static str, Gateway>,
    seed: u64,
    one: Duration,
    progress: &Progress,
) -> GatewayCount {
    let services: Vec<_> = gateways.keys().copied().collect();
    let plan = plan(&services, seed);
    for Deploy { services, status } in &plan {
        progress.deploying(services, *status);
        let chosen = || services.iter().filter_map(|name| gateways.get(name));
        chosen().for_each(|gateway| gateway.deploy(Some(*status)));
        tokio::time::sleep(one).await;
        chosen().for_each(|gateway| gateway.deploy(None));
        tokio::time::sleep(one / PAUSE_DIVISOR).await;
    }
    let mut count = GatewayCount {
        deploys: plan.iter().map(|deploy| deploy.services.len() as u64).sum(),
        turned_away: BTreeMap::new(),
    };
    for (status, turned_away) in gateways.values().flat_map(Gateway::turned_away) {
        *count.turned_away.entry(status).or_default() += turned_away;
    }
    count
}

/// What gateways did in a run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GatewayCount {
    /// How often a service was deployed.
    pub deploys: u64,
    /// Requests that gateways answered themselves meanwhile, by status: from customers, services and the supervisor.
    pub turned_away: BTreeMap<u16, u64>,
}

impl fmt::Display for GatewayCount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counts: Vec<_> =
            self.turned_away.iter().map(|(status, n)| format!("{n} with {status}")).collect();
        let counts = if counts.is_empty() { "none".to_owned() } else { counts.join(", ") };
        write!(f, "gateways: {} deploys, requests turned away: {counts}", self.deploys)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn everybody_is_deployed_once_with_each_status_and_half_at_a_time() {
        const SERVICES: [&str; 6] = ["order", "payment", "coupon", "delivery", "rider", "sms"];
        assert_eq!(plan(&SERVICES, 7), plan(&SERVICES, 7));
        assert_ne!(plan(&SERVICES, 7), plan(&SERVICES, 8));
        for seed in 0..20 {
            let plan = plan(&SERVICES, seed);
            assert!(plan.iter().all(|deploy| deploy.services.len() == 3), "{plan:?}");
            for status in STATUSES {
                let of_it = plan.iter().filter(|deploy| deploy.status == status);
                let met: BTreeSet<_> = of_it.flat_map(|deploy| &deploy.services).collect();
                assert_eq!(met.len(), SERVICES.len(), "seed {seed}, {status}");
            }
        }
        assert_eq!(time_of_all(6, Duration::from_secs(30)), Duration::from_secs(216));
    }
}
