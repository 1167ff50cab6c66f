//! NATS with JetStream as a private server: on a free port of its own choice, which it keeps when it is started again.

use crate::{PrivateServer, Recipe};
use std::fs;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// How a NATS is started and stopped.
const NATS: Recipe = Recipe {
    name: "NATS",
    package: "nats-server",
    programs: &["nats-server"],
    versions_in: "/usr/lib/nats-server",
    named_by: None,
    start: r#"
    printf '%s' "$CONFIGURATION" >"$DIR/server.conf"
    "$BIN/nats-server" -c "$DIR/server.conf" -a 127.0.0.1 -p -1 -js -sd "$DIR/store" --ports_file_dir "$DIR" -P "$DIR/pid" \
        -l "$DIR/server.log" </dev/null >/dev/null 2>&1 &
    tries=0
    until cat "$DIR"/*.ports >/dev/null 2>&1; do
        tries=$((tries + 1)); [ "$tries" -lt 600 ] || exit 1
        sleep 0.05
    done"#,
    stop: r#"kill -9 "$(cat "$DIR/pid")""#,
    refuses_root: false,
};

/// How long it may take to be there again.
const PATIENCE: Duration = Duration::from_secs(30);

/// A NATS of one test.
#[derive(Debug)]
pub struct NatsServer {
    server: PrivateServer,
    port: u16,
}

impl NatsServer {
    /// Starts it, and returns when it takes connections.
    ///
    /// # Panics
    /// As [`PrivateServer::start`].
    #[must_use]
    pub fn start() -> Self {
        Self::configured("")
    }

    /// The same, with a configuration of NATS's own kind, for whom it lets in and by what certificate.
    ///
    /// # Panics
    /// As [`PrivateServer::start`].
    #[must_use]
    pub fn configured(configuration: &str) -> Self {
        let configuration = [("CONFIGURATION", configuration.to_owned())];
        let server = PrivateServer::try_start(&NATS, &configuration);
        let server = server.unwrap_or_else(|log| panic!("{log}"));
        let files =
            fs::read_dir(server.folder()).expect("readable").flatten().map(|entry| entry.path());
        let ports =
            files.into_iter().find(|path| path.extension().is_some_and(|end| end == "ports"));
        let text = fs::read_to_string(ports.expect("it says its port")).expect("readable");
        // {"nats": ["nats://127.0.0.1:34567"]}
        let digits = text.rsplit(':').next().unwrap_or_default();
        let digits: String = digits.chars().take_while(char::is_ascii_digit).collect();
        Self { server, port: digits.parse().expect("a port") }
    }

    /// Its port on this machine.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Where it is.
    #[must_use]
    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// Kills it: what it has acknowledged is on its disk.
    ///
    /// # Panics
    /// When it can't be killed.
    pub fn kill(&self) {
        let stopped =
            Command::new("sh").args(["-c", NATS.stop]).env("DIR", self.server.folder()).status();
        assert!(stopped.expect("`sh` runs").success(), "it runs");
        let until = Instant::now() + PATIENCE;
        while std::net::TcpStream::connect(("127.0.0.1", self.port)).is_ok() {
            assert!(Instant::now() < until, "it is gone");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Starts it again where it was, with what it had.
    ///
    /// # Panics
    /// When it does not come back.
    pub fn start_again(&self) {
        let folder = self.server.folder();
        let file = |name: &str| folder.join(name).display().to_string();
        let mut command = Command::new("setsid");
        command.arg(self.server.program("nats-server").get_program());
        command.args(["-c", &file("server.conf"), "-a", "127.0.0.1", "-js"]);
        command.args(["-p", &self.port.to_string()]);
        command.args(["-sd", &file("store"), "-P", &file("pid"), "-l", &file("server.log")]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        // It is stopped by its number, as the first one would have been.
        drop(command.spawn().expect("`setsid` and NATS can be started"));
        let until = Instant::now() + PATIENCE;
        while std::net::TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            assert!(Instant::now() < until, "it is back");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}
