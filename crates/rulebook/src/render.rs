//! Draws diagnostics for people: the place, the source line with the mistake underlined, what is wrong, how to mend it.

use crate::source::LineIndex;
use crate::{Diagnostic, Severity, SourceFile, Span};
use annotate_snippets::renderer::DecorStyle;
use annotate_snippets::{Annotation, AnnotationKind, Group, Level, Origin, Renderer, Snippet};
use std::borrow::Cow;
use std::ops::Range;

/// A line longer than this is named but not drawn; nobody reads it, and drawing it would take long.
const LINE_LIMIT: usize = 2_000;

/// Narrower than this, folded text is harder to read than text that runs on.
const LEAST_WIDTH: usize = 40;

/// Room for a line's number, and for `= help: ` behind it.
const BEFORE_A_LINE: usize = 9;
const BEFORE_A_NOTE: usize = 15;

/// What a line that is cut loses to the dots on both of its sides.
const MARGINS: usize = 14;

/// A label of so few characters stays where it is.
const SHORT_LABEL: usize = 12;

/// Places at most this many lines apart are drawn in one piece.
const ONE_PIECE_LINES: usize = 6;

/// All of them, one after another, each with `file:line:column`, and a last line that counts them.
#[must_use]
pub fn render(diagnostics: &[Diagnostic], sources: &[SourceFile], color: bool) -> String {
    render_all(diagnostics, sources, color, None)
}

/// The same for a screen of so many characters: what is longer is folded, and what doesn't fit beside an underlined
/// piece stands below it, so that every underline stays under its line.
#[must_use]
pub fn render_within(
    diagnostics: &[Diagnostic],
    sources: &[SourceFile],
    color: bool,
    width: usize,
) -> String {
    render_all(diagnostics, sources, color, Some(width.max(LEAST_WIDTH)))
}

fn render_all(
    diagnostics: &[Diagnostic],
    sources: &[SourceFile],
    color: bool,
    width: Option<usize>,
) -> String {
    let lines: Vec<LineIndex<'_>> = sources.iter().map(|s| LineIndex::new(&s.text)).collect();
    let renderer = if color { Renderer::styled() } else { Renderer::plain() };
    let renderer = renderer.decor_style(DecorStyle::Ascii);
    let renderer = width.map_or(renderer.clone(), |width| renderer.term_width(width));
    let mut out = String::new();
    for diagnostic in diagnostics {
        out.push_str(&renderer.render(&[draw(diagnostic, sources, &lines, width)]));
        out.push_str("\n\n");
    }
    if !diagnostics.is_empty() {
        out.push_str(&count(diagnostics));
        out.push('\n');
    }
    out
}

fn draw<'a>(
    diagnostic: &'a Diagnostic,
    sources: &'a [SourceFile],
    lines: &[LineIndex<'a>],
    width: Option<usize>,
) -> Group<'a> {
    let level = match diagnostic.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
        Severity::Note => Level::NOTE,
    };
    // `error[code]: `
    let before = diagnostic.severity.as_str().len() + diagnostic.code.len() + 4;
    let title = folded(&diagnostic.message, width, before);
    let mut group = Group::with_title(level.primary_title(title).id(diagnostic.code));
    let mut places = vec![Underlined {
        span: diagnostic.at,
        label: diagnostic.label.as_str().into(),
        kind: AnnotationKind::Primary,
    }];
    let related = diagnostic.related.iter();
    places.extend(related.map(|(span, label)| Underlined {
        span: *span,
        label: label.as_str().into(),
        kind: AnnotationKind::Context,
    }));
    let mut below = Vec::new();
    while !places.is_empty() {
        let first = places.remove(0);
        let Some((source, index)) = sources.get(first.span.file).zip(lines.get(first.span.file))
        else {
            continue;
        };
        let line = index.line(first.span.start);
        let near = |p: &Underlined<'_>| {
            p.span.file == first.span.file
                && index.line(p.span.start).abs_diff(line) <= ONE_PIECE_LINES
        };
        let (mut piece, rest): (Vec<_>, Vec<_>) = places.into_iter().partition(near);
        places = rest;
        piece.insert(0, first);
        if let Some(width) = width {
            let room = width.saturating_sub(BEFORE_A_LINE);
            shorten(&mut piece, room);
            let columns = Columns::of(&piece, index);
            if columns.last - columns.first > room - MARGINS {
                // Each on a line of its own, so that none of them is out of sight.
                places.splice(0..0, piece.drain(1..));
            }
            move_below(&mut piece, index, room, &mut below);
        }
        group = draw_piece(group, source, index, &piece);
    }
    for text in below {
        group =
            group.element(Level::NOTE.message(folded(&text, width, BEFORE_A_NOTE).into_owned()));
    }
    match &diagnostic.help {
        Some(help) => group.element(Level::HELP.message(folded(help, width, BEFORE_A_NOTE))),
        None => group,
    }
}

/// An underline that is wider than the screen says no more than one that fits.
fn shorten(piece: &mut [Underlined<'_>], room: usize) {
    for place in piece {
        place.span.end = place.span.end.min(place.span.start + room - MARGINS);
    }
}

/// Which columns of its lines a piece takes.
struct Columns {
    first: usize,
    /// Behind the last underline.
    last: usize,
    /// Behind the last label.
    labelled: usize,
    /// The longest of the lines.
    line: usize,
}

impl Columns {
    fn of(piece: &[Underlined<'_>], index: &LineIndex<'_>) -> Self {
        let mut all = Self { first: usize::MAX, last: 0, labelled: 0, line: 0 };
        for place in piece {
            let line = index.range(index.line(place.span.start));
            let (_, start) = index.position(place.span.start);
            let (_, end) = index.position(place.span.end.min(line.end));
            let (_, length) = index.position(line.end);
            let end = end.max(start);
            all.first = all.first.min(start);
            all.last = all.last.max(end);
            all.labelled = all.labelled.max(end + 1 + place.label.chars().count());
            all.line = all.line.max(length);
        }
        Self { first: all.first.min(all.last), ..all }
    }
}

/// Labels of a piece that don't fit beside what they underline get a number there, and stand below.
fn move_below(
    piece: &mut [Underlined<'_>],
    index: &LineIndex<'_>,
    room: usize,
    below: &mut Vec<String>,
) {
    let columns = Columns::of(piece, index);
    let fits = if columns.line <= room {
        columns.labelled <= room
    } else {
        // A line that is too long is cut on both sides.
        columns.labelled - columns.first + MARGINS <= room
    };
    if fits {
        return;
    }
    for place in piece.iter_mut().filter(|place| place.label.chars().count() > SHORT_LABEL) {
        let number = below.len() + 1;
        below.push(format!("({number}) {}", place.label));
        place.label = format!("({number})").into();
    }
}

/// Folded between words to what is left of a width behind what stands before the text.
fn folded(text: &str, width: Option<usize>, before: usize) -> Cow<'_, str> {
    let Some(width) = width.filter(|width| text.chars().count() + before > *width) else {
        return text.into();
    };
    let room = width.saturating_sub(before).max(LEAST_WIDTH / 2);
    let mut out = String::new();
    let mut column = 0;
    for word in text.split(' ') {
        let length = word.chars().count();
        if column > 0 && column + 1 + length > room {
            out.push('\n');
            column = 0;
        } else if column > 0 {
            out.push(' ');
            column += 1;
        }
        out.push_str(word);
        column += length;
    }
    out.into()
}

#[derive(Clone)]
struct Underlined<'a> {
    span: Span,
    label: Cow<'a, str>,
    kind: AnnotationKind,
}

/// One stretch of lines with all that is underlined in it.
fn draw_piece<'a>(
    group: Group<'a>,
    source: &'a SourceFile,
    index: &LineIndex<'a>,
    piece: &[Underlined<'a>],
) -> Group<'a> {
    let numbers = || piece.iter().map(|p| index.line(p.span.start));
    let (first, last) = (numbers().min().unwrap_or(1), numbers().max().unwrap_or(1));
    let window = index.range(first).start..index.range(last).end;
    if (first..=last).any(|n| index.range(n).len() > LINE_LIMIT) {
        let (line, column) = index.position(piece.first().map_or(0, |p| p.span.start));
        return group.element(Origin::path(&source.path).line(line).char_column(column));
    }
    let annotations = piece.iter().map(|place| {
        let annotation = place.kind.span(within_line(place.span, index, &window));
        if place.label.is_empty() { annotation } else { annotation.label(place.label.clone()) }
    });
    let snippet: Snippet<'_, Annotation<'_>> = Snippet::source(&source.text[window.clone()])
        .line_start(first)
        .path(&source.path)
        .annotations(annotations);
    group.element(snippet)
}

/// What to underline, relative to the window: never more than the span's first line, and at least one character of it.
fn within_line(span: Span, index: &LineIndex<'_>, window: &Range<usize>) -> Range<usize> {
    let line = index.range(index.line(span.start));
    let start = index.floor(span.start).min(line.end).max(window.start);
    let end = index.floor(span.end).clamp(start, line.end.max(start));
    start - window.start..end - window.start
}

fn count(diagnostics: &[Diagnostic]) -> String {
    let of = |severity| diagnostics.iter().filter(|d| d.severity == severity).count();
    let some = |n: usize, what: &str| {
        (n > 0).then(|| format!("{n} {what}{}", if n == 1 { "" } else { "s" }))
    };
    let kinds = [
        some(of(Severity::Error), "error"),
        some(of(Severity::Warning), "warning"),
        some(of(Severity::Note), "note"),
    ];
    let parts: Vec<_> = kinds.into_iter().flatten().collect();
    parts.join(", ")
}

#[cfg(test)]
mod tests {
    use super::{render, render_within};
    use crate::{SourceFile, load};

    const TEXT: &str = "rulebook: shop
services:
  payment: { url: \"http://payment:8080\", actions: { pay: { compensation: refund, tags: [money] } } }
rules:
  - { on: payment/declined, when: { data.amount: { gte: 500 }, data.country: DE, data.kind: card }, compensate: [payment.charge] }
  - { on: \"*/*\", compensate: recorded }
";

    #[test]
    fn nothing_is_wider_than_the_screen_and_every_underline_is_under_its_piece() {
        let source = SourceFile { path: "shop.yaml".to_owned(), text: TEXT.into() };
        let loaded = load(source, &mut |_| Err("it imports nothing".to_owned()));
        let drawn = render_within(&loaded.diagnostics, &loaded.sources, false, 60);
        for line in drawn.lines() {
            assert!(line.chars().count() <= 60, "{drawn}");
        }
        let lines: Vec<&str> = drawn.lines().collect();
        let caret = lines.iter().position(|line| line.contains("^^^")).expect("an underline");
        let at = lines[caret].find('^').expect("a caret");
        assert!(lines[caret - 1][at..].starts_with("payment.charge"), "{drawn}");
        let wide = render(&loaded.diagnostics, &loaded.sources, false);
        assert!(wide.contains("service `payment` has no action `charge`"), "{wide}");
    }
}
