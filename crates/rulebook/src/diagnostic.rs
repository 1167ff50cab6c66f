//! What is wrong in a rulebook, where, and how to mend it. Plain data; `render` draws it.

use crate::SourceFile;
use crate::codes::Severity;
use crate::source::LineIndex;
use serde_json::{Value, json};

/// A piece of a source file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span {
    /// Index into the sources of the load, 0 is the root.
    pub file: usize,
    /// First byte.
    pub start: usize,
    /// One past the last byte.
    pub end: usize,
}

/// One mistake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// Stable name of the kind of mistake, e.g. `unknown-action`; each has an entry in `docs/reference/diagnostics.md`.
    pub code: &'static str,
    /// Whether the rulebook can be used all the same.
    pub severity: Severity,
    /// What is wrong, in lower case, with the user's text in backticks.
    pub message: String,
    /// Where.
    pub at: Span,
    /// A few words beside the underlined text; may be empty.
    pub label: String,
    /// Other places that belong to it, each with a few words.
    pub related: Vec<(Span, String)>,
    /// How to mend it.
    pub help: Option<String>,
}

impl Diagnostic {
    /// For editors and the API: file, 1-based line and column (in characters) of both ends, code, severity, message, help.
    #[must_use]
    pub fn to_json(&self, sources: &[SourceFile]) -> Value {
        let place = |span: Span| {
            let (path, lines) = sources
                .get(span.file)
                .map_or(("", LineIndex::new("")), |s| (s.path.as_str(), LineIndex::new(&s.text)));
            let (line, column) = lines.position(span.start);
            let (end_line, end_column) = lines.position(span.end);
            json!({ "file": path, "line": line, "column": column, "endLine": end_line, "endColumn": end_column })
        };
        let mut all = place(self.at);
        all["code"] = self.code.into();
        all["severity"] = self.severity.as_str().into();
        all["message"] = self.message.as_str().into();
        all["label"] = self.label.as_str().into();
        all["help"] = self.help.as_deref().map_or(Value::Null, Value::from);
        all["related"] = self
            .related
            .iter()
            .map(|(span, label)| {
                let mut one = place(*span);
                one["label"] = label.as_str().into();
                one
            })
            .collect();
        all
    }
}

/// 1-based line and column (in characters) of a byte; a byte past the end, or inside a character, counts as the nearest
/// place before it.
#[must_use]
pub fn position(source: &str, byte: usize) -> (usize, usize) {
    LineIndex::new(source).position(byte)
}

impl Diagnostic {
    /// A mistake of a kind; its severity is the kind's.
    #[must_use]
    pub fn new(code: &'static str, at: Span, message: impl Into<String>) -> Self {
        Self {
            code,
            severity: crate::codes::severity(code),
            message: message.into(),
            at,
            label: String::new(),
            related: Vec::new(),
            help: None,
        }
    }

    /// With a few words beside the underlined text.
    #[must_use]
    pub fn with_label(mut self, label: impl Into<String>) -> Self {
        self.label = label.into();
        self
    }

    /// With another place that belongs to it.
    #[must_use]
    pub fn with_place(mut self, at: Span, label: impl Into<String>) -> Self {
        self.related.push((at, label.into()));
        self
    }

    /// With how to mend it.
    #[must_use]
    pub fn with_help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}
