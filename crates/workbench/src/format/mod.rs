//! Brings a rulebook's text into one form: indentation of two, single spaces, collections in one line where they were
//! written so and fit. Keeps every comment, every quote, the folding of long texts and the order of everything. Never changes what the text means:
//! the result is read again and compared.

mod block;
mod layout;
mod source;

use amends_rulebook::tree::{self, Entry, Kind, Node};
use amends_rulebook::{Diagnostic, Span, codes, fields};

/// Formats a rulebook or manifest. Formatting the result again changes nothing. Lines end as most of them did; a byte
/// order mark stays.
///
/// # Errors
/// The first mistake, if the text is not YAML.
pub fn format(text: &str) -> Result<String, Box<Diagnostic>> {
    let bare = text.strip_prefix(BOM).unwrap_or(text);
    let mark = &text[..text.len() - bare.len()];
    let returns = bare.matches("\r\n").count();
    if returns == 0 && mark.is_empty() {
        return format_lines(text);
    }
    let lines = bare.replace("\r\n", "\n");
    let formatted = format_lines(&lines).map_err(|mut mistake| {
        let place = |at: usize| mark.len() + at_with_returns(bare, at);
        mistake.at =
            Span { start: place(mistake.at.start), end: place(mistake.at.end), ..mistake.at };
        for (span, _) in &mut mistake.related {
            *span = Span { start: place(span.start), end: place(span.end), ..*span };
        }
        mistake
    })?;
    let mostly = returns * 2 > lines.matches('\n').count();
    let body = if mostly { formatted.replace('\n', "\r\n") } else { formatted };
    Ok(format!("{mark}{body}"))
}

const BOM: char = '\u{feff}';

/// The place in a text of a place in the same text without its carriage returns.
fn at_with_returns(text: &str, at: usize) -> usize {
    let mut left = at;
    let mut here = 0;
    for line in text.split_inclusive('\n') {
        let length = line.len() - usize::from(line.ends_with("\r\n"));
        if left < length {
            break;
        }
        left -= length;
        here += line.len();
    }
    (here + left).min(text.len())
}

/// The same for lines that end with a line feed alone.
fn format_lines(text: &str) -> Result<String, Box<Diagnostic>> {
    let (before, mistakes) = tree::parse(text)?;
    if let Some(mistake) = mistakes.into_iter().next() {
        return Err(mistake.into());
    }
    let source = source::read(text).map_err(|at| unreadable(at, "the text is not YAML"))?;
    let formatted = layout::write(&source, text);
    // INVARIANT: what comes out means what went in.
    let after = match tree::parse(&formatted) {
        Ok((after, mistakes)) if mistakes.is_empty() => after,
        Ok(_) | Err(_) => return Err(changed(0)),
    };
    match difference(before.as_ref(), after.as_ref()) {
        None => Ok(formatted),
        Some(at) => Err(changed(at)),
    }
}

fn changed(at: usize) -> Box<Diagnostic> {
    unreadable(at, "the text cannot be formatted from here on without changing what it means")
}

fn unreadable(at: usize, message: &str) -> Box<Diagnostic> {
    let span = Span { file: 0, start: at, end: at };
    Box::new(
        Diagnostic::new(codes::YAML_SYNTAX, span, message)
            .with_help("write it with fewer of YAML's rarer forms"),
    )
}

/// The first place of `before` at which `after` says something else; places and the style of texts don't count. As deep
/// as the tree's limit allows.
fn difference(before: Option<&Node>, after: Option<&Node>) -> Option<usize> {
    let (a, b) = match (before, after) {
        (None, None) => return None,
        (Some(a), Some(b)) => (a, b),
        (Some(one), None) | (None, Some(one)) => return Some(one.span.start),
    };
    let here = Some(a.span.start);
    match (&a.kind, &b.kind) {
        (Kind::Scalar { text: x, plain: p }, Kind::Scalar { text: y, plain: q }) => {
            let same = (x == y && (p == q || fields::reads_as_text(x)))
                || (a.is_nothing() && b.is_nothing());
            if same { None } else { here }
        }
        (Kind::List(x), Kind::List(y)) => {
            let inner = x.iter().zip(y).find_map(|(x, y)| difference(Some(x), Some(y)));
            inner.or(if x.len() == y.len() { None } else { here })
        }
        (Kind::Map(x), Kind::Map(y)) => {
            let entry = |(x, y): (&Entry, &Entry)| {
                if x.key == y.key {
                    difference(Some(&x.value), Some(&y.value))
                } else {
                    Some(x.key_span.start)
                }
            };
            let inner = x.iter().zip(y).find_map(entry);
            inner.or(if x.len() == y.len() { None } else { here })
        }
        _ => here,
    }
}
