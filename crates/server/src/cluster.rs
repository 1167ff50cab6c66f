//! The database that cases are kept in, as a configuration names it, and the store there.

use amends_store::{PostgresOptions, PostgresSeen, PostgresStore, StoreError};
use std::fs;
use std::path::{Path, PathBuf};

/// A store in PostgreSQL.
#[derive(Clone, Debug)]
pub struct ClusterOptions {
    /// How it is opened, but for the password.
    pub database: PostgresOptions,
    /// The file that holds the password; none where the server asks for none.
    pub password_file: Option<PathBuf>,
}

impl ClusterOptions {
    /// How it is opened, with the password as its file holds it now.
    ///
    /// # Errors
    /// When the file can't be read.
    pub fn with_password(&self) -> Result<PostgresOptions, StoreError> {
        let mut options = self.database.clone();
        if let Some(path) = &self.password_file {
            let text = fs::read_to_string(path).map_err(|source| StoreError::File {
                doing: "read",
                path: path.clone(),
                source,
            })?;
            options.password = Some(text.trim_end_matches(['\r', '\n']).to_owned());
        }
        Ok(options)
    }

    /// Opens the store. Blocks until that is done, some seconds at most.
    ///
    /// # Errors
    /// As [`PostgresStore::open`], and when the password can't be read.
    pub fn open(&self) -> Result<PostgresStore, StoreError> {
        PostgresStore::open(&self.with_password()?)
    }

    /// Copies the store to a new file, beside whoever uses it. Changes nothing.
    ///
    /// # Errors
    /// As [`PostgresStore::copy`], and when the password can't be read.
    pub fn copy(&self, to: &Path) -> Result<(), StoreError> {
        PostgresStore::copy(&self.with_password()?, to)
    }

    /// Looks at the store from outside, beside whoever uses it. Changes nothing.
    ///
    /// # Errors
    /// As [`PostgresStore::status`], and when the password can't be read.
    pub fn status(&self) -> Result<Option<PostgresSeen>, StoreError> {
        PostgresStore::status(&self.with_password()?)
    }

    /// Tells a node to give back all that it holds and to take nothing more, or to go on. False if no node of this name
    /// lives.
    ///
    /// # Errors
    /// As [`PostgresStore::set_leaving`], and when the password can't be read.
    pub fn set_leaving(&self, node: &str, leaving: bool) -> Result<bool, StoreError> {
        PostgresStore::set_leaving(&self.with_password()?, node, leaving)
    }
}
