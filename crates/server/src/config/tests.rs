//! Layers, origins, and mistakes that say where they are.

use super::*;
use crate::dispatch::AllowedHosts;
use std::path::Path;

const KEY: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

fn environment(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn mistakes(layers: &Layers) -> Vec<String> {
    Config::from_layers(layers).expect_err("there are mistakes").0
}

#[test]
fn the_embedded_defaults_are_those_of_the_code() {
    let config = Config::defaults();
    assert_eq!(config.listen, "127.0.0.1:7100");
    assert_eq!(config.rules, None);
    assert_eq!(config.driver.queue, DriverOptions::default().queue);
    assert_eq!(config.driver.batch, DriverOptions::default().batch);
    assert_eq!(config.driver.grace, DriverOptions::default().grace);
    let (http, code) = (config.http, HttpLimits::default());
    assert_eq!((http.report_bytes, http.batch_bytes), (code.report_bytes, code.batch_bytes));
    assert_eq!((http.batch_events, http.event_streams), (code.batch_events, code.event_streams));
    assert_eq!((http.connections, http.header_timeout), (code.connections, code.header_timeout));
    assert_eq!(http.requests, code.requests);
    let (out, code) = (config.outbound, HttpOptions::default());
    assert_eq!((out.idle_per_host, out.answer_bytes), (code.idle_per_host, code.answer_bytes));
    assert_eq!(
        (out.connect_timeout_ms, out.idle_timeout_ms),
        (code.connect_timeout_ms, code.idle_timeout_ms)
    );
    assert_eq!(config.keep_settled.all, Some(Duration::from_secs(30 * 86_400)));
    assert_eq!(config.driver.rejected, DriverOptions::default().rejected);
    assert_eq!(config.keep_rejected, config.keep_settled.all);
}

#[test]
fn every_key_of_the_default_file_has_a_comment() {
    let lines: Vec<_> = DEFAULT_CONFIG.lines().collect();
    for (n, line) in
        lines.iter().enumerate().filter(|(_, line)| line.contains(" = ") && !line.starts_with('#'))
    {
        assert!(lines[n - 1].starts_with('#'), "`{line}` has no comment above it");
    }
}

#[test]
fn flags_stand_above_the_environment_above_the_file_above_the_defaults() {
    let mut layers = Layers::defaults();
    let text = "listen = \"1.1.1.1:1\"\ndata = \"from-file\"\n[limits]\nreport_queue = 7\nbatch_inputs = 3\n";
    layers.file(Path::new("a.toml"), text).expect("known keys");
    layers.environment(environment(&[
        ("AMENDS_LISTEN", "2.2.2.2:2"),
        ("AMENDS_LIMITS_REPORT_QUEUE", "8"),
        ("AMENDS_DISPATCH_ALLOW_HOSTS", "a, b"),
        ("AMENDS_URL", "http://of.the.cli"),
        ("PATH", "/bin"),
    ]));
    layers.flag("listen", "listen", "3.3.3.3:3");
    let config = Config::from_layers(&layers).expect("valid");
    assert_eq!((&*config.listen, &*config.data.to_string_lossy()), ("3.3.3.3:3", "from-file"));
    assert_eq!((config.driver.queue, config.driver.batch), (8, 3));
    let hosts = AllowedHosts::read(&["a".to_owned(), "b".to_owned()]).expect("hosts");
    assert_eq!(config.outbound.destinations.allow_hosts, hosts);

    let shown = layers.shown();
    let origin = |key: &str| {
        shown.iter().find(|(k, ..)| k == key).map(|(.., o)| o.to_string()).expect("a key")
    };
    assert_eq!(origin("listen"), "flag --listen");
    assert_eq!(origin("limits.report_queue"), "environment AMENDS_LIMITS_REPORT_QUEUE");
    assert_eq!(origin("data"), "file a.toml");
    assert_eq!(origin("shutdown.grace"), "default");
}

#[test]
fn unknown_keys_are_refused_with_their_path_and_all_at_once() {
    let mut layers = Layers::defaults();
    let text = "lisen = \"x\"\n[limits]\nreport_quee = 1\n[limit]\nx = 1\n";
    let found = layers.file(Path::new("a.toml"), text).expect_err("unknown keys").0;
    assert_eq!(found.len(), 3);
    let all = found.join("\n");
    assert!(
        all.contains("`lisen` in `a.toml`")
            && all.contains("data, hosts, listen, listen_services, rules"),
        "{all}"
    );
    assert!(all.contains("`limits.report_quee`") && all.contains("limits.report_queue"), "{all}");
    assert!(all.contains("`limit.x`") && all.contains("tables"), "{all}");
    let error = layers.file(Path::new("b.toml"), "listen = ").expect_err("no TOML").0.remove(0);
    assert!(error.contains("`b.toml` is not TOML") && error.contains("line 1"), "{error}");
}

#[test]
fn wrong_values_say_key_value_origin_and_rule_all_at_once() {
    let mut layers = Layers::defaults();
    layers
        .file(
            Path::new("a.toml"),
            "data = 7\n[limits]\nbatch_inputs = 0\nheader_timeout = \"0s\"\n",
        )
        .expect("known keys");
    layers.environment(environment(&[
        ("AMENDS_LIMITS_REPORT_QUEUE", "many"),
        ("AMENDS_SHUTDOWN_GRACE", "25"),
    ]));
    layers.flag("listen", "listen", "7100");
    let all = mistakes(&layers).join("\n");
    for said in [
        "`data` is 7 (file a.toml): it must be a text",
        "`limits.batch_inputs` is 0 (file a.toml): it must be a number from 1",
        "`limits.header_timeout` is \"0s\" (file a.toml): it must be 1s or more",
        "`limits.report_queue` is \"many\" (environment AMENDS_LIMITS_REPORT_QUEUE)",
        "`shutdown.grace` is \"25\" (environment AMENDS_SHUTDOWN_GRACE): it must be a duration",
        "`listen` is \"7100\" (flag --listen): it must be `host:port`",
    ] {
        assert!(all.contains(said), "{said} is not in:\n{all}");
    }
}

#[test]
fn signing_keys_come_from_texts_lists_files_and_the_environment_and_are_never_shown() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("key");
    std::fs::write(&path, format!("{KEY}\n{KEY}\n")).expect("a file");
    let mut layers = Layers::defaults();
    let file = path.display();
    let text = format!(
        "[signing_keys]\na = \"{KEY}\"\nb = [\"{KEY}\", \"{KEY}\"]\nc = {{ file = \"{file}\" }}\n"
    );
    layers.file(Path::new("a.toml"), &text).expect("the table is open");
    layers.environment(environment(&[("AMENDS_SIGNING_KEYS_D", KEY)]));
    layers.environment([("AMENDS_SIGNING_KEYS_E_F_FILE".to_owned(), file.to_string())]);
    let config = Config::from_layers(&layers).expect("valid");
    let names: Vec<_> = config.outbound.destinations.signers.keys().map(String::as_str).collect();
    assert_eq!(names, ["a", "b", "c", "d", "e-f"]);
    assert!(!format!("{:?} {config:?}", layers.shown()).contains("MfKQ"), "a key is shown");
}

#[test]
fn bad_signing_keys_are_named_without_being_shown() {
    let mut layers = Layers::defaults();
    let text =
        "[signing_keys]\na = \"topsecret\"\nb = 7\nc = { file = \"/does/not/exist\" }\nd = []\n";
    layers.file(Path::new("a.toml"), text).expect("the table is open");
    let found = mistakes(&layers);
    assert_eq!(found.len(), 4, "{found:?}");
    let all = found.join("\n");
    assert!(all.contains("`signing_keys.a` (file a.toml)") && !all.contains("topsecret"), "{all}");
    assert!(all.contains("/does/not/exist"), "{all}");
}

#[test]
fn every_mistake_about_the_way_out_is_told_at_once_with_its_mend() {
    let mut layers = Layers::defaults();
    let text = "
[dispatch]
allow_hosts = [\"https://pay.example\", \"10.1.2.3/8\"]
proxy = \"http://ann:letmein@proxy.example\"
no_proxy = [\"a b\"]
proxy_secret = \"corp\"
connect_timeout = \"0s\"
[ca]
company = { file = \"/does/not/exist.pem\", hosts = [\"a b\"] }
bank = { files = \"x\" }
[client_certificates]
bank = { key = \"x\" }
company = { file = \"/does/not/exist.pem\" }
";
    layers.file(Path::new("a.toml"), text).expect("known keys");
    let all = mistakes(&layers).join("\n");
    let mut wanted = vec![
        "`client_certificates.bank` (file a.toml): it must be `{ file = ",
        "`https://pay.example` names no host",
        "`10.1.2.3/8` has bits set beyond its first 8",
        "`dispatch.proxy` (file a.toml): it holds credentials",
        "`dispatch.no_proxy`",
        "`dispatch.connect_timeout` is \"0s\" (file a.toml)",
        "`ca.bank` (file a.toml): it must be `{ file = ",
    ];
    if cfg!(feature = "tls") {
        wanted.push("`ca.company` (file a.toml): the file `/does/not/exist.pem` cannot be read");
        wanted.push(
            "`client_certificates.company` (file a.toml): the file `/does/not/exist.pem` cannot",
        );
    }
    for said in wanted {
        assert!(all.contains(said), "{said} is not in:\n{all}");
    }
    assert!(!all.contains("letmein"), "a password is shown:\n{all}");
}

#[test]
fn the_secret_of_a_proxy_must_be_there_and_may_go_to_it() {
    let read = |text: &str| {
        let mut layers = Layers::defaults();
        layers.file(Path::new("a.toml"), text).expect("known keys");
        Config::from_layers(&layers).map_err(|wrong| wrong.0.join("\n"))
    };
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("proxy");
    std::fs::write(&file, "ann:letmein\n").expect("a file");
    let file = file.display();
    let proxy = "[dispatch]\nproxy = \"http://proxy.example:3128\"\nproxy_secret = \"corp\"\n";
    let secret = |host: &str| {
        format!("{proxy}[secrets]\ncorp = {{ file = \"{file}\", hosts = [\"{host}\"] }}\n")
    };
    let config = read(&secret("proxy.example:3128")).expect("valid");
    assert_eq!(config.outbound.proxies.addresses().count(), 1);
    let why = read(&secret("other.example")).expect_err("it may not go there");
    assert!(why.contains("`secrets.corp.hosts`"), "{why}");
    let why = read(proxy).expect_err("there is none");
    assert!(why.contains("dispatch.proxy_secret") && why.contains("no secret `corp`"), "{why}");
    let why = read("[dispatch]\nproxy_secret = \"corp\"\n").expect_err("no proxy");
    assert!(why.contains("no `dispatch.proxy`"), "{why}");
}

#[test]
fn who_may_be_reached_and_reaches_everybody_is_warned() {
    let (here, anywhere) = ("127.0.0.1:7100", "0.0.0.0:7100");
    let told = |config: &Config, at: &str| config.open_to_all(at.parse().expect("an address"));
    let mut config = Config::defaults();
    assert_eq!(told(&config, here), None);
    assert!(told(&config, anywhere).expect("a warning").contains("`dispatch.allow_hosts`"));
    let hosts = AllowedHosts::read(&["*.internal".to_owned()]).expect("hosts");
    config.outbound.destinations.allow_hosts = hosts;
    assert_eq!(told(&config, anywhere), None);
}
