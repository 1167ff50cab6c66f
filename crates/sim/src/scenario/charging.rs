//! Services that know nothing of the protocol and charge per request: they undo one request at a time, told by its id
//! or by its payment, or a whole order at once; and callers that charge twice.

use amends_simulate::SeededRng;
use std::collections::BTreeSet;

/// The field of a request's data by which its service knows it.
pub(crate) const PAYMENT: &str = "payment";

/// The field that all requests of a saga have in common.
pub(crate) const ORDER: &str = "order";

/// Of 100 services that call nobody so many charge per request.
const CHARGING_PERCENT: usize = 40;

/// Of 100 calls of them so many are made twice.
const TWICE_PERCENT: usize = 50;

/// An undo over the service's own HTTP.
fn undo(rng: &mut SeededRng) -> String {
    let (path, more) = match rng.below(5) {
        0 | 1 => ("/charges/{requestId}/undo".to_owned(), ""),
        2 | 3 => (format!("/charges/{{data.{PAYMENT}}}/undo"), ""),
        _ => (format!("/orders/{{data.{ORDER}}}/undo"), ", covers: saga"),
    };
    format!(
        "compensation: undo, endpoints: {{ compensate: {{ path: \"{path}\"{more}, done: [200], nothing: [{{ status: 404, body: {{ code: unknown }} }}] }} }}"
    )
}

/// Made-up services, one a line, some of which charge per request. The first so many begin sagas and stay as they are.
pub(super) fn charging(services: &str, entries: usize, rng: &mut SeededRng) -> String {
    let mut names = BTreeSet::new();
    let mut lines: Vec<String> = Vec::new();
    for (n, line) in services.lines().enumerate() {
        let is_plain = n >= entries && line.contains("{ compensation: undo }");
        if is_plain && rng.chance(CHARGING_PERCENT) {
            names.extend(line.trim_start().split(':').next().map(str::to_owned));
            lines.push(line.replace("compensation: undo", &undo(rng)));
        } else {
            lines.push(line.to_owned());
        }
    }
    lines.into_iter().map(|line| twice(&line, &names, rng) + "\n").collect()
}

/// Some calls of these services are made once more, behind the first time.
fn twice(line: &str, names: &BTreeSet<String>, rng: &mut SeededRng) -> String {
    let Some((before, rest)) = line.split_once("calls: [") else { return line.to_owned() };
    let Some((calls, after)) = rest.split_once(']') else { return line.to_owned() };
    let mut all: Vec<&str> = Vec::new();
    for call in calls.split(", ") {
        all.push(call);
        let service = call.trim_matches('"').split('.').next().unwrap_or_default();
        if names.contains(service) && rng.chance(TWICE_PERCENT) {
            all.push(call);
        }
    }
    format!("{before}calls: [{}]{after}", all.join(", "))
}
