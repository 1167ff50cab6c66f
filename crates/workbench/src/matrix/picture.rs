//! The matrix as an SVG picture, with its legend. What it looks like is said by classes alone.

use super::{CellKind, Matrix, Row, label};
use crate::drawing::{Annotate, Note, classes, linked, stylesheet_of_a_file, width_of};
use amends_protocol::wire::xml::escape;
use std::fmt::Write as _;

/// A letter's width and a line's height at the stylesheet's font size, in pixels.
const LETTER: usize = 7;
const LINE: usize = 16;
/// Above and below the text of a row, together.
const ROW_SPACE: usize = 10;
/// A label wider than this many letters goes on, on the next line.
const LABEL_WIDTH: usize = 44;
const HEAD: usize = 48;
const MARGIN: usize = 8;

/// Where columns and rows stand.
struct Layout {
    labels: Vec<Vec<String>>,
    row_notes: Vec<Note>,
    /// Left and width of the column of modes.
    modes: Option<(usize, usize)>,
    /// Left and width of each column.
    columns: Vec<(usize, usize)>,
    /// Top and height of each row.
    rows: Vec<(usize, usize)>,
    right: usize,
    bottom: usize,
}

impl Matrix {
    /// A picture to be put into a page that has [`crate::stylesheet`] or rules of its own. It holds no script, style element or
    /// attribute, or id; its classes are those of [`Matrix::to_html`], and `am-paper` (the background), `am-middle` (text
    /// that stands in the middle of its place) and `am-meaning` (the right side of the legend).
    #[must_use]
    pub fn to_svg(&self, notes: &dyn Annotate) -> String {
        self.svg(notes, "")
    }

    /// A picture of its own, with its stylesheet.
    #[must_use]
    pub fn to_svg_file(&self) -> String {
        self.svg(&(), &format!("<style>\n{}</style>\n", stylesheet_of_a_file()))
    }

    fn svg(&self, notes: &dyn Annotate, style: &str) -> String {
        let layout = self.layout(notes);
        let legend = self.legend_words();
        let meanings = legend.iter().map(|(_, m)| MARGIN + 90 + width_of(m) * LETTER).max();
        let width = layout.right.max(meanings.unwrap_or(0)) + MARGIN;
        let height = layout.bottom + 16 + legend.len() * 22 + MARGIN;
        let mut out = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"am-matrix\" width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\" role=\"img\" aria-label=\"{} at a glance\">\n{style}<rect class=\"am-paper\" width=\"{width}\" height=\"{height}\"/>\n",
            escape(&self.name)
        );
        self.heads_svg(&mut out, &layout, notes);
        for (n, row) in self.rows.iter().enumerate() {
            self.row_svg(&mut out, &layout, n, row, notes);
        }
        legend_svg(&mut out, &legend, layout.bottom + 16);
        out.push_str("</svg>\n");
        out
    }

    fn layout(&self, notes: &dyn Annotate) -> Layout {
        let labels = label::folded(&self.rows, LABEL_WIDTH, " ⚠");
        let row_notes: Vec<Note> = self.rows.iter().map(|r| notes.row(r)).collect();
        let label_widths = labels.iter().flatten().map(|l| width_of(l));
        let longest = label_widths.chain(row_notes.iter().map(note_width)).max().unwrap_or(0);
        let mut x = MARGIN + longest.max(6) * LETTER + 16;
        let modes = self.has_modes().then(|| {
            let words = self.rows.iter().filter_map(Row::mode_word).map(|w| width_of(&w));
            let width = words.max().unwrap_or(0).max(4) * LETTER + 16;
            x += width;
            (x - width, width)
        });
        let columns = (0..self.columns.len())
            .map(|n| {
                let (service, action) = &self.heads[n];
                let cells = self.rows.iter().map(|r| {
                    let note = notes.cell(r, self.columns[n]);
                    width_of(&r.cells[n].text()).max(note_width(&note))
                });
                let head = note_width(&notes.column(self.columns[n]));
                let widest = cells.chain([width_of(service), width_of(action), head]).max();
                let width = widest.unwrap_or(0) * LETTER + 18;
                x += width;
                (x - width, width)
            })
            .collect();
        let mut y =
            HEAD + self.columns.iter().any(|c| notes.column(*c).text.is_some()) as usize * LINE;
        let rows = (0..self.rows.len())
            .map(|n| {
                let row = &self.rows[n];
                let of_label = labels[n].len() + usize::from(row_notes[n].text.is_some());
                let noted = self.columns.iter().any(|c| notes.cell(row, *c).text.is_some());
                let height = of_label.max(1 + usize::from(noted)) * LINE + ROW_SPACE;
                y += height;
                (y - height, height)
            })
            .collect();
        Layout { labels, row_notes, modes, columns, rows, right: x, bottom: y }
    }

    fn heads_svg(&self, out: &mut String, layout: &Layout, notes: &dyn Annotate) {
        if let Some((x, _)) = layout.modes {
            let _ = writeln!(out, "<text class=\"am-service\" x=\"{x}\" y=\"37\">mode</text>");
        }
        for (n, (service, action)) in self.heads.iter().enumerate() {
            let (x, w) = layout.columns[n];
            let middle = x + w / 2;
            let note = notes.column(self.columns[n]);
            let name = format!(
                "<text class=\"am-service am-middle\" x=\"{middle}\" y=\"20\">{}</text><text class=\"{}\" x=\"{middle}\" y=\"37\">{}</text>",
                escape(service),
                classes(&["am-action", "am-middle"], &note),
                escape(action)
            );
            let _ = writeln!(
                out,
                "{}{}",
                linked(&name, &note),
                note_svg(&note, "am-middle", middle, 53)
            );
        }
    }

    fn row_svg(
        &self,
        out: &mut String,
        layout: &Layout,
        n: usize,
        row: &Row,
        notes: &dyn Annotate,
    ) {
        let (top, height) = layout.rows[n];
        let note = &layout.row_notes[n];
        let _ = writeln!(out, "<g class=\"{}\">", row.classes());
        let mut y = top + LINE + 1;
        let mut lines = String::new();
        for line in &layout.labels[n] {
            let text = line.trim_start();
            let _ = write!(
                lines,
                "<text class=\"{}\" x=\"{}\" y=\"{y}\">{}</text>",
                classes(&["am-label"], note),
                MARGIN + (line.len() - text.len()) * LETTER,
                escape(text)
            );
            y += LINE;
        }
        let _ = writeln!(out, "{}{}", linked(&lines, note), note_svg(note, "", MARGIN, y));
        if let (Some((x, _)), Some(word)) = (layout.modes, row.mode_word()) {
            let _ = writeln!(
                out,
                "<text class=\"am-mode\" x=\"{x}\" y=\"{}\">{}</text>",
                top + LINE + 1,
                escape(&word)
            );
        }
        for (column, cell) in row.cells.iter().enumerate() {
            let (x, w) = layout.columns[column];
            let note = notes.cell(row, self.columns[column]);
            let kind = cell.kind.class();
            let superfluous = if cell.superfluous { "am-superfluous" } else { "" };
            let middle = x + w / 2;
            let drawn = format!(
                "<rect class=\"{}\" x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" rx=\"3\"/><text class=\"{kind} am-middle\" x=\"{middle}\" y=\"{}\">{}</text>{}",
                classes(&["am-cell", kind, superfluous], &note),
                x + 1,
                top + 1,
                w - 2,
                height - 2,
                top + LINE + 1,
                escape(&cell.text()),
                note_svg(&note, &format!("{kind} am-middle"), middle, top + 2 * LINE + 1)
            );
            let _ = writeln!(out, "{}", linked(&drawn, &note));
        }
        out.push_str("</g>\n");
    }
}

fn legend_svg(out: &mut String, legend: &[(String, String)], top: usize) {
    for (n, (word, meaning)) in legend.iter().enumerate() {
        let y = top + n * 22;
        let kind = CellKind::ALL.into_iter().find(|k| k.word() == word).map(CellKind::class);
        if let Some(kind) = kind {
            let _ = write!(
                out,
                "<rect class=\"{kind}\" x=\"{MARGIN}\" y=\"{y}\" width=\"76\" height=\"20\" rx=\"3\"/>"
            );
        }
        let _ = writeln!(
            out,
            "<text class=\"{}\" x=\"{}\" y=\"{}\">{}</text><text class=\"am-meaning\" x=\"{}\" y=\"{}\">{}</text>",
            kind.map_or("am-middle".to_owned(), |k| format!("{k} am-middle")),
            MARGIN + 38,
            y + 14,
            escape(word),
            MARGIN + 90,
            y + 14,
            escape(meaning)
        );
    }
}

fn note_width(note: &Note) -> usize {
    note.text.as_deref().map_or(0, width_of)
}

fn note_svg(note: &Note, class: &str, x: usize, y: usize) -> String {
    let Some(text) = &note.text else { return String::new() };
    let class = classes(&["am-note", class], &Note::default());
    format!("<text class=\"{class}\" x=\"{x}\" y=\"{y}\">{}</text>", escape(text))
}
