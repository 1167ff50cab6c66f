//! Services. First the names of all of them and of their actions are declared, then each is defined, because calls may
//! point forward and across files.

use super::actions;
use super::policy::{self, Defaults};
use super::scope::Scope;
use crate::fields::{self, Fields};
use crate::mistakes::{Diagnostics, quote};
use crate::tree::{Entry, Node};
use crate::{ActionClass, ActionId, Diagnostic, SUPERVISOR, Service, ServiceId, Span, codes};

const SERVICE_KEYS: &[&str] = &[
    "url",
    "concurrency",
    "signing_key",
    "retry_policy",
    "history",
    "fence",
    "actions",
    "reports",
];
const MANIFEST_KEYS: &[&str] = &[
    "service",
    "shared",
    "url",
    "concurrency",
    "signing_key",
    "retry_policy",
    "history",
    "fence",
    "actions",
    "reports",
];
/// A service whose names are known and whose content is still to be read.
pub(crate) struct Declared<'n> {
    pub(crate) id: ServiceId,
    pub(crate) fields: Fields<'n>,
    /// Those written under `actions:`.
    pub(crate) actions: Vec<(ActionId, &'n Entry)>,
}

/// Declares what stands under `services:`.
pub(crate) fn declare_inline<'n>(
    top: &Fields<'n>,
    scope: &mut Scope,
    declared: &mut Vec<Declared<'n>>,
    found: &mut Diagnostics,
) {
    let Some(entries) =
        top.get("services").and_then(|n| fields::entries_if_any(n, "`services`", found))
    else {
        return;
    };
    for entry in entries {
        let what = format!("service `{}`", entry.key);
        let fields = Fields::open_or_empty(&entry.value, &what, SERVICE_KEYS, found);
        declare(&entry.key, entry.key_span, fields, scope, declared, found);
    }
}

/// Declares the service of an imported file.
pub(crate) fn declare_manifest<'n>(
    root: &'n Node,
    scope: &mut Scope,
    declared: &mut Vec<Declared<'n>>,
    found: &mut Diagnostics,
) {
    let Some(entries) = fields::entries(root, "a manifest", found) else {
        return found.set_incomplete();
    };
    if let Some(entry) = entries.iter().find(|e| e.key == "rulebook") {
        let mistake = Diagnostic::new(
            codes::IMPORT_FAILED,
            entry.key_span,
            "a rulebook is imported where only manifests can be",
        );
        found.add(mistake.with_help("a manifest begins with `service:` and a name; rulebooks stand beside each other, they don't nest"));
        return found.set_incomplete();
    }
    let Some(fields) = Fields::open(root, "a manifest", MANIFEST_KEYS, found) else {
        return;
    };
    let Some(node) = fields.get("service") else {
        let at = Span { end: root.span.start, ..root.span };
        fields.tell_missing(
            Diagnostic::new(codes::IMPORT_FAILED, at, "the manifest doesn't say whose it is")
                .with_help("begin the file with `service:` and its name"),
            found,
        );
        return found.set_incomplete();
    };
    if let Some(name) = fields::text(node, "`service`", found) {
        declare(name, node.span, Some(fields), scope, declared, found);
    }
}

fn declare<'n>(
    name: &str,
    span: Span,
    fields: Option<Fields<'n>>,
    scope: &mut Scope,
    declared: &mut Vec<Declared<'n>>,
    found: &mut Diagnostics,
) {
    fields::valid_name(name, span, "a service", found);
    if name == SUPERVISOR {
        let message = format!("`{SUPERVISOR}` is taken: deadlines are reported under this name");
        found.add(
            Diagnostic::new(codes::INVALID_NAME, span, message)
                .with_help("give the service another name"),
        );
    }
    if let Some(first) = scope.names.services.get(name) {
        let first = scope.services[first.0 as usize].span;
        let mistake = Diagnostic::new(
            codes::DUPLICATE_SERVICE,
            span,
            format!("service {} is declared twice", quote(name)),
        );
        found.add(
            mistake
                .with_label("here again")
                .with_place(first, "first here")
                .with_help("declare a service once, inline or in its manifest"),
        );
        return;
    }
    let service = Service {
        name: name.into(),
        url: None,
        concurrency: 1,
        signing_key: None,
        history_ms: None,
        shared: false,
        actions: Vec::new(),
        span,
    };
    let id = scope.add_service(service);
    let Some(fields) = fields else {
        scope.broken_services[id.0 as usize] = true;
        return;
    };
    let mut actions = Vec::new();
    // What stands under a misspelt key may be the actions.
    scope.broken_services[id.0 as usize] = fields.may_mean("actions");
    if let Some(node) = fields.get("actions") {
        match fields::entries_if_any(node, "`actions`", found) {
            Some(entries) => actions = actions::declare(id, name, entries, scope, found),
            None => scope.broken_services[id.0 as usize] = true,
        }
    }
    declared.push(Declared { id, fields, actions });
}

/// Reads everything about a service but its reports.
pub(crate) fn define(
    declared: &Declared<'_>,
    defaults: &Defaults,
    scope: &mut Scope,
    found: &mut Diagnostics,
) {
    let fields = &declared.fields;
    let index = declared.id.0 as usize;
    let url = fields.get("url");
    scope.services[index].url = url.and_then(|n| read_url(n, found));
    let concurrency = fields.get("concurrency").and_then(|n| policy::concurrency(n, found));
    scope.services[index].concurrency = concurrency.unwrap_or(defaults.concurrency);
    let key = fields
        .get("signing_key")
        .and_then(|n| Some((fields::text(n, "`signing_key`", found)?, n.span)));
    let key = key.filter(|(key, span)| {
        fields::valid_name(key, *span, "a key in the server's configuration", found)
    });
    scope.services[index].signing_key = key.map(|(key, _)| key.to_owned());
    let history = fields.get("history").and_then(|n| fields::duration(n, "`history`", 1, found));
    scope.services[index].history_ms = history;
    let shared = fields.get("shared").and_then(|n| fields::flag(n, "`shared`", found));
    scope.services[index].shared = shared.unwrap_or(false);
    let retry = match fields.get("retry_policy") {
        Some(node) => policy::retry_policy(node, defaults.retry, found),
        None => defaults.retry,
    };
    let fence = fields.get("fence").and_then(|n| fields::flag(n, "`fence`", found));
    for id in scope.services[index].actions.clone() {
        let action = &mut scope.actions[id.0 as usize];
        action.retry = retry;
        action.fence = fence.unwrap_or(true);
    }
    for (id, entry) in &declared.actions {
        actions::define(*id, entry, retry, scope, found);
    }
    for (id, _) in &declared.actions {
        actions::pass_on_to_correction(*id, &declared.actions, scope);
    }
    if url.is_none() && !fields.may_mean("url") {
        check_url_not_needed(declared.id, scope, found);
    }
    let mut by_name = scope.services[index].actions.clone();
    by_name.sort_by(|a, b| scope.action(*a).name.cmp(&scope.action(*b).name));
    scope.services[index].actions = by_name;
}

fn check_url_not_needed(id: ServiceId, scope: &Scope, found: &mut Diagnostics) {
    let service = &scope.services[id.0 as usize];
    let asked_for =
        |id: &&ActionId| scope.action(**id).class != ActionClass::Free && !scope.is_broken(**id);
    if let Some(action) = service.actions.iter().find(asked_for) {
        let message = format!(
            "service `{}` has no `url`, so `{}` cannot be asked for",
            service.name,
            scope.action(*action).name
        );
        let help = format!("add `url: \"http://{}:8080\"`", service.name);
        found.add(Diagnostic::new(codes::MISSING_URL, service.span, message).with_help(help));
    }
}

fn read_url(node: &Node, found: &mut Diagnostics) -> Option<String> {
    let text = fields::text(node, "`url`", found)?;
    match check_url(text) {
        Ok(()) => Some(text.trim_end_matches('/').to_owned()),
        Err(why) => {
            let message = format!("{} is not the address of a service: {why}", quote(text));
            found.add(
                Diagnostic::new(codes::INVALID_URL, node.span, message).with_help(
                    "write for example `http://payment:8080` or `https://pay.example/api`",
                ),
            );
            None
        }
    }
}

fn check_url(text: &str) -> Result<(), &'static str> {
    let rest = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://"));
    let rest = rest.ok_or("it begins neither with `http://` nor with `https://`")?;
    if !text.bytes().all(|b| b.is_ascii_graphic()) || text.len() > 2_000 {
        return Err("it holds characters that an address doesn't have");
    }
    if text.contains(['?', '#', '{', '}', '\\', '"', '<', '>']) {
        return Err("only a host and a path can stand in it");
    }
    let authority = rest.split('/').next().unwrap_or("");
    if authority.contains('@') {
        return Err("names and passwords don't belong into a rulebook");
    }
    let (host, port) = match authority.strip_prefix('[').and_then(|v6| v6.split_once(']')) {
        Some((host, after)) => (host, after.strip_prefix(':')),
        None => {
            authority.split_once(':').map_or((authority, None), |(host, port)| (host, Some(port)))
        }
    };
    if host.is_empty() {
        return Err("the host is missing");
    }
    match port {
        Some(port) if port.parse::<u16>().is_err() => Err("its port is not a number up to 65535"),
        _ => Ok(()),
    }
}
