//! The libraries that a program is loaded with, and the packages of Debian that they are of.
//!
//! The program is not linked statically: glibc looks up names of hosts by parts of itself that it loads when they are
//! wanted, and a static program would need exactly those of the machine that it was built on.

use anyhow::{Context, bail};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The paths by which its loader finds them, the loader's own among them; none if it needs none.
pub fn of(program: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let output = Command::new("ldd")
        .arg(program)
        .output()
        .context("cannot run ldd; it is in the package `libc-bin`")?;
    let (told, complained) = (text(&output.stdout), text(&output.stderr));
    if told.contains("statically linked") || complained.contains("not a dynamic executable") {
        return Ok(Vec::new());
    }
    if !output.status.success() {
        bail!("ldd does not understand {}: {}", program.display(), complained.trim());
    }
    read(&told)
}

/// Lines as `libc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x00007f…)`; the loader has no arrow, and what the kernel
/// brings has no path.
fn read(told: &str) -> anyhow::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for line in told.lines() {
        let place = line.split_once("=>").map_or(line, |(_, place)| place).trim();
        if place == "not found" {
            bail!("a library is missing on this machine: {}", line.trim());
        }
        let path = place.split(" (").next().unwrap_or_default();
        if path.starts_with('/') {
            found.push(PathBuf::from(path));
        }
    }
    Ok(found)
}

/// The packages that the files are of, as `dpkg` names them.
pub fn packages(files: &[PathBuf]) -> anyhow::Result<BTreeSet<String>> {
    files.iter().map(|file| package(file)).collect()
}

fn package(file: &Path) -> anyhow::Result<String> {
    // Debian lists a file in /lib or in /usr/lib, which are one folder.
    let other = Path::new("/usr").join(file.strip_prefix("/").unwrap_or(file));
    let known = [file, &other].into_iter().find_map(|path| {
        let told = dpkg(&["--search".as_ref(), path.as_os_str()])?;
        Some(told.split(": ").next()?.to_owned())
    });
    known.with_context(|| format!("{} is of no package: make the image on Debian", file.display()))
}

/// What `dpkg` keeps of an installed package.
pub fn status(package: &str) -> anyhow::Result<String> {
    let told = dpkg(&["--status".as_ref(), package.as_ref()]);
    told.with_context(|| format!("dpkg-query does not know the package {package}"))
}

fn dpkg(arguments: &[&std::ffi::OsStr]) -> Option<String> {
    let output = Command::new("dpkg-query").args(arguments).env("LC_ALL", "C").output().ok()?;
    output.status.success().then(|| text(&output.stdout))
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::read;
    use std::path::PathBuf;

    #[test]
    fn what_ldd_says_is_read() {
        let told = "\tlinux-vdso.so.1 (0x00007ffd)\n\tlibm.so.6 => /lib/x86_64-linux-gnu/libm.so.6 (0x00007f1)\n\
                    \t/lib64/ld-linux-x86-64.so.2 (0x00007f2)\n";
        let found = read(told).expect("all are there");
        assert_eq!(
            found,
            ["/lib/x86_64-linux-gnu/libm.so.6", "/lib64/ld-linux-x86-64.so.2"].map(PathBuf::from)
        );
        let told = read("\tlibssl.so.3 => not found\n").expect_err("one is missing").to_string();
        assert_eq!(told, "a library is missing on this machine: libssl.so.3 => not found");
    }
}
