//! `cargo xtask schemas`: writes the JSON Schemas of the protocol to `docs/reference/schemas`.

use crate::sources::root;
use amends_protocol::schemas::all;
use anyhow::Context;

/// Writes every file anew; one that no schema writes any more is left for a person to remove.
pub fn run() -> anyhow::Result<()> {
    let folder = root().join("docs/reference/schemas");
    std::fs::create_dir_all(&folder)
        .with_context(|| format!("cannot make {}", folder.display()))?;
    for (name, schema) in all() {
        let path = folder.join(format!("{name}.json"));
        let text = serde_json::to_string_pretty(&schema)? + "\n";
        std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
        eprintln!("wrote {}", path.display());
    }
    Ok(())
}
