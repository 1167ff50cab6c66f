//! A PostgreSQL of the benchmark's own: it waits for the disk, and is tuned as docs/guides/postgres.md says.

use amends_private_server::PostgresServer;
use amends_store::{PostgresOptions, PostgresStore};
use anyhow::Context;
use std::path::Path;

/// What the guide says, and that nothing is left out for speed.
const SETTINGS: &str = "fsync = on
full_page_writes = on
shared_buffers = 1GB
max_wal_size = 4GB
checkpoint_timeout = 15min
wal_compression = on
random_page_cost = 1.1";

const LOG_BYTES: &str = "SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::bigint";

/// A server with an empty database. It is gone with this.
pub struct Database {
    server: PostgresServer,
    /// Where a supervisor finds it.
    pub address: String,
}

impl Database {
    /// Starts it.
    pub fn start() -> Self {
        let server = PostgresServer::start(SETTINGS);
        let address = server.new_database();
        Self { server, address }
    }

    /// An empty store in another database of the same server.
    pub fn anew(&mut self) -> anyhow::Result<()> {
        self.address = self.server.new_database();
        // Making the tables is no part of any run.
        drop(PostgresStore::open(&PostgresOptions::new(&self.address, "bench"))?);
        Ok(())
    }

    /// The first of its processes.
    pub fn process_id(&self) -> u32 {
        self.server.process_id()
    }

    /// Its version.
    pub fn version(&self) -> String {
        self.server.sql(&self.address, "SHOW server_version")
    }

    /// Bytes of its log so far, once all have hung up.
    pub fn log_bytes(&self) -> anyhow::Result<u64> {
        self.number(LOG_BYTES)
    }

    /// The same, whoever works on it.
    pub fn log_bytes_now(&self) -> anyhow::Result<u64> {
        self.ask(LOG_BYTES)
    }

    /// Rows that were written in the database so far, by those who have hung up.
    pub fn rows_written(&self) -> anyhow::Result<u64> {
        self.number(
            "SELECT tup_inserted + tup_updated + tup_deleted FROM pg_stat_database WHERE datname = current_database()",
        )
    }

    /// Cases of a report by their opening: when, in milliseconds, and the number of the saga `bench-…`.
    pub fn cases_of(&self, report: &str) -> anyhow::Result<Vec<(i64, usize)>> {
        let sql = format!(
            "SELECT opened_at, substr(saga, 7) FROM amends.cases WHERE report = '{report}' ORDER BY opened_at, id"
        );
        let rows = self.server.sql(&self.address, &sql);
        let row = |line: &str| -> anyhow::Result<(i64, usize)> {
            let (at, saga) = line.split_once('|').context("two columns")?;
            Ok((at.parse()?, saga.parse()?))
        };
        rows.lines().map(row).collect()
    }

    /// The version of its tables, and those of the nodes that live.
    pub fn versions(&self) -> (String, String) {
        let ask = |sql| self.server.sql(&self.address, sql);
        let nodes = "SELECT string_agg(DISTINCT version::text, ', ') FROM amends.node WHERE alive_until > clock_timestamp()";
        (ask("SELECT version FROM amends.schema"), ask(nodes))
    }

    fn number(&self, sql: &str) -> anyhow::Result<u64> {
        let alone = "SELECT count(*) = 1 FROM pg_stat_activity WHERE datname = current_database()";
        self.server.until(&self.address, alone);
        self.ask(sql)
    }

    fn ask(&self, sql: &str) -> anyhow::Result<u64> {
        self.server.sql(&self.address, sql).parse().with_context(|| sql.to_owned())
    }

    /// Kills it; all that was committed is on the disk.
    pub fn kill(&self) {
        self.server.kill();
    }

    /// Starts it again with what it had.
    pub fn start_again(&self) {
        self.server.start_again();
    }

    /// The configuration of a node of several that share it.
    pub fn configuration_of(&self, node: &str) -> String {
        format!("[cluster]\ndatabase = \"{}\"\nnode = \"{node}\"\nshare = true\n", self.address)
    }

    /// The configuration of a supervisor that keeps its cases there.
    pub fn configuration(&self) -> String {
        format!("[cluster]\ndatabase = \"{}\"\nnode = \"bench\"\n", self.address)
    }
}

/// Waits for the disk, and not in a folder in memory: else a commit costs nothing.
pub fn lies_on_a_disk(folder: &Path) -> bool {
    let mounts = std::fs::read_to_string("/proc/mounts").unwrap_or_default();
    let kinds = mounts.lines().filter_map(|line| {
        let mut words = line.split(' ').skip(1);
        Some((words.next()?, words.next()?))
    });
    let deepest = kinds.filter(|(at, _)| folder.starts_with(at)).max_by_key(|(at, _)| at.len());
    deepest.is_none_or(|(_, kind)| kind != "tmpfs")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_guide_says_the_same() {
        let guide = include_str!("../../docs/guides/postgres.md");
        for line in SETTINGS.lines().skip(2) {
            assert!(guide.contains(line), "docs/guides/postgres.md does not say `{line}`");
        }
    }
}
