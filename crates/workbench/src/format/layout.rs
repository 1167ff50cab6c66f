//! Writes what `source` has read.

use super::source::{Form, Source, WIDTH, Written};

pub(super) const INDENT: usize = 2;

struct Layout<'s> {
    source: &'s Source,
    text: &'s str,
    next_comment: usize,
    lines: Vec<String>,
    /// The line behind which a comment may stand: the last one with something of YAML in it, never one of a block text.
    tail: Option<usize>,
}

pub(super) fn write(source: &Source, text: &str) -> String {
    let mut layout = Layout { source, text, next_comment: 0, lines: Vec::new(), tail: None };
    if let Some(root) = &source.root {
        match &root.form {
            Form::Line(_) | Form::Block(_) => layout.value(root, String::new(), 0),
            Form::List { .. } | Form::Map { .. } => layout.collection(root, 0, None),
        }
    }
    layout.comments_before(usize::MAX, 0);
    let mut out = layout.lines.join("\n");
    if !out.is_empty() {
        out.push('\n');
    }
    out
}

impl Layout<'_> {
    /// The entries or items of a collection, one a line. `first` is what the first line begins with, if it has begun.
    fn collection(&mut self, node: &Written, indent: usize, mut first: Option<String>) {
        match &node.form {
            Form::Map { entries, .. } => {
                for (key, value) in entries {
                    let lead = self.lead(key, indent, first.take());
                    let key = match &key.form {
                        Form::Line(text) => text.as_str(),
                        _ => "?",
                    };
                    self.value(value, format!("{lead}{key}:"), indent);
                }
            }
            Form::List { items, .. } => {
                for item in items {
                    let lead = self.lead(item, indent, first.take());
                    self.item(item, format!("{lead}-"), indent);
                }
            }
            Form::Line(_) | Form::Block(_) => {}
        }
    }

    /// Comments and a blank line before an entry, then what its line begins with. A comment between a dash and what
    /// follows goes above the dash: behind it, the next formatting would move it.
    fn lead(&mut self, of: &Written, indent: usize, first: Option<String>) -> String {
        match first {
            Some(begun) => begun,
            None => {
                self.comments_before(of.first_leaf(), indent);
                self.blank_before(of.start);
                " ".repeat(indent)
            }
        }
    }

    /// A value after its key; `line` is what the line holds so far.
    fn value(&mut self, value: &Written, line: String, indent: usize) {
        match &value.form {
            Form::Line(text) if text.is_empty() => self.line(line),
            Form::Line(text) => self.line(beside(&line, text)),
            Form::Block(block) => {
                self.line(beside(&line, &block.head));
                self.lines.extend(block.indented(indent + INDENT));
            }
            Form::List { .. } | Form::Map { .. } => {
                match self.in_one_line(value, line.chars().count() + 1) {
                    Some(text) => self.line(format!("{line} {text}")),
                    None => {
                        self.line(line);
                        self.collection(value, indent + INDENT, None);
                    }
                }
            }
        }
    }

    /// An item after its `-`: a collection begins on the same line.
    fn item(&mut self, item: &Written, line: String, indent: usize) {
        let is_open = matches!(&item.form, Form::List { .. } | Form::Map { .. });
        if is_open && self.in_one_line(item, line.chars().count() + 1).is_none() {
            self.collection(item, indent + INDENT, Some(format!("{line} ")));
        } else {
            self.value(item, line, indent);
        }
    }

    /// A line with something of YAML in it.
    fn line(&mut self, line: String) {
        self.tail = Some(self.lines.len());
        self.lines.push(line);
    }

    /// The collection in one line, if it was written so, holds no comment and fits.
    fn in_one_line(&self, node: &Written, used: usize) -> Option<String> {
        let (flow, empty) = match &node.form {
            Form::List { flow, items } => (*flow, items.is_empty()),
            Form::Map { flow, entries } => (*flow, entries.is_empty()),
            Form::Line(_) | Form::Block(_) => return None,
        };
        let inside = |start: usize| start > node.start && start < node.end;
        let commented = self.source.comments[self.next_comment..]
            .iter()
            .take_while(|c| c.start < node.end)
            .any(|c| inside(c.start));
        let text = one_line(node)?;
        let fits = used + text.chars().count() <= WIDTH;
        (empty || (flow && fits && !commented)).then_some(text)
    }

    /// Comments that stand before this place: own lines stay own lines, others go to the end of the line that they follow.
    fn comments_before(&mut self, place: usize, indent: usize) {
        while let Some(comment) =
            self.source.comments.get(self.next_comment).filter(|c| c.start < place)
        {
            self.next_comment += 1;
            match self.tail.filter(|_| !comment.own_line) {
                Some(tail) => {
                    let line = &mut self.lines[tail];
                    line.push_str(if line.contains(" #") { " " } else { "  " });
                    line.push_str(&comment.text);
                }
                None => {
                    self.blank_before(comment.start);
                    self.lines.push(format!("{}{}", " ".repeat(indent), comment.text));
                    self.tail = None;
                }
            }
        }
    }

    /// One blank line where there were any, but none at the beginning.
    fn blank_before(&mut self, start: usize) {
        let line = self.text[..start].rfind('\n').map_or(0, |n| n + 1);
        let begins_line = self.text[line..start].trim_matches([' ', '-', '?']).is_empty();
        let before = self.text[..line].trim_end_matches('\n').len();
        let blank =
            self.text[before..line].matches('\n').count() > 1 || self.previous_line_is_blank(line);
        if begins_line && blank && self.lines.last().is_some_and(|l| !l.is_empty()) {
            self.lines.push(String::new());
        }
    }

    fn previous_line_is_blank(&self, line: usize) -> bool {
        let Some(end) = line.checked_sub(1) else {
            return false;
        };
        let start = self.text[..end].rfind('\n').map_or(0, |n| n + 1);
        self.text[start..end].trim().is_empty()
    }
}

fn beside(line: &str, text: &str) -> String {
    if line.is_empty() { text.to_owned() } else { format!("{line} {text}") }
}

/// Without comments; none if something in it needs several lines.
fn one_line(node: &Written) -> Option<String> {
    match &node.form {
        Form::Line(text) if text.is_empty() => Some("null".to_owned()),
        Form::Line(text) => Some(text.clone()),
        Form::Block(_) => None,
        Form::List { items, .. } => {
            let all: Option<Vec<String>> = items.iter().map(one_line).collect();
            Some(format!("[{}]", all?.join(", ")))
        }
        Form::Map { entries, .. } if entries.is_empty() => Some("{}".to_owned()),
        Form::Map { entries, .. } => {
            let pair = |(key, value): &(Written, Written)| {
                Some(format!("{}: {}", one_line(key)?, one_line(value)?))
            };
            let all: Option<Vec<String>> = entries.iter().map(pair).collect();
            Some(format!("{{ {} }}", all?.join(", ")))
        }
    }
}
