//! What the guide to production shows is what can be set up: its files are read as those who read them would, as far as
//! that goes without a cluster.

mod support;

use amends_workbench::as_json;
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use support::{Supervisor, amends, finish, scratch, write};

const MANIFESTS: &str = include_str!("../../../deploy/kubernetes/amends.yaml");
const SERVICE: &str = include_str!("../../../deploy/kubernetes/payment.yaml");
const GUIDE: &str = include_str!("../../../docs/guides/set-up-for-production.md");
const CERTIFICATE: &str = include_str!("../../server/src/dispatch/certificates/service.pem");
const KEY: &str = include_str!("../../server/src/dispatch/certificates/service.key.pem");
const AUTHORITY: &str = include_str!("../../server/src/dispatch/certificates/authority-a.pem");

/// The blocks of one language in the guide.
fn blocks(language: &str) -> Vec<&'static str> {
    let fence = format!("```{language}\n");
    GUIDE.split(&*fence).skip(1).filter_map(|rest| rest.split("```").next()).collect()
}

fn manifests(file: &str) -> Vec<Value> {
    let read = |text: &str| as_json(text).unwrap_or_else(|mistake| panic!("{mistake:?}\n{text}"));
    file.split("\n---\n").map(|text| serde_json::to_value(read(text)).expect("JSON")).collect()
}

/// The supervisor's.
fn of_kind(kind: &str) -> Value {
    in_file(MANIFESTS, kind)
}

fn in_file(file: &str, kind: &str) -> Value {
    let all = manifests(file);
    let found = all.iter().find(|one| one["kind"] == kind);
    found.unwrap_or_else(|| panic!("there is no {kind}")).clone()
}

/// The supervisor's configuration in the cluster.
fn configuration() -> toml::Table {
    let map = of_kind("ConfigMap");
    map["data"]["amends.toml"].as_str().expect("a configuration").parse().expect("TOML")
}

/// The texts of one member, in all items of a list.
fn texts(list: &Value, path: &str) -> BTreeSet<String> {
    let items = list.as_array().expect("a list").iter();
    items.filter_map(|one| one.pointer(path)?.as_str()).map(str::to_owned).collect()
}

/// A configuration with its files in a folder of ours.
fn checked(configuration: &str, at: &str) -> String {
    let folder = scratch();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("ours");
        std::fs::write(&path, text).expect("ours");
        for_its_owner(&path);
    };
    let key = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\n";
    file("cluster/token", key);
    file("cluster/ca.crt", AUTHORITY);
    for name in ["admin", "metrics"] {
        file(&format!("keys/{name}"), &format!("{name}{key}"));
    }
    for (name, text) in [("tls.crt", CERTIFICATE), ("tls.key", KEY), ("ca.crt", AUTHORITY)] {
        file(&format!("tls/{name}"), text);
    }
    file("tls/amends.pem", CERTIFICATE);
    file("tls/amends.key", KEY);
    std::fs::create_dir(folder.path().join("rules")).expect("ours");
    let here = folder.path().display().to_string();
    let path = write(folder.path(), "amends.toml", &configuration.replace(at, &here));
    amends(&["config", "check", "--config", &path]).exits(0).stderr
}

#[cfg(unix)]
fn for_its_owner(path: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).expect("ours");
}

#[cfg(not(unix))]
fn for_its_owner(_: &Path) {}

#[test]
fn both_configurations_are_taken() {
    let of_pod = of_kind("ConfigMap");
    let of_pod = of_pod["data"]["amends.toml"].as_str().expect("a configuration");
    checked(of_pod, "/etc/amends");
    let [of_machine] = blocks("toml")[..] else { panic!("one configuration is shown") };
    checked(of_machine, "/etc/amends");
}

#[test]
fn the_pod_listens_and_is_asked_where_its_configuration_says() {
    let (deployment, config) = (of_kind("Deployment"), of_kind("ConfigMap"));
    let config = config["data"]["amends.toml"].as_str().expect("a configuration");
    let pod = &deployment["spec"]["template"]["spec"];
    let container = &pod["containers"][0];
    for port in container["ports"].as_array().expect("ports") {
        assert!(config.contains(&format!("\"0.0.0.0:{}\"", port["containerPort"])), "{port}");
    }
    let named = texts(&container["ports"], "/name");
    for probe in ["startupProbe", "readinessProbe", "livenessProbe"] {
        let asked = &container[probe]["httpGet"];
        assert!(named.contains(asked["port"].as_str().expect("a name")), "{probe}");
        assert_eq!(asked["scheme"], "HTTPS", "{probe}");
        assert!(["/livez", "/readyz"].contains(&asked["path"].as_str().expect("a path")));
    }
    assert!(texts(&of_kind("Service")["spec"]["ports"], "/targetPort").is_subset(&named));
    let policy = of_kind("NetworkPolicy");
    for rule in policy["spec"]["ingress"].as_array().expect("rules") {
        assert!(texts(&rule["ports"], "/port").is_subset(&named), "{rule}");
        assert!(rule["from"].as_array().is_some_and(|from| !from.is_empty()), "{rule}");
    }
}

#[test]
fn what_is_mounted_is_there() {
    let deployment = of_kind("Deployment");
    let pod = &deployment["spec"]["template"]["spec"];
    let mounted = texts(&pod["containers"][0]["volumeMounts"], "/name");
    assert_eq!(mounted, texts(&pod["volumes"], "/name"));
    let shell = blocks("sh").concat();
    let made: BTreeSet<(String, String)> = manifests(MANIFESTS)
        .iter()
        .map(|one| (one["kind"].to_string(), one["metadata"]["name"].to_string()))
        .collect();
    let has =
        |kind: &str, name: &str| made.contains(&(format!("\"{kind}\""), format!("\"{name}\"")));
    for name in texts(&pod["volumes"], "/configMap/name") {
        let by_hand = shell.contains(&format!("create configmap {name} "));
        assert!(has("ConfigMap", &name) || by_hand, "nobody makes the ConfigMap {name}");
    }
    for name in texts(&pod["volumes"], "/secret/secretName") {
        let by_hand = shell.contains(&format!("create secret generic {name} "));
        let by_issuer = of_kind("Certificate")["spec"]["secretName"] == *name;
        assert!(by_hand || by_issuer, "nobody makes the Secret {name}");
    }
    for name in texts(&pod["volumes"], "/persistentVolumeClaim/claimName") {
        assert!(has("PersistentVolumeClaim", &name), "nobody makes the claim {name}");
    }
    let account = pod["serviceAccountName"].as_str().expect("an account");
    assert!(has("ServiceAccount", account), "nobody makes the account {account}");
}

#[test]
fn a_service_is_known_by_its_account_and_needs_no_secret() {
    let (account, deployment) =
        (in_file(SERVICE, "ServiceAccount"), in_file(SERVICE, "Deployment"));
    let pod = &deployment["spec"]["template"]["spec"];
    assert_eq!(pod["serviceAccountName"], account["metadata"]["name"]);
    assert!(!SERVICE.contains("secretKeyRef") && !SERVICE.contains("secretName"), "a Secret");
    let sources = &pod["volumes"][0]["projected"]["sources"];
    let token = &sources[0]["serviceAccountToken"];

    let config = configuration();
    let issuer = &config["access"]["jwt"]["kubernetes"];
    assert_eq!(token["audience"], issuer["audience"].as_str().expect("an audience"));
    // The subject that the cluster signs, against what the configuration grants.
    let text = |member: &str| account["metadata"][member].as_str().expect("a text").to_owned();
    let subject = format!("system:serviceaccount:{}:{}", text("namespace"), text("name"));
    let grant = &issuer["grants"][0];
    let pattern = grant["is"].as_str().expect("a pattern");
    let part = subject.strip_prefix(pattern.strip_suffix('*').expect("a part")).expect("it fits");
    let scope = grant["grants"][0].as_str().expect("a scope").replace("{*}", part);
    assert_eq!((grant["claim"].as_str(), &*scope), (Some("sub"), "report:payment"));

    // What is said of files is mounted there.
    let mounted = pod["containers"][0]["volumeMounts"][0]["mountPath"].as_str().expect("a path");
    let paths = [&token["path"], &sources[1]["configMap"]["items"][0]["path"]];
    let files: BTreeSet<String> =
        paths.map(|path| format!("{mounted}/{}", path.as_str().expect("a path"))).into();
    let mut said = texts(&pod["containers"][0]["env"], "/value");
    assert!(files.is_subset(&said), "{said:?}");
    said.retain(|value| value.starts_with("https://"));
    let services = config["dispatch"]["callback_url"].as_str().expect("an address").to_owned();
    assert_eq!(said, BTreeSet::from([services]), "it reports to where services come");
}

#[test]
fn the_supervisor_reads_the_keys_of_the_cluster_as_itself() {
    let config = configuration();
    let issuer = &config["access"]["jwt"]["kubernetes"];
    let secret = &config["secrets"][issuer["jwks_secret"].as_str().expect("a name")];
    let keys = issuer["jwks"].as_str().expect("an address");
    let host = secret["hosts"][0].as_str().expect("a host");
    assert!(keys.starts_with(&format!("https://{host}/")), "its token goes to the keys alone");
    let deployment = of_kind("Deployment");
    let volumes = deployment["spec"]["template"]["spec"]["volumes"].as_array().expect("volumes");
    let cluster = volumes.iter().find(|one| one["name"] == "cluster").expect("it is mounted");
    let sources = &cluster["projected"]["sources"];
    for file in [&sources[0]["serviceAccountToken"], &sources[1]["configMap"]["items"][0]] {
        let path = format!("/etc/amends/cluster/{}", file["path"].as_str().expect("a path"));
        let authority = &config["ca"]["kubernetes"];
        let named = [&secret["file"], &authority["file"]];
        assert!(named.iter().any(|one| one.as_str() == Some(&*path)), "{path}");
    }
}

#[test]
fn the_pod_can_do_no_more_than_it_must() {
    let deployment = of_kind("Deployment");
    assert_eq!(deployment["spec"]["replicas"].to_string(), "1");
    assert_eq!(deployment["spec"]["strategy"]["type"], "Recreate");
    let pod = &deployment["spec"]["template"]["spec"];
    assert_eq!(pod["securityContext"]["runAsNonRoot"], true);
    assert_eq!(pod["securityContext"]["seccompProfile"]["type"], "RuntimeDefault");
    let container = &pod["containers"][0]["securityContext"];
    assert_eq!(container["allowPrivilegeEscalation"], false);
    assert_eq!(container["readOnlyRootFilesystem"], true);
    assert_eq!(container["capabilities"]["drop"][0], "ALL");
    let grace: u64 = pod["terminationGracePeriodSeconds"].to_string().parse().expect("seconds");
    assert!(grace > 35, "the pod is killed before the supervisor has ended");
}

/// The units, by name.
const UNITS: [(&str, &str); 3] = [
    ("amends.service", include_str!("../../../deploy/systemd/amends.service")),
    ("amends-backup.service", include_str!("../../../deploy/systemd/amends-backup.service")),
    ("amends-backup.timer", include_str!("../../../deploy/systemd/amends-backup.timer")),
];

/// What is put beside the first for a store in PostgreSQL.
const FOR_POSTGRES: &str = include_str!("../../../deploy/systemd/amends.service.d/postgres.conf");

/// systemd reads the units; where there is no systemd, this says nothing of that.
#[test]
fn systemd_takes_the_units() {
    assert_eq!(blocks("ini"), [UNITS[0].1], "the page shows what the file says");
    let folder = scratch();
    let paths = UNITS.map(|(name, unit)| {
        let unit = unit.replace("/usr/local/bin/amends", env!("CARGO_BIN_EXE_amends"));
        write(folder.path(), name, &unit)
    });
    let part = folder.path().join("amends.service.d");
    std::fs::create_dir(&part).expect("ours");
    write(&part, "postgres.conf", FOR_POSTGRES);
    let Ok(verified) = Command::new("systemd-analyze").arg("verify").args(paths).output() else {
        return;
    };
    let told = String::from_utf8_lossy(&verified.stderr);
    assert!(verified.status.success() && told.is_empty(), "{told}");
}

/// The shell within the unit is run as systemd would give it.
#[test]
fn the_backup_unit_leaves_a_whole_copy_under_its_name() {
    let (folder, copies) = (scratch(), scratch());
    let supervisor = Supervisor::start(folder.path(), &[]);
    let starts: Vec<&str> =
        UNITS[1].1.lines().filter_map(|line| line.strip_prefix("ExecStart=")).collect();
    let script = starts[0].strip_prefix("/bin/sh -euc '").and_then(|rest| rest.strip_suffix('\''));
    let script = script.expect("a shell").replace("$$", "$");
    let script = script.replace("/usr/local/bin/amends", env!("CARGO_BIN_EXE_amends"));
    let script = script.replace("/srv/backups", &copies.path().display().to_string());
    let mut shell = Command::new("/bin/sh");
    shell.args(["-euc", &script]).env("AMENDS_URL", &supervisor.url);
    finish(&mut shell).exits(0);
    let left = |folder: &Path| -> Vec<String> {
        let entries = std::fs::read_dir(folder).expect("a folder");
        entries
            .map(|entry| entry.expect("one").file_name().to_string_lossy().into_owned())
            .collect()
    };
    let [copy] = &left(copies.path())[..] else { panic!("{:?}", left(copies.path())) };
    assert!(copy.ends_with(".sqlite") && !copy.starts_with('.'), "{copy}");
    // What is there is a store that a supervisor starts on.
    let restored = scratch();
    std::fs::rename(copies.path().join(copy), restored.path().join("amends.sqlite")).expect("ours");
    amends(&["audit", "verify", "--data", &restored.path().display().to_string()]).exits(0);
    // Without a supervisor nothing is left behind.
    supervisor.stop();
    assert_ne!(finish(&mut shell).code, 0);
    assert_eq!(left(copies.path()), Vec::<String>::new());
}
