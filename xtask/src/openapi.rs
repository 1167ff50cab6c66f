//! `cargo xtask openapi`: writes the API's description, as the binary prints it, to `docs/reference/openapi.json`.

use crate::sources::root;
use anyhow::{Context, bail};
use std::process::{Command, Stdio};

/// Runs the binary and writes the file, if it printed JSON.
pub fn run() -> anyhow::Result<()> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["run", "--quiet", "--package", "amends", "--", "openapi"])
        .current_dir(root())
        .stderr(Stdio::inherit())
        .output()
        .context("cannot run cargo")?;
    if !output.status.success() {
        bail!("`amends openapi` failed");
    }
    serde_json::from_slice::<serde_json::Value>(&output.stdout)
        .context("`amends openapi` printed no JSON")?;
    let path = root().join("docs/reference/openapi.json");
    std::fs::write(&path, output.stdout)
        .with_context(|| format!("cannot write {}", path.display()))?;
    eprintln!("wrote {}", path.display());
    Ok(())
}
