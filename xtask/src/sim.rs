//! `cargo xtask sim`: builds the simulator in its own profile and hands it the rest of the command line.

use crate::sources::root;
use anyhow::{Context, bail};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Builds and runs it.
pub fn run(arguments: &[&str]) -> anyhow::Result<()> {
    let status = Command::new(build(&root(), &root().join("target"))?)
        .args(arguments)
        .status()
        .context("cannot run the simulator")?;
    if status.success() { Ok(()) } else { bail!("the simulator found something, see above") }
}

/// Builds the simulator of a tree; gives the path of the program.
pub fn build(tree: &Path, target: &Path) -> anyhow::Result<PathBuf> {
    build_program(tree, target, &["--package", "amends-sim"])?;
    Ok(target.join("sim").join("amends-sim"))
}

/// Builds the program of a tree that compares on made-up rulebooks all who judge them; gives its path.
pub fn build_agreement(tree: &Path, target: &Path) -> anyhow::Result<PathBuf> {
    build_program(tree, target, &["--package", "amends-simulate", "--example", "agreement"])?;
    Ok(target.join("sim").join("examples").join("agreement"))
}

fn build_program(tree: &Path, target: &Path, which: &[&str]) -> anyhow::Result<()> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let built = Command::new(cargo)
        .args(["build", "--quiet", "--profile", "sim"])
        .args(which)
        .current_dir(tree)
        .env("CARGO_TARGET_DIR", target)
        .output()
        .context("cannot run cargo")?;
    if !built.status.success() {
        let why = String::from_utf8_lossy(&built.stderr);
        bail!("{} of {} does not build:\n{why}", which.join(" "), tree.display());
    }
    Ok(())
}
