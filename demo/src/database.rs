//! The database of a run with `--store postgres`: a PostgreSQL of the run's own, in which the supervisor keeps its
//! cases. It is started, killed and cut off here; it knows nothing of cases.

use crate::process::{START_LIMIT, end, open_log};
use anyhow::{Context, bail};
use std::ffi::OsStr;
use std::os::unix::fs::{MetadataExt, chown};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;
use tokio::process::{Child, ChildStdin, Command};
use tokio::sync::Mutex;
use tokio::time::Instant;

/// Where cases are kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum StoreKind {
    /// In a file.
    #[default]
    Sqlite,
    /// In a PostgreSQL of the run's own.
    Postgres,
}

const PROGRAMS: [&str; 4] = ["initdb", "postgres", "psql", "pg_isready"];
/// Where Debian puts them, by version.
const VERSIONS_IN: &str = "/usr/lib/postgresql";
/// How often it is looked whether it takes connections.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// Runs a program, and kills it when standard input ends: because the runner said so, or is gone.
const KEEPER: &str = r#"exec 3<&0
"$@" </dev/null &
server=$!
( cat <&3 >/dev/null; kill -9 "$server" 2>/dev/null ) &
wait "$server""#;

/// A PostgreSQL of the run's own, on a socket in a folder that goes away with it.
pub(crate) struct Database {
    programs: PathBuf,
    /// It lies beside the run's folder: its path is short enough for a socket, and it may belong to another user.
    folder: TempDir,
    log: PathBuf,
    /// As whom it runs, if not as us.
    user: Option<(u32, u32)>,
    /// Its standard input is what keeps it alive.
    running: Mutex<Option<(Child, ChildStdin)>>,
}

impl Database {
    /// The one that a kind of store needs, empty.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub(crate) async fn of(kind: StoreKind, logs: &Path) -> anyhow::Result<Option<Arc<Self>>> {
        match kind {
            StoreKind::Sqlite => Ok(None),
            StoreKind::Postgres => Self::start(logs).await.map(Some),
        }
    }

    /// Makes an empty one, and returns when it takes connections.
    ///
    /// # Errors
    /// When this build, or this machine, can't have one, with how to mend it; when it doesn't come up.
    async fn start(logs: &Path) -> anyhow::Result<Arc<Self>> {
        if cfg!(not(feature = "postgres")) {
            bail!(
                "this build knows no `--store postgres`; build one that does: `cargo build --release --features postgres`"
            );
        }
        let programs = programs()?;
        let folder = tempfile::Builder::new().prefix("amends-pg-").tempdir_in("/tmp")?;
        let user = unprivileged()?;
        if let Some((user, group)) = user {
            chown(folder.path(), Some(user), Some(group))?;
        }
        let (log, running) = (logs.join("postgres.log"), Mutex::default());
        let database = Self { programs, folder, log, user, running };
        let data = database.data();
        let made = database
            .program("initdb")
            .arg("-D")
            .arg(&data)
            .args(["-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"])
            .output()
            .await?;
        if !made.status.success() {
            bail!("no database can be made: {}", String::from_utf8_lossy(&made.stderr).trim());
        }
        database.revive().await?;
        Ok(Arc::new(database))
    }

    /// What the supervisor's environment says of it.
    pub(crate) fn environment(&self) -> Vec<(&'static str, String)> {
        let socket = self.folder.path().display();
        let address = format!("postgres://postgres@localhost/postgres?host={socket}");
        vec![("AMENDS_CLUSTER_DATABASE", address), ("AMENDS_CLUSTER_NODE", "demo".to_owned())]
    }

    /// Kills it with SIGKILL; it stays down until [`Self::revive`]. Says whether there was a process to kill.
    pub(crate) async fn kill(&self) -> bool {
        let Some((child, stdin)) = self.running.lock().await.take() else { return false };
        drop(stdin);
        end(child).await;
        true
    }

    /// Starts it again with what it had.
    ///
    /// # Errors
    /// When it doesn't come up again.
    pub(crate) async fn revive(&self) -> anyhow::Result<()> {
        let mut running = self.running.lock().await;
        let deadline = Instant::now() + START_LIMIT;
        while running.is_none() {
            match self.spawn().await {
                Ok(started) => *running = Some(started),
                // What the dead one left running may hold its memory for a moment.
                Err(_) if Instant::now() < deadline => tokio::time::sleep(LOOK_EVERY).await,
                Err(why) => return Err(why),
            }
        }
        Ok(())
    }

    /// Breaks all connections of the supervisor. Says whether there was one.
    ///
    /// # Errors
    /// When the server can't be asked.
    pub(crate) async fn sever(&self) -> anyhow::Result<bool> {
        let sql = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name LIKE 'amends/%'";
        let said = self
            .program("psql")
            .arg("-h")
            .arg(self.folder.path())
            .args(["-U", "postgres", "-d", "postgres", "-Atc", sql])
            .output()
            .await?;
        Ok(said.status.success() && said.stdout.trim_ascii() != b"0")
    }

    async fn spawn(&self) -> anyhow::Result<(Child, ChildStdin)> {
        let log = open_log(&self.log)?;
        let mut keeper = Command::new("sh");
        keeper
            .args(["-c", KEEPER, "postgres"])
            .arg(self.programs.join("postgres"))
            .arg("-D")
            .arg(self.data())
            .arg("-k")
            .arg(self.folder.path())
            .args(["-c", "listen_addresses=", "-c", "shared_buffers=32MB"]);
        let mut child = self
            .as_user(&mut keeper)
            .stdin(Stdio::piped())
            .stdout(log.try_clone()?)
            .stderr(log)
            .kill_on_drop(true)
            .process_group(0)
            .spawn()
            .context("cannot start `sh`")?;
        let stdin = child.stdin.take().context("the database has no standard input")?;
        let deadline = Instant::now() + START_LIMIT;
        loop {
            if child.try_wait()?.is_some() {
                bail!("PostgreSQL ended at once; see {}", self.log.display());
            }
            let mut asks = self.program("pg_isready");
            if asks.arg("-h").arg(self.folder.path()).output().await?.status.success() {
                return Ok((child, stdin));
            }
            if Instant::now() >= deadline {
                bail!("PostgreSQL takes no connections; see {}", self.log.display());
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn program(&self, name: &str) -> Command {
        let mut command = Command::new(self.programs.join(name));
        self.as_user(command.stdin(Stdio::null()).current_dir("/"));
        command
    }

    fn as_user<'c>(&self, command: &'c mut Command) -> &'c mut Command {
        match self.user {
            Some((user, group)) => command.uid(user).gid(group).current_dir("/"),
            None => command,
        }
    }
}

/// The folder of its programs: where Debian puts them, the newest first, or in the `PATH`.
fn programs() -> anyhow::Result<PathBuf> {
    let mut versions: Vec<PathBuf> = std::fs::read_dir(VERSIONS_IN)
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path()))
        .collect();
    versions.sort_by_key(|folder| {
        let version = folder.file_name().and_then(OsStr::to_str);
        std::cmp::Reverse(version.and_then(|version| version.parse::<u32>().ok()))
    });
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut all =
        versions.iter().map(|folder| folder.join("bin")).chain(std::env::split_paths(&path));
    let has_all = |folder: &PathBuf| PROGRAMS.iter().all(|name| folder.join(name).exists());
    all.find(has_all).with_context(|| {
        format!(
            "`--store postgres` starts a PostgreSQL of its own, and {} are neither in the PATH nor in {VERSIONS_IN}/*/bin; install it (Debian's package is `postgresql`)",
            PROGRAMS.join(", ")
        )
    })
}

/// It refuses to run as root: then it runs as the user `postgres`, or else `nobody`.
fn unprivileged() -> anyhow::Result<Option<(u32, u32)>> {
    if !std::fs::metadata("/proc/self").is_ok_and(|me| me.uid() == 0) {
        return Ok(None);
    }
    let users = std::fs::read_to_string("/etc/passwd")?;
    let ids = |wanted: &str| {
        let line = users.lines().find(|line| line.split(':').next() == Some(wanted))?;
        let mut fields = line.split(':').skip(2);
        Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
    };
    let found = ids("postgres").or_else(|| ids("nobody"));
    found
        .map(Some)
        .context("PostgreSQL doesn't run as root, and there is no user `postgres` or `nobody`")
}
