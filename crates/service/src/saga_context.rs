//! The saga context that travels along with every request: saga id, request id, trace, baggage. Reads it from
//! headers, writes it to headers, derives request ids. Starts no trace of its own.

use amends_protocol::wire::{Traceparent, baggage};
use amends_protocol::{Problem, ProblemCode, SagaId, headers, is_opaque_name};
use http::{HeaderMap, HeaderValue};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fmt::Write as _;

/// Members of `baggage` that are passed on. W3C asks platforms for at least 64.
const BAGGAGE_MEMBERS: usize = 64;

/// Bytes of `baggage` that are passed on. W3C asks platforms for at least 8192.
const BAGGAGE_BYTES: usize = 8_192;

/// What is passed on besides the ids; stored with the request, so that a re-run passes on the same.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PassedOn {
    /// W3C Trace Context.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<String>,
    /// W3C Trace Context, vendor part.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tracestate: Option<String>,
    /// The action with which the saga began, as `service.action`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entry: Option<String>,
    /// The action that called this one; it is told in a report, and not passed on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub caller: Option<String>,
    /// The members of `baggage` other than ours, as they came.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub baggage: Vec<String>,
}

/// The context of one incoming request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct SagaContext {
    pub(crate) saga: Option<SagaId>,
    pub(crate) request_id: Option<String>,
    pub(crate) passed_on: PassedOn,
}

impl SagaContext {
    /// Reads the context. The header `Saga-Id` wins over `baggage`, which intermediaries may alter.
    ///
    /// # Errors
    /// An `invalid-request` problem when an id is malformed: starting a new saga instead would lose the old one.
    pub(crate) fn read(from: &HeaderMap) -> Result<Self, Problem> {
        let mut passed_on = PassedOn::default();
        let mut saga = text(from, headers::SAGA_ID)?.map(str::to_owned);
        let mut room = BAGGAGE_BYTES;
        for member in from
            .get_all(headers::BAGGAGE)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .map(str::trim)
            .filter(|member| !member.is_empty())
        {
            if baggage::key(member) == headers::BAGGAGE_SAGA {
                saga = saga.or_else(|| baggage::value(member));
            } else if baggage::key(member) == headers::BAGGAGE_ENTRY {
                passed_on.entry = baggage::value(member).filter(|name| is_full_name(name));
            } else if member.len() < room && passed_on.baggage.len() < BAGGAGE_MEMBERS {
                room -= member.len() + 1;
                passed_on.baggage.push(member.to_owned());
            }
        }
        let saga = saga.map(|text| SagaId::new(&text)).transpose().map_err(invalid)?;
        let request_id = text(from, headers::REQUEST_ID)?
            .map(|id| checked_request_id(id).map(str::to_owned))
            .transpose()?;
        if let Ok(Some(parent)) = text(from, headers::TRACEPARENT)
            && Traceparent::parse(parent).is_some()
        {
            passed_on.traceparent = Some(parent.to_owned());
            passed_on.tracestate =
                text(from, headers::TRACESTATE).ok().flatten().map(str::to_owned);
        }
        let caller = text(from, headers::AMENDS_CALLER).ok().flatten();
        passed_on.caller = caller.filter(|name| is_full_name(name)).map(str::to_owned);
        Ok(Self { saga, request_id, passed_on })
    }
}

impl PassedOn {
    /// Writes the context of a call that `caller` makes to another service.
    pub(crate) fn write(&self, saga: &SagaId, request_id: &str, caller: &str, to: &mut HeaderMap) {
        let mut baggage = baggage::member(headers::BAGGAGE_SAGA, saga.as_str());
        if let Some(entry) = &self.entry {
            baggage.push(',');
            baggage.push_str(&baggage::member(headers::BAGGAGE_ENTRY, entry));
        }
        for member in &self.baggage {
            baggage.push(',');
            baggage.push_str(member);
        }
        put(to, headers::SAGA_ID, saga.as_str());
        put(to, headers::REQUEST_ID, request_id);
        put(to, headers::BAGGAGE, &baggage);
        put(to, headers::AMENDS_CALLER, caller);
        if let Some(parent) = &self.traceparent {
            put(to, headers::TRACEPARENT, parent);
        }
        if let Some(state) = &self.tracestate {
            put(to, headers::TRACESTATE, state);
        }
    }

    /// The value of one member of `baggage`, decoded.
    pub(crate) fn baggage(&self, key: &str) -> Option<String> {
        let member = self.baggage.iter().find(|m| baggage::key(m) == key)?;
        baggage::value(member)
    }
}

/// The id of a downstream call: the same whenever the same request repeats the same call, so that the callee answers
/// from its History. `ordinal` counts, from 1, the calls of one request to one `service.action`.
pub(crate) fn derive_request_id(parent: &str, service: &str, action: &str, ordinal: u32) -> String {
    let mut digest = Sha256::new();
    let name = format!("{service}.{action}");
    for part in [parent, &name, &ordinal.to_string()] {
        digest.update(part.len().to_string());
        digest.update(b":");
        digest.update(part);
    }
    hex(&digest.finalize()[..16])
}

/// Sets a header whose value was checked before; a value that HTTP cannot carry is left out.
pub(crate) fn put(to: &mut HeaderMap, name: &'static str, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        to.insert(name, value);
    }
}

fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        let _ = write!(text, "{byte:02x}");
    }
    text
}

fn text<'h>(from: &'h HeaderMap, name: &str) -> Result<Option<&'h str>, Problem> {
    let Some(value) = from.get(name) else {
        return Ok(None);
    };
    let text = value
        .to_str()
        .map_err(|_| invalid(format!("header `{name}` holds more than printable ASCII")))?;
    Ok(Some(text.trim()))
}

/// `service.action`. What isn't counts as not said: it is only for conditions.
fn is_full_name(name: &str) -> bool {
    let parts = name.split_once('.');
    parts.is_some_and(|(service, action)| is_opaque_name(service) && is_opaque_name(action))
}

fn checked_request_id(id: &str) -> Result<&str, Problem> {
    match is_opaque_name(id) {
        true => Ok(id),
        false => Err(invalid(
            "header `request-id` is not 1 to 128 bytes of printable ASCII without spaces",
        )),
    }
}

fn invalid(detail: impl ToString) -> Problem {
    Problem::new(ProblemCode::InvalidRequest, detail.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers_of(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in pairs {
            map.append(*name, HeaderValue::from_static(value));
        }
        map
    }

    #[test]
    fn the_saga_travels_in_its_header_and_in_baggage() {
        let sent = headers_of(&[
            ("baggage", "tenant=a%20b;p=1, saga-id=order%2C1"),
            ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
            ("tracestate", "vendor=1"),
        ]);
        let read = SagaContext::read(&sent).expect("valid");
        let saga = read.saga.expect("from baggage");
        assert_eq!(saga.as_str(), "order,1");
        assert_eq!(read.passed_on.baggage("tenant").as_deref(), Some("a b"));

        let mut out = HeaderMap::new();
        read.passed_on.write(&saga, "r-1", "order.place", &mut out);
        assert_eq!(out["baggage"], "saga-id=order%2C1,tenant=a%20b;p=1");
        let again = SagaContext::read(&out).expect("valid");
        assert_eq!(again.saga, Some(saga));
        assert_eq!(again.request_id.as_deref(), Some("r-1"));
        let from_order = PassedOn { caller: Some("order.place".to_owned()), ..read.passed_on };
        assert_eq!(again.passed_on, from_order);
    }

    #[test]
    fn the_entry_travels_all_the_way_and_the_caller_one_call_far() {
        let first = headers_of(&[("saga-id", "s"), ("baggage", "amends-entry=order.place")]);
        let read = SagaContext::read(&first).expect("valid");
        let mut out = HeaderMap::new();
        let saga = read.saga.clone().expect("named");
        read.passed_on.write(&saga, "r-1", "payment.pay", &mut out);
        let next = SagaContext::read(&out).expect("valid").passed_on;
        assert_eq!(next.entry.as_deref(), Some("order.place"));
        assert_eq!(next.caller.as_deref(), Some("payment.pay"));
        assert_eq!(next.baggage, Vec::<String>::new(), "ours is not told twice");
        let odd = headers_of(&[("amends-caller", "nobody"), ("baggage", "amends-entry=a%20b.c")]);
        let dropped = SagaContext::read(&odd).expect("only dropped").passed_on;
        assert_eq!((dropped.entry, dropped.caller), (None, None));
    }

    #[test]
    fn the_header_wins_over_baggage() {
        let sent = headers_of(&[("saga-id", "right"), ("baggage", "saga-id=wrong")]);
        let read = SagaContext::read(&sent).expect("valid");
        assert_eq!(read.saga.expect("given").as_str(), "right");
    }

    #[test]
    fn malformed_ids_are_refused_but_a_malformed_trace_is_only_dropped() {
        for bad in [("saga-id", "a b"), ("request-id", ""), ("baggage", "saga-id=a%20b")] {
            assert!(SagaContext::read(&headers_of(&[bad])).is_err(), "{bad:?}");
        }
        for bad in [
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "nonsense",
        ] {
            let read =
                SagaContext::read(&headers_of(&[("traceparent", bad)])).expect("only dropped");
            assert_eq!(read.passed_on.traceparent, None);
        }
    }

    #[test]
    fn a_call_has_the_same_id_whenever_it_is_repeated_and_no_other_call_has_it() {
        let id = derive_request_id("r-1", "coupon", "redeem", 1);
        // Fixed for ever: it is in the History of every participant.
        assert_eq!(id, "8c9d7b5b1d06ddd9dd610ccdc3fd7b9e");
        for other in [
            derive_request_id("r-2", "coupon", "redeem", 1),
            derive_request_id("r-1", "coupon", "redeem", 2),
            derive_request_id("r-1", "coupon", "restore", 1),
            derive_request_id("r-1c", "oupon", "redeem", 1),
        ] {
            assert_ne!(id, other);
        }
    }
}
