//! `amends completions SHELL`: the script on standard output. It asks this program what fits, so that it offers the ids
//! and names that the running supervisor has.

use crate::COMPLETE;
use crate::failure::{Failure, Outcome};
use crate::output;
use clap_complete::Shell;
use clap_complete::env::Shells;

/// Options of `completions`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  amends completions bash > ~/.local/share/bash-completion/completions/amends\n  \
amends completions zsh > ~/.zfunc/_amends\n  amends completions fish > ~/.config/fish/completions/amends.fish\n\n\
Commands, options, and what the supervisor at --url or AMENDS_URL has: cases, sagas, steps, services, rulebooks."
)]
pub struct CompletionsOptions {
    /// Which shell
    shell: Shell,
}

pub(super) fn run(options: CompletionsOptions) -> Outcome {
    let name = options.shell.to_string();
    let shells = Shells::builtins();
    let shell = shells
        .completer(&name)
        .ok_or_else(|| Failure::Usage(format!("there is no completion for `{name}`")))?;
    let mut script = Vec::new();
    shell.write_registration(COMPLETE, "amends", "amends", "amends", &mut script)?;
    output::text(&String::from_utf8_lossy(&script))
}
