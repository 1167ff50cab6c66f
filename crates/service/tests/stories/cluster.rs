//! The stories' own PostgreSQL: a schema for each service, as a database of its own would be.

use amends_private_server::PostgresServer;
use std::sync::atomic::{AtomicU32, Ordering};

/// The address of an empty schema that nobody else uses.
pub fn new_database() -> String {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let schema = format!("s{}", NUMBER.fetch_add(1, Ordering::Relaxed));
    let folder = PostgresServer::shared().socket().display();
    format!(
        "postgres://postgres@localhost/postgres?host={folder}&application_name={schema}&options[search_path]={schema}"
    )
}

/// The schema's name within an address.
pub fn schema_of(address: &str) -> &str {
    address.rsplit('=').next().unwrap_or_default()
}
