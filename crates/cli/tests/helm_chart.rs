//! The chart as Helm renders it, with each set of values in its folder `ci`: Kubernetes' own schemas take it, the
//! program takes its configuration, it makes what `deploy/kubernetes` has, and it refuses values that can't work. Needs
//! what `cargo xtask install` brings, and no cluster.

mod support;

use amends_workbench::as_json;
use jsonschema::{Registry, Validator};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use support::{amends, scratch, write};

/// The oldest Kubernetes that `Chart.yaml` names, and the newest that there are schemas of.
const VERSIONS: [&str; 2] = ["v1.29.0", "v1.37.0"];
/// What operators define, and Kubernetes has no schemas of.
const OF_OPERATORS: [&str; 2] = ["cert-manager.io/v1", "monitoring.coreos.com/v1"];
const CERTIFICATE: &str = include_str!("../../server/src/dispatch/certificates/service.pem");
const KEY: &str = include_str!("../../server/src/dispatch/certificates/service.key.pem");
const SIGNING_KEY: &str = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The sets of values in the chart's own folder, by name.
fn sets() -> Vec<(String, PathBuf)> {
    let folder = std::fs::read_dir(root().join("deploy/helm/amends/ci")).expect("a folder");
    let mut all: Vec<_> = folder
        .map(|entry| entry.expect("an entry").path())
        .map(|path| (path.file_stem().expect("a name").to_string_lossy().into_owned(), path))
        .collect();
    all.sort();
    assert!(all.len() >= 5, "{all:?}");
    all
}

/// What Helm makes of the chart with these values, as the release `amends` in the namespace `amends`; or why not.
fn rendered(values: &Path) -> Result<Vec<Value>, String> {
    let program = root().join("target/chart/chart");
    let output = Command::new(&program)
        .arg(root().join("deploy/helm/amends"))
        .args(["amends", "amends"])
        .arg(values)
        .output()
        .unwrap_or_else(|e| panic!("{}: {e}; run `cargo xtask install`", program.display()));
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    let all: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let all = all.as_array().expect("a list").iter().map(|one| one["document"].clone());
    Ok(all.filter(|one| one.get("kind").is_some()).collect())
}

fn of_set(name: &str) -> Vec<Value> {
    let path = root().join(format!("deploy/helm/amends/ci/{name}.yaml"));
    rendered(&path).unwrap_or_else(|told| panic!("{name}: {told}"))
}

/// What a file of `deploy/kubernetes` holds.
fn manifests(file: &str) -> Vec<Value> {
    let path = root().join("deploy/kubernetes").join(file);
    // Kubernetes reads YAML 1.1, where a leading 0 means digits of base 8.
    let text = std::fs::read_to_string(path).expect("a file").replace("0440", "288");
    let read = |text: &str| as_json(text).unwrap_or_else(|mistake| panic!("{mistake:?}\n{text}"));
    text.split("\n---\n").map(|text| serde_json::to_value(read(text)).expect("JSON")).collect()
}

fn of_kind<'a>(documents: &'a [Value], kind: &str) -> &'a Value {
    let found = documents.iter().find(|one| one["kind"] == kind);
    found.unwrap_or_else(|| panic!("there is no {kind}"))
}

fn configuration(documents: &[Value]) -> &str {
    let text = &of_kind(documents, "ConfigMap")["data"]["amends.toml"];
    text.as_str().expect("a configuration")
}

fn pod(documents: &[Value]) -> &Value {
    let kind = if documents.iter().any(|one| one["kind"] == "StatefulSet") {
        "StatefulSet"
    } else {
        "Deployment"
    };
    &of_kind(documents, kind)["spec"]["template"]["spec"]
}

/// The schemas of one version, where nothing is allowed that they do not name.
struct Schemas(PathBuf);

impl Schemas {
    fn of(version: &str) -> Self {
        let libraries = root().join("xtask/chart/.venv/lib");
        let found =
            std::fs::read_dir(&libraries).into_iter().flatten().flatten().find_map(|python| {
                let within = "site-packages/kubernetes_validate/kubernetes-json-schema";
                let folder = python.path().join(within).join(format!("{version}-local-strict"));
                folder.is_dir().then_some(folder)
            });
        Self(found.unwrap_or_else(|| panic!("no schemas of {version}; run `cargo xtask install`")))
    }

    fn read(&self, name: &str) -> Value {
        let path = self.0.join(name);
        let text = std::fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        serde_json::from_slice(&text).expect("JSON")
    }

    fn validator(&self, document: &Value) -> Validator {
        let text = |member: &str| document[member].as_str().expect("a text").to_lowercase();
        // `statefulset-apps-v1.json`, `service-v1.json`, `networkpolicy-networking-v1.json`.
        let version = text("apiVersion").replace(".k8s.io", "").replace('/', "-");
        let schema = self.read(&format!("{}-{version}.json", text("kind")));
        let registry = Registry::new()
            .add("http://kubernetes/api/_definitions.json", self.read("_definitions.json"))
            .and_then(|registry| registry.prepare())
            .expect("definitions");
        jsonschema::options()
            .with_base_uri("http://kubernetes/api/one.json")
            .with_registry(&registry)
            .build(&schema)
            .expect("a schema")
    }

    /// What is wrong with a document; `None` if it is of an operator.
    fn judge(&self, document: &Value) -> Option<Vec<String>> {
        if OF_OPERATORS.iter().any(|known| document["apiVersion"] == *known) {
            return None;
        }
        let validator = self.validator(document);
        let wrong = validator.iter_errors(document);
        Some(wrong.map(|e| format!("{}: {}: {e}", document["kind"], e.instance_path())).collect())
    }
}

#[test]
fn kubernetes_takes_what_the_chart_makes_and_what_is_set_up_by_hand() {
    let mut all: Vec<(String, Vec<Value>)> =
        ["amends.yaml", "payment.yaml"].map(|file| (file.to_owned(), manifests(file))).into();
    all.extend(sets().into_iter().map(|(name, _)| (name.clone(), of_set(&name))));
    for version in VERSIONS {
        let schemas = Schemas::of(version);
        let mut judged = BTreeSet::new();
        for (name, documents) in &all {
            for one in documents {
                let Some(wrong) = schemas.judge(one) else { continue };
                assert!(wrong.is_empty(), "{name} on {version}: {}", wrong.join("\n"));
                judged.insert(one["kind"].as_str().expect("a kind").to_owned());
            }
        }
        println!("{version}: {judged:?}");
        assert!(judged.len() >= 8, "{judged:?}");
    }
}

#[test]
fn a_member_that_kubernetes_does_not_know_is_found() {
    let schemas = Schemas::of(VERSIONS[1]);
    let mut set = of_kind(&of_set("defaults"), "StatefulSet").clone();
    assert_eq!(schemas.judge(&set), Some(Vec::new()));
    set["spec"]["template"]["spec"]["containers"][0]["readynessProbe"] = json!({});
    let wrong = schemas.judge(&set).expect("it is Kubernetes' own").concat();
    assert!(wrong.contains("readynessProbe"), "{wrong}");
}

/// Files as the pod has them, in a folder of ours, for the configuration to name.
fn lay_out(folder: &Path, documents: &[Value]) {
    let file = |path: &str, text: &str| {
        let path = folder.join(path);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("ours");
        std::fs::write(&path, text).expect("ours");
        for_its_owner(&path);
    };
    let config: toml::Table = configuration(documents).parse().expect("TOML");
    for name in config["tokens"].as_table().expect("tokens").keys() {
        file(
            &format!("keys/{name}"),
            &format!("{name}-0123456789abcdef0123456789abcdef0123456789abcdef\n"),
        );
    }
    for (name, text) in [
        ("tls.crt", CERTIFICATE),
        ("tls.key", KEY),
        ("ca.crt", CERTIFICATE),
        ("authority.pem", CERTIFICATE),
    ] {
        file(&format!("tls/{name}"), text);
    }
    file("cluster/token", "0123456789abcdef0123456789abcdef\n");
    file("cluster/ca.crt", CERTIFICATE);
    file("database/password", "correct-horse\n");
    file("database/ca.crt", CERTIFICATE);
    file("secrets/amends-signing/payments", SIGNING_KEY);
    std::fs::create_dir_all(folder.join("rules")).expect("ours");
}

#[cfg(unix)]
fn for_its_owner(path: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).expect("ours");
}

#[cfg(not(unix))]
fn for_its_owner(_: &Path) {}

#[test]
fn the_program_takes_every_configuration_and_rulebook() {
    for (name, _) in sets() {
        let documents = of_set(&name);
        let folder = scratch();
        lay_out(folder.path(), &documents);
        let here = folder.path().display().to_string();
        let text = configuration(&documents).replace("/etc/amends", &here);
        let path = write(folder.path(), "amends.toml", &text);
        println!("{name}: {}", amends(&["config", "check", "--config", &path]).exits(0).stderr);
        for one in documents.iter().filter(|one| one["metadata"]["name"] == "amends-rules") {
            for (file, text) in one["data"].as_object().expect("files") {
                let path = write(folder.path(), file, text.as_str().expect("a text"));
                amends(&["rules", "check", &path]).exits(0);
            }
        }
    }
}

/// The texts of one member, in all items of a list.
fn texts(list: &Value, path: &str) -> BTreeSet<String> {
    let items = list.as_array().into_iter().flatten();
    items.filter_map(|one| one.pointer(path)?.as_str()).map(str::to_owned).collect()
}

#[test]
fn every_pod_has_what_it_mounts_and_can_do_no_more_than_it_must() {
    for (name, _) in sets() {
        let documents = of_set(&name);
        let pod = pod(&documents);
        let container = &pod["containers"][0];
        let sets = documents.iter().find(|one| one["kind"] == "StatefulSet");
        let claims = sets.and_then(|set| set["spec"].get("volumeClaimTemplates"));
        let mut there = texts(&pod["volumes"], "/name");
        there.extend(claims.map(|claims| texts(claims, "/metadata/name")).unwrap_or_default());
        assert_eq!(texts(&container["volumeMounts"], "/name"), there, "{name}");
        let writable: Vec<&Value> = container["volumeMounts"]
            .as_array()
            .into_iter()
            .flatten()
            .filter(|mount| mount.get("readOnly").is_none())
            .map(|mount| &mount["name"])
            .collect();
        assert_eq!(writable, ["data", "tmp"], "{name}");

        assert_eq!(pod["automountServiceAccountToken"], false, "{name}");
        assert_eq!(pod["securityContext"]["runAsNonRoot"], true, "{name}");
        let security = &container["securityContext"];
        assert_eq!(security["allowPrivilegeEscalation"], false, "{name}");
        assert_eq!(security["readOnlyRootFilesystem"], true, "{name}");
        assert_eq!(security["capabilities"]["drop"], json!(["ALL"]), "{name}");
        let scheme = if configuration(&documents).contains("[tls]") { "HTTPS" } else { "HTTP" };
        for probe in ["startupProbe", "readinessProbe", "livenessProbe"] {
            assert_eq!(container[probe]["httpGet"]["scheme"], scheme, "{name}");
        }
        let accounts = documents.iter().filter(|one| one["kind"] == "ServiceAccount");
        let made = accounts
            .map(|one| &one["metadata"]["name"])
            .any(|made| *made == pod["serviceAccountName"]);
        assert!(made || pod["serviceAccountName"] == "default", "{name}");
    }
}

#[test]
fn the_chart_makes_what_is_set_up_by_hand() {
    let (chart, by_hand) = (of_set("as-kubernetes"), manifests("amends.yaml"));
    let config: toml::Table = configuration(&chart).parse().expect("TOML");
    let mut expected: toml::Table = configuration(&by_hand).parse().expect("TOML");
    // The chart names the host for the certificate and for the supervisor; by hand the public address tells it.
    expected.insert("hosts".to_owned(), vec!["amends.shop.example"].into());
    assert_eq!(config, expected);

    let (mut pod, mut expected) = (pod(&chart).clone(), pod(&by_hand).clone());
    let volumes = expected["volumes"].as_array_mut().expect("volumes");
    // A claim of its own, which the set of one pod makes.
    volumes.retain(|one| one["name"] != "data");
    assert_eq!(pod["containers"][0]["imagePullPolicy"], "IfNotPresent");
    pod["containers"][0].as_object_mut().expect("a container").remove("imagePullPolicy");
    assert_eq!(pod, expected);
    for (kind, path) in [
        ("Certificate", "/spec"),
        ("Service", "/spec/ports"),
        ("NetworkPolicy", "/spec/ingress"),
        ("NetworkPolicy", "/spec/egress"),
    ] {
        let (made, expected) = (of_kind(&chart, kind), of_kind(&by_hand, kind));
        assert_eq!(made.pointer(path), expected.pointer(path), "{kind}");
        assert_eq!(made["metadata"]["name"], expected["metadata"]["name"]);
    }
}

#[test]
fn values_that_can_not_work_are_refused() {
    let folder = scratch();
    for (values, says) in [
        ("replicas: 2", "'/replicas': value must be 1"),
        ("store: etcd", "'/store': value must be"),
        ("store: postgres", "'/postgres/database': minLength"),
        (
            "{ store: postgres, postgres: { database: \"postgres://amends:secret@db/amends\" } }",
            "'/postgres/database'",
        ),
        ("{ store: postgres, replicas: 2 }", "'/replicas': value must be 1"),
        ("{ replicas: 2, postgres: { share: true } }", "'/replicas': value must be 1"),
        (
            "{ store: postgres, replicas: 0, postgres: { database: \"postgres://amends@db/amends\", share: true } }",
            "'/replicas': minimum",
        ),
        ("replicaCount: 1", "'replicaCount' not allowed"),
        ("tls: { certManager: { enabled: true } }", "'/tls/certManager/issuerName'"),
        (
            "terminationGracePeriodSeconds: 30",
            "'/terminationGracePeriodSeconds': minimum: got 30, want 36",
        ),
        (
            "config: { signing_keys: { payments: whsec_secret } }",
            "'/config/signing_keys/payments': got string, want object",
        ),
        (
            "config: { alerts: { slack: [\"https://hooks.example/secret\"] } }",
            "'/config/alerts/slack'",
        ),
        ("config: { listen: \"0.0.0.0:80\" }", "'/config/listen': value must be '0.0.0.0:7100'"),
        ("rules: { files: { README.md: text } }", "'/rules/files'"),
        ("image: { digest: latest }", "'/image/digest'"),
    ] {
        let told = rendered(Path::new(&write(folder.path(), "values.yaml", values)));
        let told = told.expect_err(values);
        assert!(told.contains(says), "{values}: {told}");
    }
}

#[test]
fn the_chart_is_of_the_programs_version() {
    let text =
        std::fs::read_to_string(root().join("deploy/helm/amends/Chart.yaml")).expect("a file");
    let chart = serde_json::to_value(as_json(&text).expect("YAML")).expect("JSON");
    for member in ["version", "appVersion"] {
        assert_eq!(chart[member], env!("CARGO_PKG_VERSION"), "{member}");
    }
    assert_eq!(chart["kubeVersion"], format!(">={}-0", &VERSIONS[0][1..]));
}
