//! What the pictures of a rulebook share: the names of their classes, the stylesheet, and what a caller adds to them. No
//! picture holds a script, a style attribute, or anything from elsewhere; only whole files hold a stylesheet.

use crate::matrix::CellKind;
use crate::{ChartNode, Row};
use amends_protocol::wire::xml::escape;
use amends_rulebook::ActionId;
use std::fmt::Write as _;
use unicode_width::UnicodeWidthStr;

/// What a caller adds to one place of a picture. Everything in it is escaped.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Note {
    /// Shown small beside or below what is there, e.g. `17 cases`.
    pub text: Option<String>,
    /// More classes, separated by blanks.
    pub class: Option<String>,
    /// Where the place leads.
    pub href: Option<String>,
}

impl Note {
    /// Only a text.
    #[must_use]
    pub fn of(text: impl Into<String>) -> Self {
        Self { text: Some(text.into()), ..Self::default() }
    }
}

/// What a caller knows beyond the rulebook, such as how often a rule was used; asked once for each place of a picture.
pub trait Annotate {
    /// About a row of the matrix; stands beside its label.
    fn row(&self, _row: &Row) -> Note {
        Note::default()
    }
    /// About what becomes of an action in a row.
    fn cell(&self, _row: &Row, _action: ActionId) -> Note {
        Note::default()
    }
    /// About an action wherever it heads a column.
    fn column(&self, _action: ActionId) -> Note {
        Note::default()
    }
    /// About an action in a graph.
    fn node(&self, _node: &ChartNode) -> Note {
        Note::default()
    }
}

/// Nothing is added.
impl Annotate for () {}

/// The stylesheet of every picture, for a file of its own: it names nothing outside of `.am-matrix`, `.am-graph`,
/// `.am-legend` and `.am-findings`. Colours can be replaced by setting `--<class>` and
/// `--<class>-ink` (classes as in [`CellKind::class`], e.g. `--am-kept`), `--am-ink`, `--am-faint`, `--am-line` and
/// `--am-paper` on an element around the picture.
#[must_use]
pub fn stylesheet() -> String {
    let mut out = String::from(SHAPES);
    for kind in CellKind::ALL {
        let (fill, ink) = colors(kind);
        let class = kind.class();
        let _ = writeln!(
            out,
            ".am-matrix .{class}, .am-graph .{class}, .am-legend .{class} {{ background: var(--{class}, {fill}); fill: var(--{class}, {fill}); color: var(--{class}-ink, {ink}) }}\n.am-matrix text.{class}, .am-graph text.{class}, .am-legend text.{class} {{ fill: var(--{class}-ink, {ink}) }}"
        );
    }
    out
}

/// The same for a file of its own: every colour written out, since not all that draw SVG know variables, and for a dark
/// surrounding once more.
#[must_use]
pub fn stylesheet_of_a_file() -> String {
    let sheet = stylesheet();
    let light = without_variables(&sheet, &|_| None);
    let dark = without_variables(&sheet, &dark);
    format!("{light}@media (prefers-color-scheme: dark) {{\n{dark}}}\n")
}

/// Each `var(--name, colour)` by what `other` gives for the name, else by its own colour.
fn without_variables(sheet: &str, other: &dyn Fn(&str) -> Option<&'static str>) -> String {
    let mut out = String::with_capacity(sheet.len());
    let mut rest = sheet;
    while let Some((before, behind)) = rest.split_once("var(--") {
        out.push_str(before);
        let (variable, after) = behind.split_once(')').unwrap_or((behind, ""));
        let (name, colour) = variable.split_once(", ").unwrap_or((variable, "inherit"));
        out.push_str(other(name).unwrap_or(colour));
        rest = after;
    }
    out + rest
}

/// The colour of a variable in a dark surrounding; each pair has a contrast of at least 4.5 to 1.
fn dark(variable: &str) -> Option<&'static str> {
    let ground = match variable {
        "am-ink" => "#e6e9ef",
        "am-faint" => "#9aa4b2",
        "am-line" => "#3a4150",
        "am-paper" => "#14171c",
        _ => "",
    };
    if !ground.is_empty() {
        return Some(ground);
    }
    let kind = CellKind::ALL
        .into_iter()
        .find(|kind| variable.strip_suffix("-ink").unwrap_or(variable) == kind.class())?;
    let (fill, ink) = match kind {
        CellKind::NotReached => ("#1d2128", "#98a1af"),
        CellKind::Own => ("#2c323c", "#d5dae3"),
        CellKind::Called => ("#22303c", "#cfe3f5"),
        CellKind::Kept => ("#123d22", "#bdeccb"),
        CellKind::Compensate => ("#5c3a00", "#ffe6b3"),
        CellKind::CompensateIfRecorded => ("#3a2a0c", "#ffe6b3"),
        CellKind::Retry => ("#0b3d66", "#d8ecff"),
        CellKind::Notify => ("#431a73", "#efe0ff"),
        CellKind::NotifyIfRecorded => ("#2d1550", "#efe0ff"),
        CellKind::Missing => ("#b3261e", "#ffffff"),
    };
    Some(if variable.ends_with("-ink") { ink } else { fill })
}

/// Everything but the colours of the kinds.
const SHAPES: &str = "\
table.am-matrix { border-collapse: collapse; color: var(--am-ink, #1c2330) }
table.am-matrix th, table.am-matrix td { border: 1px solid var(--am-line, #d5dae3); padding: .3rem .6rem; text-align: center }
table.am-matrix th.am-label { text-align: left; font-weight: 500 }
table.am-matrix thead th { position: sticky; top: 0; z-index: 1; background: var(--am-paper, #fff) }
table.am-matrix th.am-label { position: sticky; left: 0; background: var(--am-paper, #fff) }
table.am-matrix thead th.am-label { z-index: 2 }
table.am-matrix .am-service, table.am-matrix .am-note { display: block; font-weight: 400; font-size: .85em; color: var(--am-faint, #5a6575) }
table.am-matrix .am-note { color: inherit }
table.am-matrix .am-mode-shadow { font-style: italic }
svg.am-matrix, svg.am-graph { font: 12px system-ui, sans-serif }
svg.am-matrix .am-paper, svg.am-graph .am-paper { fill: var(--am-paper, #fff) }
svg.am-matrix text, svg.am-graph text { fill: var(--am-ink, #1c2330) }
svg.am-matrix .am-middle { text-anchor: middle }
svg.am-matrix .am-service, svg.am-matrix .am-meaning { fill: var(--am-faint, #5a6575) }
svg.am-matrix .am-action, svg.am-graph .am-name, svg.am-graph .am-title { font-weight: 600 }
svg.am-matrix .am-mode-shadow { font-style: italic }
.am-graph .am-box { fill: var(--am-paper, #fff); stroke: var(--am-faint, #5a6575) }
svg.am-graph .am-call { fill: none; stroke: var(--am-faint, #5a6575) }
svg.am-graph .am-optional { stroke-dasharray: 5 4 }
svg.am-graph .am-head { fill: var(--am-faint, #5a6575) }
.am-legend { display: grid; grid-template-columns: max-content 1fr; gap: .2rem .8rem; max-width: 45rem }
.am-legend dt { text-align: center; padding: 0 .6rem }
.am-legend dd { margin: 0 }
.am-findings .am-finding-error { color: var(--am-missing, #b3261e) }
";

/// Fill and ink; each pair has a contrast of at least 4.5 to 1.
pub(crate) fn colors(kind: CellKind) -> (&'static str, &'static str) {
    match kind {
        CellKind::NotReached => ("#f6f7f9", "#5f6876"),
        CellKind::Own => ("#e7eaf0", "#333c4a"),
        CellKind::Called => ("#edf3f8", "#2b4358"),
        CellKind::Kept => ("#dff3e4", "#14532d"),
        CellKind::Compensate => ("#ffe6b3", "#5c3a00"),
        CellKind::CompensateIfRecorded => ("#fff6e0", "#5c3a00"),
        CellKind::Retry => ("#d8ecff", "#0b3d66"),
        CellKind::Notify => ("#efe0ff", "#431a73"),
        CellKind::NotifyIfRecorded => ("#f8f1ff", "#431a73"),
        CellKind::Missing => ("#b3261e", "#ffffff"),
    }
}

/// The value of a `class` attribute: the picture's own classes, then the caller's.
pub(crate) fn classes(own: &[&str], note: &Note) -> String {
    let own = own.iter().copied().filter(|c| !c.is_empty());
    let all: Vec<_> = own.map(str::to_owned).chain(note.class.as_deref().map(escape)).collect();
    all.join(" ")
}

/// `inside`, leading to where the note says.
pub(crate) fn linked(inside: &str, note: &Note) -> String {
    match &note.href {
        Some(href) => format!("<a href=\"{}\">{inside}</a>", escape(href)),
        None => inside.to_owned(),
    }
}

/// Places in a terminal that a text takes; letters of East Asia take two.
pub(crate) fn width_of(text: &str) -> usize {
    text.width()
}

/// Lines of at most `width` places, broken at blanks, else after `-`, `/`, `.`, `_` or `,`, else anywhere. Nothing is lost
/// but the blanks at the breaks.
pub(crate) fn broken(text: &str, width: usize) -> Vec<String> {
    let width = width.max(4);
    let mut lines = Vec::new();
    let mut rest = text.trim_end();
    while width_of(rest) > width {
        let fits = rest
            .char_indices()
            .map(|(at, c)| at + c.len_utf8())
            .take_while(|end| width_of(&rest[..*end]) <= width)
            .last()
            .unwrap_or(rest.len());
        // A blank may stand just behind what fits.
        let next = fits + rest[fits..].chars().next().map_or(0, char::len_utf8);
        let at_blank = rest[..next].rfind(' ').filter(|at| *at > 0);
        let at_mark = rest[..fits].rfind(['-', '/', '.', '_', ',']).map(|at| at + 1);
        let end = at_blank.or(at_mark).filter(|end| *end > 0).unwrap_or(fits);
        lines.push(rest[..end].trim_end().to_owned());
        rest = rest[end..].trim_start();
    }
    lines.push(rest.to_owned());
    lines
}

#[cfg(test)]
mod tests {
    use super::{broken, stylesheet, stylesheet_of_a_file, width_of};

    #[test]
    fn lines_break_where_people_would_and_lose_nothing() {
        assert_eq!(
            broken("rider/* when action = \"match\"", 26),
            ["rider/* when action =", "\"match\""]
        );
        assert_eq!(broken("send-cancellation-message", 12), ["send-", "cancellation", "-message"]);
        assert_eq!(broken("문자발송서비스", 8), ["문자발송", "서비스"]);
        assert_eq!(broken("", 8), [""]);
        assert_eq!(broken("aaaaaaaaaa", 4), ["aaaa", "aaaa", "aa"]);
    }

    #[test]
    fn wide_letters_count_twice() {
        assert_eq!(width_of("문자"), 4);
    }

    #[test]
    fn a_file_of_its_own_needs_no_variables_and_knows_the_dark() {
        let sheet = stylesheet_of_a_file();
        assert!(!sheet.contains("var("), "{sheet}");
        assert_eq!(sheet.matches('{').count(), sheet.matches('}').count());
        let (light, dark) = sheet.split_once("@media").expect("both");
        assert!(light.contains("#14532d") && dark.contains("#bdeccb"));
    }

    #[test]
    fn the_stylesheet_reaches_only_the_pictures() {
        for line in stylesheet().lines() {
            for selector in line.split('{').next().unwrap_or("").split(',') {
                assert!(selector.contains(".am-"), "{line}");
            }
        }
    }
}
