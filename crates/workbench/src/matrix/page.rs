//! The matrix for documents: Markdown and HTML. No scripts, no style attributes, no fonts or images from elsewhere.

use super::{CellKind, Matrix, Row};
use crate::drawing::{Annotate, Note, classes, linked, stylesheet_of_a_file};
use amends_protocol::wire::xml::escape;
use amends_rulebook::Diagnostic;
use std::fmt::Write as _;

impl Matrix {
    /// A table of GitHub's Markdown.
    #[must_use]
    pub fn to_markdown(&self) -> String {
        let with_modes = self.has_modes();
        let mut out = String::from(if with_modes { "| report | mode |" } else { "| report |" });
        for (service, action) in &self.heads {
            let _ = write!(out, " {}<br>{} |", escape_markdown(service), escape_markdown(action));
        }
        out.push_str(if with_modes { "\n| --- | --- |" } else { "\n| --- |" });
        out.push_str(&" --- |".repeat(self.heads.len()));
        out.push('\n');
        for row in &self.rows {
            let mark = if row.is_marked() { " ⚠" } else { "" };
            let _ = write!(out, "| {}{mark} |", escape_markdown(&row.label));
            if with_modes {
                let _ = write!(out, " {} |", row.mode_word().unwrap_or_default());
            }
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

    /// The table alone, to be put into a page that has [`crate::stylesheet`] or rules of its own. It holds no script,
    /// style attribute or id; its classes are:
    ///
    /// - `am-matrix` on the table; `am-service` and `am-action` in the heads of columns
    /// - `am-row` on each row, with `am-given-up` (what follows a retry that was given up), `am-unanswered` (no rule), and
    ///   `am-mode-auto`, `am-mode-ask` or `am-mode-shadow`
    /// - `am-label` on a row's head, `am-mark` on its sign that something needs a look (the findings are its title),
    ///   `am-mode` on the cell that tells the mode (only if some rule isn't simply carried out)
    /// - `am-cell` on each cell, with [`CellKind::class`], and `am-superfluous`
    /// - `am-note` on what `notes` adds; a note's own classes stand on the head or cell that it is about
    #[must_use]
    pub fn to_html(&self, notes: &dyn Annotate) -> String {
        let with_modes = self.has_modes();
        let mut out = format!(
            "<table class=\"am-matrix\" aria-label=\"{} at a glance\">\n<thead><tr><th scope=\"col\" class=\"am-label\">report</th>",
            escape(&self.name)
        );
        if with_modes {
            out.push_str("<th scope=\"col\" class=\"am-mode\">mode</th>");
        }
        for (id, (service, action)) in self.columns.iter().zip(&self.heads) {
            let note = notes.column(*id);
            let name = format!(
                "<span class=\"am-service\">{}</span> <span class=\"am-action\">{}</span>",
                escape(service),
                escape(action)
            );
            let _ = write!(
                out,
                "<th scope=\"col\"{}>{}{}</th>",
                class_attribute(&note),
                linked(&name, &note),
                note_html(&note)
            );
        }
        out.push_str("</tr></thead>\n<tbody>\n");
        for row in &self.rows {
            self.row_html(&mut out, row, with_modes, notes);
        }
        out.push_str("</tbody>\n</table>\n");
        out
    }

    fn row_html(&self, out: &mut String, row: &Row, with_modes: bool, notes: &dyn Annotate) {
        let note = notes.row(row);
        let _ = write!(
            out,
            "<tr class=\"{}\"><th scope=\"row\" class=\"{}\">{}{}{}</th>",
            row.classes(),
            classes(&["am-label"], &note),
            linked(&escape(&row.label), &note),
            self.mark_html(row),
            note_html(&note)
        );
        if with_modes {
            let _ =
                write!(out, "<td class=\"am-mode\">{}</td>", row.mode_word().unwrap_or_default());
        }
        for (id, cell) in self.columns.iter().zip(&row.cells) {
            let note = notes.cell(row, *id);
            let superfluous = if cell.superfluous { "am-superfluous" } else { "" };
            let _ = write!(
                out,
                "<td class=\"{}\" title=\"{}\">{}{}</td>",
                classes(&["am-cell", cell.kind.class(), superfluous], &note),
                escape(cell.kind.meaning()),
                linked(&escape(&cell.text()), &note),
                note_html(&note)
            );
        }
        out.push_str("</tr>\n");
    }

    fn mark_html(&self, row: &Row) -> String {
        if !row.is_marked() {
            return String::new();
        }
        let mut titles: Vec<_> =
            row.findings.iter().map(|n| self.findings[*n].message.as_str()).collect();
        if titles.is_empty() {
            titles.push("answered by no rule");
        }
        format!(" <span class=\"am-mark\" title=\"{}\">⚠</span>", escape(&titles.join("; ")))
    }

    /// What the words of the table mean, as a list of class `am-legend`; the words of cells have their kind's class.
    #[must_use]
    pub fn legend_html(&self) -> String {
        let mut out = String::from("<dl class=\"am-legend\">\n");
        for (word, meaning) in self.legend_words() {
            let kind = CellKind::ALL.into_iter().find(|k| k.word() == word);
            let _ = writeln!(
                out,
                "<dt{}>{}</dt><dd>{}</dd>",
                kind.map_or(String::new(), |k| format!(" class=\"{}\"", k.class())),
                escape(&word),
                escape(&meaning)
            );
        }
        out.push_str("</dl>\n");
        out
    }

    /// What is found about the rows, as a list of class `am-findings` whose items have the class `am-finding-error`,
    /// `am-finding-warning` or `am-finding-note`; empty if there is nothing.
    #[must_use]
    pub fn findings_html(&self) -> String {
        let marked = self.marked_findings();
        if marked.is_empty() {
            return String::new();
        }
        let mut out = String::from("<ul class=\"am-findings\">\n");
        for finding in marked {
            let (severity, code) = (finding.severity.as_str(), finding.code);
            let message = escape(&finding.message);
            let _ = writeln!(
                out,
                "<li class=\"am-finding-{severity}\">{severity}[{code}]: {message}</li>"
            );
        }
        out.push_str("</ul>\n");
        out
    }

    /// A page of its own, with its stylesheet.
    #[must_use]
    pub fn to_html_page(&self) -> String {
        let omitted = if self.omitted == 0 {
            String::new()
        } else {
            format!("<p>{} more rows are not shown</p>\n", self.omitted)
        };
        format!(
            "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n<title>{0} at a glance</title>\n<style>\nbody {{ font: 15px/1.4 system-ui, sans-serif; margin: 2rem; color: #1c2330; background: #fff }}\n@media (prefers-color-scheme: dark) {{ body {{ color: #e6e9ef; background: #14171c }} }}\n{1}</style>\n<h1>{0}</h1>\n{2}{omitted}{3}{4}</html>\n",
            escape(&self.name),
            stylesheet_of_a_file(),
            self.to_html(&()),
            self.findings_html(),
            self.legend_html()
        )
    }

    /// Whether some row has something to say in the column of modes.
    pub(super) fn has_modes(&self) -> bool {
        self.rows.iter().any(|r| r.mode_word().is_some())
    }

    /// Findings about any of the rows, each once.
    pub(super) fn marked_findings(&self) -> Vec<&Diagnostic> {
        let mut marked: Vec<usize> =
            self.rows.iter().flat_map(|r| r.findings.iter().copied()).collect();
        marked.sort_unstable();
        marked.dedup();
        marked.into_iter().map(|n| &self.findings[n]).collect()
    }
}

impl Row {
    /// The classes of a row, in HTML and in SVG.
    pub(super) fn classes(&self) -> String {
        let mut all = format!("am-row am-mode-{}", self.mode.as_str());
        if self.given_up {
            all += " am-given-up";
        }
        if self.rule.is_none() {
            all += " am-unanswered";
        }
        all
    }
}

fn class_attribute(note: &Note) -> String {
    note.class.as_deref().map_or(String::new(), |c| format!(" class=\"{}\"", escape(c)))
}

fn note_html(note: &Note) -> String {
    let text = note.text.as_deref();
    text.map_or(String::new(), |t| format!(" <span class=\"am-note\">{}</span>", escape(t)))
}

fn escape_markdown(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '|' | '*' | '_' | '<' | '`' | '\\' | '[' => out.extend(['\\', c]),
            // Would end the row.
            '\n' | '\r' => out.push(' '),
            _ => out.push(c),
        }
    }
    out
}
