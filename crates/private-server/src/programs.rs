//! Where a server's programs are on this machine, and who may run them.

use crate::Recipe;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

/// The folder of the programs: the one that is named, where Debian puts them, the newest first, or in the `PATH`.
pub(crate) fn find(recipe: &Recipe) -> PathBuf {
    let named = recipe.named_by.and_then(std::env::var_os).map(PathBuf::from);
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut debian: Vec<PathBuf> = fs::read_dir(recipe.versions_in)
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path().join("bin")))
        .collect();
    debian.sort_by_key(|folder| {
        let version = folder.parent().and_then(Path::file_name).and_then(OsStr::to_str);
        std::cmp::Reverse(version.and_then(|version| version.parse::<u32>().ok()))
    });
    let has_all = |folder: &PathBuf| recipe.programs.iter().all(|name| folder.join(name).exists());
    // Where Debian puts servers, which the PATH of people commonly leaves out.
    let servers = PathBuf::from("/usr/sbin");
    let mut all =
        named.into_iter().chain(debian).chain(std::env::split_paths(&path)).chain([servers]);
    let found = all.find(has_all);
    found.unwrap_or_else(|| {
        let Recipe { name, package, versions_in, programs, .. } = recipe;
        let there = match *versions_in {
            "" => String::new(),
            folder => format!(" nor in {folder}/*/bin"),
        };
        panic!(
            "these tests start a {name} of their own, and {} is not in the PATH{there}; install Debian's package `{package}`",
            programs.join(", ")
        )
    })
}

/// Who runs a server that refuses root when the tests run as root: the user `postgres`, or else `nobody`.
pub(crate) fn unprivileged() -> (u32, u32) {
    let users = fs::read_to_string("/etc/passwd").expect("readable");
    let ids = |wanted: &str| {
        let line = users.lines().find(|line| line.split(':').next() == Some(wanted))?;
        let mut fields = line.split(':').skip(2);
        Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
    };
    ids("postgres").or_else(|| ids("nobody")).expect("a user `postgres` or `nobody`")
}
