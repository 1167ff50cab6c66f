//! Source files: their limits, and where in them a byte is.

use std::ops::Range;
use std::sync::Arc;

/// Longest source file, in bytes: room for 100,000 rules of ordinary length, and small enough to be read in a few
/// seconds at worst.
pub const FILE_LIMIT_BYTES: usize = 16 * 1024 * 1024;

/// All files of one rulebook together. A rulebook stays in memory with its text, one per version that has open cases.
pub(crate) const TOTAL_LIMIT_BYTES: usize = 64 * 1024 * 1024;

/// One manifest per service; a business domain with more services than this is several domains.
pub(crate) const IMPORT_LIMIT: usize = 1_000;

/// A file as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceFile {
    /// As shown to people. Of an import: the root's folder and the path as written.
    pub path: String,
    /// Its text.
    pub text: Arc<str>,
}

/// Bytes to lines and columns.
pub struct LineIndex<'a> {
    text: &'a str,
    /// Where each line begins.
    starts: Vec<usize>,
}

impl<'a> LineIndex<'a> {
    /// Finds where the lines of a text begin.
    #[must_use]
    pub fn new(text: &'a str) -> Self {
        let breaks = text.bytes().enumerate().filter(|(_, b)| *b == b'\n').map(|(n, _)| n + 1);
        Self { text, starts: std::iter::once(0).chain(breaks).collect() }
    }

    /// The nearest byte at or before this one that begins a character.
    pub(crate) fn floor(&self, byte: usize) -> usize {
        let mut at = byte.min(self.text.len());
        while !self.text.is_char_boundary(at) {
            at -= 1;
        }
        at
    }

    /// The line of a byte, from 1.
    pub(crate) fn line(&self, byte: usize) -> usize {
        self.starts.partition_point(|start| *start <= byte).max(1)
    }

    /// A line without its line break.
    pub(crate) fn range(&self, line: usize) -> Range<usize> {
        let start = self.starts.get(line.saturating_sub(1)).copied().unwrap_or(self.text.len());
        let end = self.starts.get(line).copied().unwrap_or(self.text.len());
        start..start + self.text[start..end].trim_end_matches(['\n', '\r']).len()
    }

    /// Line and column, both from 1, the column in characters.
    #[must_use]
    pub fn position(&self, byte: usize) -> (usize, usize) {
        let at = self.floor(byte);
        let line = self.line(at);
        let start = self.starts.get(line - 1).copied().unwrap_or(0);
        (line, self.text[start..at].chars().count() + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::LineIndex;

    #[test]
    fn places_are_counted_in_lines_and_characters() {
        let text = "ab\r\nçd\n";
        for (byte, place) in [
            (0, (1, 1)),
            (2, (1, 3)),
            (4, (2, 1)),
            (5, (2, 1)),
            (6, (2, 2)),
            (8, (3, 1)),
            (99, (3, 1)),
        ] {
            assert_eq!(crate::position(text, byte), place, "byte {byte}");
        }
        assert_eq!(crate::position("", 0), (1, 1));
        let index = LineIndex::new(text);
        assert_eq!((index.range(1), index.range(2), index.range(3)), (0..2, 4..7, 8..8));
    }
}
