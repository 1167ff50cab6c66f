//! Versions of rulebooks by content hash, read back from the store. Keeps a few parsed; never writes.

use super::ApiError;
use super::workshop::Workshop;
use crate::supervisor::Supervisor;
use amends_protocol::{Problem, ProblemCode};
use amends_rulebook::{Rulebook, SourceFile, load_sources};
use amends_store::{RulebookRow, Store};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Parsed versions that are kept. A supervisor has a handful of rulebooks, and people look at recent versions.
const KEPT: usize = 64;

/// A small cache. Clones share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Versions {
    parsed: Arc<Mutex<HashMap<String, Arc<Rulebook>>>>,
}

impl Versions {
    /// The version with this hash, if it is known.
    pub(crate) async fn get<S: Store>(
        &self,
        supervisor: &Supervisor<S>,
        workshop: &Workshop,
        hash: &str,
    ) -> Result<Option<Arc<Rulebook>>, ApiError> {
        if let Some(book) = self.lock().get(hash) {
            return Ok(Some(Arc::clone(book)));
        }
        let book = match supervisor.active_books().into_iter().find(|b| b.hash() == hash) {
            Some(book) => book,
            None => match supervisor.store().rulebook(hash.into()).await? {
                Some(row) => workshop.run(move || parse(row)).await??,
                None => return Ok(None),
            },
        };
        let mut parsed = self.lock();
        if parsed.len() >= KEPT {
            parsed.clear();
        }
        parsed.insert(hash.to_owned(), Arc::clone(&book));
        Ok(Some(book))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, Arc<Rulebook>>> {
        self.parsed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn parse(row: RulebookRow) -> Result<Arc<Rulebook>, ApiError> {
    let sources = row
        .sources
        .into_iter()
        .map(|(path, text)| SourceFile { path, text: text.into() })
        .collect();
    load_sources(sources).rulebook.ok_or_else(|| {
        let detail = format!(
            "version `{}` of rulebook `{}` is stored, but this version can't read it",
            row.hash, row.name
        );
        Problem::new(ProblemCode::Internal, detail).into()
    })
}
