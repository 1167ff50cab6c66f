//! The text of a test file to tests. All mistakes at once, with their places, in the words of the rulebook's own.

use super::row::{Expectation, TableTest};
use amends_protocol::{Evidence, HistoryState, Report, ReportData, SagaId, Verb};
use amends_rulebook::fields::{self, Fields};
use amends_rulebook::mistakes::{Diagnostics, closest, quote};
use amends_rulebook::tree::{Kind, Node};
use amends_rulebook::{ActionId, Diagnostic, Mode, Rulebook, SourceFile, codes, recovery};
use serde_json::{Map, Value};
use std::collections::BTreeSet;

const TOP_KEYS: &[&str] = &["rulebook", "tests"];
const TEST_KEYS: &[&str] = &[
    "name",
    "report",
    "action",
    "entry",
    "caller",
    "message",
    "data",
    "history",
    "histories",
    "given_up",
    "expect",
];
const EXPECT_KEYS: &[&str] = &["unmatched", "rule", "mode", "plan"];
const VERBS: &[&str] = &["compensate", "retry", "notify"];
const MODES: &[(&str, Mode)] =
    &[("auto", Mode::Auto), ("ask", Mode::Ask), ("shadow", Mode::Shadow)];

/// What came of reading a test file.
#[derive(Clone, Debug)]
pub struct LoadedTests {
    /// In the order written; those with a mistake are left out.
    pub tests: Vec<TableTest>,
    /// Every mistake; its places are in the one source.
    pub diagnostics: Vec<Diagnostic>,
}

/// The path of the rulebook that a test file names, as written, if it names one.
#[must_use]
pub fn rulebook_path(source: &SourceFile) -> Option<String> {
    let mut found = Diagnostics::default();
    let root = recovery::parse(0, &source.text, &mut found).root?;
    let Kind::Map(entries) = &root.kind else { return None };
    let node = &entries.iter().find(|e| e.key == "rulebook")?.value;
    fields::text(node, "`rulebook`", &mut found).map(str::to_owned)
}

/// Reads the tests of `book`.
#[must_use]
pub fn load_tests(source: &SourceFile, book: &Rulebook) -> LoadedTests {
    let mut reader = Reader { book, found: Diagnostics::default(), names: BTreeSet::new() };
    let root = recovery::parse(0, &source.text, &mut reader.found).root;
    let tests = root.and_then(|root| reader.file(&root)).unwrap_or_default();
    LoadedTests { tests, diagnostics: reader.found.into_sorted() }
}

struct Reader<'b> {
    book: &'b Rulebook,
    found: Diagnostics,
    names: BTreeSet<String>,
}

impl Reader<'_> {
    fn file(&mut self, root: &Node) -> Option<Vec<TableTest>> {
        let top = Fields::open(root, "a test file", TOP_KEYS, &mut self.found)?;
        let tests = self.needed(&top, "tests", "a test file")?;
        Some(fields::one_or_many(tests).iter().filter_map(|node| self.test(node)).collect())
    }

    fn needed<'n>(&mut self, fields: &Fields<'n>, key: &str, what: &str) -> Option<&'n Node> {
        let node = fields.get(key);
        if node.is_none() {
            let message = format!("{what} needs `{key}`");
            self.found.add(
                Diagnostic::new(codes::MISSING_KEY, fields.span, message)
                    .with_help(format!("add `{key}:`")),
            );
        }
        node
    }

    fn test(&mut self, node: &Node) -> Option<TableTest> {
        let test = Fields::open(node, "a test", TEST_KEYS, &mut self.found)?;
        let name = self.needed(&test, "name", "a test");
        let report = self.needed(&test, "report", "a test");
        let expect = self.needed(&test, "expect", "a test");
        let (name, report, expect) = (name?, report?, expect?);
        let span = name.span;
        let name = fields::text(name, "`name`", &mut self.found)?.to_owned();
        if !self.names.insert(name.clone()) {
            let message = format!("two tests are named {}", quote(&name));
            self.found.add(
                Diagnostic::new(codes::INVALID_NAME, span, message)
                    .with_help("give each test of a file its own name"),
            );
        }
        let report = self.report(report, &test)?;
        let expect = self.expectation(expect)?;
        let others = test.get("histories").map_or_else(Vec::new, |n| self.histories(n));
        let given_up = test
            .get("given_up")
            .and_then(|n| fields::flag(n, "`given_up`", &mut self.found))
            .unwrap_or(false);
        Some(TableTest { name, report, others, given_up, expect, span })
    }

    fn report(&mut self, node: &Node, test: &Fields<'_>) -> Option<Report> {
        let kind = fields::text(node, "`report`", &mut self.found)?;
        let Some((service, code)) = kind.split_once('/').filter(|(_, c)| fields::valid_code(c))
        else {
            let message = format!("{} is not a report", quote(kind));
            self.found.add(
                Diagnostic::new(codes::INVALID_NAME, node.span, message)
                    .with_help("a report is written `service/code`"),
            );
            return None;
        };
        self.tell_undeclared(service, code, node);
        let declared = self.book.report(service, code).and_then(|r| r.action);
        let action = match test.get("action") {
            Some(node) => {
                let action = fields::text(node, "`action`", &mut self.found)?;
                self.action(&format!("{service}.{action}"), node)?;
                Some(action.to_owned())
            }
            None => declared.map(|id| self.book.get(id).name.action.to_string()),
        };
        let message =
            test.get("message").and_then(|n| fields::text(n, "`message`", &mut self.found));
        let mut full_name = |key: &str| {
            let node = test.get(key)?;
            let name = fields::text(node, &format!("`{key}`"), &mut self.found)?;
            self.action(name, node)?;
            Some(name.to_owned())
        };
        let (entry, caller) = (full_name("entry"), full_name("caller"));
        let data = test.get("data").map(|n| self.json(n));
        Some(Report {
            id: "report-1".to_owned(),
            source: service.to_owned(),
            saga_id: SagaId::new("saga-1").ok()?,
            time: None,
            traceparent: None,
            data: ReportData {
                code: code.to_owned(),
                action,
                entry,
                caller,
                message: message.map(str::to_owned),
                history: test.get("history").map_or_else(Vec::new, |n| self.history(n)),
                data: match data {
                    Some(Value::Object(fields)) => fields,
                    _ => Map::new(),
                },
                ..ReportData::default()
            },
        })
    }

    /// A slip in a code would test what happens to reports that never come.
    fn tell_undeclared(&mut self, service: &str, code: &str, node: &Node) {
        let Some(id) = self.book.service(service) else { return };
        let declared = self.book.reports_of(id).map(|n| &*self.book.reports()[n].code);
        let codes: Vec<&str> = declared.collect();
        if codes.is_empty() || codes.contains(&code) {
            return;
        }
        let Some(close) = closest(code, codes.iter().copied()) else { return };
        let message = format!("service `{service}` declares no report {}", quote(code));
        self.found.add(
            Diagnostic::new(codes::UNDECLARED_REPORT, node.span, message)
                .with_help(format!("did you mean `{service}/{close}`?")),
        );
    }

    fn json(&mut self, node: &Node) -> Value {
        match &node.kind {
            Kind::Scalar { .. } => fields::scalar(node).map_or(Value::Null, |s| fields::json(&s)),
            Kind::List(items) => items.iter().map(|n| self.json(n)).collect(),
            Kind::Map(entries) => Value::Object(
                entries.iter().map(|e| (e.key.clone(), self.json(&e.value))).collect(),
            ),
        }
    }

    /// `service.action: state`, one for each.
    fn history(&mut self, node: &Node) -> Vec<Evidence> {
        let states: Vec<(&str, HistoryState)> =
            HistoryState::ALL.iter().map(|s| (s.as_str(), *s)).collect();
        let mut all = Vec::new();
        for entry in fields::entries(node, "a History", &mut self.found).unwrap_or_default() {
            let state = fields::word(&entry.value, "a History", &states, &mut self.found);
            let known = self.action_at(&entry.key, entry.key_span);
            let (Some(state), Some(id)) = (state, known) else { continue };
            let name = &self.book.get(id).name;
            all.push(Evidence::new(&*name.service, &*name.action, "request-1", state));
        }
        all
    }

    /// What each service's History says, by service.
    fn histories(&mut self, node: &Node) -> Vec<(String, Evidence)> {
        let mut all = Vec::new();
        for entry in fields::entries(node, "`histories`", &mut self.found).unwrap_or_default() {
            if self.book.service(&entry.key).is_none() {
                let message = format!("unknown service {}", quote(&entry.key));
                let names = self.book.services().iter().map(|s| &*s.name);
                let mut mistake = Diagnostic::new(codes::UNKNOWN_SERVICE, entry.key_span, message);
                mistake.help = self.found.did_you_mean(&entry.key, names);
                self.found.add(mistake);
            }
            let told = self.history(&entry.value).into_iter();
            all.extend(told.map(|evidence| (entry.key.clone(), evidence)));
        }
        all
    }

    fn action(&mut self, text: &str, node: &Node) -> Option<ActionId> {
        self.action_at(text, node.span)
    }

    fn action_at(&mut self, text: &str, span: amends_rulebook::Span) -> Option<ActionId> {
        let known = text.split_once('.').and_then(|(s, a)| self.book.action(s, a));
        if known.is_none() {
            let names: Vec<String> =
                self.book.actions().iter().map(|a| a.name.to_string()).collect();
            let message = format!("unknown action {}", quote(text));
            let mut mistake = Diagnostic::new(codes::UNKNOWN_ACTION, span, message);
            mistake.help = self.found.did_you_mean(text, names.iter().map(String::as_str));
            self.found.add(mistake);
        }
        known
    }

    fn expectation(&mut self, node: &Node) -> Option<Expectation> {
        let expect = Fields::open(node, "`expect`", EXPECT_KEYS, &mut self.found)?;
        let unmatched = expect
            .get("unmatched")
            .and_then(|n| fields::flag(n, "`unmatched`", &mut self.found))
            .unwrap_or(false);
        let rule = expect.get("rule").and_then(|n| fields::text(n, "`rule`", &mut self.found));
        let mode =
            expect.get("mode").and_then(|n| fields::word(n, "`mode`", MODES, &mut self.found));
        let stages = match expect.get("plan") {
            Some(node) if node.is_nothing() => Some(Vec::new()),
            Some(node) => Some(
                fields::one_or_many(node).iter().filter_map(|stage| self.stage(stage)).collect(),
            ),
            None => None,
        };
        if !unmatched && rule.is_none() && mode.is_none() && stages.is_none() {
            let message = "a test that expects nothing cannot fail";
            self.found.add(
                Diagnostic::new(codes::MISSING_KEY, node.span, message)
                    .with_help("add `plan`, `rule`, `mode` or `unmatched`"),
            );
        }
        Some(Expectation { unmatched, rule: rule.map(str::to_owned), mode, stages })
    }

    fn stage(&mut self, node: &Node) -> Option<BTreeSet<(Verb, ActionId)>> {
        let stage = Fields::open(node, "a stage", VERBS, &mut self.found)?;
        let mut steps = BTreeSet::new();
        for verb in [Verb::Compensate, Verb::Retry, Verb::Notify] {
            let Some(list) = stage.get(verb.as_str()) else { continue };
            for item in fields::one_or_many(list) {
                if let Some(text) = fields::text(item, "a step", &mut self.found)
                    && let Some(id) = self.action(text, item)
                {
                    steps.insert((verb, id));
                }
            }
        }
        Some(steps)
    }
}
