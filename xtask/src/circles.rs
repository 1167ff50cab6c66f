//! Circles of files within a crate: files of which each uses another and the last one the first. Nobody can read one of
//! them alone.

use crate::modules::{Crate, handed_on, uses};
use crate::sources::{Source, is_test_file};
use std::collections::{BTreeMap, BTreeSet};

/// How often a name is followed from one module that hands it on to the next.
const HANDED_ON_LIMIT: usize = 8;

/// The circles of all crates, each as its sorted files.
pub fn all(crates: &[Crate<'_>]) -> Vec<Vec<String>> {
    let mut found: BTreeSet<Vec<String>> = BTreeSet::new();
    for one in
        crates.iter().filter(|c| c.files.get(&Vec::new()).is_some_and(|root| is_program(root)))
    {
        found.extend(circles(&arrows(one)));
    }
    found.into_iter().collect()
}

type Arrows<'s> = BTreeMap<&'s str, BTreeSet<&'s str>>;

/// From each file of the program to the files whose names it uses. A root only puts its crate together.
fn arrows<'s>(of: &Crate<'s>) -> Arrows<'s> {
    let names: BTreeMap<&Vec<String>, BTreeMap<String, Vec<String>>> =
        of.files.iter().map(|(module, source)| (module, handed_on(source))).collect();
    let mut arrows = Arrows::new();
    for (module, source) in of.files.iter().filter(|(m, s)| !m.is_empty() && is_program(s)) {
        for used in uses(source) {
            let Some(path) = absolute(of, module, &used.path) else { continue };
            let found = defined_in(of, &names, path).and_then(|module| of.files.get(&module));
            if let Some(found) = found.filter(|f| f.path != source.path && is_program(f)) {
                arrows.entry(source.path.as_str()).or_default().insert(found.path.as_str());
            }
        }
    }
    arrows
}

fn is_program(source: &Source) -> bool {
    !is_test_file(&source.path)
}

/// A path from the root on; none if it leads out of the crate.
fn absolute(of: &Crate<'_>, module: &[String], path: &[String]) -> Option<Vec<String>> {
    let mut base = module.to_vec();
    let mut rest = path;
    match path.first()?.as_str() {
        "crate" => {
            base.clear();
            rest = &path[1..];
        }
        "self" => rest = &path[1..],
        "super" => {
            while let Some((first, more)) = rest.split_first()
                && first == "super"
            {
                base.pop();
                rest = more;
            }
        }
        name => {
            let child: Vec<String> = base.iter().cloned().chain([name.to_owned()]).collect();
            of.files.contains_key(&child).then_some(())?;
        }
    }
    base.extend(rest.iter().cloned());
    Some(base)
}

/// The module in whose file a name is defined, followed through modules that only hand it on.
fn defined_in(
    of: &Crate<'_>,
    names: &BTreeMap<&Vec<String>, BTreeMap<String, Vec<String>>>,
    mut path: Vec<String>,
) -> Option<Vec<String>> {
    for _ in 0..HANDED_ON_LIMIT {
        let known = (0..=path.len()).rev().find(|n| of.files.contains_key(&path[..*n]))?;
        let module = path[..known].to_vec();
        let from = path.get(known).and_then(|name| names.get(&module)?.get(name));
        let Some(next) = from.and_then(|from| absolute(of, &module, from)) else {
            // A root defines little of its own, and everybody may use that.
            return (!module.is_empty()).then_some(module);
        };
        path = next.into_iter().chain(path.drain(known + 1..)).collect();
    }
    None
}

/// The strongly connected sets of more than one file.
fn circles(arrows: &Arrows<'_>) -> Vec<Vec<String>> {
    let reach: BTreeMap<&str, BTreeSet<&str>> =
        arrows.keys().map(|from| (*from, reachable(arrows, from))).collect();
    let mut found = Vec::new();
    let mut seen = BTreeSet::new();
    for (from, reached) in &reach {
        let circle: BTreeSet<&str> = reached
            .iter()
            .copied()
            .filter(|to| reach.get(to).is_some_and(|back| back.contains(from)))
            .collect();
        if circle.len() > 1 && seen.insert(circle.clone()) {
            found.push(circle.into_iter().map(str::to_owned).collect());
        }
    }
    found
}

fn reachable<'s>(arrows: &Arrows<'s>, from: &str) -> BTreeSet<&'s str> {
    let mut found = BTreeSet::new();
    let mut open: Vec<&str> = arrows.get(from).into_iter().flatten().copied().collect();
    while let Some(next) = open.pop() {
        if found.insert(next) {
            open.extend(arrows.get(next).into_iter().flatten());
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::all;
    use crate::modules::crates;
    use crate::sources::Source;

    #[test]
    fn a_circle_is_found_through_modules_that_hand_names_on() {
        let file = |path: &str, text: &str| Source { path: path.into(), text: text.into() };
        let mut sources = vec![
            file("c/src/lib.rs", "mod a;\nmod b;\nmod d;\npub use b::deep::Thing;\n"),
            file("c/src/a.rs", "use crate::Thing;\npub struct A;\n"),
            file("c/src/b/mod.rs", "pub mod deep;\n"),
            file("c/src/b/deep.rs", "use crate::d;\npub struct Thing;\n"),
            file("c/src/d.rs", "use super::a::A;\n"),
        ];
        let circle = ["c/src/a.rs", "c/src/b/deep.rs", "c/src/d.rs"];
        assert_eq!(all(&crates(&sources)), [circle.map(str::to_owned).to_vec()]);
        sources[4].text = "#[cfg(test)]\nmod tests {\n    use super::a::A;\n}\n".to_owned();
        assert!(all(&crates(&sources)).is_empty());
    }
}
