//! `amends rules test --watch`: runs the tests again whenever a file changes that they are made of, until interrupted. It
//! looks at times and sizes of files; what the tests are and how they went is not its business.

use super::test::{TestOptions, files, folder_of, once};
use crate::failure::{Failure, Outcome};
use crate::output;
use anyhow::anyhow;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// How often it looks: a person who saves a file sees the result at once.
const LOOK_EVERY: Duration = Duration::from_millis(300);

/// Names of files in one line; the others are counted.
const NAMES: usize = 3;

pub(super) fn run(options: &TestOptions) -> Outcome {
    // A file that goes away while somebody works on it may come back; one that was never there is a slip.
    let given = options.paths.iter().chain(&options.rules);
    if let Some(missing) = given.into_iter().find(|path| !path.exists()) {
        return Err(Failure::Local(anyhow!("`{}` is not there", missing.display())));
    }
    loop {
        // As they were before the run: what changes meanwhile is seen after it.
        let watched = files(options);
        let before = look(options, &watched);
        match once(options) {
            Ok(()) | Err(Failure::Findings) => {}
            Err(gone @ Failure::BrokenPipe) => return Err(gone),
            Err(other) => other.lines().iter().for_each(|line| output::tell(line)),
        }
        output::tell(&format!("waiting for a change of {}; Ctrl-C ends it", named(before.keys())));
        let changed = wait(&before, || look(options, &watched));
        output::clear_screen()?;
        output::tell(&format!("changed: {}", named(changed.iter())));
    }
}

type Stamps = BTreeMap<PathBuf, Option<(SystemTime, u64)>>;

/// Time and size of each file of the tests, and of each that could become one.
fn look(options: &TestOptions, watched: &[PathBuf]) -> Stamps {
    let mut all = Stamps::new();
    let mut add = |file: &Path| {
        let stamp = fs::metadata(file).and_then(|m| Ok((m.modified()?, m.len()))).ok();
        all.insert(file.to_owned(), stamp);
    };
    for path in options.paths.iter().chain(&options.rules) {
        let folder = if path.is_dir() { path.clone() } else { folder_of(path) };
        let Ok(entries) = fs::read_dir(&folder) else { continue };
        let beside = entries.flatten().map(|e| e.path()).filter(|p| is_yaml(p));
        // As it is written on the command line, so that no file stands twice.
        beside.map(|file| unprefixed(&file)).for_each(|file| add(&file));
    }
    watched.iter().for_each(|file| add(&unprefixed(file)));
    all
}

/// Looks until something differs; gives what does.
fn wait(before: &Stamps, mut look: impl FnMut() -> Stamps) -> Vec<PathBuf> {
    loop {
        std::thread::sleep(LOOK_EVERY);
        let now = look();
        let either = before.keys().chain(now.keys());
        let mut changed: Vec<PathBuf> =
            either.filter(|file| before.get(*file) != now.get(*file)).cloned().collect();
        changed.sort();
        changed.dedup();
        if !changed.is_empty() {
            return changed;
        }
    }
}

fn is_yaml(path: &Path) -> bool {
    path.extension().is_some_and(|e| e == "yaml" || e == "yml")
}

fn unprefixed(path: &Path) -> PathBuf {
    path.strip_prefix(".").unwrap_or(path).to_owned()
}

fn named<'p>(files: impl ExactSizeIterator<Item = &'p PathBuf>) -> String {
    let more = files.len().saturating_sub(NAMES);
    let few: Vec<_> = files.take(NAMES).map(|file| format!("`{}`", file.display())).collect();
    match more {
        0 => few.join(", "),
        n => format!("{} and {n} more files", few.join(", ")),
    }
}
