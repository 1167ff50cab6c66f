//! The module tree of each crate, read from `mod` lines: which file is which module, and which file is no module at all.

use crate::sources::{Source, program_lines};
use std::collections::{BTreeMap, BTreeSet};

/// Files that begin a crate, and the modules below them.
pub struct Crate<'s> {
    /// A file by its module path; the root's is empty.
    pub files: BTreeMap<Vec<String>, &'s Source>,
}

/// Every crate of these files: libraries, binaries, tests, examples, benches.
pub fn crates(sources: &[Source]) -> Vec<Crate<'_>> {
    sources.iter().filter(|s| is_root(&s.path)).map(|root| Crate::of(root, sources)).collect()
}

/// The files that no `mod` names.
pub fn dead(sources: &[Source], crates: &[Crate<'_>]) -> Vec<String> {
    let alive: BTreeSet<&str> =
        crates.iter().flat_map(|c| c.files.values()).map(|s| s.path.as_str()).collect();
    let dead = sources.iter().filter(|s| !alive.contains(s.path.as_str()));
    dead.map(|s| format!("{}: no `mod` names this file; it is never compiled", s.path)).collect()
}

/// Whether cargo compiles this file as a crate's root.
fn is_root(path: &str) -> bool {
    let parts: Vec<&str> = path.split('/').collect();
    match parts.as_slice() {
        [.., "src", "lib.rs" | "main.rs"] | [.., "build.rs"] => true,
        [.., "tests" | "examples" | "benches" | "bin", name] => {
            name.ends_with(".rs") && !parts.contains(&"src") || parts.ends_with(&["bin", name])
        }
        [.., "tests" | "examples" | "benches", _, "main.rs"] => !parts.contains(&"src"),
        _ => false,
    }
}

impl<'s> Crate<'s> {
    fn of(root: &'s Source, sources: &'s [Source]) -> Self {
        let mut files = BTreeMap::new();
        let mut open = vec![(Vec::new(), root)];
        while let Some((module, source)) = open.pop() {
            for (name, at) in children(source) {
                let mut child = module.clone();
                child.push(name);
                let found = at.iter().find_map(|path| sources.iter().find(|s| s.path == *path));
                // A module whose file is not there is the compiler's to tell.
                open.extend(found.map(|found| (child, found)));
            }
            files.insert(module, source);
        }
        Self { files }
    }
}

/// The modules that a file declares without a body, and where their files may be.
fn children(source: &Source) -> Vec<(String, Vec<String>)> {
    let (folder, file) = source.path.rsplit_once('/').unwrap_or(("", &source.path));
    let stem = file.trim_end_matches(".rs");
    let owns_folder = is_root(&source.path) || stem == "mod";
    let below = if owns_folder { folder.to_owned() } else { format!("{folder}/{stem}") };
    let mut found = Vec::new();
    let mut own_path = None;
    for line in source.text.lines() {
        let line = line.trim();
        if let Some(rest) = line.strip_prefix("#[path = \"") {
            own_path = rest.split('"').next().map(|path| joined(folder, path));
            continue;
        }
        let declared = line.strip_suffix(';').and_then(|line| {
            let line = line.strip_prefix("pub ").unwrap_or(line);
            let line = line.strip_prefix("pub(crate) ").unwrap_or(line);
            let line = line.strip_prefix("pub(super) ").unwrap_or(line);
            line.strip_prefix("mod ")
        });
        if let Some(name) = declared.filter(|name| !name.contains(' ')) {
            let at = own_path.take().map(|path| vec![path]).unwrap_or_else(|| {
                vec![format!("{below}/{name}.rs"), format!("{below}/{name}/mod.rs")]
            });
            found.push((name.to_owned(), at));
        } else if !line.starts_with("#[") {
            own_path = None;
        }
    }
    found
}

fn joined(folder: &str, path: &str) -> String {
    let mut parts: Vec<&str> = folder.split('/').collect();
    for part in path.split('/') {
        if part == ".." {
            parts.pop();
        } else {
            parts.push(part);
        }
    }
    parts.join("/")
}

/// Names that a module hands on from others: `pub use a::{B, c::D}` gives `B` by `a::B`, `D` by `a::c::D`.
pub fn handed_on(source: &Source) -> BTreeMap<String, Vec<String>> {
    let all = uses(source).into_iter().filter(|u| u.is_public);
    all.filter_map(|u| Some((u.path.last()?.clone(), u.path))).collect()
}

/// One name that a file imports, or a path that begins at the crate or the parent wherever it stands.
pub struct Use {
    /// Its segments, from `crate`, `super`, `self` or a name on.
    pub path: Vec<String>,
    /// Whether it is handed on to others.
    pub is_public: bool,
}

/// Every name that the program of a file imports, with groups written out, and every other path from the crate on.
pub fn uses(source: &Source) -> Vec<Use> {
    let mut found = Vec::new();
    let mut statement: Option<String> = None;
    for (_, line) in program_lines(&source.text) {
        let line = line.trim();
        let begins = ["use ", "pub use ", "pub(crate) use ", "pub(super) use "];
        if statement.is_none() && begins.iter().any(|b| line.starts_with(b)) {
            statement = Some(String::new());
        }
        match &mut statement {
            Some(text) => {
                text.push_str(line);
                if line.ends_with(';') {
                    let text = statement.take().unwrap_or_default();
                    let is_public = text.starts_with("pub");
                    let tree = text.split_once("use ").map_or("", |(_, tree)| tree);
                    for path in written_out(tree.trim_end_matches(';')) {
                        found.push(Use { path, is_public });
                    }
                }
            }
            None => {
                for rest in line.split("crate::").skip(1) {
                    let end = rest.find(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':'));
                    let path = rest.get(..end.unwrap_or(rest.len())).unwrap_or_default();
                    let names = path.split("::").filter(|n| !n.is_empty()).map(str::to_owned);
                    let path = std::iter::once("crate".to_owned()).chain(names).collect();
                    found.push(Use { path, is_public: false });
                }
            }
        }
    }
    found
}

/// `a::{b, c::{d, self}}` as `a::b`, `a::c::d`, `a::c`. A name that is given another (`as`) goes by its own.
fn written_out(tree: &str) -> Vec<Vec<String>> {
    let tree = tree.trim();
    let Some((head, group)) = tree.split_once('{') else {
        let path = tree.split(" as ").next().unwrap_or(tree);
        return vec![path.split("::").map(|part| part.trim().to_owned()).collect()];
    };
    let head: Vec<String> = head
        .split("::")
        .map(str::trim)
        .filter(|part| !part.is_empty())
        .map(str::to_owned)
        .collect();
    let group = group.strip_suffix('}').unwrap_or(group);
    let mut found = Vec::new();
    for member in members(group) {
        for mut path in written_out(member) {
            if path == ["self"] {
                path.clear();
            }
            found.push(head.iter().cloned().chain(path).collect());
        }
    }
    found
}

/// The members of a group, by its outermost commas.
fn members(group: &str) -> Vec<&str> {
    let mut depth = 0_usize;
    let mut begins = 0;
    let mut found = Vec::new();
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => {
                found.push(&group[begins..at]);
                begins = at + 1;
            }
            _ => {}
        }
    }
    found.push(&group[begins..]);
    found.into_iter().filter(|member| !member.trim().is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::{crates, dead, handed_on, uses};
    use crate::sources::Source;

    fn file(path: &str, text: &str) -> Source {
        Source { path: path.to_owned(), text: text.to_owned() }
    }

    #[test]
    fn a_file_that_no_mod_names_is_dead() {
        let sources = [
            file("c/src/lib.rs", "mod a;\npub(crate) mod b;\n"),
            file("c/src/a.rs", "#[cfg(test)]\n#[path = \"a_tests.rs\"]\nmod tests;\nmod deep;\n"),
            file("c/src/a_tests.rs", ""),
            file("c/src/a/deep.rs", ""),
            file("c/src/b/mod.rs", "mod inner {\n}\n"),
            file("c/src/old.rs", ""),
            file("c/tests/story.rs", "mod world;\n#[path = \"../shared/x.rs\"]\nmod x;\n"),
            file("c/tests/world/mod.rs", ""),
            file("c/shared/x.rs", ""),
        ];
        let found = dead(&sources, &crates(&sources));
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].starts_with("c/src/old.rs: "), "{found:?}");
    }

    #[test]
    fn imports_are_written_out() {
        let source = file(
            "c/src/a.rs",
            "pub use b::{C, d::{E, self}};\nuse crate::f::G as H;\nfn f() { crate::i::j(); }\n",
        );
        let paths: Vec<String> = uses(&source).iter().map(|u| u.path.join("::")).collect();
        assert_eq!(paths, ["b::C", "b::d::E", "b::d", "crate::f::G", "crate::i::j"]);
        assert_eq!(handed_on(&source)["E"], ["b", "d", "E"]);
    }
}
