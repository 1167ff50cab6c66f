//! What must hold where a caller goes on whatever comes of a call: who else calls the same must be heard when it fails,
//! and a message that may come late must find a fence, or an end.

use super::scope::Scope;
use crate::graph::Graph;
use crate::mistakes::Diagnostics;
use crate::{ActionId, Coupling, Diagnostic, ReportDecl, ServiceId, codes};
use std::collections::BTreeSet;

/// Looks at every such call.
pub(crate) fn check(scope: &Scope, graph: &Graph, reports: &[ReportDecl], found: &mut Diagnostics) {
    for (sender, consumer) in graph.events() {
        check_event(*sender, *consumer, scope, found);
    }
    let mut told = BTreeSet::new();
    let ids = (0u32..).map(ActionId).take(scope.actions.len());
    for top in ids.filter(|id| graph.is_detached(*id)) {
        let mut below = graph.downstream(top).to_vec();
        below.push(top);
        for (at, caller) in below.iter().flat_map(|at| graph.callers(*at).iter().map(|c| (*at, *c)))
        {
            let is_outside = !below.contains(&caller);
            if is_outside && is_silent(caller, at, scope, reports) && told.insert((caller, at)) {
                found.add(silent(caller, at, scope));
            }
        }
    }
}

/// A mapped endpoint puts up no fence: a message that comes after the undo takes effect. Only time tells.
fn check_event(sender: ActionId, consumer: ActionId, scope: &Scope, found: &mut Diagnostics) {
    let to = scope.action(consumer);
    let unbounded = |coupling| coupling == Coupling::Event { within_ms: None };
    let calls = scope.action(sender).calls.iter();
    let is_open = calls.clone().any(|c| c.action == consumer && unbounded(c.coupling));
    if to.endpoints.compensate.is_none() || !is_open {
        return;
    }
    let message = format!(
        "`{}` sends `{}` a message that may come after the undo, and nothing bars it there",
        scope.action(sender).name,
        to.name
    );
    let help = format!(
        "say how long it may be under way: `{{ event: {}, within: 1h }}`; or let the service speak the participant protocol",
        to.name
    );
    found.add(
        Diagnostic::new(codes::UNFENCED_EVENT, scope.action(sender).span, message)
            .with_place(to.span, "a request to an endpoint of its own puts up no fence")
            .with_help(help),
    );
}

/// A caller that waits for the call, and of whose failure nobody would hear.
fn is_silent(caller: ActionId, at: ActionId, scope: &Scope, reports: &[ReportDecl]) -> bool {
    let mut calls = scope.action(caller).calls.iter();
    let service = scope.action(caller).service;
    calls.any(|c| c.action == at && c.is_strict())
        && is_mapped(service, scope)
        && !reports.iter().any(|report| report.service == service)
}

/// A service that is asked through endpoints of its own alone: it keeps no History.
fn is_mapped(service: ServiceId, scope: &Scope) -> bool {
    let own = || scope.services[service.0 as usize].actions.iter().map(|id| scope.action(*id));
    own().any(|action| !action.endpoints.is_empty()) && !own().any(|action| action.keeps_history())
}

fn silent(caller: ActionId, at: ActionId, scope: &Scope) -> Diagnostic {
    let (from, to) = (scope.action(caller), scope.action(at));
    let message = format!(
        "if `{}` fails because of `{}`, nobody hears of it: its service declares no report and keeps no History",
        from.name, to.name
    );
    let help = format!(
        "declare what it reports: `reports: {{ {}/failed: {{ in: {} }} }}`; else a failure of `{}` would undo nothing above it",
        from.name.service, from.name.action, to.name
    );
    Diagnostic::new(codes::SILENT_CALLER, from.span, message)
        .with_place(to.span, "another caller goes on when this fails")
        .with_help(help)
}
