//! The mark of a store that was moved into a database: a file beside it, which a person can read and remove.

use crate::StoreError;
use std::path::{Path, PathBuf};
#[cfg(feature = "postgres")]
use {
    super::connection::{create_private_file, file},
    std::fs::{self, File},
    std::io::Write as _,
};

const NAME: &str = "MOVED-TO-POSTGRESQL";

/// What the mark says.
#[cfg(feature = "postgres")]
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct MovedMark {
    /// Of the move; no other one has it.
    pub(crate) number: i64,
    /// Where to, for people.
    pub(crate) to: String,
}

fn path(dir: &Path) -> PathBuf {
    dir.join(NAME)
}

/// Refuses a folder that has the mark.
pub(crate) fn refuse(dir: &Path) -> Result<(), StoreError> {
    match path(dir).exists() {
        true => Err(StoreError::Moved { dir: dir.to_owned(), mark: path(dir) }),
        false => Ok(()),
    }
}

/// The mark of a folder, if it has one.
#[cfg(feature = "postgres")]
pub(crate) fn read(dir: &Path) -> Result<Option<MovedMark>, StoreError> {
    let path = path(dir);
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(file("read", &path)(error)),
    };
    let line = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
    // One that a person has written: it still keeps supervisors out, and belongs to no move.
    let number = line("number:").and_then(|number| number.parse().ok()).unwrap_or(-1);
    Ok(Some(MovedMark { number, to: line("to:").unwrap_or_default().to_owned() }))
}

/// Puts the mark there, durably.
#[cfg(feature = "postgres")]
pub(crate) fn write(dir: &Path, mark: &MovedMark) -> Result<(), StoreError> {
    let MovedMark { number, to } = mark;
    let text = format!(
        "The store in this folder was moved into PostgreSQL, or is being moved (`amends migrate`).\n\
         to: {to}\nnumber: {number}\n\n\
         As long as this file is here, no supervisor starts on the folder. To go back to it, stop the supervisor that\n\
         works in PostgreSQL and remove this file. What has happened there since does not come back with it.\n"
    );
    let (whole, part) = (path(dir), dir.join(format!("{NAME}.part")));
    let _ = fs::remove_file(&part); // of a crash
    let mut written = create_private_file(&part).map_err(file("create", &part))?;
    written.write_all(text.as_bytes()).map_err(file("write", &part))?;
    written.sync_all().map_err(file("write", &part))?;
    fs::rename(&part, &whole).map_err(file("create", &whole))?;
    File::open(dir).and_then(|dir| dir.sync_all()).map_err(file("write", dir))
}
