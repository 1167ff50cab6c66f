//! Takes a rulebook's text and its imports, within limits, and hands back either a checked rulebook or what is wrong.
//! Reads no files itself: the caller gives the text.

use crate::mistakes::Diagnostics;
use crate::source::SourceFile;
use crate::{Diagnostic, Rulebook, Severity, read};
use sha2::{Digest, Sha256};
use std::fmt::Write as _;
use std::sync::Arc;

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

#[cfg(test)]
mod tests {
    use super::*;

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
