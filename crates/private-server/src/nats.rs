//! NATS with JetStream as a private server: on a free port of its own choice, which it keeps when it is started again.

use crate::{Keys, PrivateServer, Recipe};
use std::fs;

/// How a NATS is started and stopped.
const NATS: Recipe = Recipe {
    name: "NATS",
    package: "nats-server",
    programs: &["nats-server"],
    versions_in: "/usr/lib/nats-server",
    named_by: None,
    start: r#"
    [ -f "$DIR/server.conf" ] || printf '%s' "$CONFIGURATION" >"$DIR/server.conf"
    rm -f "$DIR"/*.ports
    "$BIN/nats-server" -c "$DIR/server.conf" -a 127.0.0.1 -p "$PORT" -js -sd "$DIR/store" --ports_file_dir "$DIR" \
        -P "$DIR/pid" -l "$DIR/server.log" </dev/null >/dev/null 2>&1 &
    tries=0
    until cat "$DIR"/*.ports >/dev/null 2>&1; do
        tries=$((tries + 1)); [ "$tries" -lt 600 ] || exit 1
        sleep 0.05
    done"#,
    stop: r#"kill -9 "$(cat "$DIR/pid")""#,
    refuses_root: false,
};

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
        // It chooses its port.
        let given = [("CONFIGURATION", configuration), ("PORT", "-1")];
        let given = given.map(|(name, value)| (name, value.to_owned())).into();
        let server = PrivateServer::try_start(&NATS, given);
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

    /// One that speaks TLS alone, and lets in whoever has the name and the password.
    ///
    /// # Panics
    /// As [`PrivateServer::start`].
    #[must_use]
    pub fn start_secured(keys: &Keys) -> Self {
        Self::configured(&secured(keys, Keys::PASSWORD))
    }

    /// From its next start on it wants another password.
    ///
    /// # Panics
    /// When its configuration can't be written.
    pub fn wants(&self, keys: &Keys, password: &str) {
        let file = self.server.folder().join("server.conf");
        fs::write(file, secured(keys, password)).expect("written");
    }

    /// One that speaks TLS alone, and lets in whoever shows a certificate of our authority's.
    ///
    /// # Panics
    /// As [`PrivateServer::start`].
    #[must_use]
    pub fn start_certified(keys: &Keys) -> Self {
        let authority = keys.path("authority.pem");
        Self::configured(&format!("{}  ca_file: \"{authority}\"\n  verify: true\n}}\n", tls(keys)))
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

    /// Where it is, if it speaks TLS.
    #[must_use]
    pub fn secured_url(&self) -> String {
        format!("tls://127.0.0.1:{}", self.port)
    }

    /// Kills it: what it has acknowledged is on its disk.
    ///
    /// # Panics
    /// When it can't be killed.
    pub fn kill(&self) {
        self.server.kill(self.port);
    }

    /// Starts it again where it was, with what it had.
    ///
    /// # Panics
    /// When it does not come back.
    pub fn start_again(&self) {
        self.server.start_again(self.port);
    }
}

fn secured(keys: &Keys, password: &str) -> String {
    let user = Keys::USER;
    format!("{}}}\nauthorization {{ user: \"{user}\", password: \"{password}\" }}\n", tls(keys))
}

/// The beginning of what it is told of TLS.
fn tls(keys: &Keys) -> String {
    let (certificate, key) = (keys.path("server.pem"), keys.path("server.key"));
    format!("tls {{\n  cert_file: \"{certificate}\"\n  key_file: \"{key}\"\n")
}
