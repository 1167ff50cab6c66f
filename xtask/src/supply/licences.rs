//! Under which licences a crate is taken, and the texts that its package carries for them.

use super::Shipped;
use anyhow::{Context, anyhow};
use spdx::{Expression, Licensee};
use std::fs;

/// A licence that we take crates under, the one to prefer first, with words that only its text has.
const TAKEN: &[(&str, &str)] = &[
    ("Apache-2.0", "www.apache.org/licenses"),
    ("MIT", "permission is hereby granted, free of charge"),
    ("ISC", "permission to use, copy, modify, and/or distribute this software for any"),
    ("BSD-2-Clause", "redistribution and use in source and binary forms"),
    ("BSD-3-Clause", "redistribution and use in source and binary forms"),
    ("Unicode-3.0", "unicode license v3"),
    ("Zlib", "freely, subject to the following restrictions"),
    ("CDLA-Permissive-2.0", "community data license agreement - permissive"),
];

/// Where the licences of a library lie that a crate's package brings, and does not tell of at its top.
const BROUGHT: &[(&str, &str)] =
    &[("rdkafka-sys", "librdkafka/LICENSES.txt"), ("zstd-sys", "zstd/LICENSE")];

/// The licences that a crate is taken under: as few as its expression demands, by our order.
pub fn chosen(crate_: &Shipped) -> anyhow::Result<Vec<&'static str>> {
    let about =
        || format!("{} {}: licence `{}`", crate_.id.name, crate_.id.version, crate_.licence);
    let expression = Expression::parse(&crate_.licence).with_context(about)?;
    let ours: Result<Vec<Licensee>, _> = TAKEN.iter().map(|(id, _)| Licensee::parse(id)).collect();
    let demanded = expression
        .minimized_requirements(&ours.context("a licence of ours")?)
        .map_err(|error| anyhow!("{}: {error}; none of it is in {}", about(), file!()))?;
    let names: Vec<String> = demanded.iter().map(ToString::to_string).collect();
    Ok(TAKEN.iter().map(|(id, _)| *id).filter(|id| names.iter().any(|n| n == id)).collect())
}

/// The texts of a licence that the crate's package carries, without the blanks around them.
pub fn texts(crate_: &Shipped, licence: &str) -> anyhow::Result<Vec<String>> {
    let words = TAKEN.iter().find(|(id, _)| *id == licence).map_or("", |(_, words)| words);
    Ok(files(crate_, &["LICENSE", "LICENCE", "COPYING", "UNLICENSE"])?
        .into_iter()
        .filter(|text| in_one_line(text).contains(words))
        .collect())
}

/// What a package wants to be said with it, by the licence Apache-2.0.
pub fn notices(crate_: &Shipped) -> anyhow::Result<Vec<String>> {
    files(crate_, &["NOTICE"])
}

/// The texts of a library of others that the crate's package brings, and that is linked with it.
pub fn brought(crate_: &Shipped) -> anyhow::Result<Vec<String>> {
    let files = BROUGHT.iter().filter(|(name, _)| *name == crate_.id.name);
    let read = |(_, file): &(&str, &str)| {
        let path = crate_.folder.join(file);
        let text =
            fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        Ok(tidied(&text))
    };
    files.map(read).collect()
}

/// The texts of the files at the top of the package whose names begin so.
fn files(crate_: &Shipped, begins: &[&str]) -> anyhow::Result<Vec<String>> {
    let folder = &crate_.folder;
    let entries =
        fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let mut paths = Vec::new();
    for entry in entries {
        let path = entry?.path();
        let name = path.file_name().map(|n| n.to_string_lossy().to_uppercase()).unwrap_or_default();
        if path.is_file() && begins.iter().any(|b| name.starts_with(b)) {
            paths.push(path);
        }
    }
    paths.sort();
    let read = |path: &std::path::PathBuf| {
        let bytes = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        Ok(tidied(&String::from_utf8_lossy(&bytes)))
    };
    paths.iter().map(read).collect()
}

/// Without blanks at the ends of lines and of the text.
fn tidied(text: &str) -> String {
    let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
    lines.join("\n").trim_matches('\n').to_owned()
}

fn in_one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::{chosen, texts};
    use crate::supply::{Id, Shipped};

    fn under(licence: &str, folder: &std::path::Path) -> Shipped {
        Shipped {
            id: Id { name: "x".to_owned(), version: "1.0.0".to_owned() },
            licence: licence.to_owned(),
            repository: None,
            digest: Some("ab".to_owned()),
            folder: folder.to_owned(),
            builds_on: Default::default(),
        }
    }

    #[test]
    fn of_several_licences_as_few_as_possible_are_taken() {
        let here = std::path::Path::new(".");
        let of = |licence: &str| chosen(&under(licence, here)).map_err(|error| error.to_string());
        assert_eq!(of("MIT OR Apache-2.0"), Ok(vec!["Apache-2.0"]));
        assert_eq!(of("MIT"), Ok(vec!["MIT"]));
        assert_eq!(
            of("(MIT OR Apache-2.0) AND Unicode-3.0"),
            Ok(vec!["Apache-2.0", "Unicode-3.0"])
        );
        assert_eq!(of("MIT OR LGPL-2.1-or-later"), Ok(vec!["MIT"]));
        assert!(
            of("GPL-3.0-only").is_err_and(|why| why.contains("x 1.0.0: licence `GPL-3.0-only`"))
        );
        assert!(of("free for all").is_err());
    }

    #[test]
    fn a_text_is_known_by_its_words_and_not_by_its_name() {
        let folder = tempfile::tempdir().expect("a folder");
        let mit = "Copyright me  \n\nPermission is hereby granted, free\nof charge, to any\n";
        std::fs::write(folder.path().join("LICENSE"), mit).expect("a file");
        std::fs::write(folder.path().join("LICENSE-APACHE"), "not a licence").expect("a file");
        let crate_ = under("MIT", folder.path());
        let expected = "Copyright me\n\nPermission is hereby granted, free\nof charge, to any";
        assert_eq!(texts(&crate_, "MIT").expect("it can be read"), [expected]);
        assert!(texts(&crate_, "Apache-2.0").expect("it can be read").is_empty());
    }
}
