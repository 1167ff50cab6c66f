//! Retry policies and the other settings that a service or an action takes over from what stands above it.

use crate::fields::{self, Fields};
use crate::mistakes::Diagnostics;
use crate::tree::Node;
use crate::{Diagnostic, RetryPolicy, codes, duration};

/// Requests that may be on their way to one service at once, if nothing is said. Enough to keep a fast service busy,
/// few enough not to fill the connection pool of a slow one.
const CONCURRENCY: u32 = 16;

const POLICY_KEYS: &[&str] =
    &["first", "cap", "timeout", "attempts", "age", "accepted", "definite_after"];

/// What holds where a service says nothing.
pub(crate) struct Defaults {
    pub(crate) retry: RetryPolicy,
    pub(crate) concurrency: u32,
}

impl Defaults {
    pub(crate) fn read(top: &Fields<'_>, found: &mut Diagnostics) -> Self {
        let mut defaults = Self { retry: RetryPolicy::DEFAULT, concurrency: CONCURRENCY };
        let node = top.get("defaults");
        let Some(own) = node
            .and_then(|n| Fields::open(n, "`defaults`", &["retry_policy", "concurrency"], found))
        else {
            return defaults;
        };
        if let Some(node) = own.get("retry_policy") {
            defaults.retry = retry_policy(node, defaults.retry, found);
        }
        if let Some(node) = own.get("concurrency") {
            defaults.concurrency = concurrency(node, found).unwrap_or(defaults.concurrency);
        }
        defaults
    }
}

pub(crate) fn concurrency(node: &Node, found: &mut Diagnostics) -> Option<u32> {
    fields::whole(
        node,
        "`concurrency`",
        1..=10_000,
        "write the digits alone, without quotes",
        found,
    )
}

/// `above` with what is written here in place of it, field by field.
pub(crate) fn retry_policy(
    node: &Node,
    above: RetryPolicy,
    found: &mut Diagnostics,
) -> RetryPolicy {
    let Some(own) = Fields::open(node, "`retry_policy`", POLICY_KEYS, found) else {
        return above;
    };
    let mut time = |key: &str, above: u64| {
        let node = own.get(key)?;
        Some(fields::duration(node, &format!("`{key}`"), 1, found).unwrap_or(above))
    };
    let first_ms = time("first", above.first_ms);
    let cap_ms = time("cap", above.cap_ms);
    let policy = RetryPolicy {
        first_ms: first_ms.unwrap_or(above.first_ms),
        cap_ms: cap_ms.unwrap_or(above.cap_ms),
        timeout_ms: time("timeout", above.timeout_ms).unwrap_or(above.timeout_ms),
        accepted_ms: time("accepted", above.accepted_ms).unwrap_or(above.accepted_ms),
        definite_after_ms: time("definite_after", above.definite_after_ms)
            .unwrap_or(above.definite_after_ms),
        max_attempts: match own.get("attempts") {
            None => above.max_attempts,
            Some(node) if says_none(node) => None,
            Some(node) => {
                let help = "write the digits alone, without quotes, or `none` for no limit";
                fields::whole(node, "`attempts`", 1..=1_000_000, help, found).or(above.max_attempts)
            }
        },
        max_age_ms: match own.get("age") {
            None => above.max_age_ms,
            Some(node) if says_none(node) => None,
            Some(node) => {
                let or = ", or `none` for no limit";
                fields::duration_or(node, "`age`", 1, or, found).or(above.max_age_ms)
            }
        },
    };
    tell_short_age(&own, &policy, found);
    tell_late_definite(&own, &policy, found);
    if policy.first_ms > policy.cap_ms {
        let at = own.get("first").or_else(|| own.get("cap")).map_or(node.span, |n| n.span);
        let message = format!(
            "the first pause ({}ms) is longer than the cap of all pauses ({}ms)",
            policy.first_ms, policy.cap_ms
        );
        found.add(
            Diagnostic::new(codes::BAD_RETRY_POLICY, at, message)
                .with_help("lower `first` or raise `cap`"),
        );
    }
    policy
}

/// One attempt may take longer than all of them together: the limits were meant the other way round. Told where one of
/// the two is written.
fn tell_short_age(own: &Fields<'_>, policy: &RetryPolicy, found: &mut Diagnostics) {
    let Some(age_ms) = policy.max_age_ms.filter(|age_ms| policy.timeout_ms >= *age_ms) else {
        return;
    };
    let age = own.get("age");
    let Some(at) = own.get("timeout").or(age) else { return };
    let message = format!(
        "one attempt may take {}, and the step is too old after {}",
        duration::length_of_time(policy.timeout_ms),
        duration::length_of_time(age_ms)
    );
    let mistake = Diagnostic::new(codes::AGE_TOO_SHORT, at.span, message)
        .with_help("raise `age`, or lower `timeout`");
    found.add(match age.filter(|age| age.span != at.span) {
        Some(age) => mistake.with_place(age.span, "its `age`"),
        None => mistake,
    });
}

/// The step is too old before equal answers make it stuck, so the setting does nothing. Told where it is written.
fn tell_late_definite(own: &Fields<'_>, policy: &RetryPolicy, found: &mut Diagnostics) {
    let Some(node) = own.get("definite_after") else { return };
    let Some(age_ms) = policy.max_age_ms.filter(|age_ms| policy.definite_after_ms >= *age_ms)
    else {
        return;
    };
    let message = format!(
        "`definite_after` is {}, and the step is too old after {}",
        duration::length_of_time(policy.definite_after_ms),
        duration::length_of_time(age_ms)
    );
    found.add(
        Diagnostic::new(codes::IDLE_SETTING, node.span, message)
            .with_label("so it does nothing")
            .with_help("lower it, raise `age`, or leave it out"),
    );
}

/// `none` lifts a limit that stands above.
fn says_none(node: &Node) -> bool {
    matches!(&node.kind, crate::tree::Kind::Scalar { text, .. } if text == "none")
}
