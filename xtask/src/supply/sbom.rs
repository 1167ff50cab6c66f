//! `cargo xtask sbom`: the bill of materials of the binary, as CycloneDX 1.5. The same tree gives the same bytes.

use super::{Id, PRODUCT, Shipped, shipped};
use crate::sources::root;
use anyhow::Context;
use serde_json::{Value, json};
use std::path::PathBuf;

/// Writes it, to `target/amends.cdx.json` if nothing else is said.
pub fn run(to: Option<&str>) -> anyhow::Result<()> {
    let path = to.map_or_else(|| root().join("target/amends.cdx.json"), PathBuf::from);
    std::fs::write(&path, text()?).with_context(|| format!("cannot write {}", path.display()))?;
    eprintln!("wrote {}", path.display());
    Ok(())
}

/// Its text.
pub fn text() -> anyhow::Result<String> {
    let text = serde_json::to_string_pretty(&made(&shipped()?))?;
    Ok(format!("{text}\n"))
}

fn made(shipped: &[Shipped]) -> Value {
    let product = shipped.iter().find(|one| one.id.name == PRODUCT);
    let parts = shipped.iter().filter(|one| one.id.name != PRODUCT);
    let depends = |one: &Shipped| {
        let on: Vec<String> = one.builds_on.iter().map(reference).collect();
        json!({ "ref": reference(&one.id), "dependsOn": on })
    };
    // No time and no random number, which the format leaves out as well: what is equal is to be seen as equal.
    json!({
        "$schema": "http://cyclonedx.org/schema/bom-1.5.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": { "component": product.map(|one| component(one, "application")) },
        "components": parts.map(|one| component(one, "library")).collect::<Vec<_>>(),
        "dependencies": shipped.iter().map(depends).collect::<Vec<_>>(),
    })
}

fn component(one: &Shipped, kind: &str) -> Value {
    let mut made = json!({
        "type": kind,
        "bom-ref": reference(&one.id),
        "name": one.id.name,
        "version": one.id.version,
        "licenses": [{ "expression": one.licence }],
        "purl": reference(&one.id),
    });
    if let Some(digest) = &one.digest {
        made["hashes"] = json!([{ "alg": "SHA-256", "content": digest }]);
    }
    if let Some(repository) = &one.repository {
        made["externalReferences"] = json!([{ "type": "vcs", "url": repository }]);
    }
    made
}

/// The package's URL, which also names it within the bill.
fn reference(id: &Id) -> String {
    format!("pkg:cargo/{}@{}", id.name, id.version.replace('+', "%2B"))
}

#[cfg(test)]
mod tests {
    use super::{made, shipped};
    use crate::sources::root;
    use jsonschema::{Registry, Validator};
    use serde_json::{Value, json};
    use std::collections::BTreeSet;

    /// The format's own schema, with the two that it names.
    fn schema() -> Validator {
        let read = |name: &str| -> Value {
            let path = root().join("xtask/supply/cyclonedx").join(name);
            serde_json::from_str(&std::fs::read_to_string(path).expect("a file")).expect("JSON")
        };
        let mut registry = Registry::new();
        for name in ["spdx.schema.json", "jsf-0.82.schema.json"] {
            let address = format!("http://cyclonedx.org/schema/{name}");
            registry = registry.add(address, read(name)).expect("an address");
        }
        let registry = registry.prepare().expect("schemas that fit together");
        jsonschema::options()
            .with_registry(&registry)
            .build(&read("bom-1.5.schema.json"))
            .expect("a schema")
    }

    #[test]
    fn the_bill_is_one_by_the_formats_own_schema() {
        let (schema, bill) = (schema(), made(&shipped().expect("cargo knows")));
        let wrong: Vec<String> = schema.iter_errors(&bill).map(|e| e.to_string()).collect();
        assert!(wrong.is_empty(), "{wrong:?}");
        let mut spoilt = bill;
        spoilt["components"][0]["type"] = json!("thing");
        assert!(!schema.is_valid(&spoilt), "the schema takes anything");
    }

    #[test]
    fn the_bill_is_complete_and_the_same_each_time() {
        let shipped = shipped().expect("cargo knows");
        let bill = made(&shipped);
        let again = made(&super::shipped().expect("cargo knows"));
        assert_eq!(bill.to_string(), again.to_string());
        let list = |key: &str| bill[key].as_array().cloned().unwrap_or_default();
        let parts: BTreeSet<String> =
            list("components").iter().map(|one| one["bom-ref"].to_string()).collect();
        assert_eq!(parts.len() + 1, shipped.len());
        for one in list("dependencies") {
            for on in one["dependsOn"].as_array().expect("a list") {
                assert!(
                    parts.contains(&on.to_string()),
                    "{} builds on a part that is not there",
                    one["ref"]
                );
            }
        }
    }
}
