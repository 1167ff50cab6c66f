//! `amends conform`: tests a participant from outside and says of each promise of the protocol whether it is kept.
//! The checks are in `amends-conform`; this file shows what they find.

use super::block_on_all;
use crate::failure::{Failure, Outcome};
use crate::output;
use crate::sealed::{Lines, seal};
use amends_conform::{
    CHECKS, Check, CheckResult, Config, ConformError, Examination, KeySource, Lack, Progress,
    Sentence, Stands, Verdict, junit, parse_duration, run as examine,
};
use amends_rulebook::SourceFile;
use anyhow::{Context, anyhow};
use comfy_table::Color;
use serde_json::json;
use std::fs;
use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Options of `conform`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
amends conform http://127.0.0.1:7103 --config participant.yaml\n  \
amends conform http://127.0.0.1:7103 --config participant.yaml --only forward-repeat,fence-repeat\n  \
amends conform http://127.0.0.1:7103 --config participant.yaml --junit results.xml\n  \
amends conform --list\n\n\
The configuration is described in docs/reference/conformance.md. Use a database that can be thrown away.")]
pub struct ConformOptions {
    /// Address of the participant
    #[arg(value_name = "URL", required_unless_present = "list")]
    url: Option<String>,
    /// What the kit must know of the participant
    #[arg(long, value_name = "FILE", required_unless_present = "list")]
    config: Option<PathBuf>,
    /// Try these checks alone
    #[arg(long, value_name = "CHECK", value_delimiter = ',')]
    only: Vec<String>,
    /// How long to wait for an answer and for a report, such as 5s, instead of what the configuration says
    #[arg(long, value_name = "TIME", value_parser = time)]
    timeout: Option<Duration>,
    /// Name every check and end
    #[arg(long)]
    list: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Write the results as JUnit XML as well
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
}

fn time(text: &str) -> Result<Duration, String> {
    parse_duration(text).map_err(str::to_owned)
}

pub(super) fn run(options: &ConformOptions) -> Outcome {
    let (Some(url), Some(path), false) = (&options.url, &options.config, options.list) else {
        return list(options.json);
    };
    let config = read_config(path)?;
    let config = match options.timeout {
        Some(timeout) => config.with_timeout(timeout),
        None => config,
    };
    let examination = block_on_all(async {
        let stands = Stands::listen(&config).await.map_err(failure)?;
        let mut show = Show::new(!options.json);
        let done = examine(url, config, stands, &options.only, |event| show.tell(event)).await;
        show.end();
        show.written?;
        done.map_err(failure)
    })?;
    if let Some(path) = &options.junit {
        let place = path.display();
        fs::write(path, junit(&examination)).with_context(|| format!("cannot write `{place}`"))?;
    }
    match options.json {
        true => output::json(&examination.to_json())?,
        false => {
            if examination.is_whole() {
                unseen()?;
            }
            output::line(&summary(&examination))?;
        }
    }
    if examination.is_conformant() { Ok(()) } else { Err(Failure::Findings) }
}

fn failure(error: ConformError) -> Failure {
    match error {
        ConformError::Unreachable { .. } | ConformError::Gone { .. } => {
            Failure::NoParticipant(seal(&error.to_string(), Lines::One))
        }
        ConformError::Url { .. } | ConformError::NoSuchCheck { .. } => {
            Failure::Usage(error.to_string())
        }
        ConformError::Process(_) => Failure::Local(anyhow!(seal(&error.to_string(), Lines::One))),
        ConformError::Listen { .. } => Failure::Local(error.into()),
    }
}

fn list(as_json: bool) -> Outcome {
    if as_json {
        let one = |check: &Check| {
            json!({
                "check": check.id, "title": check.title, "why": check.why, "page": check.page(),
                "after": check.after, "leaves": check.leaves,
            })
        };
        return output::json(&CHECKS.iter().map(one).collect::<Vec<_>>());
    }
    let widest = CHECKS.iter().map(|check| check.id.len()).max().unwrap_or(0);
    for check in CHECKS.iter() {
        output::line(&format!("{:widest$}  {}", check.id, check.title))?;
    }
    Ok(())
}

/// Reads the configuration; all its mistakes are drawn at once.
fn read_config(path: &Path) -> Outcome<Config> {
    let place = path.display();
    let text = fs::read_to_string(path).with_context(|| format!("cannot read `{place}`"))?;
    let folder = path.parent().unwrap_or(Path::new(""));
    let fetch = |source: &KeySource| match source {
        KeySource::Secret(key) => Ok(key.clone()),
        KeySource::Environment(name) => {
            std::env::var(name).map_err(|_| format!("the variable `{name}` is not set"))
        }
        KeySource::File(file) => fs::read_to_string(folder.join(file))
            .map_err(|error| format!("cannot read `{file}`: {error}")),
    };
    let config = Config::read(&text, &fetch).map_err(|mistakes| {
        let source = SourceFile { path: place.to_string(), text: text.as_str().into() };
        let drawn = output::drawn(&mistakes, &[source]);
        output::tell(drawn.trim_end());
        Failure::Findings
    })?;
    Ok(config.in_folder(folder))
}

/// Shows verdicts as they come on standard output, and what is being tried on standard error.
struct Show {
    verdicts: bool,
    color: bool,
    /// One line that is written over; only a terminal can.
    progress: bool,
    written: Outcome,
}

impl Show {
    fn new(verdicts: bool) -> Self {
        let progress = io::stderr().is_terminal();
        Self { verdicts, color: output::color_on_stdout(), progress, written: Ok(()) }
    }

    fn tell(&mut self, event: Progress<'_>) {
        match event {
            Progress::Begins { check, on } => {
                let on = on.map_or(String::new(), |on| format!(" ({on})"));
                self.overwrite(&format!("trying {}{on}", check.id));
            }
            Progress::Ended(result) => {
                self.end();
                if self.verdicts && self.written.is_ok() {
                    self.written = self.show(result);
                }
            }
        }
    }

    fn overwrite(&self, text: &str) {
        if self.progress {
            // Nobody is left to tell when this fails.
            let _ = output::overwrite(text);
        }
    }

    /// Clears the line of progress.
    fn end(&self) {
        self.overwrite("");
    }

    fn show(&self, result: &CheckResult) -> Outcome {
        let check = result.check;
        let word = output::painted(result.verdict.as_str(), 7, self.verdict_color(&result.verdict));
        let on = result.on.as_ref().map_or(String::new(), |on| format!(" ({on})"));
        output::line(&format!("{word}  {}{on}", check.id))?;
        match &result.verdict {
            Verdict::Passed => Ok(()),
            Verdict::Failed(finding) => {
                output::line(&format!("         promise:  {}", check.title))?;
                output::line(&format!("         why:      {}", check.why))?;
                output::line(&format!("         page:     {}", check.page()))?;
                for line in finding.lines() {
                    output::line(&format!("         {}", seal(&line, Lines::One)))?;
                }
                Ok(())
            }
            Verdict::Skipped(Lack { reason, add }) => {
                output::line(&format!("         {}", seal(reason, Lines::One)))?;
                match add {
                    Some(add) => output::line(&format!("         add: {add}")),
                    None => Ok(()),
                }
            }
            Verdict::Blocked { by } => output::line(&format!("         `{by}` failed before")),
        }
    }

    fn verdict_color(&self, verdict: &Verdict) -> Option<Color> {
        self.color.then_some(match verdict {
            Verdict::Passed => Color::Green,
            Verdict::Failed(_) => Color::Red,
            Verdict::Skipped(_) | Verdict::Blocked { .. } => Color::Yellow,
        })
    }
}

/// What the protocol asks for and no check can see.
fn unseen() -> Outcome {
    output::line("not tried, since nobody can see it from outside:")?;
    for (sentence, why) in Sentence::unseen() {
        output::line(&format!("         \"{}\" ({}): {why}", sentence.words, sentence.section))?;
    }
    Ok(())
}

fn summary(examination: &Examination) -> String {
    let count = |verdict| examination.count(verdict);
    let mut text = format!("{} passed, {} failed", count("passed"), count("failed"));
    for (verdict, word) in [("skipped", "skipped"), ("blocked", "blocked by these")] {
        if count(verdict) > 0 {
            text.push_str(&format!(", {} {word}", count(verdict)));
        }
    }
    text
}
