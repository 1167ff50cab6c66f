//! Every target holds for its corpus and for what comes of it by chance: the same inputs in every run. New ones are
//! cargo-fuzz's to find (`fuzz/README.md`); what it finds goes into the corpus.

use amends_fuzz::{TARGETS, Target, corpus};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestRng, TestRunner};
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// Changed inputs of one target.
const CASES: u32 = 300;
/// Asks for so many others, new ones in each run.
const MORE: &str = "AMENDS_FUZZ_CASES";
/// No input is longer.
const LIMIT: usize = 256 << 10;
/// What readers look for, and what they fear.
const TOKENS: &[&[u8]] = &[
    b"{",
    b"}",
    b"[",
    b"]",
    b"\"",
    b"'",
    b"\\",
    b"\\u0000",
    b"\\ud800",
    b":",
    b": ",
    b",",
    b"-",
    b"- ",
    b"*",
    b"&a ",
    b"*a",
    b"!!binary ",
    b"|\n",
    b">\n",
    b"? ",
    b"%",
    b"%00",
    b"%C0%80",
    b"%2e",
    b";",
    b"=",
    b" ",
    b"\t",
    b"\n",
    b"\r",
    b"\r\n",
    b"\n\n",
    b"\0",
    b"\x1b[2J",
    b"\xff",
    b"\xc3",
    b"\xef\xbb\xbf",
    b"\xe2\x80\xae",
    b"null",
    b"true",
    b"-1",
    b"1e999",
    b"99999999999999999999",
    b"0x10",
    b".",
    b"..",
    b"/",
    b"//",
    b"@",
    b"#",
    b"~",
    b"<<: ",
];

/// What is done to an input.
#[derive(Clone, Debug)]
enum Change {
    Flip(prop::sample::Index, u8),
    Drop(prop::sample::Index, usize),
    Double(prop::sample::Index, usize),
    Insert(prop::sample::Index, prop::sample::Index),
    /// A token many times: depth, width and length.
    Repeat(prop::sample::Index, prop::sample::Index, usize),
    /// The end of another input in place of its own.
    Splice(prop::sample::Index, prop::sample::Index),
    Cut(prop::sample::Index),
    Bytes(prop::sample::Index, Vec<u8>),
}

fn change() -> impl Strategy<Value = Change> {
    let at = any::<prop::sample::Index>;
    prop_oneof![
        3 => (at(), any::<u8>()).prop_map(|(a, b)| Change::Flip(a, b)),
        3 => (at(), 1..40_usize).prop_map(|(a, n)| Change::Drop(a, n)),
        2 => (at(), 1..200_usize).prop_map(|(a, n)| Change::Double(a, n)),
        5 => (at(), at()).prop_map(|(a, b)| Change::Insert(a, b)),
        1 => (at(), at(), 1..20_000_usize).prop_map(|(a, b, n)| Change::Repeat(a, b, n)),
        2 => (at(), at()).prop_map(|(a, b)| Change::Splice(a, b)),
        1 => at().prop_map(Change::Cut),
        2 => (at(), prop::collection::vec(any::<u8>(), 1..20)).prop_map(|(a, b)| Change::Bytes(a, b)),
    ]
}

fn changed(seeds: &[Vec<u8>], seed: prop::sample::Index, changes: &[Change]) -> Vec<u8> {
    let mut data = seeds[seed.index(seeds.len())].clone();
    for change in changes {
        let place = |at: &prop::sample::Index| at.index(data.len() + 1);
        match change {
            Change::Flip(at, bits) => {
                let at = place(at);
                if let Some(byte) = data.get_mut(at) {
                    *byte ^= bits;
                }
            }
            Change::Drop(at, n) => {
                let at = place(at);
                let end = (at + n).min(data.len());
                data.drain(at..end);
            }
            Change::Double(at, n) => {
                let at = place(at);
                let part = data[at..(at + n).min(data.len())].to_vec();
                data.splice(at..at, part);
            }
            Change::Insert(at, token) => {
                let at = place(at);
                data.splice(at..at, TOKENS[token.index(TOKENS.len())].iter().copied());
            }
            Change::Repeat(at, token, n) => {
                let at = place(at);
                data.splice(at..at, TOKENS[token.index(TOKENS.len())].repeat(*n));
            }
            Change::Splice(at, other) => {
                let other = &seeds[other.index(seeds.len())];
                let (at, from) = (place(at), at.index(other.len() + 1));
                data.truncate(at);
                data.extend_from_slice(&other[from..]);
            }
            Change::Cut(at) => data.truncate(place(at)),
            Change::Bytes(at, bytes) => {
                let at = place(at);
                data.splice(at..at, bytes.iter().copied());
            }
        }
        data.truncate(LIMIT);
    }
    data
}

fn seeds(target: &Target) -> Vec<Vec<u8>> {
    let mut files = Vec::new();
    for folder in corpus(target) {
        let entries = fs::read_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
        files.extend(entries.map(|entry| entry.expect("an entry").path()).filter(|p| p.is_file()));
    }
    files.sort();
    files.iter().map(|path| fs::read(path).expect("a file")).collect()
}

/// One target over its corpus, and over what is made of it.
fn holds(name: &str) {
    let target = TARGETS.iter().find(|target| target.name == name).expect("a target");
    let seeds = seeds(target);
    assert!(seeds.len() > 1, "{name} has nothing to begin with");
    seeds.iter().for_each(|seed| (target.run)(seed));
    let config = |cases| Config { cases, failure_persistence: None, ..Config::default() };
    let same = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let mut runner = match std::env::var(MORE).ok().and_then(|cases| cases.parse().ok()) {
        None => TestRunner::new_with_rng(config(CASES), same),
        Some(cases) => TestRunner::new(config(cases)),
    };
    let inputs = (any::<prop::sample::Index>(), prop::collection::vec(change(), 0..8));
    let ran = runner.run(&inputs, |(seed, changes)| {
        let data = changed(&seeds, seed, &changes);
        let found = std::panic::catch_unwind(|| (target.run)(&data)).err();
        match found {
            None => Ok(()),
            Some(_) => Err(TestCaseError::fail(format!("input: \"{}\"", data.escape_ascii()))),
        }
    });
    assert!(ran.is_ok(), "{name}: {}", ran.err().map(|e| e.to_string()).unwrap_or_default());
}

/// A test for each target, and the list of them.
macro_rules! targets {
    ($($name:ident),* $(,)?) => {
        const TESTED: &[&str] = &[$(stringify!($name)),*];
        $(#[test] fn $name() { holds(stringify!($name)); })*
    };
}

targets!(
    rulebook,
    report_binary,
    report_structured,
    report_batch,
    report_kafka,
    report_nats,
    report_bridge,
    step_answer,
    history_answer,
    signature,
    signing_key,
    cursor,
    grant,
    configuration,
    event_stream,
    baggage,
    traceparent,
    attribute,
    shown,
    token,
    jwt,
    claims,
    key_set,
);

#[test]
fn every_target_has_a_test_a_binary_and_a_corpus() {
    let targets: BTreeSet<String> = TARGETS.iter().map(|target| target.name.to_owned()).collect();
    assert_eq!(TESTED.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>(), targets);
    let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz");
    let names = |folder: &str| -> BTreeSet<String> {
        let entries = fs::read_dir(fuzz.join(folder)).expect("a folder");
        let name = |path: &Path| path.file_stem().map(|n| n.to_string_lossy().into_owned());
        entries.filter_map(|entry| name(&entry.expect("an entry").path())).collect()
    };
    assert_eq!(names("src/bin"), targets);
    assert_eq!(names("corpus"), targets);
    for target in &targets {
        let program =
            fs::read_to_string(fuzz.join(format!("src/bin/{target}.rs"))).expect("a file");
        assert!(
            program.contains(&format!("amends_fuzz::run(\"{target}\", data)")),
            "{target} calls another"
        );
    }
}
