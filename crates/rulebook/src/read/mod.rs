//! From a spanned tree to a draft of the rulebook. All mistakes of one load are found in one pass over each part: first
//! every service and action gets its name, then what refers to names is read. Decides nothing about reports or sagas.

mod actions;
mod answers;
mod comparisons;
mod conditions;
mod data;
mod demands;
mod endpoints;
mod flow;
mod loose_calls;
mod named_calls;
mod policy;
mod questions;
mod reports;
mod rules;
mod scope;
mod services;

use crate::book::Names;
use crate::fields::{self, Fields};
use crate::graph::Graph;
use crate::mistakes::{Diagnostics, closest, quote};
use crate::recovery;
use crate::rule_index::RuleIndex;
use crate::source::{FILE_LIMIT_BYTES, IMPORT_LIMIT, TOTAL_LIMIT_BYTES};
use crate::tree::{Kind, Node};
use crate::{
    Action, Diagnostic, ReportDecl, Rule, Rulebook, SecretFields, Service, Settings, SourceFile,
    Span, Strangers, codes,
};
use policy::Defaults;
use scope::Scope;
use services::Declared;
use std::sync::OnceLock;

const TOP_KEYS: &[&str] = &[
    "rulebook",
    "import",
    "settle",
    "cause_wait",
    "history_age",
    "questions",
    "strangers",
    "undo_order",
    "defaults",
    "services",
    "reports",
    "rules",
];

/// Those that others refer to.
const SECTIONS: &[&str] = &["import", "services", "reports", "rules"];

/// Everything but the texts.
pub(crate) struct Draft {
    name: String,
    name_span: Span,
    settings: Settings,
    strangers: Strangers,
    services: Vec<Service>,
    actions: Vec<Action>,
    reports: Vec<ReportDecl>,
    rules: Vec<Rule>,
    names: Names,
    graph: Graph,
    index: RuleIndex,
}

impl Draft {
    /// Only to be called when the load found no error.
    pub(crate) fn finish(self, sources: Vec<SourceFile>, hash: String) -> Rulebook {
        let Self {
            name,
            name_span,
            settings,
            strangers,
            services,
            actions,
            reports,
            rules,
            names,
            graph,
            index,
        } = self;
        Rulebook {
            secrets: SecretFields::of(&reports),
            roles: data::roles(&reports),
            name,
            name_span,
            hash,
            sources,
            settings,
            strangers,
            services,
            actions,
            reports,
            rules,
            names,
            graph,
            index,
            reverse_calls: OnceLock::new(),
            pivots: OnceLock::new(),
        }
    }
}

/// Gives an import by its path as written.
pub(crate) type Import<'a> = &'a mut dyn FnMut(&str) -> Result<SourceFile, String>;

/// Reads `sources[0]` and adds each import to `sources`. None only if there is nothing to go on.
pub(crate) fn read(
    sources: &mut Vec<SourceFile>,
    import: Import<'_>,
    found: &mut Diagnostics,
) -> Option<Draft> {
    let root = parse(0, &sources[0], found)?;
    let top = open_root(&root, &sources[0], found)?;
    let manifests = match top.get("import") {
        Some(node) => read_imports(node, sources, import, found),
        None => Vec::new(),
    };
    let name = read_name(&top, found);
    let settings = read_settings(&top, found);
    let strangers = top.get("strangers").map(|node| questions::read_strangers(node, found));
    let defaults = Defaults::read(&top, found);
    let mut declared = Vec::new();
    let mut scope = Scope::default();
    services::declare_inline(&top, &mut scope, &mut declared, found);
    for manifest in &manifests {
        services::declare_manifest(manifest, &mut scope, &mut declared, found);
    }
    let (graph, reports) = read_participants(&top, &declared, &defaults, &mut scope, found);
    let (rules, index) = rules::read_all(&top, &scope, &reports, found);
    let (name, name_span) = name.unwrap_or_default();
    let (services, actions, names) = scope.into_parts();
    Some(Draft {
        name,
        name_span,
        settings,
        strangers: strangers.unwrap_or_default(),
        services,
        actions,
        reports,
        rules,
        names,
        graph,
        index,
    })
}

fn read_participants(
    top: &Fields<'_>,
    declared: &[Declared<'_>],
    defaults: &Defaults,
    scope: &mut Scope,
    found: &mut Diagnostics,
) -> (Graph, Vec<ReportDecl>) {
    for one in declared {
        services::define(one, defaults, scope, found);
    }
    let graph = actions::call_graph(scope, found);
    let mut reports = Vec::new();
    for one in declared {
        reports::read_of_service(one, scope, &graph, &mut reports, found);
    }
    reports::read_top(top, scope, &graph, &mut reports, found);
    loose_calls::check(scope, &graph, &reports, found);
    data::check_secrets(scope, &reports, found);
    (graph, reports)
}

/// Parses one file, if it isn't too long.
fn parse(file: usize, source: &SourceFile, found: &mut Diagnostics) -> Option<Node> {
    let start = Span { file, start: 0, end: 0 };
    if source.text.len() > FILE_LIMIT_BYTES {
        let message = format!("the file is longer than {FILE_LIMIT_BYTES} bytes");
        found.add(
            Diagnostic::new(codes::TOO_LARGE, start, message)
                .with_help("move services to manifests of their own"),
        );
        found.set_incomplete();
        return None;
    }
    let tree = recovery::parse(file, &source.text, found);
    if !tree.complete {
        found.set_incomplete();
    }
    let nothing = Kind::Map(Vec::new());
    Some(tree.root.unwrap_or(Node { span: start, kind: nothing }))
}

fn open_root<'n>(
    root: &'n Node,
    source: &SourceFile,
    found: &mut Diagnostics,
) -> Option<Fields<'n>> {
    let entries = fields::entries(root, "a rulebook", found)?;
    let manifest = entries.iter().find(|e| e.key == "service");
    if let Some(entry) = manifest.filter(|_| entries.iter().all(|e| e.key != "rulebook")) {
        let message =
            format!("{} is the manifest of a service, not a rulebook", quote(&source.path));
        let help = "import it from a rulebook: `import: [path/of/this/file.yaml]`";
        found.add(Diagnostic::new(codes::NOT_A_RULEBOOK, entry.key_span, message).with_help(help));
        return None;
    }
    let top = Fields::open(root, "a rulebook", TOP_KEYS, found)?;
    // What a misspelt section declares is not known, so nothing is said of those who name it.
    let is_slip = |key: &str| {
        let meant = closest(key, TOP_KEYS.iter().copied());
        meant.is_some_and(|meant| SECTIONS.contains(&meant) && top.get(meant).is_none())
    };
    if entries.iter().any(|e| !TOP_KEYS.contains(&e.key.as_str()) && is_slip(&e.key)) {
        found.set_incomplete();
    }
    Some(top)
}

fn read_name(top: &Fields<'_>, found: &mut Diagnostics) -> Option<(String, Span)> {
    let Some(node) = top.get("rulebook") else {
        let at = Span { end: top.span.start, ..top.span };
        let help = "begin the file with `rulebook:` and a name";
        top.tell_missing(
            Diagnostic::new(codes::MISSING_KEY, at, "the rulebook has no name").with_help(help),
            found,
        );
        return None;
    };
    let name = fields::text(node, "`rulebook`", found)?;
    fields::valid_name(name, node.span, "a rulebook", found).then(|| (name.to_owned(), node.span))
}

fn read_settings(top: &Fields<'_>, found: &mut Diagnostics) -> Settings {
    let mut settings = Settings::default();
    let settle = top.get("settle").and_then(|n| Fields::open(n, "`settle`", &["quiet"], found));
    if let Some(node) = settle.and_then(|s| s.get("quiet")) {
        settings.quiet_ms =
            fields::duration(node, "`quiet`", 0, found).unwrap_or(settings.quiet_ms);
        if settings.quiet_ms == 0 {
            let message = "a case counts as quiet at once, before anything late can have come";
            let help = "write how long a request may still be on its way, e.g. `quiet: 30s`";
            found.add(Diagnostic::new(codes::WAIT_TOO_SHORT, node.span, message).with_help(help));
        }
    }
    if let Some(node) = top.get("cause_wait") {
        settings.cause_wait_ms =
            fields::duration(node, "`cause_wait`", 0, found).unwrap_or(settings.cause_wait_ms);
        if settings.cause_wait_ms == 0 {
            let message = "a report that names a cause never waits for the cause's own report";
            let help = "write how long the cause's report may take, e.g. `cause_wait: 10s`";
            found.add(Diagnostic::new(codes::WAIT_TOO_SHORT, node.span, message).with_help(help));
        }
    }
    if let Some(node) = top.get("history_age") {
        settings.history_age_ms =
            fields::duration(node, "`history_age`", 1, found).unwrap_or(settings.history_age_ms);
    }
    if let Some(node) = top.get("questions") {
        questions::read_questions(node, &mut settings, found);
    }
    settings
}

fn read_imports(
    node: &Node,
    sources: &mut Vec<SourceFile>,
    import: Import<'_>,
    found: &mut Diagnostics,
) -> Vec<Node> {
    let mut manifests = Vec::new();
    let mut seen: Vec<(&str, Span)> = Vec::new();
    let items = fields::one_or_many(node);
    if items.len() > IMPORT_LIMIT {
        let message = format!("more than {IMPORT_LIMIT} imports");
        found.add(
            Diagnostic::new(codes::TOO_LARGE, node.span, message)
                .with_help("divide the rulebook by business domains"),
        );
        found.set_incomplete();
    }
    for item in items.iter().take(IMPORT_LIMIT) {
        let Some(path) = fields::text(item, "`import`", found) else {
            found.set_incomplete();
            continue;
        };
        if let Some((_, first)) = seen.iter().find(|(p, _)| *p == path) {
            let mistake = Diagnostic::new(
                codes::IMPORT_FAILED,
                item.span,
                format!("{} is imported twice", quote(path)),
            );
            found.add(mistake.with_place(*first, "first here").with_help("leave one of them out"));
            continue;
        }
        seen.push((path, item.span));
        if leaves_its_folder(path) {
            let message = format!("{} lies outside of the rulebook's folder", quote(path));
            let help = "keep manifests beside their rulebook or in folders below it, so that they come along to every machine";
            found.add(Diagnostic::new(codes::IMPORT_OUTSIDE, item.span, message).with_help(help));
        }
        match import_one(path, sources, import) {
            Ok(source) => {
                sources.push(source);
                let file = sources.len() - 1;
                manifests.extend(parse(file, &sources[file], found));
            }
            Err(why) => {
                let message = format!("cannot import {}: {why}", quote(path));
                let mistake = Diagnostic::new(codes::IMPORT_FAILED, item.span, message);
                found.add(mistake.with_help(help_to_import(path)));
                found.set_incomplete();
            }
        }
    }
    manifests
}

/// How a manifest is named, for whoever has written something else.
fn help_to_import(path: &str) -> String {
    let last = path.rsplit('/').next().unwrap_or(path);
    if path.contains("://") {
        "nothing is fetched: copy the manifest into a folder beside the rulebook, and write its path".to_owned()
    } else if path.contains(['*', '?']) {
        "name each manifest: `import: [teams/payment.yaml, teams/stock.yaml]`".to_owned()
    } else if path.contains('\\') {
        format!("write `/` between folders: `{}`", path.replace('\\', "/"))
    } else if last.is_empty() || !last.contains('.') {
        "name the manifests, not their folder: `import: [teams/payment.yaml, teams/stock.yaml]`"
            .to_owned()
    } else {
        "paths are relative to the rulebook's folder".to_owned()
    }
}

/// Whether a path is absolute, or climbs above where it begins.
fn leaves_its_folder(path: &str) -> bool {
    let mut depth = 0_i32;
    let climbs = path.split(['/', '\\']).any(|part| {
        depth += match part {
            ".." => -1,
            "" | "." => 0,
            _ => 1,
        };
        depth < 0
    });
    climbs || path.starts_with(['/', '\\'])
}

fn import_one(
    path: &str,
    sources: &[SourceFile],
    import: Import<'_>,
) -> Result<SourceFile, String> {
    let source = import(path)?;
    let total: usize = sources.iter().map(|s| s.text.len()).sum();
    if total + source.text.len() > TOTAL_LIMIT_BYTES {
        return Err(format!("all files together are longer than {TOTAL_LIMIT_BYTES} bytes"));
    }
    Ok(source)
}
