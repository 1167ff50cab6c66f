//! The reference of all commands is made from the commands: `docs/reference/cli.md` can't say anything else.

use super::Arguments;
use clap::{Command, CommandFactory};
use std::fmt::Write;
use std::fs;
use std::path::PathBuf;

#[test]
fn the_reference_is_what_the_commands_say() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference/cli.md");
    let wanted = reference();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(&path, &wanted).expect("docs/reference is there");
    }
    let written = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        written == wanted,
        "docs/reference/cli.md is not what the commands say; write it anew with\n  \
         UPDATE_DOCS=1 cargo test -p amends the_reference_is"
    );
}

#[test]
fn every_command_and_every_flag_explains_itself() {
    let mut command = Arguments::command().term_width(100);
    command.build();
    let mut silent = Vec::new();
    visit(&command, "", &mut |path, command| {
        if command.get_about().is_none() {
            silent.push(path.to_owned());
        }
        for flag in command.get_arguments().filter(|a| !a.is_hide_set() && a.get_help().is_none()) {
            silent.push(format!("{path} {}", flag.get_id()));
        }
    });
    assert!(silent.is_empty(), "without help: {silent:?}");
}

fn reference() -> String {
    let mut out = String::from(
        "# Commands\n\nMade from the program itself, by a test. Exit codes have [their own page](exit-codes.md).\n",
    );
    // A width of its own, so that no terminal changes the page.
    let mut command = Arguments::command().term_width(100);
    command.build();
    visit(&command, "", &mut |path, command| {
        let mut command = command.clone().bin_name(path).term_width(100);
        let help = command.render_long_help().to_string();
        // What a shell has set is shown by `--help`, but is no part of the page.
        let help: Vec<_> = help.lines().map(without_environment).collect();
        let _ = write!(out, "\n## {path}\n\n```text\n{}\n```\n", help.join("\n").trim_end());
    });
    out
}

/// `[env: AMENDS_URL=http://…]` without the value.
fn without_environment(line: &str) -> String {
    let Some((before, rest)) = line.split_once("[env: ") else { return line.trim_end().to_owned() };
    let Some((variable, after)) = rest.split_once(']') else { return line.trim_end().to_owned() };
    let name = variable.split('=').next().unwrap_or(variable);
    format!("{before}[env: {name}]{after}").trim_end().to_owned()
}

/// Calls `tell` for every command that is shown, parents first.
fn visit(command: &Command, parent: &str, tell: &mut dyn FnMut(&str, &Command)) {
    let path = format!("{parent}{}", command.get_name());
    tell(&path, command);
    for child in command.get_subcommands().filter(|c| !c.is_hide_set() && c.get_name() != "help") {
        visit(child, &format!("{path} "), tell);
    }
}
