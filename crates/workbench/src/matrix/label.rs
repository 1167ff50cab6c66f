//! Labels of rows: whole in documents, on several lines where there is little room, and never the same for two rows.

use super::Row;
use crate::drawing::{broken, width_of};
use amends_rulebook::Rulebook;
use std::collections::BTreeMap;

/// Lines of one label; conditions with long lists are cut in their middle.
const LINES_LIMIT: usize = 4;
/// Before every line but the first.
const INDENT: usize = 2;

/// Rows of one report that differ only in the rule's pattern name it, and rows that still look the same are counted.
pub(super) fn tell_apart(book: &Rulebook, rows: &mut [Row]) {
    for row in repeated(rows) {
        if let Some(rule) = rows[row].rule {
            let by = format!(" by {}", book.rule(rule).on);
            rows[row].label += &by;
        }
    }
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    for row in rows {
        let times = seen.entry(row.label.clone()).or_default();
        *times += 1;
        if *times > 1 {
            row.label += &format!(" ({times})");
        }
    }
}

/// Positions of rows whose label another row has too.
fn repeated(rows: &[Row]) -> Vec<usize> {
    let mut by_label: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (n, row) in rows.iter().enumerate() {
        by_label.entry(&row.label).or_default().push(n);
    }
    by_label.into_values().filter(|all| all.len() > 1).flatten().collect()
}

/// The labels, each as lines of at most `width` places, with `mark` behind those that need a look. A long one is cut in
/// its middle, unless another would look the same.
pub(super) fn folded(rows: &[Row], width: usize, mark: &str) -> Vec<Vec<String>> {
    let whole: Vec<_> = rows.iter().map(|row| lines_of(row, width, mark)).collect();
    let cut: Vec<_> = whole.iter().map(|lines| without_middle(lines)).collect();
    let mut times: BTreeMap<&[String], usize> = BTreeMap::new();
    for lines in &cut {
        *times.entry(lines).or_default() += 1;
    }
    let alone = |lines: &[String]| times.get(lines) == Some(&1);
    let shown = whole.into_iter().zip(&cut);
    shown.map(|(whole, cut)| if alone(cut) { cut.clone() } else { whole }).collect()
}

fn lines_of(row: &Row, width: usize, mark: &str) -> Vec<String> {
    let text = format!("{}{}", row.label, if row.is_marked() { mark } else { "" });
    if width_of(&text) <= width {
        return vec![text];
    }
    let mut lines = broken(&text, width - INDENT);
    lines.iter_mut().skip(1).for_each(|line| line.insert_str(0, &" ".repeat(INDENT)));
    lines
}

fn without_middle(lines: &[String]) -> Vec<String> {
    match lines {
        [first @ .., last] if lines.len() > LINES_LIMIT => {
            let dots = format!("{}…", " ".repeat(INDENT));
            first[..LINES_LIMIT - 2].iter().cloned().chain([dots, last.clone()]).collect()
        }
        all => all.to_vec(),
    }
}
