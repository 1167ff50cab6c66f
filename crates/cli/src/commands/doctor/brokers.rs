//! Where reports come by besides HTTP: whether a broker can be reached, and all there is as it should be.

use super::Finding;
use amends_server::{BrokerError, Config, Severity};

/// Looks at each broker that the configuration names.
pub(super) async fn look(config: &Config) -> Vec<Finding> {
    let keep = config.keep_settled.shortest();
    let mut found = Vec::new();
    #[cfg(feature = "kafka")]
    if let Some(options) = &config.kafka {
        let seen = amends_server::kafka::check(options, keep).await;
        found.extend(told("kafka", &options.brokers, seen));
    }
    #[cfg(feature = "nats")]
    if let Some(options) = &config.nats {
        let seen = amends_server::nats::check(options, keep).await;
        found.extend(told("nats", &options.servers, seen));
    }
    found
}

fn told(
    way: &str,
    addresses: &[String],
    seen: Result<Vec<amends_server::Finding>, BrokerError>,
) -> Vec<Finding> {
    let (key, help) = match way {
        "kafka" => ("kafka.brokers", "`amends kafka check` looks again"),
        _ => ("nats.servers", "`amends nats check` looks again"),
    };
    match seen {
        Ok(findings) => findings
            .into_iter()
            .map(|one| match one.severity {
                Severity::Good => Finding::ok(way, one.text),
                Severity::Warning => Finding::warn(way, one.text, help),
                Severity::Error => Finding::fail(way, one.text, help),
            })
            .collect(),
        Err(error) => {
            let help = format!(
                "check `{key}` and who may connect; reports by HTTP are taken all the same"
            );
            vec![Finding::fail(way, format!("{}: {error}", addresses.join(", ")), help)]
        }
    }
}
