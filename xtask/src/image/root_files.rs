//! The root file system of the image: what the program needs and nothing else. No shell, no package manager.

use super::tar::{Tree, What, add};
use super::{AUTHORITIES, DATA, USER, libraries};
use crate::sources::root;
use crate::supply;
use anyhow::{Context, bail};
use std::fs;
use std::path::{Path, PathBuf};

/// The authorities of the package `ca-certificates`: not those that somebody has added to this machine.
const OF_PACKAGE: &str = "/usr/share/ca-certificates/mozilla";

/// Loader and libraries, authorities, who the users are: what changes less often than the program.
pub fn base(program: &Path) -> anyhow::Result<Tree> {
    let mut tree = Tree::new();
    let libraries = libraries::of(program)?;
    let mut packages = libraries::packages(&libraries)?;
    packages.insert("ca-certificates".to_owned());
    for path in libraries {
        add(&mut tree, &unified(&path)?, 0o755, What::File(read(&path)?));
    }
    for (link, to) in [("lib", "usr/lib"), ("lib64", "usr/lib64")] {
        add(&mut tree, link, 0o777, What::Link(to.to_owned()));
    }
    for package in packages {
        let name = package.split(':').next().unwrap_or(&package);
        // Here scanners look for what is installed in an image without a package manager.
        file(
            &mut tree,
            &format!("var/lib/dpkg/status.d/{name}"),
            libraries::status(&package)?.into_bytes(),
        );
        let rights = format!("usr/share/doc/{name}/copyright");
        file(&mut tree, &rights, read(&Path::new("/").join(&rights))?);
    }
    file(&mut tree, AUTHORITIES, authorities()?);
    file(&mut tree, "etc/nsswitch.conf", b"hosts: files dns\n".to_vec());
    let nobody = "/usr/sbin/nologin";
    let users =
        format!("root:x:0:0:root:/root:{nobody}\namends:x:{USER}:{USER}:Amends:/{DATA}:{nobody}\n");
    file(&mut tree, "etc/passwd", users.into_bytes());
    file(&mut tree, "etc/group", format!("root:x:0:\namends:x:{USER}:\n").into_bytes());
    add(&mut tree, "tmp", 0o1777, What::Folder);
    Ok(tree)
}

/// The program, what it owes to others, and its folder.
pub fn program(binary: Vec<u8>) -> anyhow::Result<Tree> {
    let mut tree = Tree::new();
    add(&mut tree, "usr/local/bin/amends", 0o755, What::File(binary));
    for name in ["LICENSE-APACHE", "LICENSE-MIT", "THIRD-PARTY-NOTICES.txt"] {
        file(&mut tree, &format!("usr/share/doc/amends/{name}"), read(&root().join(name))?);
    }
    file(&mut tree, "usr/share/doc/amends/amends.cdx.json", supply::sbom::text()?.into_bytes());
    add(&mut tree, DATA, 0o700, What::Folder).owner = USER;
    Ok(tree)
}

/// All of them in one file, in the order of their names.
fn authorities() -> anyhow::Result<Vec<u8>> {
    let listed = fs::read_dir(OF_PACKAGE)
        .with_context(|| format!("cannot read {OF_PACKAGE}; install `ca-certificates`"))?;
    let mut paths: Vec<PathBuf> =
        listed.map(|entry| Ok(entry?.path())).collect::<anyhow::Result<_>>()?;
    paths.sort();
    Ok(paths.iter().map(|path| read(path)).collect::<anyhow::Result<Vec<_>>>()?.concat())
}

fn file(tree: &mut Tree, path: &str, bytes: Vec<u8>) {
    add(tree, path, 0o644, What::File(bytes));
}

/// Where it lies in the image: all of `/lib` and `/lib64` is below `/usr`, as in Debian.
fn unified(path: &Path) -> anyhow::Result<String> {
    let Some(path) = path.to_str().and_then(|path| path.strip_prefix('/')) else {
        bail!("{} is no path for an image", path.display());
    };
    Ok(if path.starts_with("lib") { format!("usr/{path}") } else { path.to_owned() })
}

fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}
