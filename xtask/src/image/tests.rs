//! The image as whoever takes it sees it: the same bytes each time, what its index promises, and a program that runs
//! within its root file system and nothing else, as nobody.

use super::{Wanted, empty, made};
use crate::sources::root;
use flate2::Compression;
use flate2::read::GzDecoder;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// A small program of any Debian that is loaded with libraries.
const SMALL: &str = "/usr/bin/ls";

fn wanted(binary: &Path, to: &Path) -> Wanted {
    Wanted {
        binary: binary.to_owned(),
        to: to.to_owned(),
        version: "1.2.3".to_owned(),
        revision: Some("0123456789abcdef".to_owned()),
        epoch: 1_700_000_000,
        compression: Compression::fast(),
    }
}

/// Every file below a folder.
fn files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            let below = files(&path).into_iter().map(|(name, bytes)| {
                (Path::new(path.file_name().expect("a name")).join(name), bytes)
            });
            found.extend(below);
        } else {
            found.insert(
                PathBuf::from(path.file_name().expect("a name")),
                fs::read(&path).expect("a file"),
            );
        }
    }
    found
}

fn json(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).expect("JSON")
}

/// The blob that a descriptor names, with its digest and size proved.
fn blob(image: &Path, descriptor: &Value) -> Vec<u8> {
    let digest = descriptor["digest"].as_str().expect("a digest");
    let hex = digest.strip_prefix("sha256:").expect("SHA-256");
    let bytes = fs::read(image.join("blobs/sha256").join(hex)).expect("it is there");
    assert_eq!(format!("{:x}", Sha256::digest(&bytes)), hex);
    assert_eq!(descriptor["size"].to_string(), bytes.len().to_string());
    bytes
}

/// What a registry would follow from the index: manifest and configuration, and the layers unpacked one over another.
fn unpacked(image: &Path, to: &Path) -> (Value, Value) {
    let index = json(&fs::read(image.join("index.json")).expect("an index"));
    let manifest = json(&blob(image, &index["manifests"][0]));
    let config = json(&blob(image, &manifest["config"]));
    let layers = manifest["layers"].as_array().expect("layers");
    let unpacked = config["rootfs"]["diff_ids"].as_array().expect("digests");
    assert_eq!(layers.len(), unpacked.len());
    for (layer, digest) in layers.iter().zip(unpacked) {
        let mut archive = Vec::new();
        GzDecoder::new(&*blob(image, layer)).read_to_end(&mut archive).expect("gzip");
        assert_eq!(
            format!("sha256:{:x}", Sha256::digest(&archive)),
            digest.as_str().expect("a digest")
        );
        let mut tar = Command::new("tar")
            .args(["--extract", "--same-permissions", "--directory"])
            .arg(to)
            .stdin(Stdio::piped())
            .spawn()
            .expect("tar");
        tar.stdin.take().expect("a pipe").write_all(&archive).expect("tar reads");
        assert!(tar.wait().expect("tar").success());
    }
    (index, config)
}

#[test]
fn the_same_program_gives_the_same_bytes() {
    let folder = tempfile::tempdir().expect("a folder");
    let made_in = |name: &str| {
        let to = folder.path().join(name);
        made(&wanted(Path::new(SMALL), &to)).expect("an image");
        files(&to)
    };
    let (first, second) = (made_in("first"), made_in("second"));
    assert!(first == second, "{:?} and {:?}", first.keys(), second.keys());
    // Two layers, a configuration, a manifest; the index and what says that all of it is an image.
    assert_eq!(first.len(), 6);
}

#[test]
fn what_is_in_it_is_what_its_index_says() {
    let folder = tempfile::tempdir().expect("a folder");
    let (image, within) = (folder.path().join("image"), folder.path().join("within"));
    fs::create_dir(&within).expect("ours");
    let told = made(&wanted(Path::new(SMALL), &image)).expect("an image");
    let (index, config) = unpacked(&image, &within);
    let entry = &index["manifests"][0];
    assert!(told.contains(entry["digest"].as_str().expect("a digest")), "{told}");
    assert_eq!(entry["annotations"]["org.opencontainers.image.ref.name"], "1.2.3");
    assert_eq!(entry["platform"]["architecture"], config["architecture"]);
    assert_eq!(config["config"]["User"], "65532:65532");
    assert_eq!(config["config"]["Labels"]["org.opencontainers.image.revision"], "0123456789abcdef");
    assert_eq!(config["created"], "2023-11-14T22:13:20Z");

    assert!(!within.join("bin").exists() && !within.join("usr/bin").exists(), "there is a shell");
    let variables = config["config"]["Env"].as_array().expect("variables");
    let named = variables.iter().find_map(|one| one.as_str()?.strip_prefix("SSL_CERT_FILE=/"));
    let authorities = fs::read_to_string(within.join(named.expect("a file"))).expect("authorities");
    assert!(authorities.matches("BEGIN CERTIFICATE").count() > 100);
    let data = fs::metadata(within.join("var/lib/amends")).expect("its folder");
    assert_eq!(data.mode() & 0o7777, 0o700);
    assert_eq!(fs::metadata(within.join("tmp")).expect("a folder").mode() & 0o7777, 0o1777);
    let dated = fs::metadata(within.join("usr/local/bin/amends")).expect("the program");
    assert_eq!((dated.mtime(), dated.mode() & 0o7777), (1_700_000_000, 0o755));
    let packages =
        fs::read_to_string(within.join("var/lib/dpkg/status.d/libc6")).expect("its package");
    assert!(packages.contains("Version: "), "{packages}");
    assert!(within.join("usr/share/doc/libc6/copyright").is_file());
}

#[test]
fn only_an_image_is_written_over() {
    let folder = tempfile::tempdir().expect("a folder");
    empty(folder.path()).expect("there is nothing");
    fs::write(folder.path().join("precious"), "a file").expect("ours");
    let told = empty(folder.path()).expect_err("it is no image").to_string();
    assert!(told.contains("holds something that is no image"), "{told}");
    assert!(folder.path().join("precious").is_file());
    fs::write(folder.path().join("oci-layout"), "{}").expect("ours");
    empty(folder.path()).expect("it is an image");
    assert!(!folder.path().exists());
}

#[test]
fn arguments_are_read_and_mistakes_are_told() {
    let (binary, to) = super::asked(&["--to", "x", "--binary", "y"]).expect("both");
    assert_eq!((binary, to), (Some(PathBuf::from("y")), Some(PathBuf::from("x"))));
    for (arguments, says) in
        [(["--into", "x"].as_slice(), "`--into` is no option"), (&["--to"], "`--to` needs a path")]
    {
        let told = super::asked(arguments).expect_err("a mistake").to_string();
        assert!(told.contains(says) && told.contains("usage: "), "{told}");
    }
}

/// The program as it is built for tests, beside the folder of this one.
fn product() -> PathBuf {
    let own = std::env::current_exe().expect("a path");
    let folder = own.parent().and_then(Path::parent).expect("a folder");
    let product = folder.join("amends");
    if !product.is_file() {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let built =
            Command::new(cargo).args(["build", "--package", "amends"]).current_dir(root()).status();
        assert!(built.expect("cargo").success());
    }
    product
}

/// Whether this test may change its root folder and its user.
fn is_root() -> bool {
    fs::metadata("/proc/self").expect("a process").uid() == 0
}

/// The program within the root file system: as the image's user if we are root; else by the image's own loader with the
/// image's own libraries.
fn within(folder: &Path, arguments: &[&str]) -> Command {
    let program = if is_root() { Path::new("/") } else { folder }.join("usr/local/bin/amends");
    let mut command = if is_root() {
        let mut chroot = Command::new("chroot");
        chroot.arg("--userspec=65532:65532").arg(folder);
        chroot
    } else {
        let triple = format!("usr/lib/{}-linux-gnu", std::env::consts::ARCH);
        let is_amd64 = cfg!(target_arch = "x86_64");
        let loader =
            if is_amd64 { "lib64/ld-linux-x86-64.so.2" } else { "lib/ld-linux-aarch64.so.1" };
        let mut loader = Command::new(folder.join(loader));
        loader.args(["--inhibit-cache", "--library-path"]).arg(folder.join(triple));
        loader
    };
    let path = std::env::var_os("PATH").expect("a path");
    command.arg(program).args(arguments).env_clear().env("PATH", path);
    command
}

/// A child that ends with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn the_program_serves_within_its_image_as_nobody() {
    let folder = tempfile::tempdir().expect("a folder");
    let (image, root_folder) = (folder.path().join("image"), folder.path().join("within"));
    fs::create_dir(&root_folder).expect("ours");
    let made = made(&Wanted { compression: Compression::none(), ..wanted(&product(), &image) });
    println!("{}", made.expect("an image"));
    unpacked(&image, &root_folder);
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs::set_permissions(folder.path(), open).expect("ours");

    let version = within(&root_folder, &["--version"]).output().expect("it runs");
    assert!(version.status.success(), "{}", String::from_utf8_lossy(&version.stderr));
    assert!(
        String::from_utf8_lossy(&version.stdout).contains(&super::version().expect("a version"))
    );

    let data = if is_root() { Path::new("/") } else { &root_folder }.join("var/lib/amends/store");
    let data = data.to_str().expect("a text");
    let mut serve = within(&root_folder, &["serve", "--listen", "127.0.0.1:0", "--data", data]);
    let mut serve =
        Running(serve.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts"));
    let errors = BufReader::new(serve.0.stderr.take().expect("a pipe"));
    let mut told = String::new();
    let address = errors.lines().map_while(Result::ok).find_map(|line| {
        told.push_str(&line);
        told.push('\n');
        let (_, address) = line.split_once("http://")?;
        Some(address.split(['"', ' ', '/']).next()?.to_owned())
    });
    let address = address.unwrap_or_else(|| panic!("it does not listen: {told}"));
    let mut probe = TcpStream::connect(&address).expect("it listens");
    let asked = format!("GET /readyz HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
    probe.write_all(asked.as_bytes()).expect("sent");
    let mut answer = String::new();
    probe.read_to_string(&mut answer).expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}
