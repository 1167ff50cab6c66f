//! The chart as a picture: one column per depth, callers left of what they call. Small and plain; no crossing-free layout.
//! What it looks like is said by classes alone.

use super::{Chart, ChartCall, ChartNode};
use crate::CellKind;
use crate::drawing::{Annotate, Note, classes, linked, stylesheet_of_a_file, width_of};
use amends_protocol::wire::xml::escape;
use std::fmt::Write as _;

/// A letter's width at the stylesheet's font size, in pixels.
const LETTER: usize = 7;
const BOLD: usize = 8;
const NODE_HEIGHT: usize = 46;
/// What a caller's note adds to every node.
const NOTE_HEIGHT: usize = 17;
const ROW_GAP: usize = 18;
const COLUMN_GAP: usize = 60;
const MARGIN: usize = 16;
const TITLE: usize = 28;

struct Layout {
    /// Left, top and width of each node.
    boxes: Vec<(usize, usize, usize)>,
    notes: Vec<Note>,
    height: usize,
}

impl Chart {
    /// A picture to be put into a page that has [`crate::stylesheet`] or rules of its own. It holds no script, style element or
    /// attribute, or id; its classes are:
    ///
    /// - `am-graph` on the picture, `am-paper` on its background, `am-title` on its title
    /// - `am-call` on a line from caller to callee, with `am-optional`; `am-head` on its arrow head; `am-about` on
    ///   what is said of the call
    /// - `am-node` on each action, with [`CellKind::class`] in a picture of one report, and the classes of its note;
    ///   within, `am-box`, `am-name`, `am-about` (how it is undone) and `am-note` (what `notes` adds)
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
        let right = layout.boxes.iter().map(|(x, _, w)| x + w).max().unwrap_or(0);
        let right = right.max(MARGIN + width_of(&self.title) * BOLD);
        let bottom = layout.boxes.iter().map(|(_, y, _)| y + layout.height).max();
        let (width, height) = (right + MARGIN, bottom.unwrap_or(TITLE) + MARGIN);
        let mut out = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"am-graph\" width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\" role=\"img\" aria-label=\"{0}\">\n{style}<rect class=\"am-paper\" width=\"{width}\" height=\"{height}\"/>\n<text class=\"am-title\" x=\"{MARGIN}\" y=\"20\">{0}</text>\n",
            escape(&self.title)
        );
        for ChartCall { from, to, optional, how } in &self.calls {
            let ((x1, y1, w1), (x2, y2, _)) = (layout.boxes[*from], layout.boxes[*to]);
            let (x1, y1, y2) = (x1 + w1, y1 + layout.height / 2, y2 + layout.height / 2);
            let middle = (x1 + x2) / 2;
            let optional = if *optional { "am-optional" } else { "" };
            // The line comes in from the left, so its arrow head always points to the right.
            let _ = writeln!(
                out,
                "<path class=\"{}\" d=\"M{x1} {y1}C{middle} {y1} {middle} {y2} {x2} {y2}\"/><path class=\"am-head\" d=\"M{x2} {y2}l-8 -4v8z\"/>",
                classes(&["am-call", optional], &Note::default())
            );
            if !how.is_empty() {
                // Beside the arrow head: lines of one caller part there.
                let (x, y) = (x2 - 12 - width_of(how) * LETTER, y2 - 4);
                let _ = writeln!(out, "<text class=\"am-about\" x=\"{x}\" y=\"{y}\">{how}</text>");
            }
        }
        for (n, node) in self.nodes.iter().enumerate() {
            let _ = writeln!(
                out,
                "{}",
                node_svg(node, layout.boxes[n], &layout.notes[n], layout.height)
            );
        }
        out.push_str("</svg>\n");
        out
    }

    fn layout(&self, notes: &dyn Annotate) -> Layout {
        let notes: Vec<Note> = self.nodes.iter().map(|n| notes.node(n)).collect();
        let columns = self.nodes.iter().map(|n| n.depth + 1).max().unwrap_or(0);
        let mut widths = vec![0usize; columns];
        let mut counts = vec![0usize; columns];
        for (node, note) in self.nodes.iter().zip(&notes) {
            let noted = note.text.as_deref().map_or(0, width_of);
            let wide =
                (width_of(&node.note).max(noted) * LETTER).max(width_of(&heading(node)) * BOLD);
            widths[node.depth] = widths[node.depth].max(wide + 20);
            counts[node.depth] += 1;
        }
        let noted = notes.iter().any(|n| n.text.is_some());
        let height = NODE_HEIGHT + if noted { NOTE_HEIGHT } else { 0 };
        let row = height + ROW_GAP;
        let tallest = counts.iter().copied().max().unwrap_or(0);
        let mut lefts = Vec::with_capacity(columns);
        let mut x = MARGIN;
        for width in &widths {
            lefts.push(x);
            x += width + COLUMN_GAP;
        }
        let mut next = vec![0usize; columns];
        let boxes = self
            .nodes
            .iter()
            .map(|node| {
                let d = node.depth;
                let first = (tallest - counts[d]) * row / 2;
                let y = TITLE + MARGIN + first + next[d] * row;
                next[d] += 1;
                (lefts[d], y, widths[d])
            })
            .collect();
        Layout { boxes, notes, height }
    }
}

/// The action's name, and what becomes of it.
fn heading(node: &ChartNode) -> String {
    let word = node.kind.filter(|k| *k != CellKind::NotReached).map(CellKind::word);
    word.map_or_else(|| node.name.clone(), |word| format!("{} · {word}", node.name))
}

fn node_svg(
    node: &ChartNode,
    (x, y, width): (usize, usize, usize),
    note: &Note,
    height: usize,
) -> String {
    let kind = node.kind.map_or("", CellKind::class);
    let text = |class: &str, line: usize, text: &str| {
        format!(
            "<text class=\"{}\" x=\"{}\" y=\"{}\">{}</text>",
            classes(&[class, kind], &Note::default()),
            x + 10,
            y + 2 + line * 17,
            escape(text)
        )
    };
    let mut inside = format!(
        "<rect class=\"{}\" x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\" rx=\"6\"/>{}{}",
        classes(&["am-box", kind], &Note::default()),
        text("am-name", 1, &heading(node)),
        text("am-about", 2, &node.note)
    );
    if let Some(more) = &note.text {
        inside += &text("am-note", 3, more);
    }
    let inside = linked(&inside, note);
    format!("<g class=\"{}\">{inside}</g>", classes(&["am-node", kind], note))
}
