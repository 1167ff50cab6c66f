//! A PostgreSQL of the tests' own: one private cluster for each test process, started when the first test asks for it,
//! gone with the process however it ends. Uses nothing but the programs of Debian's package `postgresql`.

use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::{MetadataExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

/// Starts the server, says so, waits until its standard input ends (which happens when the test process is gone, killed
/// or not), then stops the server and removes everything.
const KEEPER: &str = r#"
    trap '' INT TERM HUP
    "$BIN/initdb" -D "$DIR/data" -U postgres -A trust -E UTF8 --locale=C --no-sync >"$DIR/initdb.log" 2>&1 || exit 1
    "$BIN/pg_ctl" -D "$DIR/data" -l "$DIR/server.log" -w -o "-c listen_addresses='' -k $DIR -c fsync=off -c full_page_writes=off \
        -c max_connections=400 -c shared_buffers=64MB" start </dev/null >"$DIR/start.log" 2>&1 || exit 1
    echo ready
    cat >/dev/null
    "$BIN/pg_ctl" -D "$DIR/data" -m immediate stop >/dev/null 2>&1
    cd / && rm -rf "$DIR"
"#;

struct Cluster {
    folder: PathBuf,
    /// Its standard input is what keeps the server alive.
    _keeper: Child,
}

/// The address of an empty schema that nobody else uses, as a database of its own would be.
pub fn new_database() -> String {
    static CLUSTER: OnceLock<Cluster> = OnceLock::new();
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let cluster = CLUSTER.get_or_init(Cluster::start);
    let schema = format!("s{}", NUMBER.fetch_add(1, Ordering::Relaxed));
    let folder = cluster.folder.display();
    format!(
        "postgres://postgres@localhost/postgres?host={folder}&application_name={schema}&options[search_path]={schema}"
    )
}

/// The schema's name within an address.
pub fn schema_of(address: &str) -> &str {
    address.rsplit('=').next().unwrap_or_default()
}

impl Cluster {
    fn start() -> Self {
        let programs = programs();
        let folder = tempfile::Builder::new()
            .prefix("amends-pg-")
            .tempdir_in("/tmp")
            .expect("a folder")
            .keep();
        let is_root = fs::metadata("/proc/self").is_ok_and(|me| me.uid() == 0);
        let mut command = match is_root.then(unprivileged) {
            // PostgreSQL refuses to run as root.
            Some((user, group)) => {
                chown(&folder, Some(user), Some(group)).expect("the folder changes hands");
                let mut command = Command::new("setpriv");
                command.args([
                    format!("--reuid={user}"),
                    format!("--regid={group}"),
                    "--clear-groups".to_owned(),
                    "setsid".to_owned(),
                ]);
                command
            }
            None => Command::new("setsid"),
        };
        let mut keeper = command
            .args(["sh", "-c", KEEPER])
            .env("BIN", &programs)
            .env("DIR", &folder)
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            // It outlives the test by the moment that stopping takes; with the test's own stream it would be a leak.
            .stderr(Stdio::null())
            .spawn()
            .expect("`setsid` and `sh` can be started");
        let mut said = String::new();
        let output = keeper.stdout.take().expect("a pipe");
        BufReader::new(output).read_line(&mut said).expect("readable");
        let log = |name| fs::read_to_string(folder.join(name)).unwrap_or_default();
        assert_eq!(
            said.trim(),
            "ready",
            "PostgreSQL did not start:\n{}{}{}",
            log("initdb.log"),
            log("start.log"),
            log("server.log")
        );
        Self { folder, _keeper: keeper }
    }
}

/// Where `initdb` and `pg_ctl` are: in the `PATH`, or where Debian puts them, the newest first.
fn programs() -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut debian: Vec<PathBuf> = fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path().join("bin")))
        .collect();
    debian.sort_by_key(|folder| {
        let version = folder.parent().and_then(Path::file_name).and_then(OsStr::to_str);
        std::cmp::Reverse(version.and_then(|version| version.parse::<u32>().ok()))
    });
    let has_all = |folder: &PathBuf| {
        ["initdb", "pg_ctl", "postgres"].iter().all(|name| folder.join(name).exists())
    };
    debian.into_iter().chain(std::env::split_paths(&path)).find(has_all).expect(
        "these tests start a PostgreSQL of their own, and `initdb` is neither in the PATH nor in \
         /usr/lib/postgresql/*/bin; install Debian's package `postgresql`",
    )
}

/// Who runs the server when the tests run as root: `postgres` if there is such a user, or else `nobody`.
fn unprivileged() -> (u32, u32) {
    let users = fs::read_to_string("/etc/passwd").expect("readable");
    let ids = |wanted: &str| {
        let line = users.lines().find(|line| line.split(':').next() == Some(wanted))?;
        let mut fields = line.split(':').skip(2);
        Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
    };
    ids("postgres").or_else(|| ids("nobody")).expect("a user `postgres` or `nobody`")
}
