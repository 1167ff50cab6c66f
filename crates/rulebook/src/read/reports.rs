//! Declared reports: which codes a service may send, and where in its work it is then.

use super::data;
use super::named_calls;
use super::scope::Scope;
use super::services::Declared;
use crate::fields::{self, Fields};
use crate::graph::Graph;
use crate::mistakes::{Diagnostics, quote};
use crate::report_place::{Position, Work};
use crate::tree::{Entry, Node};
use crate::{ActionId, Diagnostic, NamedCall, ReportDecl, ServiceId, codes};

const REPORT_KEYS: &[&str] = &["in", "after", "sent", "without", "keep", "data"];

/// `reports:` of a service or its manifest: codes without the service.
pub(crate) fn read_of_service(
    declared: &Declared<'_>,
    scope: &mut Scope,
    graph: &Graph,
    reports: &mut Vec<ReportDecl>,
    found: &mut Diagnostics,
) {
    let Some(node) = declared.fields.get("reports") else {
        return;
    };
    for entry in fields::entries_if_any(node, "`reports`", found).unwrap_or_default() {
        let service = &scope.services[declared.id.0 as usize].name;
        let own = entry.key.strip_prefix(&**service).and_then(|rest| rest.strip_prefix('/'));
        let code = own.unwrap_or(&entry.key).to_owned();
        read_one(declared.id, &code, entry, scope, graph, reports, found);
    }
}

/// `reports:` of the rulebook: `service/code`.
pub(crate) fn read_top(
    top: &Fields<'_>,
    scope: &mut Scope,
    graph: &Graph,
    reports: &mut Vec<ReportDecl>,
    found: &mut Diagnostics,
) {
    let Some(node) = top.get("reports") else {
        return;
    };
    for entry in fields::entries_if_any(node, "`reports`", found).unwrap_or_default() {
        let Some((service, code)) = entry.key.split_once('/') else {
            let message = format!("{} is not a report", quote(&entry.key));
            found.add(
                Diagnostic::new(codes::INVALID_NAME, entry.key_span, message)
                    .with_help("a report is written `service/code`"),
            );
            continue;
        };
        if let Some(id) = scope.find_service(service, entry.key_span, found) {
            read_one(id, code, entry, scope, graph, reports, found);
        }
    }
}

fn read_one(
    service: ServiceId,
    code: &str,
    entry: &Entry,
    scope: &mut Scope,
    graph: &Graph,
    reports: &mut Vec<ReportDecl>,
    found: &mut Diagnostics,
) {
    let at = entry.key_span;
    if !fields::valid_code(code) {
        let message = format!("{} is not a report code", quote(code));
        let help = "a code is 1 to 128 printable ASCII characters without spaces and `*`";
        found.add(Diagnostic::new(codes::INVALID_NAME, at, message).with_help(help));
        return;
    }
    if let Some(first) = scope.names.reports[service.0 as usize].get(code) {
        let first = reports[*first].span;
        let mistake = Diagnostic::new(
            codes::DUPLICATE_REPORT,
            at,
            format!("report {} is declared twice", quote(&entry.key)),
        );
        found.add(
            mistake
                .with_label("here again")
                .with_place(first, "first here")
                .with_help("declare it once, under `reports:` or with its service"),
        );
        return;
    }
    let what = format!("report `{}`", entry.key);
    let mut report = ReportDecl {
        service,
        code: code.into(),
        action: None,
        anywhere: true,
        sent: None,
        after: Vec::new(),
        without: Vec::new(),
        keep: false,
        data: None,
        span: at,
    };
    if let Some(fields) = Fields::open_or_empty(&entry.value, &what, REPORT_KEYS, found) {
        fill_in(&mut report, &fields, scope, graph, found);
    }
    scope.names.reports[service.0 as usize].insert(report.code.clone(), reports.len());
    reports.push(report);
}

fn fill_in(
    report: &mut ReportDecl,
    fields: &Fields<'_>,
    scope: &Scope,
    graph: &Graph,
    found: &mut Diagnostics,
) {
    if let Some(node) = fields.get("in")
        && let Some(text) = fields::text(node, "`in`", found)
    {
        let service = &scope.services[report.service.0 as usize].name;
        let own = text.strip_prefix(&**service).and_then(|rest| rest.strip_prefix('.'));
        report.action =
            scope.find_in_service(report.service, own.unwrap_or(text), node.span, found);
    }
    let mut calls = |key: &str| {
        let node = fields.get(key);
        node.map_or_else(Vec::new, |n| named_calls::read(n, report.action, scope, graph, found))
    };
    let (after, without) = (calls("after"), calls("without"));
    let sent =
        fields.get("sent").and_then(|n| read_sent(n, report.action, fields, scope, graph, found));
    let written = |call: &NamedCall| call.written(|id| scope.action(id).name.to_string());
    for (call, node) in &without {
        if let Some((_, made)) = after.iter().find(|(a, _)| a == call) {
            let message =
                format!("the call of `{}` is declared both as made and as not made", written(call));
            let mistake = Diagnostic::new(codes::CONTRADICTORY_REPORT, node.span, message);
            found.add(
                mistake
                    .with_place(made.span, "made here")
                    .with_help("leave it in one of `after` and `without`"),
            );
        }
    }
    report.sent = sent.map(|(id, _)| id);
    report.anywhere = fields.get("after").is_none() && sent.is_none();
    report.after = after.iter().map(|(call, _)| call.clone()).collect();
    report.without = without.iter().map(|(call, _)| call.clone()).collect();
    if let Some(node) = fields.get("data") {
        report.data = Some(data::read(node, found));
    }
    if let Some(node) = fields.get("keep") {
        report.keep = fields::flag(node, "`keep`", found).unwrap_or(false);
        if let Some((_, sent)) = sent.filter(|_| report.keep) {
            let message = "everything below succeeded, and of one call nobody knows it";
            found.add(
                Diagnostic::new(codes::CONTRADICTORY_REPORT, node.span, message)
                    .with_place(sent.span, "its answer never came")
                    .with_help("leave out `keep`, or name the call in `after`"),
            );
        }
    }
    check_place(report, &after, &without, scope, graph, found);
    let work = Work { actions: &scope.actions, graph };
    if let Some((a, b)) = work.on_two_ways(report) {
        let node_of = |named: &NamedCall| {
            let made = after.iter().find(|(made, _)| made == named).map(|(_, node)| *node);
            made.or(sent.map(|(_, node)| node))
        };
        if let (Some(at_a), Some(at_b)) = (node_of(&a), node_of(&b)) {
            let mut both = [(a, at_a), (b, at_b)];
            both.sort_by_key(|(_, node)| node.span);
            found.add(both_ways(&both, scope));
        }
    }
}

/// Those of the calls that an action makes itself.
fn direct<'a, 'n>(
    calls: &'a [(NamedCall, &'n Node)],
    from: ActionId,
) -> impl Iterator<Item = (ActionId, &'n Node)> + use<'a, 'n> {
    calls.iter().filter_map(move |(call, node)| Some((call.direct(from)?, *node)))
}

/// Of several ways the one that a report names excludes the others.
fn both_ways([(a, first), (b, at)]: &[(NamedCall, &Node); 2], scope: &Scope) -> Diagnostic {
    let (a, b) = (&scope.action(a.action()).name, &scope.action(b.action()).name);
    let message =
        format!("`{a}` and `{b}` stand in two ways of `one_of`, of which a saga takes one");
    Diagnostic::new(codes::CONTRADICTORY_REPORT, at.span, message)
        .with_place(first.span, "the other way here")
        .with_help("name calls of one way; or declare a report for each way")
}

/// `sent:` one call of the action's own, whose answer never came.
fn read_sent<'n>(
    node: &'n Node,
    from: Option<ActionId>,
    fields: &Fields<'_>,
    scope: &Scope,
    graph: &Graph,
    found: &mut Diagnostics,
) -> Option<(ActionId, &'n Node)> {
    let text = fields::text(node, "`sent`", found)?;
    let by_way = text.contains('>');
    let id = match by_way {
        true => named_calls::read_one(node, from, scope, graph, found)?,
        false => NamedCall::of(scope.find_action(text, node.span, found)?),
    };
    let Some(from) = from else {
        if fields.get("in").is_none() {
            let message = "the report doesn't say which action has sent the call";
            found.add(
                Diagnostic::new(codes::MISSING_KEY, node.span, message)
                    .with_help("add `in:` with the action that fails"),
            );
        }
        return None;
    };
    let calls = &scope.action(from).calls;
    if let Some(own) = id.direct(from).filter(|own| calls.iter().any(|c| c.action == *own)) {
        return Some((own, node));
    }
    let id = id.written(|id| scope.action(id).name.to_string());
    let message = format!("`{}` doesn't call `{id}` itself", scope.action(from).name);
    found.add(
        Diagnostic::new(codes::NOT_CALLED, node.span, message).with_help(
            "name one of its own `calls:`; of what others call, their own reports speak",
        ),
    );
    None
}

/// Calls that contradict the place of the report, and calls that are named more often than they are made.
fn check_place(
    report: &ReportDecl,
    after: &[(NamedCall, &Node)],
    without: &[(NamedCall, &Node)],
    scope: &Scope,
    graph: &Graph,
    found: &mut Diagnostics,
) {
    let Some(action) = report.action else {
        return;
    };
    let name = |id: ActionId| &scope.action(id).name;
    let own: Vec<(ActionId, &Node)> = direct(after, action).collect();
    for (n, (id, node)) in own.iter().enumerate() {
        let before = own[..n].iter().filter(|(other, _)| other == id).count();
        let calls = || scope.action(action).calls.iter().filter(|c| c.action == *id);
        let made = calls().count();
        if before > 0 && before >= made && !calls().any(|c| c.times.may_be_many()) {
            let times = if made > 1 { format!("{made} times") } else { "once".to_owned() };
            let message = format!("`{}` calls `{}` {times} at most", name(action), name(*id));
            found.add(
                Diagnostic::new(codes::NOT_CALLED, node.span, message)
                    .with_help("name it as often as it was called by then"),
            );
        }
    }
    let work = Work { actions: &scope.actions, graph };
    let already = |call: &NamedCall| after.iter().any(|(made, _)| made == call);
    if let Some(made) = work.made_all_the_same(report).filter(|call| !already(call))
        && let Some((_, node)) = without.iter().find(|(call, _)| *call == made)
    {
        let place = match work.position(report) {
            Some(Position::Sent(n) | Position::After(n)) => work.calls(action).get(n),
            Some(Position::Start) | None => None,
        };
        let far = place.map_or(String::new(), |c| format!(" as far as `{}`", name(c.action)));
        let message = format!(
            "`{}` is called in every saga that comes{far}, so it was made",
            made.written(|id| scope.action(id).name.to_string())
        );
        found.add(
            Diagnostic::new(codes::CONTRADICTORY_REPORT, node.span, message)
                .with_label("declared as not made")
                .with_place(scope.action(made.action()).span, "declared here")
                .with_help("leave it out; or write the call with `?` if not every saga makes it; or name an earlier place in `after`"),
        );
    }
}
