//! `docs/start.md` as its reader lives it: every `sh` block is run, in order, and what the page shows is what comes out.
//! Ports are replaced by free ones.
#![cfg(feature = "demo")]

mod support;

use std::path::Path;
use std::process::Command;
use support::{Supervisor, scratch, unused_address};

/// One `sh` block and the `text` block that follows it.
struct Block {
    line: usize,
    script: String,
    shown: String,
}

#[test]
fn the_start_page_works_as_printed() {
    let page = include_str!("../../../docs/start.md");
    let folder = scratch();
    let mut blocks = blocks(page);
    assert!(blocks.len() > 8, "the page has lost its commands");
    let billing = unused_address();
    let mut supervisor: Option<Supervisor> = None;
    for block in &mut blocks {
        if let Some(running) = &supervisor {
            block.script = block.script.replace("http://127.0.0.1:7100", &running.url);
        }
        block.script = block.script.replace("127.0.0.1:7201", &billing);
        let place = format!("docs/start.md:{}", block.line);
        if let Some(arguments) = block.script.trim().strip_prefix("amends serve ") {
            let arguments: Vec<_> = arguments.split_whitespace().collect();
            supervisor = Some(Supervisor::start(folder.path(), &arguments));
            continue;
        }
        let url = supervisor.as_ref().map(|s| s.url.as_str());
        let output = run(&block.script, folder.path(), url);
        let wanted = block.shown.lines().filter(|l| !l.trim().is_empty());
        for line in wanted {
            let is_there = output.text.lines().any(|l| shows(l, line));
            assert!(
                is_there,
                "{place}: the page shows\n  {line}\nbut there is only\n{}",
                output.text
            );
        }
        assert!(output.ok, "{place}: the commands failed:\n{}\n{}", block.script, output.text);
    }
}

struct Output {
    ok: bool,
    text: String,
}

/// Runs a block as a shell would, with the binary under test first in the path.
fn run(script: &str, folder: &Path, url: Option<&str>) -> Output {
    let binary = Path::new(env!("CARGO_BIN_EXE_amends")).parent().expect("a folder").to_owned();
    let path = std::env::var_os("PATH").unwrap_or_default();
    let paths = std::iter::once(binary).chain(std::env::split_paths(&path));
    let mut command = Command::new("bash");
    command.args(["-euo", "pipefail", "-c", script]).current_dir(folder);
    command.env("PATH", std::env::join_paths(paths).expect("plain paths"));
    match url {
        Some(url) => command.env("AMENDS_URL", url),
        None => command.env_remove("AMENDS_URL"),
    };
    let output = command.output().expect("bash is there");
    let both = [output.stdout, output.stderr].concat();
    Output { ok: output.status.success(), text: String::from_utf8_lossy(&both).into_owned() }
}

/// Whether a line of output has the pieces of a line of the page, which are separated by `…`, in order. Blanks may be
/// more or fewer.
fn shows(line: &str, wanted: &str) -> bool {
    let squeeze = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let line = squeeze(line);
    let mut rest = line.as_str();
    wanted.split('…').map(squeeze).all(|piece| match rest.find(&piece) {
        Some(at) => {
            rest = &rest[at + piece.len()..];
            true
        }
        None => false,
    })
}

fn blocks(page: &str) -> Vec<Block> {
    let mut blocks: Vec<Block> = Vec::new();
    let mut open: Option<(&str, usize, String)> = None;
    for (number, line) in page.lines().enumerate() {
        match (&mut open, line.strip_prefix("```")) {
            (None, Some(language)) => open = Some((language, number + 1, String::new())),
            (Some(_), Some(_)) => match open.take() {
                Some(("sh", line, script)) => {
                    blocks.push(Block { line, script, shown: String::new() })
                }
                Some(("text", _, shown)) => {
                    if let Some(block) = blocks.last_mut() {
                        block.shown = shown;
                    }
                }
                _ => {}
            },
            (Some((_, _, text)), None) => {
                text.push_str(line);
                text.push('\n');
            }
            (None, None) => {}
        }
    }
    assert!(open.is_none(), "a block of the page is not closed");
    blocks
}

#[test]
fn the_page_is_compared_piece_by_piece() {
    assert!(shows("c-1   open  shop   3s ago", "c-1 open … ago"));
    assert!(!shows("c-1   open  shop", "c-1 open … ago"));
    assert!(!shows("c-1 3s ago open", "open … ago"));
}
