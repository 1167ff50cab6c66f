//! How operations are told of in OpenAPI 3.1. What is said of one comes from the types that its handler takes and
//! answers (`told.rs`), so that it can't say otherwise.

mod closed;
mod operation;
mod told;
mod webhooks;

pub(super) use closed::closed;
pub(super) use operation::{Operation, delete, get, options, paths, post, put, router};
pub(crate) use told::{Answered, JSON, PLAIN, PROBLEM, Taken, Told};
pub(super) use webhooks::webhooks;

/// What operations are grouped by.
pub(super) const TAGS: &[(&str, &str)] = &[
    ("reports", "Failure events in."),
    ("cases", "What is known and done about one saga that had a report."),
    ("steps", "Single compensations, retries and notices."),
    ("bulk", "One act on many steps or cases, in a ramp."),
    ("sagas", "Sagas that announce themselves with a deadline."),
    ("rulebooks", "The predefined answers."),
    ("services", "Participants as the supervisor sees them."),
    ("nodes", "Supervisors that share one store."),
    ("watching", "Numbers, the audit, and what happens as it happens."),
    ("access", "Who asks, tokens and sessions."),
    ("erasures", "Business data that goes for good."),
    ("running", "Backups, probes and this document."),
    ("participants", "What services are sent."),
];
