//! Apache Kafka as a private server: one broker that is its own controller, on a free port, which it keeps when it is
//! started again. Its programs are brought by `cargo xtask install`. It takes some seconds to start, so that the tests
//! of a process share one where their story lets them, with topics of their own.

use crate::{Keys, PrivateServer, Recipe};
use std::io::Write as _;
use std::net::{Ipv4Addr, TcpListener};
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU16, Ordering};

/// Where `cargo xtask install` puts what `kafka/pom.xml` names.
const PROGRAMS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../target/kafka");

/// Starts it, and returns when it has said that it is there. The folder is made as Kafka's own tool would, without
/// which one Java less has to start; only names and passwords need the tool.
const RUN: &str = r#"
    cluster=AmendsPrivateKafkaXXXX
    [ -d "$DIR/data" ] || {
        mkdir "$DIR/data" &&
        printf '%s\nlog.dirs=%s\n' "$PROPERTIES" "$DIR/data" >"$DIR/server.properties" &&
        if [ -n "$SCRAM" ]; then
            printf '%s\n' "$PEM" >"$DIR/broker.pem" &&
            printf 'listener.name.outside.ssl.keystore.location=%s\n' "$DIR/broker.pem" >>"$DIR/server.properties" &&
            "$BIN/java" -Xmx128m -cp "$KAFKA/*" kafka.tools.StorageTool format -t "$cluster" \
                -c "$DIR/server.properties" --add-scram "$SCRAM" </dev/null >"$DIR/format.log" 2>&1
        else
            printf 'version=1\nnode.id=1\ncluster.id=%s\n' "$cluster" >"$DIR/data/meta.properties"
        fi
    } || exit 1
    : >"$DIR/server.log"
    "$BIN/java" -Xms64m -Xmx256m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 \
        -Dorg.slf4j.simpleLogger.defaultLogLevel=warn -Dorg.slf4j.simpleLogger.log.kafka.server.KafkaRaftServer=info \
        -cp "$KAFKA/*" kafka.Kafka "$DIR/server.properties" </dev/null >>"$DIR/server.log" 2>&1 &
    pid=$!
    echo "$pid" >"$DIR/pid"
    tries=0
    until grep -q 'Kafka Server started' "$DIR/server.log"; do
        tries=$((tries + 1))
        { [ "$tries" -lt 1200 ] && kill -0 "$pid"; } 2>/dev/null || { kill -9 "$pid" 2>/dev/null; exit 1; }
        sleep 0.1
    done"#;

/// How a Kafka is started and stopped.
const KAFKA: Recipe = Recipe {
    name: "Kafka",
    package: "default-jre-headless",
    programs: &["java"],
    versions_in: "",
    named_by: None,
    start: RUN,
    stop: r#"kill -9 "$(cat "$DIR/pid")""#,
    refuses_root: false,
};

/// Other tests may take a port first.
const TRIES: usize = 10;

/// A Kafka of one test, or of the tests of one process.
#[derive(Debug)]
pub struct KafkaServer {
    server: PrivateServer,
    port: u16,
}

impl KafkaServer {
    /// Starts it, and returns when it takes connections.
    ///
    /// # Panics
    /// When Java is missing, or Kafka is not installed, or it does not start; with its logs.
    #[must_use]
    pub fn start() -> Self {
        Self::start_with(None)
    }

    /// Starts one that has a second address, encrypted and for whoever has the name and the password, by SCRAM-SHA-512.
    ///
    /// # Panics
    /// As [`Self::start`].
    #[must_use]
    pub fn start_secured(keys: &Keys) -> Self {
        Self::start_with(Some(keys))
    }

    fn start_with(keys: Option<&Keys>) -> Self {
        let programs = PathBuf::from(PROGRAMS);
        assert!(
            programs.join("installed").exists(),
            "these tests start a Kafka of their own, and {PROGRAMS} does not have it; `cargo xtask install` brings it"
        );
        let mut why = String::new();
        for _ in 0..TRIES {
            let port = free_ports();
            match PrivateServer::try_start(&KAFKA, environment(port, keys)) {
                Ok(server) => return Self { server, port },
                Err(log) if log.contains("Address already in use") => why = log,
                Err(log) => panic!("{log}"),
            }
        }
        panic!("no port is free:\n{why}");
    }

    /// One for all tests of this process, started when the first one asks. Kill none of these.
    pub fn shared() -> &'static Self {
        static SERVER: OnceLock<KafkaServer> = OnceLock::new();
        SERVER.get_or_init(Self::start)
    }

    /// `host:port`, as clients take it for `bootstrap.servers`.
    #[must_use]
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// The second address of one that is secured.
    #[must_use]
    pub fn secured_address(&self) -> String {
        format!("127.0.0.1:{}", self.port + 2)
    }

    /// Makes a topic. It takes a second: a Java is started for it.
    ///
    /// # Panics
    /// When it can't be made, with what Kafka says.
    pub fn make_topic(&self, topic: &str, partitions: u16) {
        let partitions = partitions.to_string();
        self.tool("TopicCommand", &["--create", "--topic", topic, "--partitions", &partitions], "");
    }

    /// Publishes each line as a message, without headers; returns when the broker has acknowledged all. It takes a
    /// second: a Java is started for it.
    ///
    /// # Panics
    /// When they can't be published, with what Kafka says.
    pub fn publish<'a>(&self, topic: &str, lines: impl IntoIterator<Item = &'a str>) {
        let lines: String = lines.into_iter().flat_map(|line| [line, "\n"]).collect();
        self.tool("ConsoleProducer", &["--topic", topic], &lines);
    }

    /// Runs one of the tools that come with it.
    fn tool(&self, class: &str, arguments: &[&str], input: &str) {
        let mut tool = self.server.program("java");
        tool.args(["-Xmx128m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"])
            .args([
                "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
                "-cp",
                &format!("{PROGRAMS}/*"),
            ])
            .arg(format!("org.apache.kafka.tools.{class}"))
            .args(["--bootstrap-server", &self.address()])
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = tool.spawn().expect("Java can be started");
        let mut pipe = child.stdin.take().expect("a pipe");
        // One that ends early has said why.
        let _ = pipe.write_all(input.as_bytes());
        drop(pipe);
        let done = child.wait_with_output().expect("it ends");
        let said = String::from_utf8_lossy(&done.stderr);
        assert!(done.status.success() && !said.contains("ERROR"), "{class}: {said}");
    }

    /// Kills it: what it has acknowledged is in its files.
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

fn environment(port: u16, keys: Option<&Keys>) -> Vec<(&'static str, String)> {
    let scram = format!("SCRAM-SHA-512=[name={},password={}]", Keys::USER, Keys::PASSWORD);
    vec![
        ("PROPERTIES", properties(port, keys.is_some())),
        ("KAFKA", PROGRAMS.to_owned()),
        ("SCRAM", keys.map(|_| scram).unwrap_or_default()),
        ("PEM", keys.map(Keys::of_server).unwrap_or_default()),
    ]
}

/// What it is told. One that was killed may come back after its session's end, and so may members of groups that were.
fn properties(port: u16, is_secured: bool) -> String {
    let controllers = port + 1;
    let (outside, second) = match is_secured {
        false => (String::new(), ""),
        true => (format!(",OUTSIDE://127.0.0.1:{}", port + 2), SECOND),
    };
    format!(
        "process.roles=broker,controller
node.id=1
listeners=BROKER://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controllers}{outside}
listener.security.protocol.map=BROKER:PLAINTEXT,CONTROLLER:PLAINTEXT,OUTSIDE:SASL_SSL
inter.broker.listener.name=BROKER
controller.listener.names=CONTROLLER
controller.quorum.voters=1@127.0.0.1:{controllers}
broker.session.timeout.ms=3000
broker.heartbeat.interval.ms=500
log.cleaner.dedupe.buffer.size=2097152
auto.create.topics.enable=false
offsets.topic.num.partitions=1
offsets.topic.replication.factor=1
transaction.state.log.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000{second}"
    )
}

/// What the second address needs besides.
const SECOND: &str = "
sasl.enabled.mechanisms=SCRAM-SHA-512
listener.name.outside.scram-sha-512.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;
listener.name.outside.ssl.keystore.type=PEM";

/// A free port with two free ones after it. Below those that systems give to whoever asks for any: one that is started
/// again finds its own as it left it.
fn free_ports() -> u16 {
    static TRIED: AtomicU16 = AtomicU16::new(0);
    let first = u16::try_from(std::process::id() % 4_000).unwrap_or_default();
    let is_free = |port: u16| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok();
    loop {
        let tried = TRIED.fetch_add(1, Ordering::Relaxed);
        let port = 20_000 + 3 * ((first + tried) % 4_000);
        if (port..port + 3).all(is_free) {
            return port;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_that_is_killed_comes_back_where_it_was() {
        let server = KafkaServer::start();
        let takes = || std::net::TcpStream::connect(server.address()).is_ok();
        assert!(takes());
        server.make_topic("reports", 2);
        server.publish("reports", ["one", "two"]);
        server.kill();
        assert!(!takes());
        server.start_again();
        assert!(takes());
        server.publish("reports", ["three"]);
    }
}
