//! Throws made-up input at whoever reads what comes from outside. A target takes any bytes and never panics; what it
//! asserts beyond that is a promise of the reader. The property tests of this crate and the binaries of `fuzz/`, which
//! cargo-fuzz drives, call the same functions over the same corpus. No part of the product.

mod answers;
mod configuration;
mod identity;
mod message;
mod reports;
mod rulebook;
#[path = "../../cli/src/sse.rs"]
mod sse;
mod streams;
mod texts;

use std::path::{Path, PathBuf};

/// A reader, and what it promises for any input.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Its name: of its binary and of its folder in the corpus.
    pub name: &'static str,
    /// What is called with each input.
    pub run: fn(&[u8]),
    /// A folder with more inputs, which others keep; relative to the root of the tree.
    pub more: Option<&'static str>,
}

/// Every one.
pub const TARGETS: &[Target] = &[
    Target {
        name: "rulebook",
        run: rulebook::rulebook,
        more: Some("crates/workbench/tests/data/corpus/good"),
    },
    target("report_binary", reports::binary),
    target("report_structured", reports::structured),
    target("report_batch", reports::batch),
    target("report_kafka", reports::kafka),
    target("report_nats", reports::nats),
    target("report_bridge", reports::bridge),
    target("step_answer", answers::step),
    target("history_answer", answers::history),
    target("signature", texts::signature),
    target("signing_key", texts::signing_key),
    target("cursor", texts::cursor),
    target("grant", texts::grant),
    target("configuration", configuration::configuration),
    target("event_stream", streams::events),
    target("baggage", texts::baggage),
    target("traceparent", texts::traceparent),
    target("attribute", texts::attribute),
    target("shown", texts::shown),
    target("token", identity::token),
    target("jwt", identity::jwt),
    target("claims", identity::claims),
    target("key_set", identity::key_set),
];

const fn target(name: &'static str, run: fn(&[u8])) -> Target {
    Target { name, run, more: None }
}

/// Calls one target by its name.
///
/// # Panics
/// When the target finds something, or there is none of that name.
pub fn run(name: &str, data: &[u8]) {
    let target = TARGETS.iter().find(|target| target.name == name);
    (target.unwrap_or_else(|| panic!("there is no target `{name}`")).run)(data);
}

/// The folders that hold the inputs to begin with.
#[must_use]
pub fn corpus(target: &Target) -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let own = Path::new("fuzz/corpus").join(target.name);
    [Some(own.as_path()), target.more.map(Path::new)]
        .into_iter()
        .flatten()
        .map(|f| root.join(f))
        .collect()
}
