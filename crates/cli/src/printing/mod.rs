//! How a command prints what it has found: for people as tables and sentences, for programs as JSON, YAML or CSV; once,
//! or again whenever it has changed.

mod tree;

use crate::failure::{Failure, Outcome};
use crate::output;
use serde::Serialize;
use std::io::{self, IsTerminal};
use std::time::Duration;
use tree::{Tree, table};

/// Pause between two looks of `--watch`: a person sees it at once, and a supervisor doesn't notice it.
const LOOK: Duration = Duration::from_secs(1);

/// How a command prints.
#[derive(Clone, Copy, Debug, Default, clap::Args)]
pub struct Printing {
    /// How to print: `wide` says more in each row, the others say all to programs
    #[arg(short, long, global = true, value_name = "SHAPE")]
    output: Option<Shape>,
    /// The same as `--output json`
    #[arg(long, global = true)]
    json: bool,
    /// Print again whenever something has changed, until Ctrl-C
    #[arg(long, global = true)]
    watch: bool,
}

/// In which form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Shape {
    Table,
    Wide,
    Json,
    Yaml,
    Csv,
}

/// How much of each row people want to see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Width {
    Usual,
    Wide,
}

/// What is one row of CSV.
#[derive(Clone, Copy)]
enum Rows {
    Each,
    All,
}

impl Printing {
    /// What a command with options of its own has read.
    pub fn of(output: Option<Shape>, json: bool, watch: bool) -> Self {
        Self { output, json, watch }
    }

    /// Prints a list: `read` gets it, `show` is its table for people.
    pub async fn list<T: Serialize>(
        self,
        read: impl AsyncFn() -> Outcome<T>,
        show: impl Fn(&T, Width) -> Outcome,
    ) -> Outcome {
        self.print(Rows::Each, read, show).await
    }

    /// Prints one thing.
    pub async fn one<T: Serialize>(
        self,
        read: impl AsyncFn() -> Outcome<T>,
        show: impl Fn(&T) -> Outcome,
    ) -> Outcome {
        self.print(Rows::All, read, |found, _| show(found)).await
    }

    /// Prints what has come of waiting.
    pub fn done<T: Serialize>(self, view: &T, show: impl Fn(&T) -> Outcome) -> Outcome {
        self.once(self.shape()?, Rows::All, view, |view, _| show(view))
    }

    /// Whether what has come of an act is printed as JSON, rather than told.
    pub fn act_as_json(self) -> Outcome<bool> {
        match (self.watch, self.shape()?) {
            (false, Shape::Json) => Ok(true),
            (false, Shape::Table) => Ok(false),
            (true, _) => Err(Failure::Usage("`--watch` is for commands that only look".to_owned())),
            (false, Shape::Wide | Shape::Yaml | Shape::Csv) => {
                Err(Failure::Usage("an act is told in a sentence, or with `--json`".to_owned()))
            }
        }
    }

    fn shape(self) -> Outcome<Shape> {
        match (self.output, self.json) {
            (None, false) => Ok(Shape::Table),
            (None | Some(Shape::Json), true) => Ok(Shape::Json),
            (Some(shape), false) => Ok(shape),
            (Some(_), true) => {
                Err(Failure::Usage("`--json` and another `--output` exclude each other".to_owned()))
            }
        }
    }

    async fn print<T: Serialize>(
        self,
        rows: Rows,
        read: impl AsyncFn() -> Outcome<T>,
        show: impl Fn(&T, Width) -> Outcome,
    ) -> Outcome {
        let shape = self.shape()?;
        if !self.watch {
            return self.once(shape, rows, &read().await?, show);
        }
        let on_screen = io::stdout().is_terminal();
        let mut shown: Option<String> = None;
        loop {
            match read().await {
                Ok(found) => {
                    let now = serde_json::to_string(&found).map_err(anyhow::Error::from)?;
                    // Times as people read them go on without any change.
                    if on_screen || shown.as_ref() != Some(&now) {
                        output::clear_screen()?;
                        self.once(shape, rows, &found, &show)?;
                    }
                    shown = Some(now);
                }
                // A restart is worth waiting for, once somebody has been there.
                Err(Failure::Unreachable { url, why }) if shown.is_some() => {
                    output::tell(&format!("{url} does not answer: {why}; trying again"));
                }
                Err(failure) => return Err(failure),
            }
            tokio::select! {
                _ = tokio::signal::ctrl_c() => return Ok(()),
                () = tokio::time::sleep(LOOK) => {}
            }
        }
    }

    fn once<T: Serialize>(
        self,
        shape: Shape,
        rows: Rows,
        found: &T,
        show: impl Fn(&T, Width) -> Outcome,
    ) -> Outcome {
        let tree = || Tree::of(found).map_err(anyhow::Error::from);
        match shape {
            Shape::Table => show(found, Width::Usual),
            Shape::Wide => show(found, Width::Wide),
            Shape::Json => output::json(found),
            Shape::Yaml => {
                let start = if self.watch { "---\n" } else { "" };
                output::json_text(&format!("{start}{}", tree()?.yaml()))
            }
            Shape::Csv => {
                let tree = tree()?;
                output::rows(&match rows {
                    Rows::Each => table(&tree.items()),
                    Rows::All => table(&[&tree]),
                })
            }
        }
    }
}
