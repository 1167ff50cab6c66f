//! The matrix in a terminal: as many columns side by side as fit, the others in a table below it. Of a table in several
//! parts each has only the rows that have something to say there: that of forty services is mostly empty.

use super::{CellKind, Matrix, label, mode_meanings};
use crate::drawing::{broken, width_of};
use std::fmt::Write as _;
use std::ops::Range;

/// A label wider than this goes on, on the next line; where there is little room, sooner.
const LABEL_WIDTH: usize = 26;
const LEAST_LABEL_WIDTH: usize = 12;
/// So does a column's head.
const HEAD_WIDTH: usize = 16;
/// What stands left of an arrow goes on, on the next line, where it is wider than this.
const LEAD_WIDTH: usize = 34;
const ARROW: &str = "  → ";
/// Names of columns that were folded away.
const FOLDED_NAMES: usize = 6;
/// In less room the table stands alone.
const LEAST_LEAD_WIDTH: usize = 60;
/// Between columns.
const GAP: usize = 2;
/// Of the legend's words.
const LEGEND_WIDTH: usize = 10;

/// What stands left of the cells in each block.
struct Left {
    labels: Vec<Vec<String>>,
    label_width: usize,
    modes: Vec<String>,
    /// None if every rule is simply carried out.
    mode_width: Option<usize>,
}

impl Matrix {
    /// Folded to `width` characters, with ANSI colours or without.
    #[must_use]
    pub fn to_text(&self, width: usize, color: bool) -> String {
        let widths: Vec<usize> = (0..self.columns.len()).map(|n| self.column_width(n)).collect();
        let widest = widths.iter().max().map_or(0, |w| w + GAP);
        let left = self.left(width.saturating_sub(widest));
        let room = width.saturating_sub(left.width());
        let mut out = if width < LEAST_LEAD_WIDTH { String::new() } else { self.leads(width) };
        let blocks = blocks(&widths, room);
        let in_parts = blocks.len() > 1;
        for block in blocks {
            if !out.is_empty() {
                out.push('\n');
            }
            self.head(&mut out, &left, &widths, block.clone());
            let stands = |n: &usize| !in_parts || self.reaches(*n, block.clone());
            for n in (0..self.rows.len()).filter(stands) {
                self.row(&mut out, &left, &widths, block.clone(), n, color);
            }
        }
        if in_parts {
            let text = "each part of the table has the rows that reach its columns";
            let _ = writeln!(out, "\n{}", broken(text, width).join("\n"));
        }
        self.legend(&mut out, width);
        out
    }

    /// Whether a row has anything to say in these columns.
    fn reaches(&self, row: usize, block: Range<usize>) -> bool {
        self.rows[row].cells[block].iter().any(|cell| cell.kind != CellKind::NotReached)
    }

    fn left(&self, room: usize) -> Left {
        let modes: Vec<String> =
            self.rows.iter().map(|r| r.mode_word().unwrap_or_default()).collect();
        let mode_width = modes.iter().map(|m| width_of(m)).max().filter(|w| *w > 0);
        let mode_width = mode_width.map(|w| w.max(4));
        let room = room.saturating_sub(mode_width.map_or(0, |w| w + GAP));
        let labels = label::folded(&self.rows, room.clamp(LEAST_LABEL_WIDTH, LABEL_WIDTH), " !");
        let label_width = labels.iter().flatten().map(|l| width_of(l)).max().unwrap_or(0).max(6);
        Left { labels, label_width, modes, mode_width }
    }

    fn column_width(&self, n: usize) -> usize {
        let (service, action) = &self.heads[n];
        let heads = [service, action].into_iter().flat_map(|name| broken(name, HEAD_WIDTH));
        let cells = self.rows.iter().map(|r| r.cells[n].text());
        heads.chain(cells).map(|text| width_of(&text)).max().unwrap_or(0)
    }

    fn head(&self, out: &mut String, left: &Left, widths: &[usize], block: Range<usize>) {
        let lines_of = |name: fn(&(String, String)) -> &String| {
            let all: Vec<_> =
                block.clone().map(|n| broken(name(&self.heads[n]), HEAD_WIDTH)).collect();
            let most = all.iter().map(Vec::len).max().unwrap_or(0);
            (0..most).map(move |line| {
                all.iter().map(|l| l.get(line).cloned().unwrap_or_default()).collect::<Vec<_>>()
            })
        };
        let heads = lines_of(|h| &h.0).chain(lines_of(|h| &h.1));
        for (n, names) in heads.enumerate() {
            let mut line = if n == 0 { left.line("REPORT", "MODE") } else { left.line("", "") };
            for (name, column) in names.iter().zip(block.clone()) {
                let _ = write!(line, "{}{}", " ".repeat(GAP), pad(name, widths[column]));
            }
            end_line(out, &line);
        }
    }

    fn row(
        &self,
        out: &mut String,
        left: &Left,
        widths: &[usize],
        block: Range<usize>,
        n: usize,
        color: bool,
    ) {
        let Some((first, rest)) = left.labels[n].split_first() else { return };
        let mut line = left.line(first, &left.modes[n]);
        for column in block {
            let cell = &self.rows[n].cells[column];
            let padded = pad(&cell.text(), widths[column]);
            let _ = write!(
                line,
                "{}{}",
                " ".repeat(GAP),
                if color { paint(cell.kind, &padded) } else { padded }
            );
        }
        end_line(out, &line);
        rest.iter().for_each(|more| end_line(out, more));
    }

    /// The rulebook as the pattern is told: a report, an arrow, and what is undone because of it.
    fn leads(&self, width: usize) -> String {
        let room = width.saturating_sub(ARROW.len()) / 2;
        let labels = label::folded(&self.rows, room.clamp(LEAST_LABEL_WIDTH, LEAD_WIDTH), " !");
        let left = labels.iter().flatten().map(|l| width_of(l)).max().unwrap_or(0);
        let mut out = String::new();
        for (row, label) in self.rows.iter().zip(&labels) {
            let mode = row.mode_word().map_or_else(String::new, |word| format!("({word}) "));
            let text = broken(
                &format!("{mode}{}", self.lead(row)),
                width.saturating_sub(left + 4).max(20),
            );
            for n in 0..label.len().max(text.len()) {
                let label = pad(label.get(n).map_or("", String::as_str), left);
                let arrow = if n == 0 { ARROW } else { "    " };
                end_line(&mut out, &format!("{label}{arrow}{}", text.get(n).map_or("", |t| t)));
            }
        }
        out
    }

    fn legend(&self, out: &mut String, width: usize) {
        if !self.folded.is_empty() {
            let names = self.folded[..self.folded.len().min(FOLDED_NAMES)].join(", ");
            let more = match self.folded.len().saturating_sub(FOLDED_NAMES) {
                0 => String::new(),
                more => format!(" and {more} more (--all-columns)"),
            };
            let text = format!("not shown, because no row reaches them: {names}{more}");
            let _ = writeln!(out, "\n{}", broken(&text, width).join("\n"));
        }
        out.push('\n');
        for (word, meaning) in self.legend_words() {
            let lines = broken(&meaning, width.saturating_sub(LEGEND_WIDTH));
            let indent = format!("\n{}", " ".repeat(LEGEND_WIDTH));
            end_line(out, &format!("{}{}", pad(&word, LEGEND_WIDTH), lines.join(&indent)));
        }
        if self.omitted > 0 {
            let _ = writeln!(
                out,
                "\n{} more rows are not shown; choose some with --only",
                self.omitted
            );
        }
        let marked = self.marked_findings();
        if !marked.is_empty() {
            out.push('\n');
        }
        for finding in marked {
            let text =
                format!("{}[{}]: {}", finding.severity.as_str(), finding.code, finding.message);
            let _ = writeln!(out, "!  {}", broken(&text, width.saturating_sub(3)).join("\n   "));
        }
    }

    /// The words that this table uses, and what they mean.
    pub(super) fn legend_words(&self) -> Vec<(String, String)> {
        let cells = || self.rows.iter().flat_map(|r| &r.cells);
        let mut all: Vec<(&str, &str)> = CellKind::ALL
            .into_iter()
            .filter(|kind| cells().any(|c| c.kind == *kind))
            .map(|kind| (kind.word(), kind.meaning()))
            .collect();
        if cells().any(|c| c.superfluous) {
            all.push(("*", "asked for, and cannot have happened by then"));
        }
        if cells().any(|c| c.stage.is_some()) {
            all.push(("1, 2 …", "its stage: later ones wait for earlier ones"));
        }
        all.extend(mode_meanings(&self.rows));
        all.into_iter().map(|(word, meaning)| (word.to_owned(), meaning.to_owned())).collect()
    }
}

impl Left {
    fn width(&self) -> usize {
        self.label_width + self.mode_width.map_or(0, |w| w + GAP)
    }

    fn line(&self, label: &str, mode: &str) -> String {
        let mode = self
            .mode_width
            .map_or(String::new(), |w| format!("{}{}", " ".repeat(GAP), pad(mode, w)));
        format!("{}{mode}", pad(label, self.label_width))
    }
}

/// Ranges of columns that fit beside the labels; at least one column each.
fn blocks(widths: &[usize], room: usize) -> Vec<Range<usize>> {
    let mut all = Vec::new();
    let (mut start, mut used) = (0, 0);
    for (n, width) in widths.iter().enumerate() {
        if n > start && used + width + GAP > room {
            all.push(start..n);
            (start, used) = (n, 0);
        }
        used += width + GAP;
    }
    all.push(start..widths.len());
    all
}

fn end_line(out: &mut String, line: &str) {
    out.push_str(line.trim_end());
    out.push('\n');
}

fn pad(text: &str, width: usize) -> String {
    format!("{text}{}", " ".repeat(width.saturating_sub(width_of(text))))
}

fn paint(kind: CellKind, text: &str) -> String {
    let code = match kind {
        CellKind::NotReached | CellKind::Own | CellKind::Called => "2",
        CellKind::Kept => "32",
        CellKind::Compensate | CellKind::CompensateIfRecorded => "33",
        CellKind::Retry => "36",
        CellKind::Notify | CellKind::NotifyIfRecorded => "35",
        CellKind::Missing => "1;31",
    };
    format!("\u{1b}[{code}m{text}\u{1b}[0m")
}
