//! The matrix for documents: Markdown, HTML and SVG. No scripts, no fonts or images from elsewhere.

use super::{CellKind, Matrix};
use std::fmt::Write as _;

impl Matrix {
    /// A table of GitHub's Markdown.
    #[must_use]
    pub fn to_markdown(&self) -> String {
        let mut out = String::from("| report |");
        for (service, action) in &self.heads {
            let _ = write!(out, " {}<br>{} |", escape_markdown(service), escape_markdown(action));
        }
        out.push_str("\n| --- |");
        out.push_str(&" --- |".repeat(self.heads.len()));
        out.push('\n');
        for row in &self.rows {
            let mark = if row.findings.is_empty() && row.rule.is_some() { "" } else { " ⚠" };
            let _ = write!(out, "| {}{mark} |", escape_markdown(&row.label));
            for cell in &row.cells {
                let text = escape_markdown(&cell.text());
                let _ = if cell.kind == CellKind::Missing {
                    write!(out, " **{text}** |")
                } else {
                    write!(out, " {text} |")
                };
            }
            out.push('\n');
        }
        out
    }

    /// A page of its own.
    #[must_use]
    pub fn to_html(&self) -> String {
        let mut out = format!(
            "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n<title>{} at a glance</title>\n<style>\n",
            escape(&self.name)
        );
        out.push_str("body { font: 15px/1.4 system-ui, sans-serif; margin: 2rem; color: #1c2330; background: #fff }\ntable { border-collapse: collapse }\nth, td { border: 1px solid #d5dae3; padding: .3rem .6rem; text-align: center }\nth[scope=row] { text-align: left; font-weight: 500 }\nthead th small { display: block; font-weight: 400; color: #5a6575 }\n");
        for kind in CellKind::ALL {
            let (fill, ink) = colors(kind);
            let _ = writeln!(out, ".{} {{ background: {fill}; color: {ink} }}", kind.as_str());
        }
        let _ = write!(
            out,
            "</style>\n<h1>{}</h1>\n<table>\n<thead><tr><th scope=\"col\">report</th>",
            escape(&self.name)
        );
        for (service, action) in &self.heads {
            let _ = write!(
                out,
                "<th scope=\"col\"><small>{}</small>{}</th>",
                escape(service),
                escape(action)
            );
        }
        out.push_str("</tr></thead>\n<tbody>\n");
        for row in &self.rows {
            let titles: Vec<_> =
                row.findings.iter().map(|n| self.findings[*n].message.as_str()).collect();
            let mark = if titles.is_empty() {
                String::new()
            } else {
                format!(" <span title=\"{}\">⚠</span>", escape(&titles.join("; ")))
            };
            let _ = write!(out, "<tr><th scope=\"row\">{}{mark}</th>", escape(&row.label));
            for cell in &row.cells {
                let _ = write!(
                    out,
                    "<td class=\"{}\" title=\"{}\">{}</td>",
                    cell.kind.as_str(),
                    escape(cell.kind.meaning()),
                    escape(&cell.text())
                );
            }
            out.push_str("</tr>\n");
        }
        out.push_str("</tbody>\n</table>\n</html>\n");
        out
    }

    /// A picture.
    #[must_use]
    pub fn to_svg(&self) -> String {
        let longest = self.rows.iter().map(|r| r.label.chars().count()).max().unwrap_or(6);
        let left = longest * 7 + 24;
        let widths: Vec<usize> = self
            .heads
            .iter()
            .enumerate()
            .map(|(n, (s, a))| {
                let cells = self.rows.iter().map(|r| r.cells[n].text().chars().count());
                cells.chain([s.chars().count(), a.chars().count()]).max().unwrap_or(0) * 7 + 18
            })
            .collect();
        let (top, line) = (48, 26);
        let (width, height) =
            (left + widths.iter().sum::<usize>() + 8, top + line * self.rows.len() + 8);
        let mut out = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\" font-family=\"system-ui, sans-serif\" font-size=\"12\" role=\"img\" aria-label=\"{} at a glance\">\n<rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n",
            escape(&self.name)
        );
        let mut x = left;
        for ((service, action), w) in self.heads.iter().zip(&widths) {
            let middle = x + w / 2;
            let _ = writeln!(
                out,
                "<text x=\"{middle}\" y=\"20\" text-anchor=\"middle\" fill=\"#5a6575\">{}</text><text x=\"{middle}\" y=\"37\" text-anchor=\"middle\" fill=\"#1c2330\" font-weight=\"600\">{}</text>",
                escape(service),
                escape(action)
            );
            x += w;
        }
        for (n, row) in self.rows.iter().enumerate() {
            let y = top + n * line;
            let mark = if row.findings.is_empty() && row.rule.is_some() { "" } else { " ⚠" };
            let _ = writeln!(
                out,
                "<text x=\"8\" y=\"{}\" fill=\"#1c2330\">{}{mark}</text>",
                y + 17,
                escape(&row.label)
            );
            let mut x = left;
            for (cell, w) in row.cells.iter().zip(&widths) {
                let (fill, ink) = colors(cell.kind);
                let _ = writeln!(
                    out,
                    "<rect x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" rx=\"3\" fill=\"{fill}\"/><text x=\"{}\" y=\"{}\" text-anchor=\"middle\" fill=\"{ink}\">{}</text>",
                    x + 1,
                    y + 1,
                    w - 2,
                    line - 2,
                    x + w / 2,
                    y + 17,
                    escape(&cell.text())
                );
                x += w;
            }
        }
        out.push_str("</svg>\n");
        out
    }
}

/// Fill and ink; each pair has a contrast of at least 4.5 to 1.
pub(crate) fn colors(kind: CellKind) -> (&'static str, &'static str) {
    match kind {
        CellKind::NotReached => ("#f6f7f9", "#5f6876"),
        CellKind::Own => ("#e7eaf0", "#333c4a"),
        CellKind::Kept => ("#dff3e4", "#14532d"),
        CellKind::Compensate => ("#ffe6b3", "#5c3a00"),
        CellKind::CompensateIfRecorded => ("#fff6e0", "#5c3a00"),
        CellKind::Retry => ("#d8ecff", "#0b3d66"),
        CellKind::Notify => ("#efe0ff", "#431a73"),
        CellKind::NotifyIfRecorded => ("#f8f1ff", "#431a73"),
        CellKind::Missing => ("#b3261e", "#ffffff"),
    }
}

/// For HTML and SVG, in text and in attributes.
pub(crate) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            _ => out.push(c),
        }
    }
    out
}

fn escape_markdown(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if matches!(c, '|' | '*' | '_' | '<' | '`' | '\\') {
            out.push('\\');
        }
        out.push(c);
    }
    out
}
