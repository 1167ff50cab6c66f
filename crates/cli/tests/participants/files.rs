//! What the participants' files promise to whoever reads or copies them.

use crate::rig::{Language, node};
use std::path::Path;
use std::process::Output;

#[test]
fn the_participant_in_typescript_has_right_types() {
    let folder = Language::TypeScript.folder();
    let checker = folder.join("node_modules/typescript/bin/tsc");
    assert!(
        checker.exists(),
        "the type checker is missing: run `cargo xtask install`, or `npm ci` in participants/typescript"
    );
    let Output { status, stdout, .. } =
        node().arg(checker).current_dir(&folder).output().expect("it runs");
    assert!(status.success(), "{}", String::from_utf8_lossy(&stdout));
}

#[test]
fn the_guide_shows_what_is_in_the_files() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let guide = include_str!("../../../../docs/guides/participant-in-any-language.md");
    let mut shown = 0;
    for block in guide.split("\n```").skip(1).step_by(2) {
        let (about, text) = block.split_once('\n').expect("a block has a first line");
        let Some((_, file)) = about.split_once(' ') else { continue };
        let source = std::fs::read_to_string(root.join(file)).expect("the guide names a file");
        let source: Vec<&str> = source.lines().map(str::trim).collect();
        let mut rest = source.as_slice();
        // A line `…` stands for what was left out; what is shown is in the file, in this order.
        for part in text.split("\n…\n") {
            let part: Vec<&str> = part.lines().map(str::trim).collect();
            let at = rest.windows(part.len()).position(|lines| lines == part);
            let at = at.unwrap_or_else(|| panic!("{file} has no more:\n{}", part.join("\n")));
            rest = &rest[at + part.len()..];
        }
        shown += 1;
    }
    assert_eq!(shown, 12, "excerpts of the guide; one that is compared with no file may rot");
}

/// Whoever writes one in a further language reads it whole. All that is written by hand counts, tables included; what
/// is squeezed is not short.
#[test]
fn a_participant_is_short_enough_to_be_read() {
    for language in [Language::Python, Language::TypeScript] {
        let mut lines = 0;
        for entry in std::fs::read_dir(language.folder()).expect("a folder").flatten() {
            let path = entry.path();
            if path.extension().is_some_and(|e| e == "py" || e == "ts" || e == "sql") {
                // Of use with a broker alone, and read by whoever has one.
                let is_extra = path.file_stem().is_some_and(|stem| stem == "broker");
                let text = std::fs::read_to_string(&path).expect("text");
                if is_extra {
                    assert!(text.lines().count() < 80, "{} is no small extra", path.display());
                } else {
                    lines += text.lines().count();
                }
                let wide = text.lines().find(|line| line.chars().count() > 120);
                assert_eq!(wide, None, "a line of {} is too long", path.display());
            }
        }
        assert!((100..750).contains(&lines), "{language:?} has {lines} lines");
    }
}
