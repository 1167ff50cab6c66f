//! Draws diagnostics for people: the place, the source line with the mistake underlined, what is wrong, how to mend it.

use crate::source::LineIndex;
use crate::{Diagnostic, Severity, SourceFile, Span};
use annotate_snippets::renderer::DecorStyle;
use annotate_snippets::{Annotation, AnnotationKind, Group, Level, Origin, Renderer, Snippet};
use std::ops::Range;

/// A line longer than this is named but not drawn; nobody reads it, and drawing it would take long.
const LINE_LIMIT: usize = 2_000;

/// Places at most this many lines apart are drawn in one piece.
const ONE_PIECE_LINES: usize = 6;

/// All of them, one after another, each with `file:line:column`, and a last line that counts them.
#[must_use]
pub fn render(diagnostics: &[Diagnostic], sources: &[SourceFile], color: bool) -> String {
    let lines: Vec<LineIndex<'_>> = sources.iter().map(|s| LineIndex::new(&s.text)).collect();
    let renderer = if color { Renderer::styled() } else { Renderer::plain() };
    let renderer = renderer.decor_style(DecorStyle::Ascii);
    let mut out = String::new();
    for diagnostic in diagnostics {
        out.push_str(&renderer.render(&[draw(diagnostic, sources, &lines)]));
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
) -> Group<'a> {
    let level = match diagnostic.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
        Severity::Note => Level::NOTE,
    };
    let mut group = Group::with_title(level.primary_title(&diagnostic.message).id(diagnostic.code));
    let mut places = vec![Place {
        span: diagnostic.at,
        label: &diagnostic.label,
        kind: AnnotationKind::Primary,
    }];
    let related = diagnostic.related.iter();
    places.extend(related.map(|(span, label)| Place {
        span: *span,
        label,
        kind: AnnotationKind::Context,
    }));
    while !places.is_empty() {
        let first = places.remove(0);
        let Some((source, index)) = sources.get(first.span.file).zip(lines.get(first.span.file))
        else {
            continue;
        };
        let line = index.line(first.span.start);
        let near = |p: &Place<'_>| {
            p.span.file == first.span.file
                && index.line(p.span.start).abs_diff(line) <= ONE_PIECE_LINES
        };
        let (mut piece, rest): (Vec<_>, Vec<_>) = places.into_iter().partition(near);
        places = rest;
        piece.insert(0, first);
        group = draw_piece(group, source, index, &piece);
    }
    match &diagnostic.help {
        Some(help) => group.element(Level::HELP.message(help)),
        None => group,
    }
}

struct Place<'a> {
    span: Span,
    label: &'a str,
    kind: AnnotationKind,
}

/// One stretch of lines with all that is underlined in it.
fn draw_piece<'a>(
    group: Group<'a>,
    source: &'a SourceFile,
    index: &LineIndex<'a>,
    piece: &[Place<'a>],
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
        if place.label.is_empty() { annotation } else { annotation.label(place.label) }
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
