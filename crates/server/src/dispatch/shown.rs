//! The request of a step as a person may see it: made by the same code that sends it, without secrets.

use super::Destinations;
use super::allowed::AllowedHosts;
use super::request::of_step;
use super::route::{RouteTable, Routes};
use super::secrets::Secrets;
use super::sign::Signer;
use amends_api::{CaseDetail, StepView};
use amends_engine::{SendStep, Veil};
use amends_protocol::wire::percent::attribute;
use amends_protocol::{CallbackProof, Report, StepId, Timestamp, headers};
use amends_rulebook::Rulebook;
use amends_rulebook::secrets::MASK;
use http_body_util::BodyExt;
use std::fmt::Write as _;
use std::sync::Arc;

/// Headers whose values may be secrets wherever they come from.
const SECRET: [&str; 5] =
    ["authorization", "proxy-authorization", "cookie", "x-api-key", headers::WEBHOOK_SIGNATURE];
/// Parts of other names that say the same, in small letters and without hyphens.
const SECRET_PARTS: [&str; 4] = ["secret", "token", "password", "apikey"];
/// What stands in place of a secret.
const HIDDEN: &str = "(not shown)";
/// Longest body that is shown, in bytes.
const BODY_LIMIT: usize = 16 << 10;

/// Where the services of a rulebook are, for requests that are shown.
pub(crate) struct ShownRoutes(Arc<Routes>);

impl ShownRoutes {
    pub(crate) fn of(book: &Rulebook, callbacks: Option<Arc<str>>) -> Self {
        // The keys are not needed: a signature is not shown.
        let keys = book.services().iter().filter_map(|s| s.signing_key.clone());
        let signers = keys.map(|name| (name, Signer::without_keys())).collect();
        let secrets = Arc::new(Secrets::masked());
        // Whether it may go there is said when it goes.
        let allow_hosts = AllowedHosts::unjudged();
        let destinations = Destinations { signers, allow_hosts, secrets, callbacks };
        Self(RouteTable::new(destinations).of(book))
    }
}

/// Which try of a step is shown.
pub(crate) struct Try {
    /// The step, by the id that goes out.
    pub(crate) step: StepId,
    pub(crate) attempt: u32,
    /// Requests that it names.
    pub(crate) requests: Vec<Arc<str>>,
    pub(crate) at: Timestamp,
}

/// The request of one try of a step, as text.
///
/// # Errors
/// Says why there is none: the rulebook has no such action, or the request can't be built.
pub(crate) async fn shown_request(
    step: &StepView,
    case: &CaseDetail,
    book: &Arc<Rulebook>,
    routes: &ShownRoutes,
    shown: Try,
) -> Result<String, String> {
    let action_id = book
        .action(&step.action.service, &step.action.action)
        .ok_or_else(|| format!("rulebook `{}` has no action `{}`", book.name(), step.action))?;
    let wanted = step.data_from.as_ref().or(step.because.first());
    let report = case
        .reports
        .iter()
        .find(|r| wanted == Some(&r.id))
        .or_else(|| case.reports.first())
        .ok_or("the case has no report")?;
    let send = SendStep {
        step: shown.step,
        proof: CallbackProof::hidden(),
        key: step.key.as_deref().map(Into::into),
        attempt: shown.attempt,
        verb: step.verb,
        action: step.action.clone(),
        action_id,
        rulebook: Arc::clone(book),
        saga: step.saga_id.clone(),
        request_ids: shown.requests,
        report: Arc::new(Report {
            id: report.id.clone(),
            source: report.source.clone(),
            saga_id: step.saga_id.clone(),
            time: None,
            traceparent: report.traceparent.clone(),
            data: report.data.clone(),
        }),
        data: step.edited.clone().or_else(|| step.request_data.clone()).map(Arc::new),
        veil: Veil::default(),
    };
    let request = of_step(&send, &routes.0, shown.at)?;
    let (head, body) = request.into_parts();
    let mut text = format!("{} {}\n", head.method, head.uri);
    for (name, value) in &head.headers {
        let value = if is_secret(name.as_str()) { HIDDEN } else { value.to_str().unwrap_or("?") };
        // A header holds printable ASCII only.
        let value = value.replace(&attribute(MASK).to_string(), MASK);
        let _ = writeln!(text, "{name}: {value}");
    }
    let bytes = body.collect().await.map_or_else(|_| bytes::Bytes::new(), |all| all.to_bytes());
    if bytes.len() > BODY_LIMIT {
        let _ = write!(text, "\n({} bytes)", bytes.len());
    } else if let Ok(value) = serde_json::from_slice::<serde_json::Value>(&bytes) {
        let shown = serde_json::to_string_pretty(&redacted(value)).unwrap_or_default();
        let _ = write!(text, "\n{shown}");
    } else {
        for (name, value) in form_urlencoded::parse(&bytes) {
            let value = if is_secret(&name) { HIDDEN.into() } else { value };
            let _ = write!(text, "\n{name} = {value}");
        }
    }
    Ok(text)
}

fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let letters = name.replace(['-', '_'], "");
    SECRET.contains(&name.as_str()) || SECRET_PARTS.iter().any(|part| letters.contains(part))
}

/// Members of the data whose names say that they are secrets lose their values.
pub(crate) fn redacted(value: serde_json::Value) -> serde_json::Value {
    use serde_json::Value;
    match value {
        Value::Object(members) => Value::Object(
            members
                .into_iter()
                .map(|(name, value)| {
                    let value = if is_secret(&name) { HIDDEN.into() } else { redacted(value) };
                    (name, value)
                })
                .collect(),
        ),
        Value::Array(items) => Value::Array(items.into_iter().map(redacted).collect()),
        other => other,
    }
}

/// What a person made of redacted data: members that still say that they are not shown keep the value that they had.
pub(crate) fn unredacted(
    edited: serde_json::Value,
    before: &serde_json::Value,
) -> serde_json::Value {
    use serde_json::Value;
    match edited {
        Value::String(text) if text == HIDDEN => before.clone(),
        Value::Object(members) => Value::Object(
            members
                .into_iter()
                .map(|(name, value)| {
                    let value = unredacted(value, before.get(&name).unwrap_or(&Value::Null));
                    (name, value)
                })
                .collect(),
        ),
        Value::Array(items) => Value::Array(
            items
                .into_iter()
                .enumerate()
                .map(|(n, item)| unredacted(item, before.get(n).unwrap_or(&Value::Null)))
                .collect(),
        ),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn secrets_are_known_by_their_names_at_any_depth() {
        let shown = redacted(json!({
            "amount": 12, "apiKey": "k", "card": { "apiToken": "t", "password": "p", "last4": "4242" },
            "list": [{ "client_secret": "s" }], "Authorization": "Bearer x",
        }));
        let hidden = json!({
            "amount": 12, "apiKey": HIDDEN, "card": { "apiToken": HIDDEN, "password": HIDDEN, "last4": "4242" },
            "list": [{ "client_secret": HIDDEN }], "Authorization": HIDDEN,
        });
        assert_eq!(shown, hidden);
        assert!(is_secret("X-Api-Key") && !is_secret("saga-id"));
    }

    #[test]
    fn what_was_not_shown_keeps_its_value_through_an_edit() {
        let before = json!({ "amount": 12, "token": "t", "list": [{ "secret": "s" }] });
        let mut edited = redacted(before.clone());
        edited["amount"] = json!(13);
        let sent = json!({ "amount": 13, "token": "t", "list": [{ "secret": "s" }] });
        assert_eq!(unredacted(edited, &before), sent);
        assert_eq!(unredacted(json!({ "new": HIDDEN }), &before), json!({ "new": null }));
    }
}
