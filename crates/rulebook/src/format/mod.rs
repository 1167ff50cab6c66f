//! Brings a rulebook's text into one form: indentation of two, single spaces, collections in one line where they were
//! written so and fit. Keeps every comment, every quote and the order of everything. Never changes what the text means:
//! the result is read again and compared.

mod layout;
mod source;

use crate::tree::{Builder, Kind, Node};
use crate::{Diagnostic, Span, codes};

/// Formats a rulebook or manifest. Formatting the result again changes nothing.
///
/// # Errors
/// The first mistake, if the text is not YAML.
pub fn format(text: &str) -> Result<String, Box<Diagnostic>> {
    let text = text.replace("\r\n", "\n");
    let (before, mistakes) = Builder::new(0, 0).build(&text)?;
    if let Some(mistake) = mistakes.into_iter().next() {
        return Err(mistake.into());
    }
    let source = source::read(&text).map_err(|at| unreadable(at, "the text is not YAML"))?;
    let formatted = layout::write(&source, &text);
    // INVARIANT: what comes out means what went in.
    let same = match Builder::new(0, 0).build(&formatted) {
        Ok((after, mistakes)) => {
            mistakes.is_empty() && same_option(before.as_ref(), after.as_ref())
        }
        Err(_) => false,
    };
    if same {
        Ok(formatted)
    } else {
        Err(unreadable(0, "the text cannot be formatted without changing what it means"))
    }
}

fn unreadable(at: usize, message: &str) -> Box<Diagnostic> {
    let span = Span { file: 0, start: at, end: at };
    Box::new(
        Diagnostic::new(codes::YAML_SYNTAX, span, message)
            .with_help("write it with fewer of YAML's rarer forms"),
    )
}

fn same_option(a: Option<&Node>, b: Option<&Node>) -> bool {
    match (a, b) {
        (None, None) => true,
        (Some(a), Some(b)) => same(a, b),
        _ => false,
    }
}

/// Whether two trees say the same; places don't count. As deep as the tree's limit allows.
fn same(a: &Node, b: &Node) -> bool {
    match (&a.kind, &b.kind) {
        (Kind::Scalar { text: x, plain: p }, Kind::Scalar { text: y, plain: q }) => {
            (x == y && p == q) || (a.is_nothing() && b.is_nothing())
        }
        (Kind::List(x), Kind::List(y)) => {
            x.len() == y.len() && x.iter().zip(y).all(|(x, y)| same(x, y))
        }
        (Kind::Map(x), Kind::Map(y)) => {
            x.len() == y.len()
                && x.iter().zip(y).all(|(x, y)| x.key == y.key && same(&x.value, &y.value))
        }
        _ => false,
    }
}
