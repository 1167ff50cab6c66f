//! Servers of a test's own: each in a temporary folder, reached by a socket or a free port, stopped by its own id and
//! removed when the test process is gone, however that ends. Installs nothing; says which Debian package is missing.

mod kafka;
mod keys;
mod nats;
mod postgres;
mod programs;

pub use kafka::KafkaServer;
pub use keys::Keys;
pub use nats::NatsServer;
pub use postgres::{ARCHIVING, Certified, PostgresServer};

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, TcpStream};
use std::os::unix::fs::{MetadataExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// What there is to know of one product: where its programs are, how it is started and stopped. The shell text finds
/// `$BIN`, the folder of the programs, and `$DIR`, the server's own; what it says goes to `*.log` in there.
#[derive(Clone, Copy, Debug)]
pub struct Recipe {
    /// For messages: `PostgreSQL`.
    pub name: &'static str,
    /// The Debian package that brings the programs.
    pub package: &'static str,
    /// Programs that lie together.
    pub programs: &'static [&'static str],
    /// Where Debian puts them if not in the `PATH`: `{folder}/{version}/bin`, the newest version first. Empty: in the
    /// `PATH`.
    pub versions_in: &'static str,
    /// The variable of the environment that names another folder to take the programs from.
    pub named_by: Option<&'static str>,
    /// Starts it, and returns when it takes connections. No part of it may hold on to the standard streams.
    pub start: &'static str,
    /// Stops it at once.
    pub stop: &'static str,
    /// Whether it refuses to run as root.
    pub refuses_root: bool,
}

/// How long a server that was killed may take to be gone.
const PATIENCE: Duration = Duration::from_secs(30);

/// A running server.
#[derive(Debug)]
pub struct PrivateServer {
    recipe: &'static Recipe,
    environment: Vec<(&'static str, String)>,
    folder: PathBuf,
    programs: PathBuf,
    /// Its standard input is what keeps the server alive.
    _keeper: Child,
}

impl PrivateServer {
    /// Starts it, and returns when it takes connections.
    ///
    /// # Panics
    /// When its package is missing, or it does not start; with its logs.
    #[must_use]
    pub fn start(recipe: &'static Recipe) -> Self {
        Self::try_start(recipe, Vec::new()).unwrap_or_else(|log| panic!("{log}"))
    }

    /// Starts it, with more variables for its shell text; an error has its logs, and nothing is left of it then.
    fn try_start(
        recipe: &'static Recipe,
        environment: Vec<(&'static str, String)>,
    ) -> Result<Self, String> {
        let programs = programs::find(recipe);
        let prefix = format!("amends-{}-", recipe.package);
        // Short: a socket's path has about a hundred bytes.
        let folder =
            tempfile::Builder::new().prefix(&prefix).tempdir_in("/tmp").expect("a folder").keep();
        let mut keeper = keeper(recipe, &folder)
            .args(["sh", "-c", &script(recipe)])
            .env("BIN", &programs)
            .env("DIR", &folder)
            .envs(environment.iter().cloned())
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
        if said.trim() == "ready" {
            return Ok(Self { recipe, environment, folder, programs, _keeper: keeper });
        }
        let why = format!("{} did not start:\n{}", recipe.name, logs(&folder));
        let _ = keeper.wait(); // it has ended
        let _ = fs::remove_dir_all(&folder); // as far as it can be
        Err(why)
    }

    /// Where its files and sockets are.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// What it has said.
    fn logs(&self) -> String {
        logs(&self.folder)
    }

    /// Kills it, and returns when nobody listens on its port any more.
    fn kill(&self, port: u16) {
        let stopped = self.shell(self.recipe.stop).status();
        assert!(stopped.expect("`sh` runs").success(), "it runs");
        let until = Instant::now() + PATIENCE;
        while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok() {
            assert!(Instant::now() < until, "it is gone");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Starts it again on its port, with what it had. It is stopped as the first one would have been.
    fn start_again(&self, port: u16) {
        let started = self.shell(self.recipe.start).env("PORT", port.to_string()).status();
        let is_back = started.expect("`setsid` and `sh` can be started").success();
        assert!(is_back, "it is back:\n{}", self.logs());
    }

    /// A part of its recipe. None of this is for servers that refuse root.
    fn shell(&self, text: &str) -> Command {
        let mut command = Command::new("setsid");
        command
            .args(["sh", "-c", text])
            .env("BIN", &self.programs)
            .env("DIR", &self.folder)
            .envs(self.environment.iter().cloned())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        command
    }

    /// One of the programs that came with it.
    #[must_use]
    pub fn program(&self, name: &str) -> Command {
        Command::new(self.programs.join(name))
    }
}

/// Starts the server, says so, waits until its standard input ends (which happens when the test process is gone, killed
/// or not), then stops the server and removes everything.
fn script(recipe: &Recipe) -> String {
    let Recipe { start, stop, .. } = recipe;
    format!(
        "trap '' INT TERM HUP\n{start}\n[ $? = 0 ] || exit 1\necho ready\ncat >/dev/null\n{stop}\ncd / && rm -rf \"$DIR\""
    )
}

/// What runs the script: in a session of its own, so that no signal to the tests reaches it, and not as root where the
/// server refuses that.
fn keeper(recipe: &Recipe, folder: &Path) -> Command {
    let is_root = fs::metadata("/proc/self").is_ok_and(|me| me.uid() == 0);
    if !(is_root && recipe.refuses_root) {
        return Command::new("setsid");
    }
    let (user, group) = programs::unprivileged();
    chown(folder, Some(user), Some(group)).expect("the folder changes hands");
    let mut command = Command::new("setpriv");
    command.args([format!("--reuid={user}"), format!("--regid={group}")]);
    command.args(["--clear-groups", "setsid"]);
    command
}

fn logs(folder: &Path) -> String {
    let files = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let logs = files.filter(|path| path.extension().is_some_and(|end| end == "log"));
    logs.map(|path| fs::read_to_string(path).unwrap_or_default()).collect()
}
