//! What stands in files that may be changed while we run: it is read anew when one of them has changed, and what is
//! broken then leaves what was before in force.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// What tells two contents of a file apart without reading them. A folder of Kubernetes or systemd changes the file
/// behind the name, an editor its time; a clock of the file system may be too coarse to tell two writes apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    changed: Option<SystemTime>,
    length: u64,
    file: u64,
}

impl Stamp {
    /// Of a file; none if there is none.
    pub(crate) fn of(path: &Path) -> Option<Self> {
        let about = fs::metadata(path).ok()?;
        #[cfg(unix)]
        let file = std::os::unix::fs::MetadataExt::ino(&about);
        #[cfg(not(unix))]
        let file = 0;
        Some(Self { changed: about.modified().ok(), length: about.len(), file })
    }
}

/// What a look at the files has brought.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Look {
    /// Nothing has changed.
    Same,
    /// What they say now is in force.
    Renewed,
    /// What they say now can't be used; what was before stays in force.
    Broken(String),
}

/// What stands in files.
#[derive(Debug)]
pub(crate) struct Renewed<T> {
    files: Vec<PathBuf>,
    stamps: Vec<Option<Stamp>>,
    value: T,
    /// How often it was read.
    times: u64,
}

impl<T> Renewed<T> {
    /// Reads the files for the first time.
    ///
    /// # Errors
    /// As whoever reads them says.
    pub(crate) fn read(
        files: Vec<PathBuf>,
        load: impl FnOnce() -> Result<T, String>,
    ) -> Result<Self, String> {
        // Before they are read: what is changed meanwhile is read anew at the next look.
        let stamps = stamps(&files);
        Ok(Self { files, stamps, value: load()?, times: 1 })
    }

    /// Has not read the files yet; the first look does.
    #[cfg_attr(not(feature = "tls"), allow(dead_code))] // only certificates are begun so
    pub(crate) const fn unread(files: Vec<PathBuf>, value: T) -> Self {
        Self { files, stamps: Vec::new(), value, times: 0 }
    }

    /// Reads them anew if they have changed. A file that is away is being replaced.
    pub(crate) fn look(&mut self, load: impl FnOnce() -> Result<T, String>) -> Look {
        let stamps = stamps(&self.files);
        if stamps == self.stamps || stamps.contains(&None) {
            return Look::Same;
        }
        self.stamps = stamps;
        match load() {
            Ok(value) => {
                self.value = value;
                self.times += 1;
                Look::Renewed
            }
            Err(why) => Look::Broken(why),
        }
    }

    /// What is in force.
    pub(crate) const fn value(&self) -> &T {
        &self.value
    }

    /// How often it was read: another number is another content.
    #[cfg_attr(not(feature = "tls"), allow(dead_code))] // only a client of TLS is built anew
    pub(crate) const fn times(&self) -> u64 {
        self.times
    }
}

fn stamps(files: &[PathBuf]) -> Vec<Option<Stamp>> {
    files.iter().map(|file| Stamp::of(file)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_file_is_read_anew_and_a_broken_one_changes_nothing() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("number");
        let write = |text: &str| {
            let next = folder.path().join("next");
            fs::write(&next, text).expect("written");
            fs::rename(next, &path).expect("put in its place");
        };
        let load = || {
            let text = fs::read_to_string(&path).map_err(|e| e.to_string())?;
            text.parse::<u32>().map_err(|e| e.to_string())
        };
        write("1");
        let mut number = Renewed::read(vec![path.clone()], load).expect("a number");
        assert_eq!((number.look(load), *number.value()), (Look::Same, 1));
        write("2");
        assert_eq!((number.look(load), *number.value()), (Look::Renewed, 2));
        write("two");
        assert!(matches!(number.look(load), Look::Broken(why) if why.contains("digit")));
        assert_eq!((number.look(load), *number.value()), (Look::Same, 2), "it is told once");
        fs::remove_file(&path).expect("removed");
        assert_eq!((number.look(load), *number.value()), (Look::Same, 2));
        write("3");
        assert_eq!((number.look(load), number.times()), (Look::Renewed, 3));
    }
}
