//! Third-party crates: what is shipped of them, what they may be, what is known against them, what we owe them.

pub mod advisories;
pub mod deny;
mod licences;
pub mod notices;
pub mod sbom;

use crate::release::FEATURES;
use crate::sources::root;
use anyhow::{Context, bail};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The crate whose binary is shipped.
const PRODUCT: &str = "amends";
/// The platform whose crates are listed: one, so that the list is the same on every machine.
const PLATFORM: &str = "x86_64-unknown-linux-gnu";

/// Name and version, by which everything is sorted.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Id {
    name: String,
    version: String,
}

/// A crate that the binary is made of.
#[derive(Clone, Debug)]
struct Shipped {
    id: Id,
    /// Its licence, as an expression of SPDX.
    licence: String,
    repository: Option<String>,
    /// SHA-256 of the package, by `Cargo.lock`; ours have none.
    digest: Option<String>,
    folder: PathBuf,
    builds_on: BTreeSet<Id>,
}

impl Shipped {
    fn is_ours(&self) -> bool {
        self.digest.is_none()
    }
}

/// All of them, sorted: what is linked into the binary of a release, not what only builds or tests it.
fn shipped() -> anyhow::Result<Vec<Shipped>> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["metadata", "--format-version", "1", "--locked", "--filter-platform", PLATFORM])
        .args(["--features", FEATURES])
        .current_dir(root())
        .output()
        .context("cannot run cargo")?;
    if !output.status.success() {
        bail!("cargo metadata failed: {}", String::from_utf8_lossy(&output.stderr));
    }
    let lock = fs::read_to_string(root().join("Cargo.lock")).context("cannot read Cargo.lock")?;
    read(&serde_json::from_slice(&output.stdout)?, &digests(&lock))
}

fn read(metadata: &Value, digests: &BTreeMap<Id, String>) -> anyhow::Result<Vec<Shipped>> {
    let by_key = |list: &'static str| -> BTreeMap<&str, &Value> {
        let all = array(&metadata["resolve"]["nodes"]).iter().chain(array(&metadata["packages"]));
        all.filter(|v| v.get(list).is_some()).map(|v| (text(&v["id"]), v)).collect()
    };
    let (packages, nodes) = (by_key("targets"), by_key("deps"));
    let product = packages.values().find(|p| text(&p["name"]) == PRODUCT);
    let product = text(&product.context("cargo metadata knows no product")?["id"]);
    let (mut found, mut open) = (BTreeMap::new(), vec![product]);
    while let Some(key) = open.pop() {
        if found.contains_key(key) {
            continue;
        }
        let package = packages.get(key).with_context(|| format!("no package `{key}`"))?;
        let node = nodes.get(key).with_context(|| format!("nothing is resolved for `{key}`"))?;
        let linked: Vec<&str> = array(&node["deps"])
            .iter()
            .filter(|on| array(&on["dep_kinds"]).iter().any(|kind| kind["kind"].is_null()))
            .map(|on| text(&on["pkg"]))
            .filter(|on| packages.get(on).is_some_and(|package| !is_macro(package)))
            .collect();
        let builds_on = linked.iter().filter_map(|on| packages.get(on)).map(|p| id(p)).collect();
        found.insert(key, one(package, digests, builds_on)?);
        open.extend(linked);
    }
    let mut all: Vec<Shipped> = found.into_values().collect();
    all.sort_by(|a, b| a.id.cmp(&b.id));
    Ok(all)
}

fn one(
    package: &Value,
    digests: &BTreeMap<Id, String>,
    builds_on: BTreeSet<Id>,
) -> anyhow::Result<Shipped> {
    let id = id(package);
    let licence = package["license"].as_str();
    let licence = licence.with_context(|| format!("{} {} has no licence", id.name, id.version))?;
    let manifest = Path::new(text(&package["manifest_path"]));
    Ok(Shipped {
        // Before there was a language for them, `/` stood for "or".
        licence: licence.replace('/', " OR "),
        repository: package["repository"].as_str().map(|r| r.trim_end_matches('/').to_owned()),
        digest: digests.get(&id).cloned(),
        folder: manifest.parent().unwrap_or(manifest).to_owned(),
        builds_on,
        id,
    })
}

/// The digest of each package that comes from a registry.
fn digests(lock: &str) -> BTreeMap<Id, String> {
    let entries = lock.split("[[package]]").skip(1);
    let value = |entry: &str, key: &str| {
        let line = entry.lines().find_map(|l| l.strip_prefix(key)?.strip_prefix(" = \""))?;
        Some(line.trim_end_matches('"').to_owned())
    };
    entries
        .filter_map(|entry| {
            let id = Id { name: value(entry, "name")?, version: value(entry, "version")? };
            Some((id, value(entry, "checksum")?))
        })
        .collect()
}

/// A macro runs while we build, and nothing of it is in the binary but what it wrote.
fn is_macro(package: &Value) -> bool {
    array(&package["targets"]).iter().any(|t| array(&t["kind"]).iter().any(|k| k == "proc-macro"))
}

fn id(package: &Value) -> Id {
    Id { name: text(&package["name"]).to_owned(), version: text(&package["version"]).to_owned() }
}

fn array(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::{Id, digests, read, shipped};
    use serde_json::{Value, json};

    #[test]
    fn what_only_builds_or_tests_the_binary_is_not_shipped() {
        let package = |name: &str, kind: &str| {
            json!({
                "id": name, "name": name, "version": "1.0.0", "license": "MIT/Apache-2.0",
                "manifest_path": format!("/x/{name}/Cargo.toml"), "targets": [{ "kind": [kind] }],
            })
        };
        let on = |name: &str, kind: Value| json!({ "pkg": name, "dep_kinds": [{ "kind": kind }] });
        let nodes = json!([
            { "id": "amends", "deps": [
                on("linked", Value::Null), on("macros", Value::Null), on("cc", json!("build")), on("rig", json!("dev"))
            ] },
            { "id": "linked", "deps": [on("deep", Value::Null)] },
            { "id": "deep", "deps": [] },
        ]);
        let packages = [
            package("amends", "bin"),
            package("linked", "lib"),
            package("deep", "lib"),
            package("macros", "proc-macro"),
            package("cc", "lib"),
            package("rig", "lib"),
        ];
        let digests =
            digests("[[package]]\nname = \"deep\"\nversion = \"1.0.0\"\nchecksum = \"ab\"\n");
        let metadata = json!({ "packages": packages, "resolve": { "nodes": nodes } });
        let found = read(&metadata, &digests).expect("complete");
        let names: Vec<&str> = found.iter().map(|one| one.id.name.as_str()).collect();
        assert_eq!(names, ["amends", "deep", "linked"]);
        assert_eq!(found[1].digest.as_deref(), Some("ab"));
        assert_eq!(found[1].licence, "MIT OR Apache-2.0");
        let deep = Id { name: "deep".to_owned(), version: "1.0.0".to_owned() };
        assert!(found[2].builds_on.contains(&deep));
    }

    #[test]
    fn the_binary_is_made_of_crates_that_are_known_by_their_digests() {
        let found = shipped().expect("cargo knows");
        for name in ["tokio", "rustls", "rusqlite", "amends-engine"] {
            assert!(found.iter().any(|one| one.id.name == name), "{name} is not listed");
        }
        let known = |one: &&super::Shipped| !one.is_ours() && one.digest.is_some();
        assert!(found.iter().filter(known).count() > 100, "digests are missing");
        for one in &found {
            let ours = one.id.name.starts_with("amends");
            assert_eq!(one.is_ours(), ours, "{} has a digest or not", one.id.name);
        }
    }
}
