//! Texts over several lines, `|` and `>`. Knows how such a text is written so that it reads back the same; not where in
//! the file it stands.

use amends_rulebook::tree::{self, Kind};

/// A text over several lines as it will be written.
pub(super) struct Block {
    /// All that stands on the line of the key: the sign, the indentation if it must be said, and what ends the text.
    pub(super) head: String,
    /// Without their indentation.
    pub(super) lines: Vec<String>,
}

impl Block {
    /// `|` with the text's own lines. None for a text without any content: a block can hardly say that.
    pub(super) fn literal(text: &str) -> Option<Self> {
        let body = text.trim_end_matches('\n');
        (!body.is_empty()).then(|| {
            let lines = body.split('\n').map(str::to_owned).collect();
            Self::new('|', lines, text.len() - body.len())
        })
    }

    /// `>` with the lines as they are folded in the source, `indent` deep. None if they would then read as something else.
    pub(super) fn folded(written: &str, indent: usize, text: &str) -> Option<Self> {
        let mut lines: Vec<&str> = written.lines().collect();
        lines.truncate(lines.iter().rposition(|l| !l.trim().is_empty())? + 1);
        let lines = lines.iter().map(|l| l.get(indent..).unwrap_or("").to_owned()).collect();
        let ends = text.len() - text.trim_end_matches('\n').len();
        Self::new('>', lines, ends).if_it_says(text)
    }

    /// `>-` with the lines of a text without a sign. None if they would then read as something else.
    pub(super) fn from_plain(written: &str, text: &str) -> Option<Self> {
        let lines = written.lines().map(|l| l.trim().to_owned()).collect();
        Self::new('>', lines, 0).if_it_says(text)
    }

    fn new(sign: char, mut lines: Vec<String>, ends: usize) -> Self {
        let chomp = match ends {
            0 => "-",
            1 => "",
            _ => "+",
        };
        // A first line that begins with a space needs its indentation said.
        let indented = lines.iter().find(|l| !l.is_empty()).is_some_and(|l| l.starts_with(' '));
        let says = if indented { super::layout::INDENT.to_string() } else { String::new() };
        lines.extend(std::iter::repeat_n(String::new(), ends.saturating_sub(1)));
        Self { head: format!("{sign}{says}{chomp}"), lines }
    }

    fn if_it_says(self, text: &str) -> Option<Self> {
        let alone =
            format!("a: {}\n{}\n", self.head, self.indented(super::layout::INDENT).join("\n"));
        let root = tree::parse(&alone).ok()?.0?;
        let Kind::Map(entries) = root.kind else {
            return None;
        };
        let read = &entries.first()?.value.kind;
        matches!(read, Kind::Scalar { text: read, .. } if read == text).then_some(self)
    }

    pub(super) fn indented(&self, indent: usize) -> Vec<String> {
        let line = |l: &String| match l.as_str() {
            "" => String::new(),
            _ => " ".repeat(indent) + l,
        };
        self.lines.iter().map(line).collect()
    }
}
