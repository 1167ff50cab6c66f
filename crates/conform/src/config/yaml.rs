//! The configuration's YAML as a tree in which every value knows its bytes. Refuses what makes YAML surprising: anchors,
//! aliases, tags, several documents. Knows no key of the configuration.

use super::mistakes::{Mistakes, quote};
use amends_rulebook::Span;
use granit_parser::{Event, Parser, ScalarStyle};

/// Mappings and lists inside each other; a body of a request is rarely deeper than ten.
const DEPTH_LIMIT: usize = 64;

/// A value and its place.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) span: Span,
    pub(super) kind: Kind,
}

#[derive(Debug)]
pub(super) enum Kind {
    /// `plain` is without quotes: only then may it be a number, `true` or nothing.
    Scalar {
        text: String,
        plain: bool,
    },
    List(Vec<Node>),
    /// In the order written, each key once.
    Map(Vec<Entry>),
}

/// A key and its value.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) key_span: Span,
    pub(super) value: Node,
}

impl Node {
    /// YAML's `null`: nothing written, `~` or `null`.
    pub(super) fn is_nothing(&self) -> bool {
        matches!(&self.kind, Kind::Scalar { text, plain: true } if matches!(text.as_str(), "" | "~" | "null"))
    }

    /// What it is, for messages.
    pub(super) fn describe(&self) -> &'static str {
        match &self.kind {
            Kind::Scalar { .. } if self.is_nothing() => "nothing",
            Kind::Scalar { .. } => "a single value",
            Kind::List(_) => "a list",
            Kind::Map(_) => "a mapping",
        }
    }
}

/// What is open around the place that is read.
enum Open {
    List { start: usize, items: Vec<Node> },
    Map { start: usize, entries: Vec<Entry>, key: Option<(String, Span)> },
}

/// Reads a text. None if there is nothing in it, or if it is not YAML, which is among the mistakes then.
pub(super) fn parse(text: &str, found: &mut Mistakes) -> Option<Node> {
    let mut builder = Builder { stack: Vec::new(), root: None, documents: 0 };
    for event in Parser::new_from_str(text) {
        let (event, place) = match event {
            Ok(read) => read,
            Err(error) => {
                let at = error.marker().byte_offset().unwrap_or(0).min(text.len());
                let message = format!("this is not YAML: {}", error.info().trim_end_matches('.'));
                let help = "check quotes, brackets, the space after `:` and the indentation from here upwards";
                found.add("yaml-syntax", span(at, at), message, help);
                return None;
            }
        };
        let bytes = place.byte_range().unwrap_or(0..0);
        if builder.stack.len() >= DEPTH_LIMIT {
            let message = format!("mappings and lists are nested more than {DEPTH_LIMIT} deep");
            found.add("too-large", span(bytes.start, bytes.end), message, "flatten it");
            return None;
        }
        builder.take(event, bytes.start, bytes.end, found);
    }
    builder.root
}

fn span(start: usize, end: usize) -> Span {
    Span { file: 0, start, end: end.max(start) }
}

/// Turns events into nodes, with a stack of its own instead of recursion.
struct Builder {
    stack: Vec<Open>,
    root: Option<Node>,
    documents: usize,
}

impl Builder {
    fn take(&mut self, event: Event<'_>, start: usize, end: usize, found: &mut Mistakes) {
        let mut refuse = |what: &str, help: &str| {
            let message = format!("a configuration has no {what}");
            found.add("yaml-feature", span(start, end), message, help);
        };
        let (anchor, tagged) = match &event {
            Event::Scalar(_, _, anchor, tag) => (*anchor, tag.is_some()),
            Event::SequenceStart(_, anchor, tag) | Event::MappingStart(_, anchor, tag) => {
                (*anchor, tag.is_some())
            }
            _ => (0, false),
        };
        if tagged {
            refuse("tags (`!…`)", "leave it out; put texts that look like numbers in quotes");
        }
        if anchor != 0 {
            refuse("anchors (`&…`)", "leave it out, and write the value out where it is needed");
        }
        match event {
            Event::DocumentStart(..) => {
                self.documents += 1;
                if self.documents > 1 {
                    refuse("second document", "remove what follows `---`");
                }
            }
            Event::Scalar(value, style, ..) => {
                let plain = style == ScalarStyle::Plain;
                let kind = Kind::Scalar { text: value.into_owned(), plain };
                self.place(Node { span: span(start, end), kind }, found);
            }
            Event::Alias(_) => {
                refuse("aliases (`*…`)", "write the value out");
                let kind = Kind::Scalar { text: String::new(), plain: true };
                self.place(Node { span: span(start, end), kind }, found);
            }
            Event::SequenceStart(..) => self.stack.push(Open::List { start, items: Vec::new() }),
            Event::MappingStart(..) => {
                self.stack.push(Open::Map { start, entries: Vec::new(), key: None });
            }
            Event::SequenceEnd | Event::MappingEnd => {
                let node = match self.stack.pop() {
                    Some(Open::List { start, items }) => {
                        Node { span: span(start, end), kind: Kind::List(items) }
                    }
                    Some(Open::Map { start, entries, .. }) => {
                        Node { span: span(start, end), kind: Kind::Map(entries) }
                    }
                    None => return,
                };
                self.place(node, found);
            }
            _ => {}
        }
    }

    /// Puts a finished node into what is open around it.
    fn place(&mut self, node: Node, found: &mut Mistakes) {
        match self.stack.last_mut() {
            // Of a second document nothing is taken; it was refused.
            None => self.root = self.root.take().or(Some(node)),
            Some(Open::List { items, .. }) => items.push(node),
            Some(Open::Map { entries, key, .. }) => match (key.take(), node.kind) {
                (None, Kind::Scalar { text, .. }) => *key = Some((text, node.span)),
                (None, Kind::List(_) | Kind::Map(_)) => {
                    let message = "a key is a text, not a list or a mapping";
                    let help = "put a text that begins with `[` or `{` in quotes";
                    found.add("yaml-feature", node.span, message, help);
                    *key = Some((String::new(), node.span));
                }
                (Some((key, key_span)), kind) => {
                    let again = entries.iter().any(|entry| entry.key == key);
                    if again {
                        let message = format!("{} stands twice in one mapping", quote(&key));
                        found.add(
                            "duplicate-key",
                            key_span,
                            message,
                            "merge the two, or rename one",
                        );
                    } else {
                        let value = Node { span: node.span, kind };
                        entries.push(Entry { key, key_span, value });
                    }
                }
            },
        }
    }
}
