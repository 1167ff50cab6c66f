//! PostgreSQL as a private server: on a socket in its folder, without waiting for the disk. One for all tests of a
//! process; each test takes a database, or a schema, of its own.

use crate::{PrivateServer, Recipe};
use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

/// How a PostgreSQL is started and stopped.
pub const POSTGRES: Recipe = Recipe {
    name: "PostgreSQL",
    package: "postgresql",
    programs: &["initdb", "pg_ctl", "postgres", "psql"],
    versions_in: "/usr/lib/postgresql",
    start: r#"
    "$BIN/initdb" -D "$DIR/data" -U postgres -A trust -E UTF8 --locale=C --no-sync >"$DIR/initdb.log" 2>&1 &&
    "$BIN/pg_ctl" -D "$DIR/data" -l "$DIR/server.log" -w -o "-c listen_addresses='' -k $DIR -c fsync=off -c full_page_writes=off \
        -c max_connections=400 -c shared_buffers=64MB" start </dev/null >"$DIR/start.log" 2>&1"#,
    stop: r#""$BIN/pg_ctl" -D "$DIR/data" -m immediate stop >/dev/null 2>&1"#,
    refuses_root: true,
};

/// A PostgreSQL that the tests of this process share.
#[derive(Debug)]
pub struct PostgresServer(PrivateServer);

impl PostgresServer {
    /// Starts it when the first test asks.
    pub fn shared() -> &'static Self {
        static SERVER: OnceLock<PostgresServer> = OnceLock::new();
        SERVER.get_or_init(|| Self(PrivateServer::start(&POSTGRES)))
    }

    /// The folder of its socket.
    #[must_use]
    pub fn socket(&self) -> &Path {
        self.0.folder()
    }

    /// One of its programs, e.g. `pg_dump`; it takes the addresses that [`Self::new_database`] gives.
    #[must_use]
    pub fn program(&self, name: &str) -> Command {
        self.0.program(name)
    }

    /// The address of an empty database that nobody else uses.
    ///
    /// # Panics
    /// When it can't be made.
    #[must_use]
    pub fn new_database(&self) -> String {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let name = format!("d{}", NUMBER.fetch_add(1, Ordering::Relaxed));
        let socket = self.socket().display().to_string();
        let sql = format!("CREATE DATABASE {name}");
        let how = ["-U", "postgres", "-d", "postgres", "-q", "-h", &socket, "-c", &sql];
        let made = self.0.program("psql").args(how).output().expect("`psql` runs");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        format!("postgres://postgres@localhost/{name}?host={socket}")
    }
}
