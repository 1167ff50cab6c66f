//! Pages whose commands are run as their reader runs them, and compared with what they show.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

/// One `sh` block and the `text` block that follows it.
pub struct Block {
    pub line: usize,
    pub script: String,
    pub shown: String,
}

/// What a block brought.
pub struct Output {
    pub ok: bool,
    pub code: i32,
    pub text: String,
}

/// Runs a block as a shell would, with the binary under test first in the path.
pub fn run(script: &str, folder: &Path, url: Option<&str>) -> Output {
    finish(shell(script, folder, url))
}

/// The same, given up after this time: a command that should end may turn out endless.
pub fn run_for(limit: Duration, script: &str, folder: &Path, url: Option<&str>) -> Output {
    let mut command = Command::new("timeout");
    let bash = shell(script, folder, url);
    command.arg(limit.as_secs().to_string()).arg(bash.get_program()).args(bash.get_args());
    let set = bash.get_envs().filter_map(|(name, value)| Some((name, value?)));
    command.envs(set).current_dir(folder).stdin(Stdio::null());
    finish(command)
}

fn shell(script: &str, folder: &Path, url: Option<&str>) -> Command {
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
    command
}

fn finish(mut command: Command) -> Output {
    let output = command.output().expect("bash is there");
    let both = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&both).into_owned();
    Output { ok: output.status.success(), code: output.status.code().unwrap_or(-1), text }
}

/// Whether a line of output has the pieces of a line of the page, which are separated by `…`, in order. Blanks may be
/// more or fewer.
pub fn shows(line: &str, wanted: &str) -> bool {
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

/// The `sh` blocks of a page, in order.
pub fn blocks(page: &str) -> Vec<Block> {
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
