//! A NATS that lets in only whom it knows: by a name and a password, and by certificates.

use super::broker::{PATIENCE, event, named, sagas};
use amends_private_server::NatsServer;
use amends_server::BrokerError;
use amends_server::config::Layers;
use amends_server::nats::init;
use amends_server::{Config, start};
use async_nats::{ConnectOptions, jetstream};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, KeyPair,
};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// A NATS, and the files with which somebody is let in.
struct Guarded {
    server: NatsServer,
    folder: TempDir,
}

impl Guarded {
    /// It speaks TLS alone, and has these lines besides.
    fn start(more: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        let authority = CertifiedIssuer::self_signed(params, key).expect("an authority");
        let put =
            |name: &str, text: &str| fs::write(folder.path().join(name), text).expect("written");
        put("authority.pem", &authority.pem());
        for (name, of, usage) in [
            ("server", "127.0.0.1", ExtendedKeyUsagePurpose::ServerAuth),
            ("client", "amends.test", ExtendedKeyUsagePurpose::ClientAuth),
        ] {
            let mut params = CertificateParams::new(vec![of.to_owned()]).expect("a name");
            params.extended_key_usages = vec![usage];
            let key = KeyPair::generate().expect("a key");
            let signed = params.signed_by(&key, &authority).expect("signed");
            put(&format!("{name}.pem"), &signed.pem());
            put(&format!("{name}.key"), &key.serialize_pem());
        }
        put("password", "right\n");
        put("wrong", "wrong\n");
        let file = |name: &str| folder.path().join(name).display().to_string();
        let more = more.replace("AUTHORITY", &file("authority.pem"));
        let server = NatsServer::configured(&format!(
            "tls {{\n  cert_file: \"{}\"\n  key_file: \"{}\"\n{more}",
            file("server.pem"),
            file("server.key")
        ));
        Self { server, folder }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The configuration of a supervisor with these keys of `[nats]`, each a file of ours or a text.
    fn config(&self, keys: &[(&str, &str)]) -> Config {
        let mut file = format!("[nats]\nservers = [\"tls://127.0.0.1:{}\"]\n", self.server.port());
        for (key, value) in keys {
            let value = if *key == "user" { (*value).to_owned() } else { shown(&self.file(value)) };
            file.push_str(&format!("{key} = \"{value}\"\n"));
        }
        let mut layers = Layers::defaults();
        layers.file(Path::new("a.toml"), &file).expect("a file");
        layers.flag("listen", "listen", "127.0.0.1:0");
        layers.flag("data", "data", &shown(&self.file("data")));
        Config::from_layers(&layers).expect("a valid configuration")
    }

    /// A supervisor with these keys takes a report, which somebody of the test's own publishes.
    async fn takes_a_report(&self, keys: &[(&str, &str)], how: ConnectOptions) {
        let config = self.config(keys);
        init(config.nats.as_ref().expect("configured"), 1).await.expect("made");
        let address = format!("tls://127.0.0.1:{}", self.server.port());
        let client = how.add_root_certificates(self.file("authority.pem")).connect(address).await;
        let context = jetstream::new(client.expect("connected"));
        let event = event("payment", 1).to_string();
        let sent = context.publish("amends.reports.payment", event.into()).await.expect("sent");
        sent.await.expect("stored");
        let running = start(config).await.expect("started");
        let began = Instant::now();
        while sagas(&running).await != named([1]) {
            assert!(began.elapsed() < PATIENCE, "it comes");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        running.stop().await.expect("ended in order");
    }

    /// Why somebody with these keys is not let in.
    async fn refuses(&self, keys: &[(&str, &str)]) -> String {
        let config = self.config(keys);
        let refused = init(config.nats.as_ref().expect("configured"), 1).await;
        match refused.expect_err("it is not let in") {
            BrokerError::Away(why) | BrokerError::Refused(why) => why,
        }
    }
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_tls_a_name_and_a_password() {
    let guarded = Guarded::start("}\nauthorization { user: amends, password: right }\n");
    let authority = ("authorities", "authority.pem");
    let keys = [authority, ("user", "amends"), ("password_file", "password")];
    let how = ConnectOptions::with_user_and_password("amends".to_owned(), "right".to_owned());
    guarded.takes_a_report(&keys, how).await;
    let why = guarded.refuses(&[authority, ("user", "amends"), ("password_file", "wrong")]).await;
    assert!(why.contains("authorization") && !why.contains("wrong"), "{why}");
    let why = guarded.refuses(&[("user", "amends"), ("password_file", "password")]).await;
    assert!(why.contains("certificate"), "an authority that nobody named: {why}");
    let why = guarded.refuses(&[authority, ("user", "amends"), ("password_file", "none")]).await;
    assert!(why.contains("`nats.password_file`"), "{why}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_a_certificate_of_our_own() {
    let guarded = Guarded::start("  ca_file: \"AUTHORITY\"\n  verify: true\n}\n");
    let authority = ("authorities", "authority.pem");
    let keys = [authority, ("certificate", "client.pem"), ("key", "client.key")];
    let how = ConnectOptions::new()
        .add_client_certificate(guarded.file("client.pem"), guarded.file("client.key"));
    guarded.takes_a_report(&keys, how).await;
    let why = guarded.refuses(&[authority]).await;
    assert!(!why.is_empty());
}
