//! Stores of all kinds give the same answers to the same random commands.

use crate::conformance::differential::{ledgers_agree, stores_agree};
use crate::memory_tests::Shared;
use crate::{SqliteOptions, SqliteStore};
use tempfile::TempDir;

/// Commands of each seed.
const COMMANDS: usize = 400;

fn sqlite() -> (TempDir, SqliteStore) {
    let folder = TempDir::new().expect("a folder");
    let store = SqliteStore::open(folder.path(), &SqliteOptions::default()).expect("opens");
    (folder, store)
}

#[tokio::test]
async fn the_store_of_simulations_answers_as_sqlite_does() {
    let seeds = 1..=10;
    for seed in seeds.clone() {
        let (_folder, store) = sqlite();
        ledgers_agree(seed, COMMANDS, ("memory", Shared::default()), ("SQLite", store)).await;
    }
    println!("{} commands, 0 differences", seeds.count() * COMMANDS);
}

/// What differs between two stores of one kind is no difference of kinds.
#[tokio::test]
async fn sqlite_answers_as_sqlite_does() {
    let (_one, first) = sqlite();
    let (_other, second) = sqlite();
    stores_agree(1, COMMANDS, ("one", first), ("other", second)).await;
}
