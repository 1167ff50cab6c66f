//! The text as it is written: styles, quotes and comments, which the checked tree leaves out.

use super::block::Block;
use granit_parser::{Event, Parser, ScalarStyle, StructureStyle};

/// What is written in one line stays so up to this width.
pub(super) const WIDTH: usize = 120;

/// A value and how it is written.
pub(super) struct Written {
    /// First byte.
    pub(super) start: usize,
    /// One past the last byte.
    pub(super) end: usize,
    pub(super) form: Form,
}

impl Written {
    /// Where the first thing in it stands that is no collection.
    pub(super) fn first_leaf(&self) -> usize {
        match &self.form {
            Form::Line(_) | Form::Block(_) => self.start,
            Form::List { items, .. } => items.first().map_or(self.start, Self::first_leaf),
            Form::Map { entries, .. } => entries.first().map_or(self.start, |(key, _)| key.start),
        }
    }
}

pub(super) enum Form {
    /// One line as it stands, quotes included.
    Line(String),
    /// Several lines.
    Block(Block),
    List {
        flow: bool,
        items: Vec<Written>,
    },
    Map {
        flow: bool,
        entries: Vec<(Written, Written)>,
    },
}

/// A comment with its `#`.
pub(super) struct Comment {
    pub(super) start: usize,
    pub(super) text: String,
    /// Nothing stands before it on its line but dashes of lists: it speaks of what follows.
    pub(super) own_line: bool,
}

pub(super) struct Source {
    pub(super) root: Option<Written>,
    /// In the order of the text.
    pub(super) comments: Vec<Comment>,
}

enum Open {
    List { start: usize, flow: bool, items: Vec<Written> },
    Map { start: usize, flow: bool, entries: Vec<(Written, Written)>, key: Option<Written> },
}

/// Reads a text that the tree has accepted. The error is the byte at which it can't be read.
pub(super) fn read(text: &str) -> Result<Source, usize> {
    let mut source = Source { root: None, comments: Vec::new() };
    let mut stack: Vec<Open> = Vec::new();
    for event in Parser::new_from_str(text) {
        let (event, span) = event.map_err(|e| e.marker().byte_offset().unwrap_or(0))?;
        let range = span.byte_range().unwrap_or(0..0);
        let (start, end) = (range.start, range.end.min(text.len()));
        let done = match event {
            Event::Comment(..) => {
                let line = line_start(text, start);
                let own_line = text[line..start].trim_matches([' ', '\t', '-']).is_empty();
                source.comments.push(Comment {
                    start,
                    text: text[start..end].trim_end().to_owned(),
                    own_line,
                });
                None
            }
            Event::Scalar(value, style, ..) => {
                let is_block = matches!(style, ScalarStyle::Literal | ScalarStyle::Folded);
                let sign = if is_block { sign_of(text, start, &source.comments) } else { start };
                // The parser lets a block begin with its content; whole lines keep their indentation.
                let line = if is_block { line_start(text, start) } else { start };
                let is_key = matches!(stack.last(), Some(Open::Map { key: None, .. }));
                let written = &text[line..end];
                let one_line = !is_block && written.trim().lines().count() == 1;
                let form = match is_key && !one_line {
                    true => in_quotes(&value),
                    false => scalar(written, start - line, &value, style),
                };
                Some(Written { start: sign, end, form })
            }
            Event::SequenceStart(style, ..) => {
                stack.push(Open::List {
                    start,
                    flow: style == StructureStyle::Flow,
                    items: Vec::new(),
                });
                None
            }
            Event::MappingStart(style, ..) => {
                stack.push(Open::Map {
                    start,
                    flow: style == StructureStyle::Flow,
                    entries: Vec::new(),
                    key: None,
                });
                None
            }
            Event::SequenceEnd | Event::MappingEnd => stack.pop().map(|open| match open {
                Open::List { start, flow, items } => {
                    Written { start, end, form: Form::List { flow, items } }
                }
                Open::Map { start, flow, entries, .. } => {
                    Written { start, end, form: Form::Map { flow, entries } }
                }
            }),
            _ => None,
        };
        if let Some(done) = done {
            match stack.last_mut() {
                None => source.root = Some(done),
                Some(Open::List { items, .. }) => items.push(done),
                Some(Open::Map { entries, key, .. }) => match key.take() {
                    None => *key = Some(done),
                    Some(of) => entries.push((of, done)),
                },
            }
        }
    }
    source.comments.sort_by_key(|c| c.start);
    source.comments.dedup_by_key(|c| c.start);
    Ok(source)
}

fn in_quotes(text: &str) -> Form {
    Form::Line(serde_json::Value::from(text).to_string())
}

fn line_start(text: &str, at: usize) -> usize {
    text[..at].rfind('\n').map_or(0, |n| n + 1)
}

/// Where the `|` or `>` of a block stands whose content begins at `content`: on the last line above with anything but
/// comments.
fn sign_of(text: &str, content: usize, comments: &[Comment]) -> usize {
    let mut end = content;
    loop {
        let line = line_start(text, end);
        let comment = comments.iter().rev().take_while(|c| c.start >= line).find(|c| c.start < end);
        let before = &text[line..comment.map_or(end, |c| c.start)];
        match before.rfind(['|', '>']) {
            Some(n) => return line + n,
            None if line == 0 => return content,
            None => end = line - 1,
        }
    }
}

/// `column` is the indentation of a block's content.
fn scalar(written: &str, column: usize, value: &str, style: ScalarStyle) -> Form {
    let literal = |text: &str| Block::literal(text).map_or_else(|| in_quotes(text), Form::Block);
    match style {
        ScalarStyle::Literal => literal(value),
        ScalarStyle::Folded => {
            Block::folded(written, column, value).map_or_else(|| literal(value), Form::Block)
        }
        // A text over several lines becomes one line if it is one and fits.
        ScalarStyle::Plain if written.trim().contains('\n') => {
            if !value.contains('\n') && value.chars().count() <= WIDTH {
                return Form::Line(value.to_owned());
            }
            Block::from_plain(written.trim(), value).map_or_else(|| in_quotes(value), Form::Block)
        }
        _ if written.contains('\n') => in_quotes(value),
        _ => Form::Line(written.trim().to_owned()),
    }
}
