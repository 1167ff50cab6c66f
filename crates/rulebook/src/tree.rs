//! YAML text to a tree in which every node knows its bytes. Knows nothing of rulebooks. Linear in the text; refuses what
//! makes YAML surprising: anchors, aliases, tags, several documents. What a text with syntax errors still says is
//! `recovery`'s business.

use crate::codes;
use crate::mistakes::quote;
use crate::{Diagnostic, Span};
use granit_parser::{ErrorKind, Event, Options, Parser, ScalarStyle, options};
use rustc_hash::FxHashMap;

/// Mappings and lists inside each other. A rulebook needs about eight; deeper text is a mistake or an attack.
const DEPTH_LIMIT: usize = 64;

/// A piece of the tree.
#[derive(Debug)]
pub struct Node {
    /// Where it stands.
    pub span: Span,
    /// What it is.
    pub kind: Kind,
}

/// What a piece is.
#[derive(Debug)]
pub enum Kind {
    /// `plain` is without quotes: only then may it be a number, `true` or nothing.
    Scalar {
        /// Without quotes and escapes.
        text: String,
        /// Written without quotes.
        plain: bool,
    },
    /// In the order written.
    List(Vec<Node>),
    /// In the order written, each key once.
    Map(Vec<Entry>),
}

/// A key and its value.
#[derive(Debug)]
pub struct Entry {
    /// The key.
    pub key: String,
    /// Where the key stands.
    pub key_span: Span,
    /// The value.
    pub value: Node,
}

/// What could be read of a text.
#[derive(Debug)]
pub struct Tree {
    /// Nothing stands in an empty text.
    pub root: Option<Node>,
    /// False if parts are missing because they are not YAML; what refers to them can't be judged.
    pub complete: bool,
}

/// Turns events into nodes, with a stack of its own instead of recursion.
pub(crate) struct Builder {
    file: usize,
    /// Added to every place: the text may be a piece of a file.
    offset: usize,
    stack: Vec<Open>,
    root: Option<Node>,
    documents: usize,
    mistakes: Vec<Diagnostic>,
}

enum Open {
    List { start: usize, items: Vec<Node> },
    Map { start: usize, entries: Vec<Entry>, key: Option<Result<(String, Span), Span>> },
}

/// The root, if there is anything, and mistakes that did not end the reading; or the one that did.
pub type Built = Result<(Option<Node>, Vec<Diagnostic>), Box<Diagnostic>>;

/// Reads a text that is file 0 of its load, and gives up at the first part that is not YAML.
///
/// # Errors
/// The mistake that ended the reading.
pub fn parse(text: &str) -> Built {
    Builder::new(0, 0).build(text)
}

impl Builder {
    pub(crate) fn new(file: usize, offset: usize) -> Self {
        Self { file, offset, stack: Vec::new(), root: None, documents: 0, mistakes: Vec::new() }
    }

    /// The root, if there is anything, and mistakes that don't end the reading.
    pub(crate) fn build(mut self, text: &str) -> Built {
        for event in Parser::new_from_str_with_options(text, parser_options()) {
            let (event, span) = event.map_err(|error| {
                let at = error.marker().byte_offset().unwrap_or(0).min(text.len());
                Box::new(match error.kind() {
                    ErrorKind::RecursionLimitExceeded => self.too_deep(at, at),
                    _ => self.syntax_error(text, at, &error.info()),
                })
            })?;
            let range = span.byte_range().unwrap_or(0..0);
            if self.stack.len() >= DEPTH_LIMIT && starts_collection(&event) {
                return Err(Box::new(self.too_deep(range.start, range.end)));
            }
            if !self.take(event, range.start, range.end, text) {
                break;
            }
        }
        Ok((self.root, self.mistakes))
    }

    /// Takes one event; false if the rest is of no interest.
    fn take(&mut self, event: Event<'_>, start: usize, end: usize, text: &str) -> bool {
        self.refuse_properties(&event, start, end);
        match event {
            Event::DocumentStart(..) => {
                self.documents += 1;
                if self.documents > 1 {
                    self.refuse(
                        start,
                        end,
                        "a file holds one document",
                        "put what follows `---` into a file of its own",
                    );
                    return false;
                }
            }
            Event::Scalar(value, style, ..) => {
                let plain = style == ScalarStyle::Plain;
                let kind = Kind::Scalar { text: value.into_owned(), plain };
                self.place(Node { span: self.span(start, end), kind });
            }
            Event::Alias(_) | Event::UnresolvedAlias(_) => {
                let kind = self.refuse_alias(start, end, text);
                self.place(Node { span: self.span(start, end), kind });
            }
            Event::SequenceStart(..) => self.stack.push(Open::List { start, items: Vec::new() }),
            Event::MappingStart(..) => {
                self.stack.push(Open::Map { start, entries: Vec::new(), key: None })
            }
            Event::SequenceEnd | Event::MappingEnd => self.close(end, text),
            _ => {}
        }
        true
    }

    fn refuse_properties(&mut self, event: &Event<'_>, start: usize, end: usize) {
        let (anchor, tagged) = match event {
            Event::Scalar(_, _, anchor, tag) => (*anchor, tag.is_some()),
            Event::SequenceStart(_, anchor, tag) | Event::MappingStart(_, anchor, tag) => {
                (*anchor, tag.is_some())
            }
            _ => (0, false),
        };
        if tagged {
            self.refuse(
                start,
                end,
                "tags (`!…`) are not taken here",
                "leave it out; put texts that look like numbers in quotes",
            );
        }
        if anchor != 0 {
            self.refuse(
                start,
                end,
                "anchors (`&…`) are not taken here",
                "leave it out, and write the value out where it is needed",
            );
        }
    }

    /// What begins with `*` is an alias to YAML; here it is mostly a pattern without its quotes, and is read as one.
    fn refuse_alias(&mut self, start: usize, end: usize, text: &str) -> Kind {
        let written = text.get(start..end).unwrap_or_default().trim_end();
        if written.contains('/') {
            let message = format!("{} begins with `*` and has no quotes", quote(written));
            self.mistakes.push(
                Diagnostic::new(codes::MISSING_QUOTES, self.span(start, end), message)
                    .with_help(format!("quote it: `\"{written}\"`")),
            );
            return Kind::Scalar { text: written.to_owned(), plain: false };
        }
        self.refuse(
            start,
            end,
            "aliases are not taken here",
            "write the value out; in a rulebook, common retry settings go under `defaults:`",
        );
        Kind::Scalar { text: String::new(), plain: true }
    }

    fn refuse(&mut self, start: usize, end: usize, message: &str, help: &str) {
        self.mistakes.push(
            Diagnostic::new(codes::YAML_FEATURE, self.span(start, end), message).with_help(help),
        );
    }

    fn close(&mut self, end: usize, text: &str) {
        match self.stack.pop() {
            Some(Open::List { start, items }) => {
                let end = items.last().map_or(end, |n| self.block_end(n.span.end, end, text));
                self.place(Node { span: self.span(start, end), kind: Kind::List(items) });
            }
            Some(Open::Map { start, entries, .. }) => {
                let end =
                    entries.last().map_or(end, |e| self.block_end(e.value.span.end, end, text));
                let kind = unique(entries, &mut self.mistakes);
                self.place(Node { span: self.span(start, end), kind });
            }
            None => {}
        }
    }

    /// A block collection ends where the next token begins; people see it end with its last child.
    fn block_end(&self, last_child: usize, end: usize, text: &str) -> usize {
        let flow = text[..end.min(text.len())].ends_with(['}', ']']);
        if flow { end } else { last_child.saturating_sub(self.offset) }
    }

    /// Puts a finished node into what is open around it.
    fn place(&mut self, node: Node) {
        match self.stack.last_mut() {
            None => self.root = Some(node),
            Some(Open::List { items, .. }) => items.push(node),
            Some(Open::Map { entries, key, .. }) => match key.take() {
                None => {
                    *key = Some(match node.kind {
                        Kind::Scalar { text, .. } => Ok((text, node.span)),
                        Kind::List(_) | Kind::Map(_) => Err(node.span),
                    });
                }
                Some(Ok((key, key_span))) => entries.push(Entry { key, key_span, value: node }),
                Some(Err(span)) => {
                    let mistake = Diagnostic::new(
                        codes::YAML_FEATURE,
                        span,
                        "a key is a text, not a list or a mapping",
                    );
                    self.mistakes.push(
                        mistake.with_help("put a text that begins with `[` or `{` in quotes"),
                    );
                }
            },
        }
    }

    fn span(&self, start: usize, end: usize) -> Span {
        Span { file: self.file, start: start + self.offset, end: end.max(start) + self.offset }
    }

    fn too_deep(&self, start: usize, end: usize) -> Diagnostic {
        let message = format!("mappings and lists are nested more than {DEPTH_LIMIT} deep");
        Diagnostic::new(codes::TOO_LARGE, self.span(start, end), message).with_help("flatten it")
    }

    fn syntax_error(&self, text: &str, at: usize, info: &str) -> Diagnostic {
        if let Some((start, end)) = tabs_before(text, at) {
            let message = "a tab where YAML takes only spaces";
            return Diagnostic::new(codes::YAML_SYNTAX, self.span(start, end), message)
                .with_help("indent with spaces; editors turn tabs into them");
        }
        let message = format!("this is not YAML: {}", info.trim_end_matches('.'));
        if let Some((start, space)) = odd_space_before(text, at) {
            let end = start + space.len_utf8();
            let help = format!(
                "write an ordinary space in place of the character U+{:04X}, which looks like one and is none",
                u32::from(space)
            );
            return Diagnostic::new(codes::YAML_SYNTAX, self.span(start, end), message)
                .with_help(help);
        }
        let next = text[at..].chars().next().filter(|c| !c.is_control()).map_or(0, char::len_utf8);
        let help =
            "check quotes, brackets, the space after `:` and the indentation from here upwards";
        Diagnostic::new(codes::YAML_SYNTAX, self.span(at, at + next), message).with_help(help)
    }
}

/// The tabs among what indents the line of a mistake.
fn tabs_before(text: &str, at: usize) -> Option<(usize, usize)> {
    let line = text[..at].rfind('\n').map_or(0, |n| n + 1);
    let indent = text[line..].len() - text[line..].trim_start_matches([' ', '\t']).len();
    let start = line + text[line..line + indent].find('\t')?;
    let tabs = text[start..].len() - text[start..].trim_start_matches('\t').len();
    Some((start, start + tabs))
}

/// What looks like a space and is none, on the line of a mistake or on the two before it.
fn odd_space_before(text: &str, at: usize) -> Option<(usize, char)> {
    let end = text[at..].find('\n').map_or(text.len(), |n| at + n);
    let start = text[..at].rmatch_indices('\n').nth(2).map_or(0, |(n, _)| n + 1);
    let is_odd = |c: char| {
        matches!(
            c,
            '\u{a0}' | '\u{2000}'..='\u{200b}' | '\u{202f}' | '\u{205f}' | '\u{3000}' | '\u{feff}'
        )
    };
    let (n, space) = text[start..end].char_indices().rfind(|(_, c)| is_odd(*c))?;
    Some((start + n, space))
}

fn starts_collection(event: &Event<'_>) -> bool {
    matches!(event, Event::SequenceStart(..) | Event::MappingStart(..))
}

fn parser_options() -> Options {
    options! {
        emit_comments: false,
        emit_unresolved_aliases: true,
        // The parser looks ahead, so ours speaks first only if theirs is higher.
        flow_nesting_limit: 2 * DEPTH_LIMIT,
        block_nesting_limit: 2 * DEPTH_LIMIT,
    }
}

/// Keeps the first entry of each key.
pub(crate) fn unique(entries: Vec<Entry>, mistakes: &mut Vec<Diagnostic>) -> Kind {
    let mut first: FxHashMap<&str, Span> = FxHashMap::default();
    let mut again = Vec::new();
    for (n, entry) in entries.iter().enumerate() {
        if let Some(span) = first.get(entry.key.as_str()) {
            let message = format!("{} stands twice in one mapping", quote(&entry.key));
            let mistake = Diagnostic::new(codes::DUPLICATE_KEY, entry.key_span, message)
                .with_label("here again")
                .with_place(*span, "first here")
                .with_help("merge the two, or rename one");
            mistakes.push(mistake);
            again.push(n);
        } else {
            first.insert(&entry.key, entry.key_span);
        }
    }
    let mut n = 0;
    let mut again = again.into_iter().peekable();
    let mut entries = entries;
    entries.retain(|_| {
        let keep = again.next_if_eq(&n).is_none();
        n += 1;
        keep
    });
    Kind::Map(entries)
}

impl Node {
    /// What it is, for messages.
    #[must_use]
    pub fn describe(&self) -> &'static str {
        match &self.kind {
            Kind::Scalar { .. } if self.is_nothing() => "nothing",
            Kind::Scalar { .. } => "a single value",
            Kind::List(_) => "a list",
            Kind::Map(_) => "a mapping",
        }
    }

    /// YAML's `null`: nothing written, `~` or `null`.
    #[must_use]
    pub fn is_nothing(&self) -> bool {
        matches!(&self.kind, Kind::Scalar { text, plain: true } if matches!(text.as_str(), "" | "~" | "null" | "Null" | "NULL"))
    }
}
