//! Files as a tar archive (POSIX ustar): sorted, all of one date, with numbers for owners; nothing of the machine that
//! wrote it.

use anyhow::{Context, bail};
use std::collections::BTreeMap;

/// Every block of an archive.
const BLOCK: usize = 512;

/// What lies at a path.
#[derive(Clone, Debug)]
pub enum What {
    Folder,
    File(Vec<u8>),
    /// A symbolic link and where it leads.
    Link(String),
}

/// One entry.
#[derive(Clone, Debug)]
pub struct Entry {
    pub what: What,
    pub mode: u32,
    /// The number of its user and of its group.
    pub owner: u32,
}

/// Entries by their paths, without a `/` before. A folder comes before what is in it, by its name.
pub type Tree = BTreeMap<String, Entry>;

/// Adds an entry of root's, and the folders that lead to it.
pub fn add<'a>(tree: &'a mut Tree, path: &str, mode: u32, what: What) -> &'a mut Entry {
    for (end, _) in path.match_indices('/') {
        let folder = Entry { what: What::Folder, mode: 0o755, owner: 0 };
        tree.entry(path[..end].to_owned()).or_insert(folder);
    }
    tree.entry(path.to_owned()).insert_entry(Entry { what, mode, owner: 0 }).into_mut()
}

/// The archive; `epoch` (seconds since 1970) is the date of all.
pub fn archive(tree: &Tree, epoch: u64) -> anyhow::Result<Vec<u8>> {
    let mut archive = Vec::new();
    for (path, entry) in tree {
        archive.extend(
            header(path, entry, epoch).with_context(|| format!("`{path}` can't be packed"))?,
        );
        if let What::File(bytes) = &entry.what {
            archive.extend(bytes);
            archive.resize(archive.len().next_multiple_of(BLOCK), 0);
        }
    }
    archive.resize(archive.len() + 2 * BLOCK, 0);
    Ok(archive)
}

fn header(path: &str, entry: &Entry, epoch: u64) -> anyhow::Result<[u8; BLOCK]> {
    let (kind, size, link, end) = match &entry.what {
        What::Folder => (b'5', 0, "", "/"),
        What::File(bytes) => (b'0', bytes.len() as u64, "", ""),
        What::Link(to) => (b'2', 0, to.as_str(), ""),
    };
    let mut block = [0; BLOCK];
    put(&mut block[..100], format!("{path}{end}").as_bytes())?;
    octal(&mut block[100..107], entry.mode.into())?;
    octal(&mut block[108..115], entry.owner.into())?;
    octal(&mut block[116..123], entry.owner.into())?;
    octal(&mut block[124..135], size)?;
    octal(&mut block[136..147], epoch)?;
    block[156] = kind;
    put(&mut block[157..257], link.as_bytes())?;
    block[257..265].copy_from_slice(b"ustar\x0000");
    // The sum is over the header with spaces in its own place.
    block[148..156].fill(b' ');
    let sum: u64 = block.iter().map(|byte| u64::from(*byte)).sum();
    octal(&mut block[148..154], sum)?;
    block[154] = 0;
    Ok(block)
}

fn put(place: &mut [u8], text: &[u8]) -> anyhow::Result<()> {
    let Some(fits) = place.get_mut(..text.len()) else {
        bail!("a name of {} bytes is longer than {}", text.len(), place.len());
    };
    fits.copy_from_slice(text);
    Ok(())
}

/// Digits of base 8 that fill the place.
fn octal(place: &mut [u8], number: u64) -> anyhow::Result<()> {
    let digits = format!("{number:0width$o}", width = place.len());
    put(place, digits.as_bytes()).with_context(|| format!("{number} does not fit"))
}
