//! Rulebooks from files: loads them, watches them, and makes changed ones active. A file with mistakes never replaces
//! a good version; its findings are logged and shown. Decides nothing about cases.

use crate::supervisor::Supervisor;
use amends_protocol::resources::DiagnosticView;
use amends_protocol::{Problem, ProblemCode};
use amends_rulebook::{
    Diagnostic, FILE_LIMIT_BYTES, Loaded, Rulebook, Severity, SourceFile, check_together, load,
    position, render, sources_together,
};
use amends_store::Store;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};
use tokio::sync::{mpsc, watch};

/// Who makes a version from a file active, in the audit.
const ACTOR: &str = "file";
/// Most rulebook files of one folder; each costs a look per second.
const FILES_LIMIT: usize = 256;

/// The rules could not be read at all.
#[derive(Debug, thiserror::Error)]
pub enum BooksError {
    /// The file or folder cannot be read.
    #[error("`{}` cannot be read: {source}; set `rules` to a rulebook or a folder with some", .path.display())]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The folder holds too many.
    #[error("`{}` holds more than {FILES_LIMIT} rulebooks; keep some elsewhere", .0.display())]
    TooMany(PathBuf),
}

/// A rulebook file with what was found in it.
#[derive(Debug)]
pub struct BookFile {
    /// Where it is.
    pub path: PathBuf,
    /// The rulebook, if it has no errors, and all findings.
    pub loaded: Loaded,
    /// Every file that was looked for, as it was then.
    stamps: Stamps,
}

impl BookFile {
    /// The rulebook's own file and every import that was looked for, also those that are not there.
    pub fn files(&self) -> impl Iterator<Item = &Path> {
        self.stamps.keys().map(PathBuf::as_path)
    }
}

type Stamps = BTreeMap<PathBuf, Option<(SystemTime, u64)>>;

/// What the last reload found wrong, by name of the rulebook. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Rejections(Arc<Mutex<BTreeMap<String, Vec<DiagnosticView>>>>);

/// The findings that keep a newer version of this rulebook out.
pub(crate) fn views(rejections: &Rejections, name: &str) -> Vec<DiagnosticView> {
    rejections
        .0
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .get(name)
        .cloned()
        .unwrap_or_default()
}

/// Findings as the API shows them.
pub(crate) fn diagnostics(found: &[Diagnostic], sources: &[SourceFile]) -> Vec<DiagnosticView> {
    let view = |d: &Diagnostic| {
        let source = sources.get(d.at.file);
        let (line, column) = source.map_or((1, 1), |s| position(&s.text, d.at.start));
        DiagnosticView {
            code: d.code.to_owned(),
            severity: d.severity.as_str().to_owned(),
            file: source.map(|s| s.path.clone()).unwrap_or_default(),
            line,
            column,
            message: d.message.clone(),
            help: d.help.clone(),
        }
    };
    found.iter().map(view).collect()
}

/// Loads a rulebook file, or every `*.yaml` and `*.yml` of a folder that is no manifest and
/// no test. Findings are in the answer;
/// only a path that can't be read is an error.
///
/// # Errors
/// [`BooksError`].
pub fn load_path(path: &Path) -> Result<Vec<BookFile>, BooksError> {
    let roots = roots(path)?;
    Ok(roots.into_iter().map(load_file).collect())
}

fn roots(path: &Path) -> Result<Vec<PathBuf>, BooksError> {
    let unreadable = |source| BooksError::Unreadable { path: path.to_owned(), source };
    if !fs::metadata(path).map_err(unreadable)?.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut roots = Vec::new();
    for entry in fs::read_dir(path).map_err(unreadable)? {
        let file = entry.map_err(unreadable)?.path();
        let yaml = file.extension().is_some_and(|e| e == "yaml" || e == "yml");
        if yaml && file.is_file() && !is_test(&file) && !is_manifest(&file) {
            roots.push(file);
        }
        if roots.len() > FILES_LIMIT {
            return Err(BooksError::TooMany(path.to_owned()));
        }
    }
    roots.sort();
    Ok(roots)
}

/// Table tests lie beside the rulebook that they test; `amends rules test` runs them.
fn is_test(file: &Path) -> bool {
    let name = file.file_name().map(|n| n.to_string_lossy()).unwrap_or_default();
    name.ends_with(".test.yaml") || name.ends_with(".test.yml")
}

/// A manifest has `service:` at the top where a rulebook has `rulebook:`; rulebooks import it. A file with neither is
/// taken for a rulebook, so that its mistake is told.
fn is_manifest(file: &Path) -> bool {
    let Ok(text) = read(file) else { return false };
    let has = |key: &str| text.lines().any(|line| line.starts_with(key));
    has("service:") && !has("rulebook:")
}

fn load_file(path: PathBuf) -> BookFile {
    let mut stamps = Stamps::from([(path.clone(), stamp(&path))]);
    let shown = path.display().to_string();
    let text = match read(&path) {
        Ok(text) => text,
        Err(e) => {
            let sources = vec![SourceFile { path: shown, text: "".into() }];
            return BookFile {
                path,
                loaded: Loaded { rulebook: None, diagnostics: vec![unreadable(&e)], sources },
                stamps,
            };
        }
    };
    let folder = path.parent().unwrap_or(Path::new("")).to_owned();
    let mut import = |written: &str| {
        let file = folder.join(written);
        stamps.insert(file.clone(), stamp(&file));
        read(&file).map_err(|e| e.to_string())
    };
    let loaded = load(SourceFile { path: shown, text: text.into() }, &mut import);
    BookFile { path, loaded, stamps }
}

fn unreadable(error: &io::Error) -> Diagnostic {
    Diagnostic {
        code: "unreadable-file",
        severity: Severity::Error,
        message: format!("the file cannot be read: {error}"),
        at: amends_rulebook::Span::default(),
        label: String::new(),
        related: Vec::new(),
        help: None,
    }
}

/// Reads a file, but never more than the language allows and a little, so that its own limit can speak.
fn read(file: &Path) -> io::Result<String> {
    let mut text = String::new();
    File::open(file)?.take(FILE_LIMIT_BYTES as u64 + 1).read_to_string(&mut text)?;
    Ok(text)
}

fn stamp(file: &Path) -> Option<(SystemTime, u64)> {
    let metadata = fs::metadata(file).ok()?;
    Some((metadata.modified().ok()?, metadata.len()))
}

/// The files of one supervisor and what has become of them.
#[derive(Debug)]
pub struct Books {
    path: PathBuf,
    rejections: Rejections,
    seen: BTreeMap<PathBuf, Seen>,
    /// What was wrong with the path as a whole; told once.
    trouble: Option<String>,
}

#[derive(Debug)]
struct Seen {
    stamps: Stamps,
    /// Name of the last good version.
    name: Option<String>,
    /// Its content hash; an unchanged one changes nothing.
    hash: Option<String>,
}

/// What a look at the files brought.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reload {
    /// Names of rulebooks that a new version became active of.
    pub activated: Vec<String>,
    /// What was wrong, as text for people; empty if nothing was.
    pub rejected: String,
}

impl Books {
    /// Watches a file or a folder; looks at nothing yet.
    #[must_use]
    pub fn new(path: PathBuf, rejections: Rejections) -> Self {
        Self { path, rejections, seen: BTreeMap::new(), trouble: None }
    }

    /// Looks at the files and makes changed rulebooks active. `force` also reads what looks unchanged.
    pub async fn reload<S: Store>(&mut self, supervisor: &Supervisor<S>, force: bool) -> Reload {
        let files = match self.changed(force).await {
            Ok(files) => files,
            Err(error) => return self.path_trouble(&error),
        };
        self.trouble = None;
        let mut reload = Reload::default();
        let mut good = Vec::new();
        for file in files {
            let name = self.note(&file);
            match &file.loaded.rulebook {
                Some(book) => good.push(Arc::clone(book)),
                None => {
                    let text = render(&file.loaded.diagnostics, &file.loaded.sources, false);
                    let found = diagnostics(&file.loaded.diagnostics, &file.loaded.sources);
                    self.reject(name.as_deref(), &file.path, found, &text, &mut reload);
                }
            }
        }
        self.activate_all(supervisor, good, &mut reload).await;
        reload
    }

    /// The files whose stamps differ from the last look.
    async fn changed(&self, force: bool) -> Result<Vec<BookFile>, BooksError> {
        let path = self.path.clone();
        let known: BTreeMap<PathBuf, Stamps> =
            self.seen.iter().map(|(p, s)| (p.clone(), s.stamps.clone())).collect();
        let look = move || {
            let same = |root: &PathBuf| {
                known.get(root).is_some_and(|s| s.iter().all(|(file, was)| stamp(file) == *was))
            };
            Ok(roots(&path)?
                .into_iter()
                .filter(|root| force || !same(root))
                .map(load_file)
                .collect())
        };
        // Files may be on a slow disk; the runtime's threads have other work.
        tokio::task::spawn_blocking(look).await.unwrap_or_else(|e| {
            Err(BooksError::Unreadable { path: self.path.clone(), source: io::Error::other(e) })
        })
    }

    fn path_trouble(&mut self, error: &BooksError) -> Reload {
        let text = error.to_string();
        if self.trouble.as_deref() != Some(&text) {
            tracing::error!("{text}; the active rulebooks stay");
            self.trouble = Some(text.clone());
        }
        Reload { activated: Vec::new(), rejected: text }
    }

    /// Remembers the look; gives the name of the rulebook that the file is known for.
    fn note(&mut self, file: &BookFile) -> Option<String> {
        let seen = self.seen.entry(file.path.clone()).or_insert(Seen {
            stamps: Stamps::new(),
            name: None,
            hash: None,
        });
        seen.stamps.clone_from(&file.stamps);
        if let Some(book) = &file.loaded.rulebook {
            seen.name = Some(book.name().to_owned());
            if file.loaded.diagnostics.is_empty() {
                return seen.name.clone();
            }
            let text = render(&file.loaded.diagnostics, &file.loaded.sources, false);
            tracing::warn!("`{}` has warnings:\n{text}", file.path.display());
        }
        seen.name.clone()
    }

    fn reject(
        &self,
        name: Option<&str>,
        path: &Path,
        found: Vec<DiagnosticView>,
        text: &str,
        reload: &mut Reload,
    ) {
        tracing::error!("`{}` is not used, what was active stays:\n{text}", path.display());
        reload.rejected.push_str(text);
        if let Some(name) = name {
            self.rejections
                .0
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .insert(name.to_owned(), found);
        }
    }

    fn accept(&mut self, book: &Rulebook) {
        self.rejections.0.lock().unwrap_or_else(PoisonError::into_inner).remove(book.name());
        for seen in self.seen.values_mut().filter(|s| s.name.as_deref() == Some(book.name())) {
            seen.hash = Some(book.hash().to_owned());
        }
    }

    async fn activate_all<S: Store>(
        &mut self,
        supervisor: &Supervisor<S>,
        good: Vec<Arc<Rulebook>>,
        reload: &mut Reload,
    ) {
        let mut active = supervisor.active_books();
        let names: BTreeSet<_> = good.iter().map(|b| b.name().to_owned()).collect();
        active.retain(|b| !names.contains(b.name()));
        active.extend(good.iter().cloned());
        let found = check_together(&active);
        if found.iter().any(|d| d.severity == Severity::Error) {
            let sources = sources_together(&active);
            let text = render(&found, &sources, false);
            for name in &names {
                self.reject(Some(name), &self.path, diagnostics(&found, &sources), &text, reload);
            }
            return;
        }
        let mut waiting: Vec<_> =
            good.into_iter().filter(|book| self.is_news(supervisor, book)).collect();
        // A service that moves from one rulebook to another is free only when the first one has let go of it. Each
        // round activates one at least, so there are no more rounds than rulebooks.
        while !waiting.is_empty() {
            let before = waiting.len();
            let mut later = Vec::new();
            for book in waiting {
                match self.activate(supervisor, &book).await {
                    Ok(()) => reload.activated.push(book.name().to_owned()),
                    Err(problem) => later.push((book, problem)),
                }
            }
            let stands_still = later.len() == before;
            if stands_still {
                for (book, problem) in &later {
                    self.not_activated(book, problem, reload);
                }
                return;
            }
            waiting = later.into_iter().map(|(book, _)| book).collect();
        }
    }

    /// Whether the file says something that it did not say before, or that was never active.
    fn is_news<S: Store>(&mut self, supervisor: &Supervisor<S>, book: &Rulebook) -> bool {
        let is_active = supervisor
            .active_books()
            .iter()
            .any(|b| b.hash() == book.hash() && b.name() == book.name());
        let known = self.seen.values().any(|s| s.hash.as_deref() == Some(book.hash()));
        if is_active || known {
            self.accept(book);
            return false;
        }
        true
    }

    async fn activate<S: Store>(
        &mut self,
        supervisor: &Supervisor<S>,
        book: &Arc<Rulebook>,
    ) -> Result<(), Problem> {
        let reason =
            format!("read from `{}`", book.sources().first().map_or("", |s| s.path.as_str()));
        supervisor.activate(Arc::clone(book), ACTOR, &reason).await?;
        self.accept(book);
        tracing::info!(rulebook = book.name(), hash = book.hash(), "rulebook is active");
        Ok(())
    }

    fn not_activated(&mut self, book: &Rulebook, problem: &Problem, reload: &mut Reload) {
        let why = problem.detail.as_deref().unwrap_or(&problem.title);
        tracing::error!(rulebook = book.name(), "the new version did not become active: {why}");
        reload.rejected.push_str(&format!("rulebook `{}`: {why}\n", book.name()));
        if problem.is(ProblemCode::Conflict) {
            return;
        }
        // Not the file's fault: look again next time.
        for seen in self.seen.values_mut().filter(|s| s.name.as_deref() == Some(book.name())) {
            seen.stamps.clear();
            seen.stamps.insert(PathBuf::new(), Some((SystemTime::UNIX_EPOCH, 0)));
        }
    }

    /// Looks every `every`, and at once when `now` is told to, until `stopping` turns true.
    pub async fn watch<S: Store>(
        mut self,
        supervisor: Supervisor<S>,
        every: Duration,
        mut now: mpsc::Receiver<()>,
        mut stopping: watch::Receiver<bool>,
    ) {
        loop {
            let force = tokio::select! {
                _ = stopping.wait_for(|stop| *stop) => return,
                told = now.recv() => match told {
                    Some(()) => true,
                    None => return,
                },
                () = tokio::time::sleep(every) => false,
            };
            self.reload(&supervisor, force).await;
        }
    }
}

#[cfg(test)]
#[path = "books_tests.rs"]
mod tests;
