//! Rulebooks from files: loads them, watches them, and makes changed ones active. A file with mistakes never replaces
//! a good version; its findings are logged and shown. Decides nothing about cases.

use crate::dispatch::AllowedHosts;
use crate::supervisor::Supervisor;
use amends_api::{DiagnosticView, FindingSeverity};
use amends_protocol::{Problem, ProblemCode};
use amends_rulebook::mistakes::closest;
use amends_rulebook::{
    Diagnostic, FILE_LIMIT_BYTES, Loaded, Rulebook, Severity, SourceFile, check_together, codes,
    load, position, render, sources_together,
};
use amends_store::{Store, StoreError};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};
use tokio::sync::{mpsc, watch};

/// Who makes a version from a file active, in the audit.
const ACTOR: &str = "file";
/// When a good file that was refused is tried again if nothing else has changed: each try may look at all open cases.
const TRY_AGAIN_AFTER: Duration = Duration::from_secs(30);
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

/// What the last look at the files found, by name of the rulebook. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Rejections(Arc<Mutex<Look>>);

#[derive(Debug, Default)]
struct Look {
    /// What keeps a file out.
    rejected: BTreeMap<String, Vec<DiagnosticView>>,
    /// Content hash of what the one good file of a rulebook says.
    said: BTreeMap<String, String>,
}

impl Rejections {
    fn show(
        &self,
        rejected: BTreeMap<String, Vec<DiagnosticView>>,
        said: BTreeMap<String, String>,
    ) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Look { rejected, said };
    }

    /// How many rulebooks have a file that is kept out.
    pub(crate) fn count(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).rejected.len()
    }

    /// Whether the file of a rulebook says something else than this version.
    pub(crate) fn differs(&self, name: &str, hash: &str) -> bool {
        let look = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        look.said.get(name).is_some_and(|said| said != hash)
    }
}

/// The findings that keep a newer version of this rulebook out.
pub(crate) fn views(rejections: &Rejections, name: &str) -> Vec<DiagnosticView> {
    let look = rejections.0.lock().unwrap_or_else(PoisonError::into_inner);
    look.rejected.get(name).cloned().unwrap_or_default()
}

/// Findings as the API shows them.
pub(crate) fn diagnostics(found: &[Diagnostic], sources: &[SourceFile]) -> Vec<DiagnosticView> {
    let view = |d: &Diagnostic| {
        let source = sources.get(d.at.file);
        let (line, column) = source.map_or((1, 1), |s| position(&s.text, d.at.start));
        DiagnosticView {
            code: d.code.to_owned(),
            severity: severity(d.severity),
            file: source.map(|s| s.path.clone()).unwrap_or_default(),
            line,
            column,
            message: d.message.clone(),
            help: d.help.clone(),
        }
    };
    found.iter().map(view).collect()
}

const fn severity(severity: Severity) -> FindingSeverity {
    match severity {
        Severity::Error => FindingSeverity::Error,
        Severity::Warning => FindingSeverity::Warning,
        Severity::Note => FindingSeverity::Note,
    }
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
        read(&file).map_err(|error| not_read(&error, &file, written))
    };
    let loaded = load(SourceFile { path: shown, text: text.into() }, &mut import);
    BookFile { path, loaded, stamps }
}

fn unreadable(error: &io::Error) -> Diagnostic {
    let message = format!("the file cannot be read: {error}");
    let help = match error.kind() {
        io::ErrorKind::InvalidData => {
            "save it as UTF-8; some editors call that `UTF-8`, and something else `Unicode`"
        }
        io::ErrorKind::PermissionDenied => "let the user read it as whom this runs",
        _ => "is it there, and is it a file?",
    };
    Diagnostic::new(codes::UNREADABLE_FILE, amends_rulebook::Span::default(), message)
        .with_help(help)
}

/// Why a manifest can't be read; one that is not there may lie beside it under another name.
fn not_read(error: &io::Error, file: &Path, written: &str) -> String {
    let Some(close) = (error.kind() == io::ErrorKind::NotFound).then(|| beside(file)).flatten()
    else {
        return error.to_string();
    };
    let folder = written.rfind('/').map_or("", |slash| &written[..=slash]);
    format!("{error}; did you mean `{folder}{close}`?")
}

/// The YAML file in the same folder whose name is nearly the same.
fn beside(file: &Path) -> Option<String> {
    let wanted = file.file_name()?.to_str()?;
    let folder = file.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let names: Vec<String> = fs::read_dir(folder)
        .ok()?
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| name.ends_with(".yaml") || name.ends_with(".yml"))
        .take(FILES_LIMIT)
        .collect();
    closest(wanted, names.iter().map(String::as_str)).map(str::to_owned)
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
    /// Where services may be.
    allow_hosts: AllowedHosts,
    rejections: Rejections,
    seen: BTreeMap<PathBuf, Seen>,
    /// What was wrong with the path as a whole; told once.
    trouble: Option<String>,
    /// What was wrong at the last look; told once.
    told: String,
    /// Something good was not taken: when to try again, and the active versions that it was tried beside.
    again: Option<(Instant, Vec<String>)>,
}

/// A file as it was at the last look that found it changed.
#[derive(Debug)]
struct Seen {
    stamps: Stamps,
    /// Name of the last good version.
    name: Option<String>,
    /// What it says, if that can be used.
    book: Option<Arc<Rulebook>>,
    /// What keeps it from being used.
    found: Vec<DiagnosticView>,
    /// The same, drawn.
    text: String,
}

/// What a look at the files brought.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reload {
    /// Names of rulebooks that a new version became active of.
    pub activated: Vec<String>,
    /// What was wrong, as text for people; empty if nothing was.
    pub rejected: String,
}

/// What a look finds out about the folder as a whole, before it is shown.
#[derive(Default)]
struct Judgement {
    reload: Reload,
    /// By name of the rulebook.
    rejected: BTreeMap<String, Vec<DiagnosticView>>,
    /// Good versions that were not taken.
    refused: bool,
    /// Some were refused by no fault of theirs.
    hurried: bool,
}

impl Judgement {
    fn reject(&mut self, name: Option<&str>, found: Vec<DiagnosticView>, text: &str) {
        self.reload.rejected.push_str(text);
        if let Some(name) = name {
            self.rejected.entry(name.to_owned()).or_default().extend(found);
        }
    }
}

impl Books {
    /// Watches a file or a folder; looks at nothing yet.
    #[must_use]
    pub fn new(path: PathBuf, rejections: Rejections) -> Self {
        Self {
            path,
            allow_hosts: AllowedHosts::default(),
            rejections,
            seen: BTreeMap::new(),
            trouble: None,
            told: String::new(),
            again: None,
        }
    }

    /// Keeps out rulebooks whose services are where no request goes.
    #[must_use]
    pub fn reaching(mut self, allow_hosts: AllowedHosts) -> Self {
        self.allow_hosts = allow_hosts;
        self
    }

    /// Looks at the files and makes changed rulebooks active. `force` also reads what looks unchanged.
    ///
    /// The folder is judged as a whole: two files that claim one rulebook are both left alone. A file is taken when it
    /// says something else than what was last taken from a file, which the store remembers: so neither a restart nor an
    /// unchanged file undoes what a person activated.
    pub async fn reload<S: Store>(&mut self, supervisor: &Supervisor<S>, force: bool) -> Reload {
        let (roots, files) = match self.changed(force).await {
            Ok(looked) => looked,
            Err(error) => return self.path_trouble(&error),
        };
        self.trouble = None;
        let before = self.seen.len();
        self.seen.retain(|path, _| roots.contains(path));
        let news = !files.is_empty() || self.seen.len() < before;
        files.into_iter().for_each(|file| self.note(file));
        if !news && !self.is_time_to_try_again(supervisor) {
            return Reload::default();
        }
        let taken = match last_taken(supervisor).await {
            Ok(taken) => taken,
            Err(error) => {
                self.again = Some((Instant::now(), hashes(supervisor)));
                let rejected = format!("the rulebook files were not looked at: {error}\n");
                return Reload { activated: Vec::new(), rejected };
            }
        };
        self.judge(supervisor, &taken).await
    }

    async fn judge<S: Store>(
        &mut self,
        supervisor: &Supervisor<S>,
        taken: &BTreeMap<String, String>,
    ) -> Reload {
        let mut judgement = Judgement::default();
        let good = self.without_rivals(&mut judgement);
        let said = good.iter().map(|b| (b.name().to_owned(), b.hash().to_owned())).collect();
        let is_news =
            |book: &Arc<Rulebook>| taken.get(book.name()).is_none_or(|hash| *hash != *book.hash());
        let wanted = good.into_iter().filter(is_news).collect();
        activate_all(supervisor, wanted, &mut judgement).await;
        let pause = if judgement.hurried { Duration::ZERO } else { TRY_AGAIN_AFTER };
        self.again = judgement.refused.then(|| (Instant::now() + pause, hashes(supervisor)));
        self.rejections.show(judgement.rejected, said);
        if judgement.reload.rejected != self.told && !judgement.reload.rejected.is_empty() {
            let text = &judgement.reload.rejected;
            tracing::error!("rulebook files are not used, what was active stays:\n{text}");
        }
        self.told.clone_from(&judgement.reload.rejected);
        judgement.reload
    }

    /// A conflict may have ended: other versions are active, or open cases have been settled meanwhile.
    fn is_time_to_try_again<S: Store>(&self, supervisor: &Supervisor<S>) -> bool {
        let due = |(at, beside): &(Instant, Vec<String>)| {
            Instant::now() >= *at || *beside != hashes(supervisor)
        };
        self.again.as_ref().is_some_and(due)
    }

    /// All root files, and those whose stamps differ from the last look.
    async fn changed(&self, force: bool) -> Result<(BTreeSet<PathBuf>, Vec<BookFile>), BooksError> {
        let path = self.path.clone();
        let known: BTreeMap<PathBuf, Stamps> =
            self.seen.iter().map(|(p, s)| (p.clone(), s.stamps.clone())).collect();
        let look = move || {
            let same = |root: &PathBuf| {
                known.get(root).is_some_and(|s| s.iter().all(|(file, was)| stamp(file) == *was))
            };
            let roots: BTreeSet<_> = roots(&path)?.into_iter().collect();
            let changed = roots.iter().filter(|root| force || !same(root));
            let files = changed.cloned().map(load_file).collect();
            Ok((roots, files))
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

    /// Remembers what a file says; a broken one is still known for the rulebook that it held.
    fn note(&mut self, file: BookFile) {
        let BookFile { path, loaded, stamps } = file;
        let Loaded { rulebook: mut book, diagnostics: mut findings, sources } = loaded;
        let beyond = book.as_ref().map(|b| self.allow_hosts.findings(b)).unwrap_or_default();
        let name = book.as_ref().map(|b| b.name().to_owned());
        if beyond.iter().any(|d| d.severity == Severity::Error) {
            book = None;
        }
        findings.extend(beyond);
        let drawn = || render(&findings, &sources, false);
        let (found, text) = match &book {
            Some(_) if findings.is_empty() => (Vec::new(), String::new()),
            Some(_) => {
                tracing::warn!("`{}` has warnings:\n{}", path.display(), drawn());
                (Vec::new(), String::new())
            }
            None => (diagnostics(&findings, &sources), drawn()),
        };
        let before = self.seen.remove(&path).and_then(|seen| seen.name);
        let name = name.or(before);
        self.seen.insert(path, Seen { stamps, name, book, found, text });
    }

    /// The rulebooks that exactly one file declares. A copy under another name takes nothing over.
    fn without_rivals(&self, judgement: &mut Judgement) -> Vec<Arc<Rulebook>> {
        let mut by_name: BTreeMap<&str, Vec<&Arc<Rulebook>>> = BTreeMap::new();
        for seen in self.seen.values() {
            match &seen.book {
                Some(book) => by_name.entry(book.name()).or_default().push(book),
                None => judgement.reject(seen.name.as_deref(), seen.found.clone(), &seen.text),
            }
        }
        let mut good = Vec::new();
        for (name, books) in by_name {
            match books[..] {
                [book] => good.push(Arc::clone(book)),
                _ => {
                    let rivals: Vec<_> = books.into_iter().cloned().collect();
                    let mut found = check_together(&rivals);
                    found.retain(|d| d.code == "duplicate-rulebook");
                    let sources = sources_together(&rivals);
                    let text = render(&found, &sources, false);
                    judgement.reject(Some(name), diagnostics(&found, &sources), &text);
                }
            }
        }
        good
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

/// Hash of the content that was last taken from a file, by name of the rulebook.
async fn last_taken<S: Store>(
    supervisor: &Supervisor<S>,
) -> Result<BTreeMap<String, String>, StoreError> {
    let rows = supervisor.store().rulebooks().await?;
    let from_files = rows.into_iter().filter(|row| row.from_file);
    Ok(from_files.map(|row| (row.name.to_string(), row.hash.to_string())).collect())
}

fn hashes<S: Store>(supervisor: &Supervisor<S>) -> Vec<String> {
    supervisor.active_books().iter().map(|book| book.hash().to_owned()).collect()
}

async fn activate_all<S: Store>(
    supervisor: &Supervisor<S>,
    wanted: Vec<Arc<Rulebook>>,
    judgement: &mut Judgement,
) {
    let mut together = supervisor.active_books();
    together.retain(|active| !wanted.iter().any(|book| book.name() == active.name()));
    together.extend(wanted.iter().cloned());
    let found = check_together(&together);
    if !wanted.is_empty() && found.iter().any(|d| d.severity == Severity::Error) {
        let sources = sources_together(&together);
        let (views, text) = (diagnostics(&found, &sources), render(&found, &sources, false));
        for book in &wanted {
            judgement.reject(Some(book.name()), views.clone(), &text);
        }
        judgement.refused = true;
        return;
    }
    let mut waiting = wanted;
    // A service that moves from one rulebook to another is free only when the first one has let go of it. Each
    // round activates one at least, so there are no more rounds than rulebooks.
    while !waiting.is_empty() {
        let before = waiting.len();
        let mut later = Vec::new();
        for book in waiting {
            match activate(supervisor, &book).await {
                Ok(()) => judgement.reload.activated.push(book.name().to_owned()),
                Err(problem) => later.push((book, problem)),
            }
        }
        let stands_still = later.len() == before;
        if stands_still {
            for (book, problem) in &later {
                not_activated(book, problem, judgement);
            }
            return;
        }
        waiting = later.into_iter().map(|(book, _)| book).collect();
    }
}

async fn activate<S: Store>(
    supervisor: &Supervisor<S>,
    book: &Arc<Rulebook>,
) -> Result<(), Problem> {
    let file = book.sources().first().map_or("", |s| s.path.as_str());
    let reason = format!("read from `{file}`");
    supervisor.activate_file(Arc::clone(book), ACTOR, &reason).await?;
    tracing::info!(
        rulebook = book.name(),
        hash = book.hash(),
        "the rulebook was read from its file"
    );
    Ok(())
}

fn not_activated(book: &Rulebook, problem: &Problem, judgement: &mut Judgement) {
    let why = problem.detail.as_deref().unwrap_or(&problem.title);
    let mut message = format!("the new version did not become active: {why}");
    for one in &problem.errors {
        message.push_str("; ");
        message.push_str(one);
    }
    let view = DiagnosticView {
        code: "not-activated".to_owned(),
        severity: FindingSeverity::Error,
        file: book.sources().first().map(|s| s.path.clone()).unwrap_or_default(),
        line: 1,
        column: 1,
        message: message.clone(),
        help: None,
    };
    judgement.refused = true;
    judgement.hurried |= !problem.is(ProblemCode::Conflict);
    judgement.reject(
        Some(book.name()),
        vec![view],
        &format!("rulebook `{}`: {message}\n", book.name()),
    );
}

#[cfg(test)]
#[path = "books_tests.rs"]
mod tests;
