//! `amends completions SHELL`: the script on standard output.

use super::Arguments;
use crate::failure::Outcome;
use crate::output;
use clap::CommandFactory;
use clap_complete::Shell;

/// Options of `completions`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  amends completions bash > ~/.local/share/bash-completion/completions/amends"
)]
pub struct CompletionsOptions {
    /// Which shell
    shell: Shell,
}

pub(super) fn run(options: CompletionsOptions) -> Outcome {
    let mut script = Vec::new();
    clap_complete::generate(options.shell, &mut Arguments::command(), "amends", &mut script);
    output::text(&String::from_utf8_lossy(&script))
}
