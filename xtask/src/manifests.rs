//! Which crate may depend on which, read from the manifests through `cargo metadata`.

use crate::sources::root;
use anyhow::{Context, bail};
use serde_json::Value;
use std::path::Path;
use std::process::Command;

/// A crate of ours and the crates of ours that it may build on. What is not listed may not be there.
const ALLOWED: &[(&str, &[&str])] = &[
    ("amends-protocol", &[]),
    ("amends-api", &["amends-protocol"]),
    // The api's for the words that a rulebook shares with what people are shown: questions, amounts.
    ("amends-rulebook", &["amends-api", "amends-protocol"]),
    // For people's tools: nothing that runs a case may use it.
    ("amends-workbench", &["amends-api", "amends-protocol", "amends-rulebook"]),
    ("amends-engine", &["amends-api", "amends-protocol", "amends-rulebook"]),
    ("amends-node", &["amends-api", "amends-protocol", "amends-rulebook", "amends-engine"]),
    (
        "amends-simulate",
        &["amends-api", "amends-protocol", "amends-rulebook", "amends-workbench", "amends-engine"],
    ),
    ("amends-store", &["amends-api", "amends-protocol", "amends-rulebook", "amends-engine"]),
    (
        "amends-server",
        &[
            "amends-api",
            "amends-protocol",
            "amends-rulebook",
            "amends-workbench",
            "amends-engine",
            "amends-simulate",
            "amends-node",
            "amends-store",
        ],
    ),
    ("amends-service", &["amends-protocol"]),
    // The rulebook's for its way to read YAML and to draw the mistakes in it, the kit for a participant in tests.
    ("amends-conform", &["amends-protocol", "amends-rulebook", "amends-service"]),
    ("amends-demo", &["amends-api", "amends-protocol", "amends-service"]),
    ("amends-private-server", &[]),
    (
        "amends",
        &[
            "amends-api",
            "amends-protocol",
            "amends-rulebook",
            "amends-workbench",
            "amends-engine",
            "amends-simulate",
            "amends-store",
            "amends-server",
            "amends-conform",
            "amends-demo",
        ],
    ),
];

/// What a crate may build on in its tests besides: the supervisor meets real services, services real databases.
const ALLOWED_IN_TESTS: &[(&str, &[&str])] = &[
    ("amends-server", &["amends-private-server", "amends-service"]),
    ("amends-service", &["amends-private-server"]),
    ("amends-store", &["amends-private-server"]),
    ("amends", &["amends-private-server"]),
];

/// Crates that stand outside the product: they may use anything of ours, and nothing may use them.
const OUTSIDE: &[&str] = &["amends-bench", "amends-fuzz", "amends-sim", "xtask"];

/// Crates that never see a clock, a network, a disk or a random number.
pub const PURE: &[(&str, &str)] = &[
    ("amends-protocol", "crates/protocol/src/"),
    ("amends-api", "crates/api/src/"),
    ("amends-rulebook", "crates/rulebook/src/"),
    ("amends-workbench", "crates/workbench/src/"),
    ("amends-engine", "crates/engine/src/"),
    ("amends-node", "crates/node/src/"),
    ("amends-simulate", "crates/simulate/src/"),
];

/// What would bring them one.
const IMPURE: &[&str] = &[
    "async-std",
    "axum",
    "fastrand",
    "getrandom",
    "hyper",
    "hyper-util",
    "mio",
    "rand",
    "rand_core",
    "reqwest",
    "rusqlite",
    "smol",
    "sqlx",
    "tokio",
    "tower",
    "tower-http",
    "uuid",
];

/// Every dependency that breaks a rule.
pub fn check() -> anyhow::Result<Vec<String>> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["metadata", "--format-version", "1", "--no-deps", "--offline"])
        .current_dir(root())
        .output()
        .context("cannot run cargo")?;
    if !output.status.success() {
        bail!("cargo metadata failed: {}", String::from_utf8_lossy(&output.stderr));
    }
    let metadata = serde_json::from_slice(&output.stdout)?;
    let mut found = findings(&metadata);
    let read = |path: &Path| {
        std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
    };
    found.extend(lints_of_workspace(&read(&root().join("Cargo.toml"))?));
    for package in array(&metadata["packages"]) {
        let manifest = read(Path::new(text(&package["manifest_path"])))?;
        found.extend(lints(text(&package["name"]), &manifest));
    }
    Ok(found)
}

/// `unsafe` is forbidden once, for all.
fn lints_of_workspace(manifest: &str) -> Option<String> {
    let section = manifest.split("[workspace.lints.rust]").nth(1).unwrap_or_default();
    let section = section.split("\n[").next().unwrap_or_default();
    let stands = section.lines().any(|line| line == "unsafe_code = \"forbid\"");
    (!stands).then(|| "Cargo.toml: `unsafe_code` must be \"forbid\" for the workspace".to_owned())
}

/// A crate that does not take the workspace's lints may hold anything.
fn lints(name: &str, manifest: &str) -> Option<String> {
    let takes =
        manifest.split("\n[lints]\n").nth(1).is_some_and(|s| s.starts_with("workspace = true"));
    (!takes).then(|| {
        format!("`{name}` does not take the workspace's lints: `[lints]` `workspace = true`")
    })
}

fn findings(metadata: &Value) -> Vec<String> {
    let mut found = Vec::new();
    for package in array(&metadata["packages"]) {
        let name = text(&package["name"]);
        if OUTSIDE.contains(&name) {
            continue;
        }
        let Some((_, allowed)) = ALLOWED.iter().find(|(n, _)| *n == name) else {
            found.push(format!(
                "crate `{name}` is in no rule; say in xtask/src/manifests.rs what it may depend on"
            ));
            continue;
        };
        for dependency in array(&package["dependencies"]) {
            let on = text(&dependency["name"]);
            let is_ours = ALLOWED.iter().any(|(n, _)| *n == on) || OUTSIDE.contains(&on);
            let is_dev = dependency["kind"].as_str() == Some("dev");
            let in_tests =
                is_dev && ALLOWED_IN_TESTS.iter().any(|(n, a)| *n == name && a.contains(&on));
            // A crate may depend on itself in tests, with other features.
            if is_ours && on != name && !allowed.contains(&on) && !in_tests {
                found.push(format!(
                    "`{name}` depends on `{on}`; it may depend on {}",
                    list(allowed)
                ));
            }
            if on == "amends-demo" && dependency["optional"].as_bool() != Some(true) {
                found.push(format!("`{name}` depends on `amends-demo` without a feature"));
            }
            if PURE.iter().any(|(n, _)| *n == name) && IMPURE.contains(&on) && !is_dev {
                found.push(format!("`{name}` is pure, but its manifest names `{on}`"));
            }
        }
    }
    found
}

fn array(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn list(names: &[&str]) -> String {
    if names.is_empty() { "none of ours".to_owned() } else { names.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::{findings, lints, lints_of_workspace};
    use serde_json::json;

    #[test]
    fn a_forbidden_dependency_is_named() {
        let metadata = json!({ "packages": [
            { "name": "amends-engine", "dependencies": [
                { "name": "amends-store" }, { "name": "tokio" }, { "name": "serde" }, { "name": "tokio", "kind": "dev" }
            ] },
            { "name": "amends-server", "dependencies": [
                { "name": "xtask", "kind": "dev" }, { "name": "amends-service", "kind": "dev" }, { "name": "amends-service" }
            ] },
            { "name": "amends", "dependencies": [{ "name": "amends-demo", "optional": false }] },
            { "name": "stranger", "dependencies": [] },
        ] });
        let found = findings(&metadata);
        let expected = [
            "`amends-engine` depends on `amends-store`",
            "`amends-engine` is pure, but its manifest names `tokio`",
            "`amends-server` depends on `xtask`",
            "`amends-server` depends on `amends-service`",
            "`amends` depends on `amends-demo` without a feature",
            "crate `stranger` is in no rule",
        ];
        assert_eq!(found.len(), expected.len(), "{found:?}");
        for (found, expected) in found.iter().zip(expected) {
            assert!(found.starts_with(expected), "{found}");
        }
    }

    #[test]
    fn a_crate_in_which_unsafe_is_allowed_is_named() {
        let takes = "[package]\nname = \"x\"\n\n[lints]\nworkspace = true\n";
        assert_eq!(lints("x", takes), None);
        for not in ["[package]\n", "[package]\n\n[lints]\nrust.unsafe_code = \"allow\"\n"] {
            assert!(
                lints("x", not).is_some_and(|found| found.starts_with("`x` does not")),
                "{not}"
            );
        }
        let workspace = "[workspace.lints.rust]\nunsafe_code = \"forbid\"\n\n[profile.dev]\n";
        assert_eq!(lints_of_workspace(workspace), None);
        assert!(lints_of_workspace(&workspace.replace("forbid", "warn")).is_some());
    }
}
