//! Reads as much as possible of a text with syntax errors: its top-level sections one by one, then the entries of a
//! broken section. A guess by indentation; it is only made when the text as a whole could not be read.

use crate::mistakes::Diagnostics;
use crate::tree::{Builder, Entry, Kind, Node, Tree, unique};
use crate::{Diagnostic, Span, codes};

/// Sections that are lists, of a rulebook or of its tests; all others have names.
const LIST_SECTIONS: &[&str] = &["rules", "import", "tests"];

/// Reads a text. After a syntax error the top-level sections, and the entries of a broken section, are read one by one,
/// so that a slip in one of them doesn't hide the mistakes of the others.
pub fn parse(file: usize, text: &str, found: &mut Diagnostics) -> Tree {
    let error = match Builder::new(file, 0).build(text) {
        Ok((root, mistakes)) => {
            // What follows another document, or stands where an alias points, is not there.
            let complete = mistakes.iter().all(|mistake| mistake.code != codes::YAML_FEATURE);
            found.extend(mistakes);
            return Tree { root, complete };
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
        let (Some(key), Some(first)) = (header.strip_suffix(':'), self.first_line(line_end, end))
        else {
            self.errors.push(error);
            return;
        };
        let name = key.trim_matches(['"', '\'']);
        let errors_before = self.errors.len();
        let kind = if LIST_SECTIONS.contains(&name) {
            self.items(name, line_end, end, first)
        } else {
            self.named(name, line_end, end, first)
        };
        if self.errors.len() == errors_before {
            self.errors.push(error);
        }
        let span = |start, end| Span { file: self.file, start, end };
        let value = Node { span: span(first.start, end), kind };
        let key_span = span(start, start + key.len());
        self.entries.push(Entry { key: name.to_owned(), key_span, value });
    }

    /// The first line with something on it, but a comment.
    fn first_line(&self, from: usize, to: usize) -> Option<Line> {
        lines(self.text, from, to).find(|line| !line.is_comment)
    }

    /// The items of a list. One that lacks its `- ` is told, and read all the same.
    fn items(&mut self, name: &str, from: usize, to: usize, first: Line) -> Kind {
        let dash = |line: &Line| line.has_dash && line.indent <= first.indent;
        let indent = lines(self.text, from, to).find(dash).map_or(first.indent, |line| line.indent);
        let mut items = Vec::new();
        let mut open: Vec<Entry> = Vec::new();
        let mut all = self.pieces_at(indent, from, to);
        let begins = all.first().map_or(to, |piece| piece.0);
        if first.start < begins {
            all.insert(0, (first.start - first.indent, begins));
        }
        let has_dash = |from: usize| self.text[from..].trim_start().starts_with('-');
        let dashes: Vec<bool> = all.iter().map(|(from, _)| has_dash(*from)).collect();
        let is_list = dashes.contains(&true);
        let mut was_item = true;
        for ((from, to), is_item) in all.into_iter().zip(dashes) {
            if is_list && !is_item && was_item {
                let message = format!("an item of `{name}` begins without `- `");
                let help = "write `- ` before it, and indent its other lines alike";
                self.tell(from, message, help);
            }
            was_item = is_item;
            match self.build(from, to) {
                Ok(Some(Node { kind: Kind::List(more), .. })) => {
                    items.extend(self.item(&mut open));
                    items.extend(more);
                }
                Ok(Some(Node { kind: Kind::Map(more), .. })) => open.extend(more),
                // What is wrong with it may be that it is no item.
                Err(_) if is_list && !is_item => {}
                Ok(_) => {}
                Err(error) => self.errors.push(*error),
            }
        }
        if !is_list {
            return unique(open, &mut self.mistakes);
        }
        items.extend(self.item(&mut open));
        Kind::List(items)
    }

    /// What was collected of an item without its `- `.
    fn item(&mut self, open: &mut Vec<Entry>) -> Option<Node> {
        let (first, last) = (open.first()?, open.last()?);
        let span = Span { end: last.value.span.end, ..first.key_span };
        let kind = unique(std::mem::take(open), &mut self.mistakes);
        Some(Node { span, kind })
    }

    /// The entries of a mapping. One with a `- ` in front is told, and read all the same.
    fn named(&mut self, name: &str, from: usize, to: usize, first: Line) -> Kind {
        let mut entries = Vec::new();
        let mut items = Vec::new();
        for (mut from, to) in self.pieces_at(first.indent, from, to) {
            if !first.has_dash && self.text[from..].trim_start().starts_with("- ") {
                let message = format!("an entry of `{name}` begins with `- `");
                self.tell(from, message, "leave out the `- `: each entry here has its name");
                // What stands behind the dash is the entry.
                from += first.indent + 2;
            }
            match self.build(from, to) {
                Ok(Some(Node { kind: Kind::List(more), .. })) => items.extend(more),
                Ok(Some(Node { kind: Kind::Map(more), .. })) => entries.extend(more),
                Ok(_) => {}
                Err(error) => self.errors.push(*error),
            }
        }
        if items.is_empty() { unique(entries, &mut self.mistakes) } else { Kind::List(items) }
    }

    /// A mistake in how a line begins.
    fn tell(&mut self, at: usize, message: String, help: &str) {
        let line = self.text[at..].lines().next().unwrap_or_default();
        let blank = line.len() - line.trim_start().len();
        let span = Span { file: self.file, start: at + blank, end: at + line.trim_end().len() };
        self.errors.push(Diagnostic::new(codes::YAML_SYNTAX, span, message).with_help(help));
    }

    /// Cuts before every line that is indented so.
    fn pieces_at(&self, indent: usize, from: usize, to: usize) -> Vec<(usize, usize)> {
        let begins = |line: &str| {
            line.len() - line.trim_start_matches(' ').len() == indent
                && !line.trim_start().starts_with(['#', '}', ']'])
        };
        pieces(self.text, from, to, begins)
    }

    fn build(&mut self, start: usize, end: usize) -> Result<Option<Node>, Box<Diagnostic>> {
        let (root, mistakes) = Builder::new(self.file, start).build(&self.text[start..end])?;
        self.mistakes.extend(mistakes);
        Ok(root)
    }
}

/// How a line begins.
#[derive(Clone, Copy)]
struct Line {
    /// Its first character that is no space.
    start: usize,
    indent: usize,
    has_dash: bool,
    is_comment: bool,
}

/// The lines of `text[from..to]` with something on them.
fn lines(text: &str, from: usize, to: usize) -> impl Iterator<Item = Line> + '_ {
    let mut at = from;
    text[from..to].split_inclusive('\n').filter_map(move |line| {
        let here = at;
        at += line.len();
        let own = line.trim_start_matches(' ');
        let indent = line.len() - own.len();
        let found = Line {
            start: here + indent,
            indent,
            has_dash: own.starts_with("- ") || own.trim_end() == "-",
            is_comment: own.starts_with('#'),
        };
        (!own.trim().is_empty()).then_some(found)
    })
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
