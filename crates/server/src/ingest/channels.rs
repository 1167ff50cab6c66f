//! What is read at each broker: channels of our own reports, and bridges for events in other words. Pure.

use super::bridge::Bridge;
use super::trust::Channel;
use amends_api::ReportWay;

/// Who may report on what, at each broker.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Channels {
    /// Topics of Kafka.
    pub kafka: Vec<Channel>,
    /// Subjects of NATS.
    pub nats: Vec<Channel>,
    /// What makes reports of events in other words; a channel of a bridge is read by bridges alone.
    pub bridges: Vec<Bridge>,
}

impl Channels {
    /// Where reports in our own form come, at one broker.
    #[must_use]
    pub fn of(&self, way: ReportWay) -> &[Channel] {
        match way {
            ReportWay::Kafka => &self.kafka,
            ReportWay::Nats => &self.nats,
        }
    }

    /// All that is read at one broker.
    #[must_use]
    pub fn read_on(&self, way: ReportWay) -> Vec<Channel> {
        let bridged = self.bridges.iter().flat_map(|bridge| bridge.channels(way));
        self.of(way).iter().chain(bridged).cloned().collect()
    }
}
