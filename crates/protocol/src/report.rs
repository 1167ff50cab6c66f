//! The report: a failure event about one saga, carried as a CloudEvent 1.0 of type [`REPORT_TYPE`].

use crate::evidence::{null_is_absent, objects_or_none};
use crate::{Evidence, ReportKey, SagaId, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// The CloudEvents `type` of a report.
pub const REPORT_TYPE: &str = "dev.amends.report.v1";

/// Longest message of a report, in bytes: it is for people. The supervisor refuses a longer one for good.
pub const REPORT_MESSAGE_LIMIT: usize = 8 << 10;
/// Most causes of one report: a failed answer names one, and an action makes few calls.
pub const REPORT_CAUSES_LIMIT: usize = 64;
/// Longest `source`, in bytes: a URI that ends in the service's name, and half of a unique key.
pub const REPORT_SOURCE_LIMIT: usize = 512;
/// Longest message of a broker that is taken, in bytes: brokers take 1 MiB as they come, headers and all.
pub const BROKER_MESSAGE_LIMIT: usize = 900 << 10;

/// A report with its envelope, after the envelope's own checks. `service/code` names its kind.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// CloudEvents `id`, unique per source.
    pub id: String,
    /// CloudEvents `source`: the reporting service, as it names itself (a name, or a URI that ends in it).
    pub source: String,
    /// CloudEvents `subject`.
    pub saga_id: SagaId,
    /// CloudEvents `time`, the service's clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time: Option<Timestamp>,
    /// W3C trace context of the failure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<String>,
    /// CloudEvents `data`.
    pub data: ReportData,
}

impl Report {
    /// The service that `source` names: the part after the last `/` or `:`, so that both `payment` and
    /// `//shop.example/services/payment` name `payment`.
    #[must_use]
    pub fn service(&self) -> &str {
        let trimmed = self.source.trim_end_matches('/');
        trimmed.rsplit(['/', ':']).next().unwrap_or(trimmed)
    }

    /// Bytes that it takes in memory, about.
    #[must_use]
    pub fn bytes(&self) -> usize {
        /// What an allocator adds to a text.
        const TEXT: usize = 24;
        let data = &self.data;
        let texts = [&data.action, &data.request_id, &data.message, &self.traceparent];
        let texts = texts.into_iter().flatten().chain([&self.id, &self.source, &data.code]);
        let texts: usize = texts.chain(&data.caused_by).map(|text| text.len() + TEXT).sum();
        let evidence = data.history.iter().map(|e| {
            let id = e.request_id.as_ref().map_or(0, String::len);
            let names = e.service.len() + e.action.len() + id;
            size_of::<Evidence>() + names + 3 * TEXT + map_bytes(&e.data)
        });
        let saga = self.saga_id.as_str().len() + TEXT;
        size_of::<Self>() + saga + texts + evidence.sum::<usize>() + map_bytes(&data.data)
    }

    /// What makes this the same report when it comes again.
    #[must_use]
    pub fn key(&self) -> ReportKey {
        ReportKey { source: self.source.as_str().into(), id: self.id.as_str().into() }
    }
}

fn map_bytes(map: &Map<String, Value>) -> usize {
    /// A field in its tree: key and value, and places that are free.
    const FIELD: usize = 100;
    map.iter().map(|(key, value)| FIELD + key.len() + value_bytes(value)).sum()
}

fn value_bytes(value: &Value) -> usize {
    match value {
        Value::Null | Value::Bool(_) => 0,
        Value::Number(number) => number.as_str().len(),
        Value::String(text) => text.len(),
        Value::Array(values) => {
            values.iter().map(|value| size_of::<Value>() + value_bytes(value)).sum()
        }
        Value::Object(map) => map_bytes(map),
    }
}

/// What the service says of the failure.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ReportData {
    /// The kind of failure, e.g. `report-1`. Together with the service it picks the rule.
    pub code: String,
    /// The action that failed, e.g. `pay`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action: Option<String>,
    /// The request that failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    /// The action with which the saga began, as `service.action`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entry: Option<String>,
    /// The action that called the one that failed, as `service.action`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub caller: Option<String>,
    /// For people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Ids of the reports that this failure follows from (from `Amends-Report` of failed answers).
    #[serde(default, deserialize_with = "null_is_absent", skip_serializing_if = "Vec::is_empty")]
    pub caused_by: Vec<String>,
    /// What the service's History says of this saga: its own requests and its calls to others.
    #[serde(default, deserialize_with = "objects_or_none", skip_serializing_if = "Vec::is_empty")]
    pub history: Vec<Evidence>,
    /// Business fields, for conditions and placeholders.
    #[serde(default, deserialize_with = "null_is_absent", skip_serializing_if = "Map::is_empty")]
    pub data: Map<String, Value>,
}
