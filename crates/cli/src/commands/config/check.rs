//! `amends config check`: all mistakes of the configuration at once, and what its rulebooks ask of it in vain. Opens
//! neither the store nor the port.

use super::{ConfigArguments, findings};
use crate::failure::Outcome;
use crate::output;
use amends_rulebook::{Rulebook, Severity};
use amends_server::books::load_path;
use amends_server::{Config, ConfigError};
use std::path::Path;
use std::sync::Arc;

/// Options of `config check`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  amends config check --config amends.toml\n  amends config check --config amends.toml --rules rules/\n\n\
If `rules` is set, the rulebooks there are read, too: keys, secrets and addresses that their services need have to be \
there, and a key that nobody needs is reported. Exit code 1 if there is any error; warnings don't count."
)]
pub struct CheckOptions {
    #[command(flatten)]
    config: ConfigArguments,
}

pub(super) fn run(options: CheckOptions) -> Outcome {
    let checked = options.config.check()?;
    let layers = options.config.read_layers()?.0;
    let rules = layers.text("rules").filter(|path| !path.is_empty()).map(Path::new);
    let mut found = Found::default();
    let books = rules.map_or_else(Vec::new, |path| found.read_books(path));
    match checked {
        Ok(config) => {
            let own = ["alerts.signing_key", "dispatch.proxy_secret"];
            let own = own.map(|key| layers.text(key).unwrap_or_default());
            found.compare(&config, &books, &own);
        }
        Err(wrong) => drop(found.errors.splice(0..0, wrong.0)),
    }
    for warning in &found.warnings {
        output::tell(&format!("warning: {warning}"));
    }
    if !found.errors.is_empty() {
        return Err(findings(&ConfigError(found.errors)));
    }
    output::tell(&match books.len() {
        0 => "the configuration is valid".to_owned(),
        1 => "the configuration is valid, for its rulebook too".to_owned(),
        n => format!("the configuration is valid, for its {n} rulebooks too"),
    });
    Ok(())
}

/// What is wrong, and what looks odd.
#[derive(Default)]
struct Found {
    errors: Vec<String>,
    warnings: Vec<String>,
    /// A rulebook could not be read, so nobody knows what it names.
    is_partial: bool,
}

impl Found {
    /// The good rulebooks of a path. It may be on another machine than this one.
    fn read_books(&mut self, path: &Path) -> Vec<Arc<Rulebook>> {
        let files = match load_path(path) {
            Ok(files) => files,
            Err(why) => {
                self.is_partial = true;
                self.warnings.push(format!("{why}; its keys are not looked at"));
                return Vec::new();
            }
        };
        let mut books = Vec::new();
        for file in files {
            let place = file.path.display();
            if let Some(book) = file.loaded.rulebook {
                books.push(book);
                continue;
            }
            self.is_partial = true;
            let all = file.loaded.diagnostics.iter();
            let errors = all.filter(|found| found.severity == Severity::Error).count();
            self.errors.push(format!(
                "rulebook `{place}` has {errors} {}; `amends rules check {place}` shows {}",
                if errors == 1 { "error" } else { "errors" },
                if errors == 1 { "it" } else { "them" }
            ));
        }
        books
    }

    fn compare(&mut self, config: &Config, books: &[Arc<Rulebook>], own: &[&str]) {
        let destinations = &config.outbound.destinations;
        for book in books {
            let lacks = destinations.lacks(book).into_iter();
            self.errors.extend(lacks.map(|why| format!("rulebook `{}`: {why}", book.name())));
        }
        if self.is_partial || books.is_empty() {
            return;
        }
        for bridge in &config.channels.bridges {
            self.warnings.extend(bridge.unheard(books.iter().map(|book| &**book)));
        }
        let unused = destinations.unused(books.iter().map(|book| &**book), own);
        self.warnings.extend(unused.into_iter().map(|key| {
            format!("`{key}` is named by no rulebook; take it out, or name it in the rulebook that needs it")
        }));
    }
}
