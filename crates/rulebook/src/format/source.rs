//! The text as it is written: styles, quotes and comments, which the checked tree leaves out.

use granit_parser::{Event, Parser, ScalarStyle, StructureStyle};

/// A value and how it is written.
pub(super) struct Written {
    /// First byte.
    pub(super) start: usize,
    /// One past the last byte.
    pub(super) end: usize,
    pub(super) form: Form,
}

pub(super) enum Form {
    /// One line as it stands, quotes included.
    Line(String),
    /// Several lines, by their content.
    Block(String),
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
    /// Nothing stands before it on its line.
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
                let line = text[..start].rfind('\n').map_or(0, |n| n + 1);
                let own_line = text[line..start].trim().is_empty();
                source.comments.push(Comment {
                    start,
                    text: text[start..end].trim_end().to_owned(),
                    own_line,
                });
                None
            }
            Event::Scalar(value, style, ..) => {
                Some(Written { start, end, form: scalar(&text[start..end], &value, style) })
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

fn scalar(written: &str, value: &str, style: ScalarStyle) -> Form {
    let in_quotes = |text: &str| serde_json::Value::from(text).to_string();
    match style {
        ScalarStyle::Literal | ScalarStyle::Folded => Form::Block(value.to_owned()),
        // A text over several lines becomes one line; in quotes, so that it stays the same text.
        ScalarStyle::Plain if written.contains('\n') => Form::Line(value.to_owned()),
        _ if written.contains('\n') => Form::Line(in_quotes(value)),
        _ => Form::Line(written.trim().to_owned()),
    }
}
