//! HTTP header names of the protocol, lower case as HTTP/2 wants them.

/// The saga that a request belongs to; the same value also travels in W3C `baggage` under [`BAGGAGE_SAGA`].
pub const SAGA_ID: &str = "saga-id";
/// A downstream call's request id, derived from its parent's; the same on every repetition.
pub const REQUEST_ID: &str = "request-id";
/// On a failed answer: the id of the report that the service published about this failure.
pub const AMENDS_REPORT: &str = "amends-report";
/// The action that makes this call, as `service.action`.
pub const AMENDS_CALLER: &str = "amends-caller";
/// The step's id, quoted (draft-ietf-httpapi-idempotency-key-header-07).
pub const IDEMPOTENCY_KEY: &str = "idempotency-key";
/// W3C Trace Context.
pub const TRACEPARENT: &str = "traceparent";
/// W3C Trace Context, vendor part.
pub const TRACESTATE: &str = "tracestate";
/// W3C Baggage.
pub const BAGGAGE: &str = "baggage";
/// Key of the saga id within `baggage`.
pub const BAGGAGE_SAGA: &str = "saga-id";
/// Key within `baggage` of the action with which the saga began, as `service.action`.
pub const BAGGAGE_ENTRY: &str = "amends-entry";
/// Standard Webhooks: message id; here the step's id.
pub const WEBHOOK_ID: &str = "webhook-id";
/// Standard Webhooks: seconds since the epoch, new for each attempt.
pub const WEBHOOK_TIMESTAMP: &str = "webhook-timestamp";
/// Standard Webhooks: space-separated `v1,<base64>` signatures.
pub const WEBHOOK_SIGNATURE: &str = "webhook-signature";
/// Who performs an operator's act, for the audit (until authentication names them).
pub const AMENDS_ACTOR: &str = "amends-actor";
