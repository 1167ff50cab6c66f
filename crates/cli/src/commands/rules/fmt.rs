//! `amends rules fmt`: brings rulebooks and manifests into one form. Keeps comments and meaning.

use crate::failure::{Failure, Outcome};
use crate::output;
use amends_rulebook::{FILE_LIMIT_BYTES, SourceFile, format, render};
use anyhow::{Context, anyhow};
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// Options of `rules fmt`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  amends rules fmt rules.yaml manifests/*.yaml\n  \
amends rules fmt --check rules.yaml\n  amends rules fmt - < rules.yaml")]
pub struct FmtOptions {
    /// Rulebooks and manifests, changed in place; `-` reads standard input and writes standard output
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Change nothing; end with exit code 1 if a file would change
    #[arg(long)]
    check: bool,
}

pub(super) fn run(options: &FmtOptions) -> Outcome {
    let mut bad = false;
    for path in &options.files {
        let from_stdin = path.as_os_str() == "-";
        let text = if from_stdin { read_stdin()? } else { read_file(path)? };
        let source = SourceFile { path: path.display().to_string(), text: text.as_str().into() };
        let formatted = match format(&text) {
            Ok(formatted) => formatted,
            Err(mistake) => {
                output::tell(render(&[*mistake], &[source], output::color_on_stderr()).trim_end());
                bad = true;
                continue;
            }
        };
        if from_stdin && !options.check {
            output::text(&formatted)?;
        } else if formatted != text {
            let verb = if options.check { "would change" } else { "formatted" };
            output::tell(&format!("{verb} {}", path.display()));
            bad |= options.check;
            if !options.check {
                replace(path, &formatted)?;
            }
        }
    }
    if bad { Err(Failure::Findings) } else { Ok(()) }
}

fn read_file(path: &Path) -> Outcome<String> {
    let length = fs::metadata(path).with_context(|| format!("cannot read `{}`", path.display()));
    if length.map_err(Failure::Local)?.len() > FILE_LIMIT_BYTES as u64 {
        return Err(too_long(&path.display().to_string()));
    }
    let text =
        fs::read_to_string(path).with_context(|| format!("cannot read `{}`", path.display()));
    text.map_err(Failure::Local)
}

fn read_stdin() -> Outcome<String> {
    let mut text = String::new();
    let limit = FILE_LIMIT_BYTES as u64 + 1;
    io::stdin().lock().take(limit).read_to_string(&mut text)?;
    if text.len() > FILE_LIMIT_BYTES { Err(too_long("standard input")) } else { Ok(text) }
}

fn too_long(what: &str) -> Failure {
    Failure::Local(anyhow!("{what} is longer than {FILE_LIMIT_BYTES} bytes"))
}

/// A new file beside the old one takes its place at once, so that a crash leaves one of the two.
fn replace(path: &Path, text: &str) -> Outcome {
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(".formatted");
    let beside = path.with_file_name(name);
    let written = fs::metadata(path)
        .and_then(|m| {
            fs::write(&beside, text)?;
            fs::set_permissions(&beside, m.permissions())
        })
        .and_then(|()| fs::rename(&beside, path));
    written.with_context(|| format!("cannot write `{}`", path.display())).map_err(Failure::Local)
}
