//! Takes a rulebook's text and its imports, within limits, and hands back either a checked rulebook or what is wrong.
//! Reads no files itself: the caller gives the text.

use crate::read::{self, Diagnostics};
use crate::{Diagnostic, Rulebook, Severity};
use sha2::{Digest, Sha256};
use std::fmt::Write as _;
use std::ops::Range;
use std::sync::Arc;

/// Longest source file, in bytes: room for 100,000 rules of ordinary length, and small enough to be read in a few seconds at worst.
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

/// What came of a load.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// Only if there is no error; warnings never withhold it.
    pub rulebook: Option<Arc<Rulebook>>,
    /// Every mistake, sorted by place.
    pub diagnostics: Vec<Diagnostic>,
    /// The root and its imports, for the places of the mistakes.
    pub sources: Vec<SourceFile>,
}

/// Reads and checks a rulebook file and its imports. `read_import` gets the path as written, relative to the root file's
/// folder, and says in a few words why it cannot read it.
pub fn load(
    root: SourceFile,
    read_import: &mut dyn FnMut(&str) -> Result<String, String>,
) -> Loaded {
    let folder = folder_of(&root.path).to_owned();
    let mut found = Diagnostics::default();
    let mut sources = vec![root];
    let draft = read::read(
        &mut sources,
        &mut |path| read_import(path).map(|text| in_folder(&folder, path, text)),
        &mut found,
    );
    let diagnostics = found.into_sorted();
    let usable = diagnostics.iter().all(|d| d.severity != Severity::Error);
    let rulebook = draft
        .filter(|_| usable)
        .map(|draft| Arc::new(draft.finish(sources.clone(), hash(&sources))));
    Loaded { rulebook, diagnostics, sources }
}

/// The same from sources at hand, root first: an import is the source whose path is the root's folder and the path as
/// written, which is what [`Rulebook::sources`] holds.
#[must_use]
pub fn load_sources(sources: Vec<SourceFile>) -> Loaded {
    let mut sources = sources.into_iter();
    let root =
        sources.next().unwrap_or_else(|| SourceFile { path: String::new(), text: "".into() });
    let folder = folder_of(&root.path).to_owned();
    let rest: Vec<SourceFile> = sources.collect();
    load(root, &mut |path| {
        let wanted = in_folder(&folder, path, String::new()).path;
        let source = rest.iter().find(|s| s.path == wanted);
        source.map(|s| s.text.to_string()).ok_or_else(|| "it is not among the sources".to_owned())
    })
}

impl Rulebook {
    /// From one text without imports.
    ///
    /// # Errors
    /// Every mistake, warnings included, if there is any error.
    pub fn from_yaml(text: &str) -> Result<Arc<Self>, Vec<Diagnostic>> {
        let root = SourceFile { path: "rulebook.yaml".to_owned(), text: text.into() };
        let loaded = load(root, &mut |_| Err("there is nothing to import from".to_owned()));
        loaded.rulebook.ok_or(loaded.diagnostics)
    }
}

fn folder_of(path: &str) -> &str {
    path.rfind('/').map_or("", |slash| &path[..=slash])
}

fn in_folder(folder: &str, path: &str, text: String) -> SourceFile {
    let path = if path.starts_with('/') { path.to_owned() } else { format!("{folder}{path}") };
    SourceFile { path, text: text.into() }
}

/// Lengths go in too, so that text moved from one file to the next makes another hash.
fn hash(sources: &[SourceFile]) -> String {
    let mut hasher = Sha256::new();
    for source in sources {
        hasher.update((source.text.len() as u64).to_be_bytes());
        hasher.update(source.text.as_bytes());
    }
    hasher.finalize().iter().fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

/// Bytes to lines and columns.
pub(crate) struct LineIndex<'a> {
    text: &'a str,
    /// Where each line begins.
    starts: Vec<usize>,
}

impl<'a> LineIndex<'a> {
    pub(crate) fn new(text: &'a str) -> Self {
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
    pub(crate) fn position(&self, byte: usize) -> (usize, usize) {
        let at = self.floor(byte);
        let line = self.line(at);
        let start = self.starts.get(line - 1).copied().unwrap_or(0);
        (line, self.text[start..at].chars().count() + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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

    #[test]
    fn the_hash_is_of_content_and_of_where_it_is_divided() {
        let source =
            |path: &str, text: &str| SourceFile { path: path.to_owned(), text: text.into() };
        assert_eq!(hash(&[source("a", "x")]), hash(&[source("b", "x")]));
        assert_ne!(
            hash(&[source("a", "xy"), source("b", "z")]),
            hash(&[source("a", "x"), source("b", "yz")])
        );
    }
}
