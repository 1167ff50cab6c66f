//! `amends rules fmt`: brings rulebooks and manifests into one form. Keeps comments, meaning, line ends, and where a file
//! really is.

use crate::failure::{Failure, Outcome};
use crate::output;
use amends_rulebook::{FILE_LIMIT_BYTES, SourceFile};
use amends_workbench::format;
use anyhow::{Context, anyhow};
use serde_json::{Value, json};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process;

/// Options of `rules fmt`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  amends rules fmt rules.yaml manifests/*.yaml\n  \
amends rules fmt --check rules.yaml\n  amends rules fmt --check --json rules.yaml\n  amends rules fmt - < rules.yaml")]
pub struct FmtOptions {
    /// Rulebooks and manifests, changed in place; `-` reads standard input and writes standard output
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Change nothing; end with exit code 1 if a file would change
    #[arg(long)]
    check: bool,
    /// Print what became of each file as JSON
    #[arg(long)]
    json: bool,
}

/// What became of a file.
enum State {
    Unchanged,
    Formatted,
    WouldChange,
    /// It cannot be read as YAML; the mistake is shown.
    Broken(Value),
}

pub(super) fn run(options: &FmtOptions) -> Outcome {
    let is_stdin = |path: &PathBuf| path.as_os_str() == "-";
    if options.json && !options.check && options.files.iter().any(is_stdin) {
        let why = "standard output takes either the formatted text or `--json`: add `--check`";
        return Err(Failure::Usage(why.to_owned()));
    }
    let (mut bad, mut unreadable) = (false, None);
    let mut told = Vec::new();
    // One file that cannot be read or written keeps none of the others from being formatted.
    for path in &options.files {
        let done = if is_stdin(path) {
            read_stdin().and_then(|text| format_stdin(&text, options))
        } else {
            format_file(path, options)
        };
        let name = path.display().to_string();
        match done {
            Ok(state) => {
                bad |= matches!(state, State::WouldChange | State::Broken(_));
                told.push(tell(&name, state, options.json));
            }
            Err(failure) => {
                if let Some(before) = unreadable.replace(failure) {
                    before.lines().iter().for_each(|line| output::tell(line));
                }
            }
        }
    }
    if options.json {
        output::json(&json!({ "files": told }))?;
    }
    match unreadable {
        Some(failure) => Err(failure),
        None if bad => Err(Failure::Findings),
        None => Ok(()),
    }
}

/// Says what became of a file, to a person or as data.
fn tell(path: &str, state: State, as_json: bool) -> Value {
    let (word, person, mistake) = match state {
        State::Unchanged => ("unchanged", None, None),
        State::Formatted => ("formatted", Some("formatted"), None),
        State::WouldChange => ("would_change", Some("would change"), None),
        State::Broken(mistake) => ("broken", None, Some(mistake)),
    };
    if let Some(person) = person.filter(|_| !as_json) {
        output::tell(&format!("{person} {path}"));
    }
    match mistake {
        Some(mistake) => json!({ "path": path, "state": word, "diagnostic": mistake }),
        None => json!({ "path": path, "state": word }),
    }
}

/// The text in its form, or its first mistake, which is shown.
fn formatted(path: &str, text: &str, as_json: bool) -> Result<String, State> {
    format(text).map_err(|mistake| {
        let sources = [SourceFile { path: path.to_owned(), text: text.into() }];
        let data = mistake.to_json(&sources);
        if !as_json {
            let drawn = output::drawn(&[*mistake], &sources);
            output::tell(drawn.trim_end());
        }
        State::Broken(data)
    })
}

fn format_stdin(text: &str, options: &FmtOptions) -> Outcome<State> {
    match formatted("-", text, options.json) {
        Ok(new) if options.check => {
            Ok(if new == text { State::Unchanged } else { State::WouldChange })
        }
        // The data is on standard output; there is nothing more to say.
        Ok(new) => output::text(&new).map(|()| State::Unchanged),
        Err(broken) => Ok(broken),
    }
}

fn format_file(path: &Path, options: &FmtOptions) -> Outcome<State> {
    let text = read_file(path)?;
    match formatted(&path.display().to_string(), &text, options.json) {
        Ok(new) if new == text => Ok(State::Unchanged),
        Ok(_) if options.check => Ok(State::WouldChange),
        Ok(new) => replace(path, &new).map(|()| State::Formatted),
        Err(broken) => Ok(broken),
    }
}

fn read_file(path: &Path) -> Outcome<String> {
    let named = || format!("cannot read `{}`", path.display());
    let about = fs::metadata(path).with_context(named).map_err(Failure::Local)?;
    if about.is_dir() {
        let place = path.display();
        return Err(Failure::Local(anyhow!(
            "`{place}` is a folder; name the files in it, e.g. `{}`",
            path.join("*.yaml").display()
        )));
    }
    if about.len() > FILE_LIMIT_BYTES as u64 {
        return Err(too_long(&path.display().to_string()));
    }
    fs::read_to_string(path).with_context(named).map_err(Failure::Local)
}

fn read_stdin() -> Outcome<String> {
    let mut text = String::new();
    let limit = FILE_LIMIT_BYTES as u64 + 1;
    let read = io::stdin().lock().take(limit).read_to_string(&mut text);
    read.context("cannot read standard input").map_err(Failure::Local)?;
    if text.len() > FILE_LIMIT_BYTES { Err(too_long("standard input")) } else { Ok(text) }
}

fn too_long(what: &str) -> Failure {
    Failure::Local(anyhow!("{what} is longer than {FILE_LIMIT_BYTES} bytes"))
}

/// A new file beside the old one takes its place at once, so that a crash leaves one of the two whole. A symbolic link
/// stays one: what it points to is replaced.
fn replace(path: &Path, text: &str) -> Outcome {
    let named = || format!("cannot write `{}`", path.display());
    let write = || -> io::Result<()> {
        let real = fs::canonicalize(path)?;
        let mut name = std::ffi::OsString::from(".");
        name.push(real.file_name().unwrap_or_default());
        name.push(format!(".{}.tmp", process::id()));
        let beside = real.with_file_name(name);
        // Never somebody else's file.
        let file = OpenOptions::new().write(true).create_new(true).open(&beside)?;
        let done = fill(file, text, &real).and_then(|()| fs::rename(&beside, &real));
        if done.is_err() {
            let _ = fs::remove_file(&beside); // the first error is the one to tell
        }
        done
    };
    write().with_context(named).map_err(Failure::Local)
}

/// Writes all of it to the disk, with the rights of the file that it replaces.
fn fill(mut file: File, text: &str, old: &Path) -> io::Result<()> {
    file.set_permissions(fs::metadata(old)?.permissions())?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}
