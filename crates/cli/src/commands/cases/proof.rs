//! `amends cases proof`: what a case's closing word rests on: of each action, who said what and when.

use super::which::WhichCase;
use crate::client::Client;
use crate::complete;
use crate::failure::Outcome;
use crate::moment::clock;
use crate::output::{self, Grid};
use crate::printing::{Printing, Shape};
use amends_api::signs::{Signed, case_sign};
use amends_api::{ActionProof, CaseProof, Statement};
use anyhow::Context;
use clap::ValueEnum;
use clap_complete::ArgValueCompleter;
use std::convert::Infallible;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// Options of `cases proof`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  amends cases proof c-17\n  amends cases proof c-17 --to c-17.proof.json"
)]
pub struct ProofOptions {
    /// Which case: its id or its saga's
    #[arg(value_name = "CASE", add = ArgValueCompleter::new(complete::cases))]
    case: WhichCase,
    /// How to print: table, json, yaml, csv. (A name of a file is taken as --to, as it was before)
    #[arg(short, long, value_name = "SHAPE")]
    output: Option<ShapeOrFile>,
    /// The same as `--output json`
    #[arg(long)]
    json: bool,
    /// Print again whenever something has changed, until Ctrl-C
    #[arg(long, conflicts_with = "to")]
    watch: bool,
    /// As JSON into this file, which must not exist, rather than to standard output
    #[arg(long, value_name = "FILE")]
    to: Option<PathBuf>,
}

#[derive(Clone, Debug)]
enum ShapeOrFile {
    Shape(Shape),
    File(PathBuf),
}

impl FromStr for ShapeOrFile {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        let shape = <Shape as ValueEnum>::from_str(text, false).map(Self::Shape);
        Ok(shape.unwrap_or_else(|_| Self::File(text.into())))
    }
}

pub(super) async fn run(client: &Client, options: ProofOptions) -> Outcome {
    let id = options.case.id(client).await?;
    let read = async || client.get::<CaseProof>(&format!("/v1/cases/{id}/proof")).await;
    let (shape, file) = match options.output {
        Some(ShapeOrFile::Shape(shape)) => (Some(shape), options.to),
        Some(ShapeOrFile::File(file)) => (None, options.to.or(Some(file))),
        None => (None, options.to),
    };
    if let Some(path) = &file {
        let proof = read().await?;
        write(path, &proof)?;
        output::tell(&format!("the proof of {} is in `{}`", proof.case_id, path.display()));
        return Ok(());
    }
    Printing::of(shape, options.json, options.watch).one(read, tell).await
}

fn write(path: &Path, proof: &CaseProof) -> Outcome {
    let text = serde_json::to_string_pretty(proof).map_err(anyhow::Error::from)?;
    let mut file =
        File::create_new(path).with_context(|| format!("cannot create `{}`", path.display()))?;
    writeln!(file, "{text}").with_context(|| format!("cannot write `{}`", path.display()))?;
    Ok(())
}

fn tell(proof: &CaseProof) -> Outcome {
    let sign = case_sign(proof.state, proof.closed_on);
    let book = match (&proof.rulebook, &proof.rulebook_hash) {
        (Some(name), Some(hash)) => format!(", rulebook {name} {}", hash.get(..8).unwrap_or(hash)),
        _ => String::new(),
    };
    output::line(&format!(
        "{} {} of saga {}: {}{book}",
        sign.shape, proof.case_id, proof.saga_id, sign.word
    ))?;
    output::line(&proof.sentence)?;
    if let Some(erasure) = &proof.erasure {
        output::line(&super::show::erased(erasure))?;
    }
    if let Some(at) = proof.saga_ended_at {
        output::line(&format!("the saga was said to have ended {}", clock(at)))?;
    }
    if proof.without_rulebook {
        output::line("the version that it was planned with can't be read: nothing is judged anew")?;
    }
    output::line("")?;
    let mut grid = Grid::new(&["action", "verdict", "because"]);
    for action in &proof.actions {
        let sign = action.verdict.sign();
        grid.row(vec![
            action.action.to_string(),
            format!("{} {}", sign.shape, sign.word),
            action.why.clone(),
        ]);
    }
    grid.print()?;
    statements(&proof.actions)?;
    left(proof)?;
    acts(proof)
}

fn statements(actions: &[ActionProof]) -> Outcome {
    if actions.iter().all(|action| action.statements.is_empty()) {
        return Ok(());
    }
    output::line("\nWho said what")?;
    let mut grid = Grid::new(&["when", "who", "in", "action", "said", "request"]);
    for action in actions {
        for one in &action.statements {
            grid.row(vec![
                one.at.map_or("-".to_owned(), clock),
                one.by.clone(),
                one.source.to_string(),
                action.action.to_string(),
                said(one),
                one.request_id.clone().unwrap_or_else(|| "-".to_owned()),
            ]);
        }
    }
    grid.print()
}

fn acts(proof: &CaseProof) -> Outcome {
    if proof.acts.is_empty() {
        return Ok(());
    }
    output::line("\nWhat people did")?;
    let mut grid = Grid::new(&["when", "who", "what", "step", "why"]);
    for act in &proof.acts {
        grid.row(vec![
            clock(act.at),
            act.actor.clone(),
            act.act.to_string(),
            act.step_id.map_or("-".to_owned(), |step| step.to_string()),
            act.reason.clone(),
        ]);
    }
    grid.print()
}

fn said(one: &Statement) -> String {
    match (one.outcome, one.state) {
        (Some(outcome), _) => outcome.to_string(),
        (None, Some(state)) => state.to_string(),
        (None, None) => "-".to_owned(),
    }
}

fn left(proof: &CaseProof) -> Outcome {
    if proof.may_still_stand.is_empty() {
        return Ok(());
    }
    output::line("\nMay still stand")?;
    super::left_behind(&proof.may_still_stand)
}
