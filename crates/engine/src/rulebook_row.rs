//! A version of a rulebook as it is stored, and rows that don't read back.

use amends_protocol::Timestamp;
use amends_rulebook::{Rulebook, SourceFile, load_sources};
use std::sync::Arc;

/// A row that doesn't read back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnreadableRow {
    /// Which, e.g. ``step `s-1-2-…` ``.
    pub row: String,
    /// What is wrong with it.
    pub why: String,
}

/// One version of a rulebook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RulebookRow {
    /// Its name.
    pub name: Arc<str>,
    /// Its content hash; the key.
    pub hash: Arc<str>,
    /// Path and text of its files, root first; empty in lists.
    pub sources: Vec<(String, String)>,
    /// When it was stored.
    pub stored_at: Timestamp,
    /// Whether new cases are planned with it.
    pub active: bool,
    /// Whether it is the version of its name that was last taken from a file.
    pub from_file: bool,
}

/// A stored version of a rulebook that can't be understood any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnreadableRulebook {
    /// Its name.
    pub name: Arc<str>,
    /// Its content hash.
    pub hash: Arc<str>,
    /// The first mistake.
    pub why: String,
}

impl UnreadableRulebook {
    pub(crate) fn into_row(self, active: bool) -> UnreadableRow {
        let Self { name, hash, why } = self;
        let row = format!("rulebook `{name}` ({hash})");
        if !active {
            return UnreadableRow { row, why };
        }
        let mend = "no version of it is active now; activate one that can be read";
        UnreadableRow { row, why: format!("{why}; {mend}") }
    }
}

impl RulebookRow {
    /// Understands its sources.
    ///
    /// # Errors
    /// With the first mistake: it was written by another version of this program, or by nobody.
    pub fn read(&self) -> Result<Arc<Rulebook>, UnreadableRulebook> {
        let files = self.sources.iter();
        let files =
            files.map(|(path, text)| SourceFile { path: path.clone(), text: text.as_str().into() });
        let read = load_sources(files.collect());
        read.rulebook.ok_or_else(|| UnreadableRulebook {
            name: Arc::clone(&self.name),
            hash: Arc::clone(&self.hash),
            why: read
                .diagnostics
                .into_iter()
                .next()
                .map_or_else(|| "it is empty".to_owned(), |d| d.message),
        })
    }
}
