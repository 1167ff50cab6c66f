//! The matrix in a terminal: as many columns side by side as fit, the others in a table below it.

use super::{CellKind, Matrix, Row};
use std::fmt::Write as _;

/// A label longer than this is cut.
const LABEL_CHARS: usize = 26;
/// Between columns.
const GAP: usize = 2;

impl Matrix {
    /// Folded to `width` characters, with ANSI colours or without.
    #[must_use]
    pub fn to_text(&self, width: usize, color: bool) -> String {
        let labels: Vec<String> = self.rows.iter().map(label).collect();
        let label_width = labels.iter().map(|l| l.chars().count()).max().unwrap_or(0).max(6);
        let widths: Vec<usize> = (0..self.columns.len()).map(|n| self.column_width(n)).collect();
        let mut out = String::new();
        for block in blocks(&widths, width.saturating_sub(label_width)) {
            if !out.is_empty() {
                out.push('\n');
            }
            self.head(&mut out, label_width, &widths, block.clone());
            for (row, label) in self.rows.iter().zip(&labels) {
                let mut line = pad(label, label_width);
                for n in block.clone() {
                    let text = row.cells[n].text();
                    let padded = pad(&text, widths[n]);
                    let _ = write!(
                        line,
                        "{}{}",
                        " ".repeat(GAP),
                        if color { paint(row.cells[n].kind, &padded) } else { padded }
                    );
                }
                out += line.trim_end();
                out.push('\n');
            }
        }
        self.legend(&mut out, width);
        out
    }

    fn column_width(&self, n: usize) -> usize {
        let (service, action) = &self.heads[n];
        let cells = self.rows.iter().map(|r| r.cells[n].text().chars().count());
        cells.chain([service.chars().count(), action.chars().count()]).max().unwrap_or(0)
    }

    fn head(
        &self,
        out: &mut String,
        label_width: usize,
        widths: &[usize],
        block: std::ops::Range<usize>,
    ) {
        for (first, of) in [("REPORT", 0), ("", 1)] {
            let mut line = pad(first, label_width);
            for n in block.clone() {
                let (service, action) = &self.heads[n];
                let _ = write!(
                    line,
                    "{}{}",
                    " ".repeat(GAP),
                    pad(if of == 0 { service } else { action }, widths[n])
                );
            }
            out.push_str(line.trim_end());
            out.push('\n');
        }
    }

    fn legend(&self, out: &mut String, width: usize) {
        out.push('\n');
        for kind in CellKind::ALL {
            if self.rows.iter().any(|r| r.cells.iter().any(|c| c.kind == kind)) {
                let _ = writeln!(out, "{}  {}", pad(kind.word(), 8), kind.meaning());
            }
        }
        let cells = || self.rows.iter().flat_map(|r| &r.cells);
        if cells().any(|c| c.superfluous) {
            let _ = writeln!(out, "{}  asked for, and cannot have happened by then", pad("*", 8));
        }
        if cells().any(|c| c.stage.is_some()) {
            let _ =
                writeln!(out, "{}  its stage: later ones wait for earlier ones", pad("1, 2 …", 8));
        }
        if self.omitted > 0 {
            let _ = writeln!(out, "\n{} more rows are not shown", self.omitted);
        }
        let mut marked: Vec<usize> =
            self.rows.iter().flat_map(|r| r.findings.iter().copied()).collect();
        marked.sort_unstable();
        marked.dedup();
        if !marked.is_empty() {
            out.push('\n');
        }
        for n in marked {
            let finding = &self.findings[n];
            let text =
                format!("{}[{}]: {}", finding.severity.as_str(), finding.code, finding.message);
            let _ = writeln!(out, "!  {}", wrapped(&text, width.saturating_sub(3)).join("\n   "));
        }
    }
}

fn label(row: &Row) -> String {
    let mark = if row.findings.is_empty() && row.rule.is_some() { "" } else { " !" };
    let room = LABEL_CHARS - mark.len();
    let cut = match row.label.strip_suffix(", given up") {
        Some(of) if row.label.chars().count() > room => {
            format!("{}…, given up", of.chars().take(room.saturating_sub(11)).collect::<String>())
        }
        _ if row.label.chars().count() > room => {
            row.label.chars().take(room - 1).collect::<String>() + "…"
        }
        _ => row.label.clone(),
    };
    cut + mark
}

/// Ranges of columns that fit beside the labels; at least one column each.
fn blocks(widths: &[usize], room: usize) -> Vec<std::ops::Range<usize>> {
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

/// Lines of at most `width` characters, broken at spaces; a longer word stands alone.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let line = lines.last_mut().map_or(0, |l| l.chars().count());
        match lines.last_mut() {
            Some(last) if line == 0 || line + 1 + word.chars().count() <= width => {
                if line > 0 {
                    last.push(' ');
                }
                last.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

fn pad(text: &str, width: usize) -> String {
    let missing = width.saturating_sub(text.chars().count());
    format!("{text}{}", " ".repeat(missing))
}

fn paint(kind: CellKind, text: &str) -> String {
    let code = match kind {
        CellKind::NotReached | CellKind::Own => "2",
        CellKind::Kept => "32",
        CellKind::Compensate | CellKind::CompensateIfRecorded => "33",
        CellKind::Retry => "36",
        CellKind::Notify | CellKind::NotifyIfRecorded => "35",
        CellKind::Missing => "1;31",
    };
    format!("\u{1b}[{code}m{text}\u{1b}[0m")
}
