//! The folder of an OCI image: `oci-layout`, `index.json`, and everything else by its digest.

use super::tar::{self, Tree};
use anyhow::Context;
use flate2::{Compression, GzBuilder};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

pub const INDEX: &str = "application/vnd.oci.image.index.v1+json";
pub const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
pub const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";

/// A folder that is being filled.
pub struct Blobs {
    folder: PathBuf,
    epoch: u64,
    compression: Compression,
}

/// Something that lies there.
#[derive(Debug)]
pub struct Blob {
    /// `sha256:` and 64 digits.
    pub digest: String,
    /// In bytes.
    pub size: u64,
}

/// A layer that lies there.
#[derive(Debug)]
pub struct Layer {
    pub blob: Blob,
    /// The digest of its archive before it was compressed.
    pub unpacked: String,
}

impl Blob {
    pub fn descriptor(&self, media_type: &str) -> Value {
        json!({ "mediaType": media_type, "digest": self.digest, "size": self.size })
    }
}

impl Blobs {
    /// Layers are dated `epoch`, seconds since 1970.
    pub fn new(folder: &Path, epoch: u64, compression: Compression) -> anyhow::Result<Self> {
        let blobs = Self { folder: folder.to_owned(), epoch, compression };
        fs::create_dir_all(folder.join("blobs/sha256"))
            .with_context(|| format!("cannot make the folder {}", folder.display()))?;
        blobs
            .write("oci-layout", &serde_json::to_vec(&json!({ "imageLayoutVersion": "1.0.0" }))?)?;
        Ok(blobs)
    }

    pub fn layer(&self, tree: &Tree) -> anyhow::Result<Layer> {
        let archive = tar::archive(tree, self.epoch)?;
        // No name and no date of its own: those of the archive are enough.
        let mut packed = GzBuilder::new().mtime(0).write(Vec::new(), self.compression);
        packed.write_all(&archive)?;
        Ok(Layer { blob: self.put(&packed.finish()?)?, unpacked: digest(&archive) })
    }

    pub fn json(&self, value: &Value) -> anyhow::Result<Blob> {
        self.put(&serde_json::to_vec(value)?)
    }

    pub fn index(&self, value: &Value) -> anyhow::Result<()> {
        self.write("index.json", &serde_json::to_vec(value)?)
    }

    fn put(&self, bytes: &[u8]) -> anyhow::Result<Blob> {
        let digest = digest(bytes);
        self.write(&format!("blobs/{}", digest.replace(':', "/")), bytes)?;
        Ok(Blob { digest, size: bytes.len() as u64 })
    }

    fn write(&self, name: &str, bytes: &[u8]) -> anyhow::Result<()> {
        let path = self.folder.join(name);
        fs::write(&path, bytes).with_context(|| format!("cannot write {}", path.display()))
    }
}

fn digest(bytes: &[u8]) -> String {
    format!("sha256:{:x}", Sha256::digest(bytes))
}
