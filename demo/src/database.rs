//! The database of a run with `--store postgres`: a PostgreSQL of the run's own, in which the supervisor keeps its
//! cases. It is started, killed and cut off here; it knows nothing of cases.

use crate::kept::{Kept, Server};
use anyhow::{Context, bail};
use std::ffi::OsStr;
use std::os::unix::fs::{MetadataExt, chown};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use tempfile::TempDir;
use tokio::process::Command;

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

/// A PostgreSQL of the run's own, on a socket in a folder that goes away with it.
pub(crate) struct Database {
    programs: PathBuf,
    /// It lies beside the run's folder: its path is short enough for a socket, and it may belong to another user.
    folder: TempDir,
    /// As whom it runs, if not as us.
    user: Option<(u32, u32)>,
    kept: Kept,
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
        let kept = Kept::new("PostgreSQL", logs.join("postgres.log"));
        let database = Self { programs, folder, user, kept };
        let data = database.data();
        let made = database
            .client("initdb")
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

    /// What the environment of a supervisor says of it, which is this node; perhaps one of several.
    pub(crate) fn environment(&self, node: &str, is_shared: bool) -> Vec<(&'static str, String)> {
        let socket = self.folder.path().display();
        let address = format!("postgres://postgres@localhost/postgres?host={socket}");
        vec![
            ("AMENDS_CLUSTER_DATABASE", address),
            ("AMENDS_CLUSTER_NODE", node.to_owned()),
            ("AMENDS_CLUSTER_SHARE", is_shared.to_string()),
        ]
    }

    /// As [`Kept::kill`].
    pub(crate) async fn kill(&self) -> bool {
        self.kept.kill().await
    }

    /// Starts it again with what it had.
    ///
    /// # Errors
    /// When it doesn't come up again.
    pub(crate) async fn revive(&self) -> anyhow::Result<()> {
        self.kept.revive(self).await
    }

    /// Breaks all connections of the supervisor. Says whether there was one.
    ///
    /// # Errors
    /// When the server can't be asked.
    pub(crate) async fn sever(&self) -> anyhow::Result<bool> {
        let sql = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name LIKE 'amends/%'";
        let said = self
            .client("psql")
            .arg("-h")
            .arg(self.folder.path())
            .args(["-U", "postgres", "-d", "postgres", "-Atc", sql])
            .output()
            .await?;
        Ok(said.status.success() && said.stdout.trim_ascii() != b"0")
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn client(&self, name: &str) -> Command {
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

impl Server for Database {
    fn program(&self, command: &mut Command) -> anyhow::Result<()> {
        command.arg(self.programs.join("postgres")).arg("-D").arg(self.data());
        command.arg("-k").arg(self.folder.path());
        command.args(["-c", "listen_addresses=", "-c", "shared_buffers=32MB"]);
        self.as_user(command);
        Ok(())
    }

    async fn is_there(&self) -> bool {
        let mut asks = self.client("pg_isready");
        let asked = asks.arg("-h").arg(self.folder.path()).output().await;
        asked.is_ok_and(|said| said.status.success())
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
