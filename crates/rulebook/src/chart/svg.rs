//! The chart as a picture: one column per depth, callers left of what they call. Small and plain; no crossing-free layout.

use super::Chart;
use crate::matrix::{CellKind, colors, escape};
use std::fmt::Write as _;

const NODE_HEIGHT: usize = 46;
const ROW: usize = 64;
const COLUMN_GAP: usize = 60;
const MARGIN: usize = 16;
const TITLE: usize = 28;

/// Left, top and width of a node.
type Box2 = (usize, usize, usize);

impl Chart {
    /// A picture of its own.
    #[must_use]
    pub fn to_svg(&self) -> String {
        let boxes = self.layout();
        let right = boxes
            .iter()
            .map(|(x, _, w)| x + w)
            .max()
            .unwrap_or(0)
            .max(self.title.chars().count() * 8);
        let bottom = boxes.iter().map(|(_, y, _)| y + NODE_HEIGHT).max().unwrap_or(TITLE);
        let (width, height) = (right + MARGIN, bottom + MARGIN);
        let mut out = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\" font-family=\"system-ui, sans-serif\" font-size=\"12\" role=\"img\" aria-label=\"{0}\">\n<title>{0}</title>\n<defs><marker id=\"to\" viewBox=\"0 0 8 8\" refX=\"8\" refY=\"4\" markerWidth=\"8\" markerHeight=\"8\" orient=\"auto\"><path d=\"M0 0 8 4 0 8z\" fill=\"#5a6575\"/></marker></defs>\n<rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n<text x=\"{MARGIN}\" y=\"20\" font-weight=\"600\" fill=\"#1c2330\">{0}</text>\n",
            escape(&self.title)
        );
        for (from, to, optional) in &self.calls {
            let ((x1, y1, w1), (x2, y2, _)) = (boxes[*from], boxes[*to]);
            let (x1, y1, y2) = (x1 + w1, y1 + NODE_HEIGHT / 2, y2 + NODE_HEIGHT / 2);
            let middle = (x1 + x2) / 2;
            let dashed = if *optional { " stroke-dasharray=\"5 4\"" } else { "" };
            let _ = writeln!(
                out,
                "<path d=\"M{x1} {y1}C{middle} {y1} {middle} {y2} {x2} {y2}\" fill=\"none\" stroke=\"#5a6575\"{dashed} marker-end=\"url(#to)\"/>"
            );
        }
        for (node, (x, y, w)) in self.nodes.iter().zip(&boxes) {
            let (fill, ink) = node.kind.map_or(("#ffffff", "#1c2330"), colors);
            let word = node
                .kind
                .filter(|k| *k != CellKind::NotReached)
                .map_or(String::new(), |k| format!(" · {}", k.word()));
            let _ = writeln!(
                out,
                "<rect x=\"{x}\" y=\"{y}\" width=\"{w}\" height=\"{NODE_HEIGHT}\" rx=\"6\" fill=\"{fill}\" stroke=\"#8b95a5\"/><text x=\"{}\" y=\"{}\" fill=\"{ink}\" font-weight=\"600\">{}{word}</text><text x=\"{}\" y=\"{}\" fill=\"{ink}\">{}</text>",
                x + 10,
                y + 19,
                escape(&node.name),
                x + 10,
                y + 36,
                escape(&node.note)
            );
        }
        out.push_str("</svg>\n");
        out
    }

    fn layout(&self) -> Vec<Box2> {
        let columns = self.nodes.iter().map(|n| n.depth + 1).max().unwrap_or(0);
        let mut widths = vec![0usize; columns];
        let mut counts = vec![0usize; columns];
        for node in &self.nodes {
            let chars = (node.name.chars().count() + 11).max(node.note.chars().count());
            widths[node.depth] = widths[node.depth].max(chars * 7 + 20);
            counts[node.depth] += 1;
        }
        let tallest = counts.iter().copied().max().unwrap_or(0);
        let mut lefts = Vec::with_capacity(columns);
        let mut x = MARGIN;
        for width in &widths {
            lefts.push(x);
            x += width + COLUMN_GAP;
        }
        let mut next = vec![0usize; columns];
        self.nodes
            .iter()
            .map(|node| {
                let d = node.depth;
                let first = (tallest - counts[d]) * ROW / 2;
                let y = TITLE + MARGIN + first + next[d] * ROW;
                next[d] += 1;
                (lefts[d], y, widths[d])
            })
            .collect()
    }
}
