//! Stores of all kinds give the same answers to the same random commands.

use crate::conformance::differential::{ledgers_agree, stores_agree};
use crate::memory_tests::Shared;
use crate::{PostgresOptions, PostgresStore, SqliteOptions, SqliteStore};
use amends_private_server::PostgresServer;
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

fn postgres() -> PostgresStore {
    let options = PostgresOptions::new(&PostgresServer::shared().new_database(), "one");
    PostgresStore::open(&options).expect("opens")
}

#[tokio::test]
async fn postgres_answers_as_sqlite_does() {
    let seeds = 1..=5;
    for seed in seeds.clone() {
        let (_folder, store) = sqlite();
        stores_agree(seed, COMMANDS, ("SQLite", store), ("PostgreSQL", postgres())).await;
    }
    println!("{} commands, 0 differences", seeds.count() * COMMANDS);
}

#[tokio::test]
async fn the_store_of_simulations_answers_as_postgres_does() {
    ledgers_agree(11, COMMANDS, ("memory", Shared::default()), ("PostgreSQL", postgres())).await;
}

/// What differs between two stores of one kind is no difference of kinds.
#[tokio::test]
async fn sqlite_answers_as_sqlite_does() {
    let (_one, first) = sqlite();
    let (_other, second) = sqlite();
    stores_agree(1, COMMANDS, ("one", first), ("other", second)).await;
}
