//! Reads as much as possible of a text with syntax errors: its top-level sections one by one, then the entries of a
//! broken section. A guess by indentation; it is only made when the text as a whole could not be read.

use crate::mistakes::Diagnostics;
use crate::tree::{Builder, Entry, Kind, Node, Tree, unique};
use crate::{Diagnostic, Span};

/// Reads a text. After a syntax error the top-level sections, and the entries of a broken section, are read one by one,
/// so that a slip in one of them doesn't hide the mistakes of the others.
pub fn parse(file: usize, text: &str, found: &mut Diagnostics) -> Tree {
    let error = match Builder::new(file, 0).build(text) {
        Ok((root, mistakes)) => {
            found.extend(mistakes);
            return Tree { root, complete: true };
        }
        Err(error) => error,
    };
    let mut mending =
        Mending { file, text, entries: Vec::new(), errors: Vec::new(), mistakes: Vec::new() };
    mending.sections();
    let Mending { entries, mut errors, mut mistakes, .. } = mending;
    if errors.is_empty() {
        errors.push(*error);
    }
    let root = Node {
        span: Span { file, start: 0, end: text.len() },
        kind: unique(entries, &mut mistakes),
    };
    found.extend(errors);
    found.extend(mistakes);
    Tree { root: Some(root), complete: false }
}

/// Reads the sections of a broken text.
struct Mending<'t> {
    file: usize,
    text: &'t str,
    entries: Vec<Entry>,
    errors: Vec<Diagnostic>,
    mistakes: Vec<Diagnostic>,
}

impl Mending<'_> {
    fn sections(&mut self) {
        let begins = |line: &str| {
            line.starts_with(|c: char| c.is_ascii_alphanumeric() || matches!(c, '"' | '\'' | '_'))
        };
        for (start, end) in pieces(self.text, 0, self.text.len(), begins) {
            match self.build(start, end) {
                Ok(Some(Node { kind: Kind::Map(entries), .. })) => self.entries.extend(entries),
                Ok(_) => {}
                Err(error) => self.section(start, end, *error),
            }
        }
    }

    /// One broken section: `key:` on a line of its own, then entries that are indented alike.
    fn section(&mut self, start: usize, end: usize, error: Diagnostic) {
        let line_end = self.text[start..end].find('\n').map_or(end, |n| start + n + 1);
        let header = self.text[start..line_end].split(" #").next().unwrap_or("").trim_end();
        let body = &self.text[line_end..end];
        let first = body.lines().find(|l| !l.trim().is_empty() && !l.trim_start().starts_with('#'));
        let (Some(key), Some(first)) = (header.strip_suffix(':'), first) else {
            self.errors.push(error);
            return;
        };
        let indent = first.len() - first.trim_start_matches(' ').len();
        let begins = |line: &str| {
            line.len() - line.trim_start_matches(' ').len() == indent
                && !line.trim_start().starts_with(['#', '}', ']'])
        };
        let (mut items, mut entries, mut broken) = (Vec::new(), Vec::new(), 0);
        for (from, to) in pieces(self.text, line_end, end, begins) {
            match self.build(from, to) {
                Ok(Some(Node { kind: Kind::List(more), .. })) => items.extend(more),
                Ok(Some(Node { kind: Kind::Map(more), .. })) => entries.extend(more),
                Ok(_) => {}
                Err(error) => {
                    broken += 1;
                    self.errors.push(*error);
                }
            }
        }
        if broken == 0 {
            self.errors.push(error);
        }
        let span = |start, end| Span { file: self.file, start, end };
        let kind =
            if items.is_empty() { unique(entries, &mut self.mistakes) } else { Kind::List(items) };
        let value = Node { span: span(line_end, end), kind };
        let key_span = span(start, start + key.len());
        self.entries.push(Entry { key: key.trim_matches(['"', '\'']).to_owned(), key_span, value });
    }

    fn build(&mut self, start: usize, end: usize) -> Result<Option<Node>, Box<Diagnostic>> {
        let (root, mistakes) = Builder::new(self.file, start).build(&self.text[start..end])?;
        self.mistakes.extend(mistakes);
        Ok(root)
    }
}

/// Cuts `text[from..to]` before every line that begins a piece. What stands before the first is left out.
fn pieces(
    text: &str,
    from: usize,
    to: usize,
    begins: impl Fn(&str) -> bool,
) -> Vec<(usize, usize)> {
    let mut starts = Vec::new();
    let mut at = from;
    for line in text[from..to].split_inclusive('\n') {
        if !line.trim().is_empty() && begins(line) {
            starts.push(at);
        }
        at += line.len();
    }
    let ends = starts.iter().copied().skip(1).chain([to]);
    starts.iter().copied().zip(ends).collect()
}
