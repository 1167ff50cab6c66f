//! A rulebook's text without some of its top-level sections, so that others can be written behind it. What is kept stays
//! as it is written; a text in one pair of braces is opened up, because nothing can be written behind those.

use crate::format::format;
use amends_rulebook::tree::{self, Entry, Kind, Node};
use std::ops::Range;

/// What is left.
pub(super) struct Kept {
    /// Ends with a line break, unless it is empty. Lines end with a line feed alone.
    pub(super) text: String,
    /// Where the sections stood.
    pub(super) cut: Vec<Range<usize>>,
}

impl Kept {
    pub(super) fn of(text: &str, sections: &[&str]) -> Self {
        let whole = || Self { text: in_lines(text), cut: Vec::new() };
        let Ok((Some(Node { kind: Kind::Map(entries), span }), _)) = tree::parse(text) else {
            return whole();
        };
        let goes = |e: &&Entry| sections.contains(&e.key.as_str());
        if text[span.start..].starts_with('{') {
            let cut = entries.iter().filter(goes).map(entry_range).collect();
            let kept: Vec<&Entry> = entries.iter().filter(|e| !goes(e)).collect();
            return Self { text: opened(text, span.start..span.end, &kept), cut };
        }
        let cut: Vec<Range<usize>> =
            entries.iter().filter(goes).map(|e| section(text, entry_range(e))).collect();
        let mut kept = String::new();
        let mut at = 0;
        for cut in &cut {
            kept += &text[at..cut.start];
            at = cut.end;
        }
        kept += &text[at..];
        // What ends a document would stand in the middle of it.
        let lines = kept.lines().filter(|line| line.trim_end() != "...");
        Self { text: in_lines(&lines.collect::<Vec<_>>().join("\n")), cut }
    }
}

fn entry_range(entry: &Entry) -> Range<usize> {
    entry.key_span.start..entry.value.span.end.max(entry.key_span.end)
}

/// Whole lines, with the comments directly above: they speak of the section.
fn section(text: &str, entry: Range<usize>) -> Range<usize> {
    let end = text[entry.end..].find('\n').map_or(text.len(), |n| entry.end + n + 1);
    let mut start = text[..entry.start].rfind('\n').map_or(0, |n| n + 1);
    while let Some(before) = start.checked_sub(1) {
        let line = text[..before].rfind('\n').map_or(0, |n| n + 1);
        // The head of the file speaks of all of it.
        if line == 0 || !text[line..before].starts_with('#') {
            break;
        }
        start = line;
    }
    start..end
}

/// The entries of a text in braces, one below the other.
fn opened(text: &str, braces: Range<usize>, entries: &[&Entry]) -> String {
    let mut out = text[..braces.start].to_owned();
    for entry in entries {
        // The lines of a value must be indented deeper than its key.
        let lines: Vec<&str> = text[entry_range(entry)].lines().collect();
        out += &lines.join("\n  ");
        out.push('\n');
    }
    out += text[braces.end..].trim_start();
    let out = in_lines(&out);
    format(&out).unwrap_or(out)
}

fn in_lines(text: &str) -> String {
    let lines: Vec<&str> = text.trim_end().lines().collect();
    if lines.is_empty() { String::new() } else { lines.join("\n") + "\n" }
}
