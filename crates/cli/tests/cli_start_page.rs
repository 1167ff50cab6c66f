//! `docs/start.md` as its reader lives it: every `sh` block is run, in order, and what the page shows is what comes out.
//! Ports are replaced by free ones.
#![cfg(feature = "demo")]

mod support;

use support::page::{blocks, run, shows};
use support::{Supervisor, scratch, unused_address};

/// The reader puts in what their own supervisor has shown.
const PRINTED_STEP: &str = "s-1-1-8460821b00cafe9f";

#[test]
fn the_start_page_works_as_printed() {
    let page = include_str!("../../../docs/start.md");
    let folder = scratch();
    let mut blocks = blocks(page);
    assert!(blocks.len() > 8, "the page has lost its commands");
    let billing = unused_address();
    let mut supervisor: Option<Supervisor> = None;
    let mut own_step = PRINTED_STEP.to_owned();
    for block in &mut blocks {
        if let Some(running) = &supervisor {
            block.script = block.script.replace("http://127.0.0.1:7100", &running.url);
        }
        block.script = block.script.replace("127.0.0.1:7201", &billing);
        block.script = block.script.replace(PRINTED_STEP, &own_step);
        let place = format!("docs/start.md:{}", block.line);
        if let Some(arguments) = block.script.trim().strip_prefix("amends serve ") {
            let arguments: Vec<_> = arguments.split_whitespace().collect();
            supervisor = Some(Supervisor::start(folder.path(), &arguments));
            continue;
        }
        let url = supervisor.as_ref().map(|s| s.url.as_str());
        let output = run(&block.script, folder.path(), url);
        if let Some(id) = output.text.split_whitespace().find(|word| word.starts_with("s-1-1-")) {
            own_step = id.to_owned();
        }
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

#[test]
fn the_page_is_compared_piece_by_piece() {
    assert!(shows("c-1   open  shop   3s ago", "c-1 open … ago"));
    assert!(!shows("c-1   open  shop", "c-1 open … ago"));
    assert!(!shows("c-1 3s ago open", "open … ago"));
}
