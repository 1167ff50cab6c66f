//! Every command that a page, an alert rule or a help text shows is one that this program understands.

#[path = "../../tests/support/commands.rs"]
mod shown;

use super::Arguments;
use clap::error::ErrorKind;
use clap::{Command, CommandFactory};
use shown::{Shown, of_help, of_pages};

#[test]
fn shown_commands_are_understood() {
    let mut all = of_pages();
    let pages = all.len();
    let mut command = Arguments::command();
    command.build();
    examples(&command, "", &mut all);
    let mut wrong = Vec::new();
    for one in &all {
        println!("{}: amends {}", one.place, one.words.join(" "));
        let understood =
            if one.is_whole && !is_name(one) { parsed(one) } else { named(&command, one) };
        if let Err(why) = understood {
            wrong.push(format!("{}: `{}`: {why}", one.place, one.text));
        }
    }
    println!("{} commands: {pages} on pages, the others in help texts", all.len());
    assert!(pages > 250, "only {pages} were found");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Adds the examples of all help texts.
fn examples(command: &Command, path: &str, all: &mut Vec<Shown>) {
    let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
    all.extend(of_help(path, &help));
    for child in command.get_subcommands().filter(|child| child.get_name() != "help") {
        examples(child, &format!("{path} {}", child.get_name()), all);
    }
}

/// An alert may name a command without saying how it is called.
fn is_name(one: &Shown) -> bool {
    one.place.starts_with("deploy/")
        && one.words.iter().all(|word| word.chars().all(|c| c.is_ascii_lowercase()))
}

/// What stands for what its reader puts in.
fn filled_in(word: &str) -> String {
    match word {
        "ID" => "c-17".to_owned(),
        "$step" => "s-17-3-9f86d081884c7d65".to_owned(),
        word => word.to_owned(),
    }
}

/// The whole command, as it would be run.
fn parsed(one: &Shown) -> Result<(), String> {
    let words = one.words.iter().map(|word| filled_in(word));
    match Arguments::command()
        .try_get_matches_from(std::iter::once("amends".to_owned()).chain(words))
    {
        Ok(_) => Ok(()),
        Err(e) if matches!(e.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) => Ok(()),
        Err(e) => Err(e.to_string().lines().take(3).collect::<Vec<_>>().join(" ")),
    }
}

/// A command that is only spoken of: it is there, and so are its options.
fn named(command: &Command, one: &Shown) -> Result<(), String> {
    let mut here = command;
    let mut words = one.words.iter().peekable();
    while let Some(child) = words.peek().and_then(|word| here.find_subcommand(word)) {
        here = child;
        words.next();
    }
    if here.has_subcommands() && words.peek().is_some_and(|word| is_command_word(word)) {
        return Err(format!("there is no such command below `{}`", here.get_name()));
    }
    for word in words.filter(|word| word.starts_with("--")) {
        let long = word.trim_start_matches('-').split('=').next().unwrap_or_default();
        if !here.get_arguments().any(|a| a.get_long() == Some(long)) {
            return Err(format!("`{}` has no option `--{long}`", here.get_name()));
        }
    }
    Ok(())
}

fn is_command_word(word: &str) -> bool {
    word.chars().all(|c| c.is_ascii_lowercase() || c == '-') && !word.starts_with('-')
}
