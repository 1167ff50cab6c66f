//! PostgreSQL as a private server: on a socket in its folder, without waiting for the disk. One for all tests of a
//! process, each of which takes a database of its own; or one of a test's own, to be killed, copied and restored.

use crate::{PrivateServer, Recipe, keeper};
use std::io::Write as _;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// How a PostgreSQL is started and stopped.
pub const POSTGRES: Recipe = Recipe {
    name: "PostgreSQL",
    package: "postgresql",
    programs: &["initdb", "pg_ctl", "postgres"],
    versions_in: "/usr/lib/postgresql",
    named_by: Some("AMENDS_TEST_POSTGRES"),
    start: r#"
    [ -d "$DIR/data" ] || {
        mkdir "$DIR/archive" && { eval "$MAKE"; } </dev/null >"$DIR/make.log" 2>&1 &&
        printf '%s\n' "$SETTINGS" >>"$DIR/data/postgresql.conf"
    } || exit 1
    "$BIN/pg_ctl" -D "$DIR/data" -l "$DIR/server.log" -w -t 300 -o "-k $DIR" start </dev/null >"$DIR/start.log" 2>&1"#,
    stop: r#""$BIN/pg_ctl" -D "$DIR/data" -m immediate stop >/dev/null 2>&1"#,
    refuses_root: true,
};

/// An empty one.
const EMPTY: &str =
    r#""$BIN/initdb" -D "$DIR/data" -U postgres -A trust -E UTF8 --locale=C --no-sync"#;
/// A standby of another, which it follows.
const STANDBY: &str =
    r#""$CLIENTS/pg_basebackup" -h "$FROM" -U postgres -D "$DIR/data" -R -X stream -c fast"#;
/// What another was at a point of its past.
const RESTORED: &str = r#"cp -a "$FROM/base" "$DIR/data" && touch "$DIR/data/recovery.signal""#;

/// What all of them are told first.
const QUICK: &str = "listen_addresses = ''
fsync = off
full_page_writes = off
max_connections = 400
shared_buffers = 64MB
";

/// Longest wait for what has to come.
const PATIENCE: Duration = Duration::from_secs(60);

/// Settings of one whose log is kept, so that [`PostgresServer::restored`] can go to any point of it.
pub const ARCHIVING: &str = "archive_mode = on\narchive_command = 'cp %p ../archive/%f'";

/// A PostgreSQL that the tests of this process share, or one of a test's own.
#[derive(Debug)]
pub struct PostgresServer {
    server: PrivateServer,
    port: u16,
}

/// What tells clients who a server is.
#[derive(Clone, Copy, Debug)]
pub struct Certified<'a> {
    /// Its certificate, for `localhost`, in PEM.
    pub certificate: &'a str,
    /// The key of that, in PEM.
    pub key: &'a str,
}

impl PostgresServer {
    /// Starts it when the first test asks.
    pub fn shared() -> &'static Self {
        static SERVER: OnceLock<PostgresServer> = OnceLock::new();
        SERVER.get_or_init(|| Self::start(""))
    }

    /// Starts one of a test's own. `settings` are lines as in `postgresql.conf`.
    ///
    /// # Panics
    /// When its package is missing, or it does not start; with its logs.
    #[must_use]
    pub fn start(settings: &str) -> Self {
        Self::make(EMPTY, Path::new(""), settings, 5432, None).unwrap_or_else(|log| panic!("{log}"))
    }

    /// Starts one that listens at `localhost`, too, where it shows a certificate.
    ///
    /// # Panics
    /// As [`Self::start`].
    #[must_use]
    pub fn start_certified(by: Certified<'_>) -> Self {
        const TRIES: usize = 10; // others may take a port first
        let mut why = String::new();
        for _ in 0..TRIES {
            let port = free_port();
            let settings = format!(
                "listen_addresses = 'localhost'\nport = {port}\nssl = on\nssl_cert_file = '../server.crt'\nssl_key_file = '../server.key'"
            );
            match Self::make(EMPTY, Path::new(""), &settings, port, Some(by)) {
                Ok(server) => return server,
                Err(log) if log.contains("Address already in use") => why = log,
                Err(log) => panic!("{log}"),
            }
        }
        panic!("no port is free:\n{why}");
    }

    /// Starts a standby, which follows this one and takes no writes until it is [promoted](Self::promote). This one
    /// waits for it with each commit if its `synchronous_standby_names` say so.
    ///
    /// # Panics
    /// As [`Self::start`].
    #[must_use]
    pub fn standby(&self) -> Self {
        Self::make(STANDBY, self.socket(), "", self.port, None)
            .unwrap_or_else(|log| panic!("{log}"))
    }

    /// Copies its files while it works, for [`Self::restored`]; once.
    ///
    /// # Panics
    /// When they can't be copied.
    pub fn base_backup(&self) {
        self.control(
            r#""$CLIENTS/pg_basebackup" -h "$DIR" -U postgres -D "$DIR/base" -X stream -c fast"#,
        );
    }

    /// Starts one that begins with the [copy](Self::base_backup) of this one and goes on to a point that
    /// `pg_create_restore_point` has given this name, by the log that this one has [archived](ARCHIVING). It takes
    /// writes from there on.
    ///
    /// # Panics
    /// As [`Self::start`].
    #[must_use]
    pub fn restored(&self, to: &str) -> Self {
        // The segment with the point comes into the archive once it is full.
        let segment = self.sql("postgres", "SELECT pg_walfile_name(pg_switch_wal())");
        let is_there = format!("SELECT last_archived_wal >= '{segment}' FROM pg_stat_archiver");
        self.until("postgres", &is_there);
        let from = self.socket();
        let settings = format!(
            "restore_command = 'cp {}/archive/%f %p'\nrecovery_target_name = '{to}'\nrecovery_target_action = 'promote'",
            from.display()
        );
        let made = Self::make(RESTORED, from, &settings, self.port, None);
        let made = made.unwrap_or_else(|log| panic!("{log}"));
        made.until("postgres", "SELECT NOT pg_is_in_recovery()");
        made
    }

    fn make(
        how: &str,
        from: &Path,
        settings: &str,
        port: u16,
        by: Option<Certified<'_>>,
    ) -> Result<Self, String> {
        let certify = r#"umask 077; printf '%s\n' "$CERTIFICATE" >"$DIR/server.crt"; printf '%s\n' "$KEY" >"$DIR/server.key"; "#;
        let (certificate, key) =
            by.map(|by| (by.certificate.to_owned(), by.key.to_owned())).unwrap_or_default();
        let environment = [
            ("MAKE", format!("{}{how}", if by.is_some() { certify } else { "" })),
            ("SETTINGS", format!("{QUICK}{settings}")),
            ("FROM", from.display().to_string()),
            ("CLIENTS", clients().display().to_string()),
            ("CERTIFICATE", certificate),
            ("KEY", key),
        ];
        let server = PrivateServer::try_start(&POSTGRES, environment.into())?;
        Ok(Self { server, port })
    }

    /// The folder of its socket.
    #[must_use]
    pub fn socket(&self) -> &Path {
        self.server.folder()
    }

    /// The port in the name of its socket, at which it listens if it is [certified](Self::start_certified).
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// The id of its first process, whose children all others are.
    ///
    /// # Panics
    /// When it does not run.
    #[must_use]
    pub fn process_id(&self) -> u32 {
        let file = self.socket().join("data/postmaster.pid");
        let text = std::fs::read_to_string(file).expect("it runs");
        text.lines().next().and_then(|line| line.trim().parse().ok()).expect("a number")
    }

    /// One of the client's programs, e.g. `pg_dump`; it takes the addresses that [`Self::new_database`] gives.
    #[must_use]
    pub fn program(&self, name: &str) -> Command {
        Command::new(clients().join(name))
    }

    /// The address of one of its databases.
    #[must_use]
    pub fn address(&self, database: &str) -> String {
        self.address_by(self.socket(), database)
    }

    /// The same, where another folder leads to that of its socket.
    #[must_use]
    pub fn address_by(&self, folder: &Path, database: &str) -> String {
        let Self { port, .. } = self;
        format!("postgres://postgres@localhost:{port}/{database}?host={}", folder.display())
    }

    /// The address of an empty database that nobody else uses.
    ///
    /// # Panics
    /// When it can't be made.
    #[must_use]
    pub fn new_database(&self) -> String {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let name = format!("d{}", NUMBER.fetch_add(1, Ordering::Relaxed));
        self.sql("postgres", &format!("CREATE DATABASE {name}"));
        self.address(&name)
    }

    /// Runs statements in a database, whose name or address is given; what they answer, without names of columns.
    ///
    /// # Panics
    /// When one fails.
    pub fn sql(&self, database: &str, sql: &str) -> String {
        let address =
            if database.contains("://") { database.to_owned() } else { self.address(database) };
        let how = ["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-d", &address, "-c", sql];
        let done = self.program("psql").args(how).output().expect("`psql` runs");
        assert!(done.status.success(), "{sql}: {}", String::from_utf8_lossy(&done.stderr));
        String::from_utf8_lossy(&done.stdout).trim().to_owned()
    }

    /// Asks again until the answer is true.
    ///
    /// # Panics
    /// When it never becomes so, or can't be asked.
    pub fn until(&self, database: &str, sql: &str) {
        let deadline = Instant::now() + PATIENCE;
        while self.sql(database, sql) != "t" {
            assert!(Instant::now() < deadline, "it never became true: {sql}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Kills it: what it has acknowledged is in its files.
    ///
    /// # Panics
    /// When it can't be killed.
    pub fn kill(&self) {
        self.control(POSTGRES.stop);
    }

    /// Starts it again where it was, with what it had.
    ///
    /// # Panics
    /// When it does not come back.
    pub fn start_again(&self) {
        self.control(POSTGRES.start);
    }

    /// Makes a standby take writes; returns when it does.
    ///
    /// # Panics
    /// When it is none.
    pub fn promote(&self) {
        self.control(r#""$BIN/pg_ctl" -D "$DIR/data" -w -t 300 promote"#);
    }

    /// Runs statements, one a line, in one of its databases while it is killed, so that nobody else sees them pass.
    ///
    /// # Panics
    /// When they can't be run.
    pub fn alone(&self, database: &str, sql: &str) {
        let script =
            format!(r#""$BIN/postgres" --single -D "$DIR/data" {database} >"$DIR/alone.log" 2>&1"#);
        let mut one = self.by_its_user(&script);
        let mut child = one.stdin(Stdio::piped()).spawn().expect("`sh` can be started");
        let mut input = child.stdin.take().expect("a pipe");
        input.write_all(format!("{sql}\n").as_bytes()).expect("it reads");
        drop(input);
        let ended = child.wait().expect("it ends");
        let said = std::fs::read_to_string(self.socket().join("alone.log")).unwrap_or_default();
        assert!(ended.success() && !said.contains("ERROR"), "{said}");
    }

    fn control(&self, script: &str) {
        let mut one = self.by_its_user(script);
        let done = one.stdin(Stdio::null()).status().expect("`sh` can be started");
        assert!(done.success(), "{script}: {done}\n{}", self.server.logs());
    }

    /// Runs shell text as who runs the server.
    fn by_its_user(&self, script: &str) -> Command {
        let mut command = keeper(&POSTGRES, self.socket());
        command
            .args(["sh", "-c", script])
            .env("BIN", &self.server.programs)
            .env("CLIENTS", clients())
            .env("DIR", self.socket())
            .current_dir("/")
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        command
    }
}

/// Where the client's programs are. Debian has more of them than others who build a server.
fn clients() -> PathBuf {
    let programs = &["psql", "pg_basebackup", "pg_dump"];
    crate::programs::find(&Recipe { programs, named_by: None, ..POSTGRES })
}

/// Below the ports that systems give to whoever asks for any.
fn free_port() -> u16 {
    static TRIED: AtomicU32 = AtomicU32::new(0);
    loop {
        let tried = TRIED.fetch_add(1, Ordering::Relaxed);
        let port = 12_000 + u16::try_from((std::process::id() + tried) % 4_000).unwrap_or_default();
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return port;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_that_is_killed_comes_back_with_what_it_had() {
        let server = PostgresServer::start("");
        let base = server.new_database();
        server.sql(&base, "CREATE TABLE t (n int); INSERT INTO t VALUES (1)");
        server.kill();
        server.alone("d0", "INSERT INTO t VALUES (2)");
        server.start_again();
        assert_eq!(server.sql(&base, "SELECT sum(n) FROM t"), "3");
    }

    #[test]
    fn a_standby_follows_and_is_promoted() {
        let server = PostgresServer::start("synchronous_commit = remote_apply");
        let standby = server.standby();
        server.sql("postgres", "ALTER SYSTEM SET synchronous_standby_names = '*'");
        server.sql("postgres", "SELECT pg_reload_conf()");
        server.sql("postgres", "CREATE TABLE t (n int)");
        server.kill();
        assert_eq!(standby.sql("postgres", "SELECT pg_is_in_recovery()"), "t");
        standby.promote();
        standby.sql("postgres", "INSERT INTO t VALUES (1)");
    }

    #[test]
    fn the_past_comes_back_up_to_a_point() {
        let server = PostgresServer::start(ARCHIVING);
        server.sql("postgres", "CREATE TABLE t (n int)");
        server.base_backup();
        server.sql("postgres", "INSERT INTO t VALUES (1)");
        server.sql("postgres", "SELECT pg_create_restore_point('then')");
        server.sql("postgres", "INSERT INTO t VALUES (2)");
        let restored = server.restored("then");
        assert_eq!(restored.sql("postgres", "SELECT sum(n) FROM t"), "1");
    }
}
