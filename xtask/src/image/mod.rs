//! `cargo xtask image`: the program as an OCI image, made without a container engine: a folder that any of them reads.
//! The same binary on the same packages of Debian gives the same bytes. It pushes nothing.

mod blobs;
mod elf;
mod libraries;
mod root_files;
mod tar;
#[cfg(test)]
mod tests;

use crate::release::FEATURES;
use crate::sources::root;
use anyhow::{Context, bail};
use blobs::{Blobs, Layer};
use flate2::Compression;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Who the program is within a container: nobody's number on any machine, as in `deploy/kubernetes`.
const USER: u32 = 65532;
/// The authorities that are believed.
const AUTHORITIES: &str = "etc/ssl/certs/ca-certificates.crt";
/// Where it keeps its store.
const DATA: &str = "var/lib/amends";

const USAGE: &str = "\
usage: cargo xtask image [--binary PATH] [--to FOLDER]
  --binary  a built program to take; without it, one is built as for a release
  --to      where the image goes; target/image unless said";

/// What an image is made of.
struct Wanted {
    binary: PathBuf,
    to: PathBuf,
    version: String,
    /// The commit, if the tree is one of git.
    revision: Option<String>,
    /// Seconds since 1970 that all its files and the image itself are dated.
    epoch: u64,
    compression: Compression,
}

/// Makes the image that the arguments ask for, and says what it is.
pub fn run(arguments: &[&str]) -> anyhow::Result<()> {
    let (binary, to) = asked(arguments)?;
    let binary = match binary {
        Some(path) => path,
        None => built()?,
    };
    let to = to.unwrap_or_else(|| root().join("target/image"));
    let revision = git(&["describe", "--always", "--abbrev=40", "--dirty", "--exclude=*"]);
    let wanted = Wanted {
        binary,
        to,
        version: version()?,
        epoch: epoch()?,
        revision,
        compression: Compression::best(),
    };
    println!("{}", made(&wanted)?);
    Ok(())
}

fn asked(arguments: &[&str]) -> anyhow::Result<(Option<PathBuf>, Option<PathBuf>)> {
    let (mut binary, mut to) = (None, None);
    let mut left = arguments.iter();
    while let Some(option) = left.next() {
        let place = match *option {
            "--binary" => &mut binary,
            "--to" => &mut to,
            other => bail!("`{other}` is no option of `image`\n{USAGE}"),
        };
        *place = Some(PathBuf::from(
            left.next().with_context(|| format!("`{option}` needs a path\n{USAGE}"))?,
        ));
    }
    Ok((binary, to))
}

/// Builds the program with all that a release has.
fn built() -> anyhow::Result<PathBuf> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"));
    let status = Command::new(cargo)
        .args(["build", "--release", "--locked", "--package", "amends", "--features", FEATURES])
        .current_dir(root())
        .status()
        .context("cannot run cargo")?;
    if !status.success() {
        bail!("the release does not build");
    }
    Ok(root().join("target/release/amends"))
}

fn version() -> anyhow::Result<String> {
    let manifest =
        fs::read_to_string(root().join("Cargo.toml")).context("cannot read Cargo.toml")?;
    let line =
        manifest.lines().find_map(|line| line.strip_prefix("version = \"")?.strip_suffix('"'));
    Ok(line.context("Cargo.toml says no version")?.to_owned())
}

/// `SOURCE_DATE_EPOCH`, or when the last commit was made.
fn epoch() -> anyhow::Result<u64> {
    if let Ok(set) = std::env::var("SOURCE_DATE_EPOCH") {
        return set
            .parse()
            .with_context(|| format!("SOURCE_DATE_EPOCH is no number of seconds: `{set}`"));
    }
    let commit = git(&["log", "--max-count=1", "--format=%ct"]).and_then(|told| told.parse().ok());
    commit.context(
        "there is no commit to date the image by; set SOURCE_DATE_EPOCH (seconds since 1970)",
    )
}

fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").args(arguments).current_dir(root()).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// Makes the image; answers the line that tells of it.
fn made(wanted: &Wanted) -> anyhow::Result<String> {
    let binary = fs::read(&wanted.binary)
        .with_context(|| format!("cannot read {}", wanted.binary.display()))?;
    let architecture = elf::architecture(&binary)
        .with_context(|| format!("{} can't be taken", wanted.binary.display()))?;
    empty(&wanted.to)?;
    let blobs = Blobs::new(&wanted.to, wanted.epoch, wanted.compression)?;
    let base = blobs.layer(&root_files::base(&wanted.binary)?)?;
    let program = blobs.layer(&root_files::program(binary)?)?;
    let layers = [(base, "what the program needs of Debian"), (program, "amends")];
    let labels = labels(wanted)?;
    let config = blobs.json(&config(wanted, architecture, &layers, &labels)?)?;
    let described: Vec<Value> =
        layers.iter().map(|(layer, _)| layer.blob.descriptor(blobs::LAYER)).collect();
    let manifest = blobs.json(&json!({
        "schemaVersion": 2,
        "mediaType": blobs::MANIFEST,
        "config": config.descriptor(blobs::CONFIG),
        "layers": described,
        "annotations": labels,
    }))?;
    let mut entry = manifest.descriptor(blobs::MANIFEST);
    entry["platform"] = json!({ "architecture": architecture, "os": "linux" });
    // The first is the tag for skopeo and its like, the second the whole name for containerd.
    entry["annotations"] = json!({
        "org.opencontainers.image.ref.name": wanted.version,
        "io.containerd.image.name": format!("docker.io/library/amends:{}", wanted.version),
    });
    blobs.index(&json!({ "schemaVersion": 2, "mediaType": blobs::INDEX, "manifests": [entry] }))?;
    let size = layers.iter().map(|(layer, _)| layer.blob.size).sum::<u64>() / 1024;
    Ok(format!(
        "{}: amends:{} for linux/{architecture}, {size} KiB, {}",
        wanted.to.display(),
        wanted.version,
        manifest.digest
    ))
}

/// Makes room: what is there is removed if it is an image, and nothing else is.
fn empty(folder: &Path) -> anyhow::Result<()> {
    let is_empty = fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_none());
    if !folder.exists() || is_empty {
        return Ok(());
    }
    if !folder.join("oci-layout").is_file() {
        bail!(
            "{} holds something that is no image; name another folder with `--to`",
            folder.display()
        );
    }
    fs::remove_dir_all(folder)
        .with_context(|| format!("cannot remove the image before in {}", folder.display()))
}

/// What the image says of itself.
fn labels(wanted: &Wanted) -> anyhow::Result<BTreeMap<&'static str, String>> {
    let mut labels = BTreeMap::from([
        ("org.opencontainers.image.title", "amends".to_owned()),
        ("org.opencontainers.image.description", "Amends, a compensation supervisor".to_owned()),
        ("org.opencontainers.image.version", wanted.version.clone()),
        ("org.opencontainers.image.licenses", "Apache-2.0 OR MIT".to_owned()),
        ("org.opencontainers.image.source", "https://github.com/amends-dev/amends".to_owned()),
        ("org.opencontainers.image.created", date(wanted.epoch)?),
    ]);
    if let Some(revision) = &wanted.revision {
        labels.insert("org.opencontainers.image.revision", revision.clone());
    }
    Ok(labels)
}

fn date(epoch: u64) -> anyhow::Result<String> {
    let date =
        i64::try_from(epoch).ok().and_then(|seconds| jiff::Timestamp::from_second(seconds).ok());
    Ok(date.with_context(|| format!("{epoch} s after 1970 is no date"))?.to_string())
}

fn config(
    wanted: &Wanted,
    architecture: &str,
    layers: &[(Layer, &str)],
    labels: &BTreeMap<&'static str, String>,
) -> anyhow::Result<Value> {
    let date = date(wanted.epoch)?;
    let history = |(_, about): &(Layer, &str)| json!({ "created": date, "created_by": "cargo xtask image", "comment": about });
    Ok(json!({
        "created": date,
        "architecture": architecture,
        "os": "linux",
        "config": {
            "User": format!("{USER}:{USER}"),
            "ExposedPorts": { "7100/tcp": {}, "7101/tcp": {} },
            // Without it OpenSSL, by which Kafka is reached, looks for them where there are none.
            "Env": ["PATH=/usr/local/bin", format!("SSL_CERT_FILE=/{AUTHORITIES}")],
            "Entrypoint": ["/usr/local/bin/amends"],
            "Cmd": ["serve"],
            // The store's folder is `amends-data` below, unless the configuration names another.
            "Volumes": { format!("/{DATA}"): {} },
            "WorkingDir": format!("/{DATA}"),
            "StopSignal": "SIGTERM",
            "Labels": labels,
        },
        "rootfs": { "type": "layers", "diff_ids": layers.iter().map(|(layer, _)| &layer.unpacked).collect::<Vec<_>>() },
        "history": layers.iter().map(history).collect::<Vec<_>>(),
    }))
}
