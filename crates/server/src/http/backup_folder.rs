//! The folder that backups go to: one at a time, never over a file, and none is removed. Where they go from there, and
//! how long they are kept, is the operator's affair.

use super::ApiError;
use amends_api::BackupView;
use amends_protocol::{Problem, ProblemCode, Timestamp};
use amends_store::Store;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Most files in the folder: each is as large as the store, and a client in a loop must not fill the disk.
const MOST_FILES: usize = 100;
/// Longest name of a file, in bytes; file systems take 255.
const NAME_LIMIT: usize = 128;
/// What every backup's name ends with, so that none is taken for another file of the store.
const ENDING: &str = ".sqlite";
/// Where a backup grows; it has its name only when it is whole.
const UNFINISHED: &str = ".unfinished";

/// The folder that backups go to, and whose turn it is. Clones share the turn.
#[derive(Clone, Debug)]
pub(crate) struct BackupFolder {
    folder: PathBuf,
    turn: Arc<Semaphore>,
}

impl BackupFolder {
    /// A folder that is made when it is first needed.
    pub(crate) fn new(folder: PathBuf) -> Self {
        Self { folder, turn: Arc::new(Semaphore::new(1)) }
    }

    /// The turn to make one; it is given back when it is dropped.
    pub(crate) fn turn(&self) -> Result<OwnedSemaphorePermit, ApiError> {
        let turn = Arc::clone(&self.turn).try_acquire_owned();
        turn.map_err(|_| conflict("another backup is being made; ask again when it has ended"))
    }

    /// Writes a copy of the store under this name; done once it is whole and synced.
    pub(crate) async fn write<S: Store>(
        &self,
        store: &S,
        name: String,
        _turn: OwnedSemaphorePermit,
    ) -> Result<BackupView, ApiError> {
        let folder = self.folder.clone();
        let (to, unfinished) = (folder.join(&name), folder.join(UNFINISHED));
        let begin = (folder.clone(), to.clone(), unfinished.clone());
        on_disk(move || prepare(&begin.0, &begin.1, &begin.2)).await?;
        store.backup(&unfinished).await?;
        on_disk(move || finish(&folder, &unfinished, &to)).await
    }
}

/// Makes the folder and room in it. What an ended process left unfinished is removed: it is nobody's backup.
fn prepare(folder: &Path, to: &Path, unfinished: &Path) -> Result<(), ApiError> {
    let mut private = std::fs::DirBuilder::new();
    private.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut private, 0o700);
    private.create(folder).map_err(failed("make", folder))?;
    match std::fs::remove_file(unfinished) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => {
            return Err(failed("remove", unfinished)(e));
        }
        _ => {}
    }
    if to.symlink_metadata().is_ok() {
        return Err(conflict(format!("`{}` exists already; give another name", to.display())));
    }
    let files = std::fs::read_dir(folder).map_err(failed("read", folder))?;
    if files.take(MOST_FILES).count() == MOST_FILES {
        return Err(conflict(format!(
            "`{}` holds {MOST_FILES} files already; move or remove some",
            folder.display()
        )));
    }
    Ok(())
}

/// Gives the whole copy its name.
fn finish(folder: &Path, unfinished: &Path, to: &Path) -> Result<BackupView, ApiError> {
    std::fs::rename(unfinished, to).map_err(failed("rename", unfinished))?;
    // The name is durable only with its folder.
    #[cfg(unix)]
    std::fs::File::open(folder).and_then(|f| f.sync_all()).map_err(failed("sync", folder))?;
    #[cfg(not(unix))]
    let _ = folder;
    let bytes = to.metadata().map_err(failed("read", to))?.len();
    Ok(BackupView { path: to.display().to_string(), bytes })
}

async fn on_disk<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ApiError> + Send + 'static,
) -> Result<T, ApiError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|fault| Err(internal(format!("the backup ended by a fault: {fault}"))))
}

/// A plain file name that can only lie in the folder.
pub(crate) fn checked(name: String) -> Result<String, ApiError> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_');
    let stem = name.strip_suffix(ENDING).unwrap_or_default();
    let good = name.len() <= NAME_LIMIT && !stem.is_empty() && !stem.starts_with('.');
    if good && name.bytes().all(plain) {
        return Ok(name);
    }
    Err(ApiError::invalid(format!(
        "`name` must be a file name of ASCII letters, digits, `-`, `_` and `.` that ends with `{ENDING}`, does not \
         begin with `.` and has at most {NAME_LIMIT} bytes"
    )))
}

/// E.g. `amends-20261123T091500.123Z.sqlite`.
pub(crate) fn default_name(now: Timestamp) -> String {
    let now: String = now.to_string().chars().filter(|c| !matches!(c, '-' | ':')).collect();
    format!("amends-{now}{ENDING}")
}

fn conflict(detail: impl Into<String>) -> ApiError {
    Problem::new(ProblemCode::Conflict, detail).into()
}

pub(crate) fn internal(detail: String) -> ApiError {
    Problem::new(ProblemCode::Internal, detail).into()
}

fn failed(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> ApiError {
    move |error| internal(format!("could not {doing} `{}`: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_can_only_lie_in_the_folder() {
        for name in ["a.sqlite", "before-upgrade_2.0.sqlite"] {
            assert_eq!(checked(name.to_owned()), Ok(name.to_owned()));
        }
        let long = format!("{}{ENDING}", "x".repeat(NAME_LIMIT));
        for name in ["", "a", ".sqlite", "..sqlite", "../a.sqlite", "a/b.sqlite", "a\\b.sqlite"] {
            assert!(checked(name.to_owned()).is_err(), "{name}");
        }
        for name in ["/a.sqlite", "ü.sqlite", "a\0.sqlite", "a.sqlite-wal", &*long] {
            assert!(checked(name.to_owned()).is_err(), "{name}");
        }
        let name = default_name(Timestamp(1_700_000_000_123));
        assert_eq!(name, "amends-20231114T221320.123Z.sqlite");
        assert_eq!(checked(name.clone()), Ok(name));
    }
}
