//! `cargo xtask mutants`: plants known faults in a copy of the product, one at a time, and measures how many seeds it
//! takes to find each: of the simulator, or of made-up rulebooks about which all who judge them must say the same. A
//! fault that is not found is a hole in those.
//!
//! A mutant is a patch in `crates/sim/mutants`, or for rulebooks in `crates/simulate/mutants`. What stands before its
//! first `---` line is for people; a line `corpus: honest` there picks the corpus, `nodes: 3` lets so many supervisors
//! share the store, `faults: 2` says that it takes two things at once, and `found by: FILE, TEST` names the ordinary
//! test that finds what the simulator meets too seldom. Its first line says what is broken, and stands in the table of
//! `docs/internals/simulator.md`, which `--write` brings up to date.

use crate::sim;
use crate::sources::root;
use anyhow::{Context, bail};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// Seeds that may be needed.
const SEEDS: u64 = 2_000;

/// Where the five searches begin: far enough from each other to share no seed.
const STARTS: [u64; 5] = [1, 1_000_001, 2_000_001, 3_000_001, 4_000_001];

/// With so many searches in vain the median is known.
const IN_VAIN: usize = STARTS.len() / 2 + 1;

/// The page with the table of the simulator's, between two marks.
const PAGE: &str = "docs/internals/simulator.md";
const BEGIN: &str = "<!-- mutants -->\n";
const END: &str = "<!-- end -->";

const HEAD: &str = "\
| mutant | what it breaks | faults at once | found by | seeds, median of 5 |
| --- | --- | --- | --- | --- |
";

/// How often a search is looked at, and after how many looks it is stopped: some faults make a run go on for ever, and
/// each of its seeds takes seconds.
const LOOK_EVERY: Duration = Duration::from_millis(200);
const LOOKS: u32 = 3_000;

/// Who looks for a fault.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Finder {
    /// The simulator of the supervisor.
    Simulator,
    /// The comparison of all who judge a made-up rulebook.
    Agreement,
}

impl Finder {
    const ALL: [Self; 2] = [Self::Simulator, Self::Agreement];

    const fn folder(self) -> &'static str {
        match self {
            Self::Simulator => "crates/sim/mutants",
            Self::Agreement => "crates/simulate/mutants",
        }
    }

    fn build(self, tree: &Path, target: &Path) -> anyhow::Result<PathBuf> {
        match self {
            Self::Simulator => sim::build(tree, target),
            Self::Agreement => sim::build_agreement(tree, target),
        }
    }

    /// A search from a seed that says in one line which one it found, by what, and how many it took.
    fn search(self, program: &Path, mutant: &Mutant, from: u64) -> Command {
        let mut search = Command::new(program);
        match self {
            Self::Simulator => {
                search.args(["--quiet", "--once", "--corpus", mutant.corpus]).args([
                    "--nodes",
                    &mutant.nodes,
                    "--from",
                    &from.to_string(),
                    "--seeds",
                    &SEEDS.to_string(),
                ])
            }
            Self::Agreement => search
                .args(["--until-found", "--small"])
                .args([from.to_string(), (from + SEEDS).to_string()]),
        };
        search
    }
}

/// One planted fault.
struct Mutant {
    finder: Finder,
    name: String,
    path: PathBuf,
    /// What it breaks.
    told: String,
    corpus: &'static str,
    nodes: String,
    faults: u32,
    /// The ordinary test that finds it, in place of the simulator.
    found_by: Option<String>,
}

/// What the table says of it.
#[derive(Clone, Debug, PartialEq)]
struct Told {
    by: String,
    seeds: String,
}

impl Told {
    fn nothing() -> Self {
        Self { by: "not tried".to_owned(), seeds: "-".to_owned() }
    }
}

/// How it was found.
struct Found {
    checkers: Vec<String>,
    /// Of each start; none if it was not found.
    seeds: Vec<Option<u64>>,
}

/// Which are tried, and what is done with the table.
#[derive(Debug, Default, PartialEq)]
struct Asked<'a> {
    /// Any of these is in its name or folder; none: all.
    words: Vec<&'a str>,
    /// Only those that take several nodes.
    nodes: bool,
    /// What was found goes into the page.
    write: bool,
}

impl<'a> Asked<'a> {
    fn read(arguments: &[&'a str]) -> anyhow::Result<Self> {
        let mut asked = Self::default();
        for argument in arguments {
            match *argument {
                "--nodes" => asked.nodes = true,
                "--write" => asked.write = true,
                word if !word.starts_with('-') => asked.words.push(word),
                other => {
                    bail!("`{other}` is none of its options: --nodes, --write, or words of names")
                }
            }
        }
        Ok(asked)
    }

    fn means(&self, mutant: &Mutant) -> bool {
        let place = format!("{}/{}", mutant.finder.folder(), mutant.name);
        let named = self.words.is_empty() || self.words.iter().any(|word| place.contains(word));
        named && (!self.nodes || mutant.nodes != "1")
    }
}

/// Tries all of them, or some.
pub fn run(arguments: &[&str]) -> anyhow::Result<()> {
    let asked = Asked::read(arguments)?;
    let tree = root();
    let scratch = tree.join("target").join("mutants");
    let copy = scratch.join("tree");
    copy_tree(&tree, &copy)?;
    let (mut rows, mut missed) = (BTreeMap::new(), Vec::new());
    for mutant in mutants(&tree)?.into_iter().filter(|mutant| asked.means(mutant)) {
        eprintln!("== {}", mutant.name);
        match try_one(&copy, &scratch, &mutant)? {
            Ok(found) => {
                if found.seeds.starts_with("more") {
                    missed.push(mutant.name.clone());
                }
                let row = row(&mutant, &found);
                eprint!("{row}");
                rows.insert((mutant.finder.folder(), mutant.name.clone()), (row, found));
            }
            Err(why) => missed.push(format!("{} ({why})", mutant.name)),
        }
        if asked.write {
            write_page(&tree, &rows)?; // whoever ends it keeps what has been found
        }
    }
    println!("{HEAD}{}", rows.values().map(|(row, _)| row.as_str()).collect::<String>());
    if missed.is_empty() { Ok(()) } else { bail!("not found: {}", missed.join(", ")) }
}

/// Plants one, looks for it, and takes it back. In words if it can't be tried.
fn try_one(copy: &Path, scratch: &Path, mutant: &Mutant) -> anyhow::Result<Result<Told, String>> {
    if let Some(test) = &mutant.found_by {
        return Ok(Ok(Told { by: test.clone(), seeds: "-".to_owned() }));
    }
    if !patch(copy, &mutant.path, &[])? {
        let text = fs::read_to_string(&mutant.path)?;
        let why = misfit(copy, &text).unwrap_or_else(|| "it does not apply".to_owned());
        return Ok(Err(why));
    }
    let found = hunt(copy, &scratch.join("target"), mutant);
    if !patch(copy, &mutant.path, &["--reverse"])? {
        bail!("{} cannot be taken back", mutant.name);
    }
    Ok(found.map(|found| found.told()).map_err(|why| why.to_string()))
}

fn mutants(tree: &Path) -> anyhow::Result<Vec<Mutant>> {
    let all: anyhow::Result<Vec<Vec<Mutant>>> =
        Finder::ALL.into_iter().map(|finder| mutants_for(finder, tree)).collect();
    Ok(all?.into_iter().flatten().collect())
}

fn mutants_for(finder: Finder, tree: &Path) -> anyhow::Result<Vec<Mutant>> {
    let folder = tree.join(finder.folder());
    let mut all = Vec::new();
    for entry in
        fs::read_dir(&folder).with_context(|| format!("cannot read {}", folder.display()))?
    {
        let path = entry?.path();
        if path.extension().is_none_or(|e| e != "patch") {
            continue;
        }
        let text = fs::read_to_string(&path)?;
        let head = text.split("\n--- ").next().unwrap_or_default();
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let corpus = if head.contains("corpus: honest") { "honest" } else { "hostile" };
        let faults = if head.contains("faults: 2") { 2 } else { 1 };
        let told = |what| head.lines().find_map(|line| line.strip_prefix(what));
        let nodes = told("nodes: ").unwrap_or("1").to_owned();
        let found_by = told("found by: ");
        let found_by = found_by.map(str::to_owned);
        let told = head.lines().next().unwrap_or_default().to_owned();
        all.push(Mutant { finder, name, path, told, corpus, nodes, faults, found_by });
    }
    all.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(all)
}

/// Brings a copy up to date with the tree. Files that are the same are left alone, so that little is built again.
fn copy_tree(tree: &Path, copy: &Path) -> anyhow::Result<()> {
    let listed = Command::new("git")
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .current_dir(tree)
        .output()
        .context("cannot run git")?;
    // What is gone from the tree would be built all the same.
    for folder in ["crates", "xtask"] {
        remove_strangers(tree, copy, &copy.join(folder))?;
    }
    for name in String::from_utf8(listed.stdout)?.split('\0').filter(|name| !name.is_empty()) {
        let (from, to) = (tree.join(name), copy.join(name));
        let Ok(new) = fs::read(&from) else { continue };
        if fs::read(&to).is_ok_and(|old| old == new) {
            continue;
        }
        if let Some(folder) = to.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::write(&to, new)?;
    }
    Ok(())
}

/// Removes files of the copy that the tree no longer has.
fn remove_strangers(tree: &Path, copy: &Path, folder: &Path) -> anyhow::Result<()> {
    let Ok(entries) = fs::read_dir(folder) else { return Ok(()) };
    for entry in entries {
        let path = entry?.path();
        if path.is_dir() {
            remove_strangers(tree, copy, &path)?;
        } else if path.strip_prefix(copy).is_ok_and(|name| !tree.join(name).exists()) {
            fs::remove_file(&path)?;
        }
    }
    Ok(())
}

fn patch(copy: &Path, path: &Path, more: &[&str]) -> anyhow::Result<bool> {
    // Outside of any repository, so that git looks at the files alone.
    let status = Command::new("git")
        .args(["apply", "--unsafe-paths", "--whitespace=nowarn"])
        .args(more)
        .arg(path)
        .current_dir(copy)
        .env("GIT_CEILING_DIRECTORIES", copy.parent().unwrap_or(copy))
        .status()
        .context("cannot run git")?;
    Ok(status.success())
}

fn hunt(copy: &Path, target: &Path, mutant: &Mutant) -> anyhow::Result<Found> {
    let program = mutant.finder.build(copy, target)?;
    let mut found = Found { checkers: Vec::new(), seeds: Vec::new() };
    for start in STARTS {
        if found.seeds.iter().filter(|count| count.is_none()).count() == IN_VAIN {
            break;
        }
        let mut search = mutant
            .finder
            .search(&program, mutant, start)
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot run {}", program.display()))?;
        if !ends_in_time(&mut search)? {
            eprintln!("   from seed {start}: stopped, it takes too long");
            found.seeds.push(None);
            continue;
        }
        let output = search.wait_with_output().context("cannot read what it says")?;
        let line = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        let mut parts = line.split('\t');
        match (parts.next(), parts.next(), parts.next()) {
            (Some("-"), ..) => found.seeds.push(None),
            (Some(_), Some(checker), Some(count)) => {
                found.seeds.push(Some(count.parse().context("a number of seeds")?));
                if !found.checkers.iter().any(|known| known == checker) {
                    found.checkers.push(checker.to_owned());
                }
            }
            _ => bail!("it says `{line}` and ends with {}", output.status),
        }
    }
    Ok(found)
}

/// Waits for a search, and stops it if it takes too long.
fn ends_in_time(search: &mut Child) -> anyhow::Result<bool> {
    for _ in 0..LOOKS {
        if search.try_wait()?.is_some() {
            return Ok(true);
        }
        std::thread::sleep(LOOK_EVERY);
    }
    search.kill()?;
    search.wait()?;
    Ok(false)
}

/// Why a patch fits a tree no longer; nothing if it does.
fn misfit(tree: &Path, patch: &str) -> Option<String> {
    let changes = patch.split("\n--- ").skip(1);
    changes.into_iter().find_map(|change| {
        let named = change.lines().find_map(|line| line.strip_prefix("+++ b/"));
        let Some(name) = named else { return Some("a change names no file".to_owned()) };
        let text = fs::read_to_string(tree.join(name)).unwrap_or_default();
        change.split("\n@@ ").skip(1).find_map(|hunk| {
            let old = |line: &str| match line.split_at_checked(1) {
                Some((" " | "-", rest)) => Some(format!("{rest}\n")),
                Some(_) => None,
                None => Some("\n".to_owned()),
            };
            let before: String = hunk.lines().skip(1).filter_map(old).collect();
            (!text.contains(&before)).then(|| format!("{name} no longer has this:\n{before}"))
        })
    })
}

impl Found {
    fn told(mut self) -> Told {
        // Not found sorts last.
        self.seeds.sort_by_key(|count| count.unwrap_or(u64::MAX));
        let median = self.seeds.get(STARTS.len() / 2).copied().flatten();
        let seeds = median.map_or_else(|| format!("more than {SEEDS}"), |count| count.to_string());
        Told { by: self.checkers.join(", "), seeds }
    }
}

fn row(mutant: &Mutant, found: &Told) -> String {
    let Mutant { name, told, faults, .. } = mutant;
    format!("| {name} | {told} | {faults} | {} | {} |\n", found.by, found.seeds)
}

/// Brings the table of the page up to date: what was not tried now keeps what it says.
fn write_page(
    tree: &Path,
    rows: &BTreeMap<(&'static str, String), (String, Told)>,
) -> anyhow::Result<()> {
    let path = tree.join(PAGE);
    let page = fs::read_to_string(&path)?;
    let (before, rest) = page.split_once(BEGIN).context("the table is not marked")?;
    let (old, after) = rest.split_once(END).context("the table does not end")?;
    let known = old_rows(old);
    let mut table = HEAD.to_owned();
    for mutant in mutants_for(Finder::Simulator, tree)? {
        let tried = rows.get(&(mutant.finder.folder(), mutant.name.clone()));
        let by_test = mutant.found_by.clone().map(|by| Told { by, seeds: "-".to_owned() });
        let found = tried.map(|(_, found)| found.clone()).or(by_test);
        let found = found.or_else(|| known.get(&mutant.name).cloned());
        table.push_str(&row(&mutant, &found.unwrap_or_else(Told::nothing)));
    }
    fs::write(&path, format!("{before}{BEGIN}{table}{END}{after}"))?;
    Ok(())
}

/// What a table says of each.
fn old_rows(table: &str) -> BTreeMap<String, Told> {
    let cells = |line: &str| -> Vec<String> {
        line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect()
    };
    let rows = table.lines().skip(2).map(cells);
    rows.filter_map(|row| match row.as_slice() {
        [name, .., by, seeds] => {
            Some((name.clone(), Told { by: by.clone(), seeds: seeds.clone() }))
        }
        _ => None,
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_planted_fault_fits_the_tree_of_today() {
        let tree = root();
        let all = mutants(&tree).expect("mutants");
        assert!(all.len() > 30, "{} are left", all.len());
        for mutant in all {
            let patch = fs::read_to_string(&mutant.path).expect("a patch");
            if let Some(why) = misfit(&tree, &patch) {
                panic!("write {} anew for the code of today: {why}", mutant.path.display());
            }
            if let Some((file, test)) = mutant.found_by.as_ref().and_then(|by| by.split_once(", "))
            {
                let text = fs::read_to_string(tree.join(file)).unwrap_or_default();
                assert!(text.contains(&format!("fn {test}(")), "{file} has no test {test}");
            }
        }
    }

    #[test]
    fn the_page_on_growth_tells_how_soon_each_fault_in_the_judges_of_rulebooks_is_found() {
        let tree = root();
        let page = fs::read_to_string(tree.join("docs/internals/growth.md")).expect("the page");
        let table = page.split("<!-- mutants -->").nth(1).expect("the table is marked");
        let table = table.split("<!-- end -->").next().expect("it ends");
        let told: Vec<&str> = table
            .lines()
            .filter_map(|line| line.strip_prefix("| ")?.split(" |").next())
            .skip(1)
            .filter(|name| !name.starts_with("---"))
            .collect();
        let planted = mutants_for(Finder::Agreement, &tree).expect("mutants");
        let planted: Vec<&str> = planted.iter().map(|mutant| mutant.name.as_str()).collect();
        assert_eq!(told, planted);
    }

    #[test]
    fn the_page_on_the_simulator_tells_of_each_fault_what_its_patch_says() {
        let tree = root();
        let page = fs::read_to_string(tree.join(PAGE)).expect("the page");
        let (_, rest) = page.split_once(BEGIN).expect("the table is marked");
        let (table, _) = rest.split_once(END).expect("it ends");
        let known = old_rows(table);
        let rows = mutants_for(Finder::Simulator, &tree).expect("mutants").into_iter().map(|one| {
            row(&one, known.get(&one.name).unwrap_or_else(|| panic!("no row of {}", one.name)))
        });
        let all = format!("{HEAD}{}", rows.collect::<String>());
        assert_eq!(table, all, "`cargo xtask mutants --write WORD` writes it anew");
    }

    #[test]
    fn some_are_asked_for_by_their_names_or_by_what_they_take() {
        let asked = Asked::read(&["letter", "--nodes", "seat"]).expect("it reads");
        assert_eq!(asked, Asked { words: vec!["letter", "seat"], nodes: true, write: false });
        let all = mutants(&root()).expect("mutants");
        let some: Vec<&str> =
            all.iter().filter(|one| asked.means(one)).map(|one| &*one.name).collect();
        assert!(some.contains(&"letter-not-deleted") && !some.contains(&"fence-off"), "{some:?}");
        let why = Asked::read(&["--seat"]).expect_err("no such option").to_string();
        assert!(why.contains("`--seat`"), "{why}");
    }

    #[test]
    fn a_median_is_known_after_three_searches_in_vain() {
        let told = |seeds: &[Option<u64>]| {
            Found { checkers: Vec::new(), seeds: seeds.to_vec() }.told().seeds
        };
        assert_eq!(told(&[Some(9), None, Some(2), None, Some(4)]), "9");
        assert_eq!(told(&[Some(9), None, None, None]), "more than 2000");
    }

    #[test]
    fn a_patch_for_other_code_is_a_misfit() {
        let patch = |line: &str| {
            format!(
                "A fault.\n\n--- a/xtask/Cargo.toml\n+++ b/xtask/Cargo.toml\n@@ -1,2 +1,2 @@\n [package]\n-{line}\n+name = \"other\"\n"
            )
        };
        assert_eq!(misfit(&root(), &patch("name = \"xtask\"")), None);
        assert!(misfit(&root(), &patch("name = \"another\"")).is_some());
    }
}
