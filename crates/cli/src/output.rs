//! Data on standard output, everything else on standard error. A reader that goes away early is no error. Everything
//! passes one of a few functions here, and none of it steers the terminal but what this program itself means to.

use crate::failure::Outcome as Done;
use crate::sealed::{Lines, for_people, for_programs, seal};
use amends_api::csv;
use amends_api::signs::{Signed, Tone};
use amends_api::{CaseState, StepStateName};
use amends_protocol::Outcome;
use amends_rulebook::{Diagnostic, SourceFile, render, render_within};
use comfy_table::{Attribute, Cell, Color, ContentArrangement, Table, presets};
use serde::Serialize;
use std::io::{self, IsTerminal, Write};

/// What a terminal has that doesn't say how wide it is.
const USUAL_COLUMNS: usize = 80;

/// Writes one line of data.
pub fn line(text: &str) -> Done {
    write(&(for_people(text) + "\n"))
}

/// Writes text that ends its own lines.
pub fn text(text: &str) -> Done {
    write(&for_people(text))
}

/// Writes one JSON value, readable.
pub fn json<T: Serialize>(value: &T) -> Done {
    json_text(&serde_json::to_string_pretty(value).map_err(anyhow::Error::from)?)
}

/// Writes one JSON value on one line.
pub fn json_line<T: Serialize>(value: &T) -> Done {
    json_text(&serde_json::to_string(value).map_err(anyhow::Error::from)?)
}

/// Writes text that is JSON already, or YAML with all its texts as JSON has them.
pub fn json_text(json: &str) -> Done {
    write(&(for_programs(json) + "\n"))
}

/// Writes rows as CSV.
pub fn rows(rows: &[Vec<String>]) -> Done {
    let row = |cells: &Vec<String>| csv::row(cells.iter().map(|cell| for_people(cell)));
    write(&rows.iter().map(row).collect::<String>())
}

/// Writes lines of an export as they were sent, but for what would steer a terminal: a supervisor leaves nothing of it.
pub fn exported(lines: &str) -> Done {
    let lines = lines.split_inclusive('\n').map(|line| match line.strip_suffix("\r\n") {
        Some(row) => as_people_see_it(&seal(row, Lines::One)) + "\r\n",
        None => for_people(&seal(line, Lines::Many)),
    });
    write(&lines.collect::<String>())
}

/// Tells the person something; programs don't read it.
pub fn tell(text: &str) {
    // Nobody is left to tell when this fails.
    let _ = writeln!(io::stderr().lock(), "{}", for_people(text));
}

/// One line as people see it, for what is written by others than us.
pub fn as_people_see_it(text: &str) -> String {
    for_people(text).replace('\n', " ")
}

/// Asks the person something, or shows how far it is, without ending the line.
pub fn prompt(text: &str) -> Done {
    let mut err = io::stderr().lock();
    err.write_all(for_people(text).as_bytes())?;
    Ok(err.flush()?)
}

/// Writes over the line that standard error shows; only for terminals.
pub fn overwrite(text: &str) -> Done {
    let mut err = io::stderr().lock();
    // ANSI: back to the line's first place, erase it.
    write!(err, "\r\x1b[K{}", for_people(text))?;
    Ok(err.flush()?)
}

/// Steers the terminal, as this program means it: `sequence` is never somebody else's text.
pub fn steer(sequence: &'static str) -> Done {
    write(sequence)
}

/// Fills the terminal's screen with lines; nothing flickers.
pub fn screen(lines: &[String]) -> Done {
    // Each line is cleared to its end and the rest of the screen below.
    let text: Vec<String> =
        lines.iter().map(|line| for_people(line).replace('\n', " ") + "\x1b[K").collect();
    write(&format!("\x1b[H{}\x1b[J", text.join("\r\n")))
}

fn write(text: &str) -> Done {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    Ok(out.flush()?)
}

/// Clears the screen, if standard output is one.
pub fn clear_screen() -> Done {
    // ANSI: erase the display, cursor to its first place. What was scrolled away stays.
    if io::stdout().is_terminal() { steer("\x1b[2J\x1b[H") } else { Ok(()) }
}

/// Whether text on standard output may be coloured: it is a terminal and `NO_COLOR` is not set.
pub fn color_on_stdout() -> bool {
    io::stdout().is_terminal() && no_color_is_unset()
}

/// Whether text on standard error may be coloured.
pub fn color_on_stderr() -> bool {
    io::stderr().is_terminal() && no_color_is_unset()
}

/// Mistakes as a person reads them on standard error: folded where that is a terminal, or where `COLUMNS` says how
/// wide to write; whoever reads from a pipe gets each message in one line.
pub fn drawn(mistakes: &[Diagnostic], sources: &[SourceFile]) -> String {
    let color = color_on_stderr();
    match columns_of_stderr() {
        Some(width) => render_within(mistakes, sources, color, width),
        None => render(mistakes, sources, color),
    }
}

fn columns_of_stderr() -> Option<usize> {
    let set = std::env::var("COLUMNS").ok().and_then(|text| text.parse().ok());
    let own = || {
        let size = io::stderr().is_terminal().then(crossterm::terminal::size)?;
        Some(size.map_or(USUAL_COLUMNS, |(columns, _)| columns.into()))
    };
    set.or_else(own).filter(|columns| *columns > 0)
}

// https://no-color.org: set and not empty means no colour, whatever its value.
fn no_color_is_unset() -> bool {
    std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty())
}

/// A word of at least this width, in a colour if there is one.
pub fn painted(word: &str, width: usize, color: Option<Color>) -> String {
    let code = match color {
        Some(Color::Green) => "32",
        Some(Color::Red) => "31",
        Some(Color::Yellow) => "33",
        _ => return format!("{word:width$}"),
    };
    format!("\x1b[{code}m{word:width$}\x1b[0m")
}

/// A table without frames: easy to read, easy to cut with other tools. Only a terminal wraps its cells.
pub struct Grid {
    table: Table,
    color: bool,
}

impl Grid {
    /// A table with these column heads.
    pub fn new(heads: &[&str]) -> Self {
        let color = color_on_stdout();
        let mut table = Table::new();
        table.load_preset(presets::NOTHING);
        table.set_content_arrangement(if io::stdout().is_terminal() {
            ContentArrangement::Dynamic
        } else {
            ContentArrangement::Disabled
        });
        let head = |h: &&str| {
            let cell = Cell::new(h.to_uppercase());
            if color { cell.add_attribute(Attribute::Bold) } else { cell }
        };
        table.set_header(heads.iter().map(head).collect::<Vec<_>>());
        Self { table, color }
    }

    /// Adds a row. A cell that is one of the product's words gets the word's colour.
    pub fn row(&mut self, cells: Vec<String>) {
        let color = self.color;
        self.table.add_row(cells.into_iter().map(|text| {
            let paint = if color { word_color(&text) } else { None };
            let cell = Cell::new(text);
            match paint {
                Some(paint) => cell.fg(paint),
                None => cell,
            }
        }));
    }

    /// The whole table, each line without blanks at either end.
    pub fn render(&self) -> String {
        let lines: Vec<_> = self
            .table
            .lines()
            .map(|l| l.trim_end().strip_prefix(' ').unwrap_or(&l).trim_end().to_owned())
            .collect();
        lines.join("\n")
    }

    /// Writes the table as data.
    pub fn print(&self) -> Done {
        line(&self.render())
    }
}

/// The colour of a word of the closed lists, as the one table of signs has it.
fn word_color(text: &str) -> Option<Color> {
    let word = text.split([' ', ':']).next().unwrap_or(text);
    let state = || word.parse::<CaseState>().ok().map(Signed::sign);
    let step = || word.parse::<StepStateName>().ok().map(Signed::sign);
    let outcome = || word.parse::<Outcome>().ok().map(Signed::sign);
    match word {
        "error" => return Some(Color::Red),
        "warning" => return Some(Color::Yellow),
        _ => {}
    }
    match state().or_else(step).or_else(outcome)?.tone {
        Tone::Good => Some(Color::Green),
        Tone::Bad => Some(Color::Red),
        Tone::Waiting => Some(Color::Yellow),
        Tone::Going => Some(Color::Cyan),
        Tone::Decided => Some(Color::Magenta),
        Tone::Quiet => None,
    }
}

#[cfg(test)]
mod tests {
    use super::Grid;

    #[test]
    fn a_table_has_heads_and_aligned_columns_and_no_frame() {
        let mut grid = Grid::new(&["case", "state"]);
        grid.row(vec!["c-1".into(), "open".into()]);
        grid.row(vec!["c-1000".into(), "settled".into()]);
        assert_eq!(grid.render(), "CASE    STATE\nc-1     open\nc-1000  settled");
    }
}
