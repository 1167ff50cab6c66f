//! `amends rules activate`: makes a version the one that a running supervisor plans new cases with, and says which
//! cases have waited for what it declares.

use crate::client::Client;
use crate::commands::questions::waiting_for;
use crate::commands::{Connection, block_on};
use crate::failure::Outcome;
use crate::output;
use amends_api::{
    DiagnosticView, FindingSeverity, ProofState, RulebookSources, RulebookVerdict, RulebookView,
    SourceView,
};
use amends_protocol::wire::percent;
use serde_json::json;
use std::path::PathBuf;
use std::time::Duration;

/// Options of `rules activate`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  amends rules activate rules.yaml --reason 'billing is called payments now'\n  \
amends rules activate rules.yaml --proof --reason 'nothing is left behind'\n\n\
Open cases keep the version that they are planned with; `amends cases replan` takes them over. A file that the \
supervisor watches needs no command."
)]
pub struct ActivateOptions {
    /// A rulebook file
    #[arg(value_name = "PATH")]
    rules: PathBuf,
    /// Why, for the audit
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// Play every failure first, and activate nothing that is found to leave something behind; may take minutes
    #[arg(long)]
    proof: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: Connection,
}

/// A proof plays up to half a million sagas.
const PROOF_LIMIT: Duration = Duration::from_secs(600);

/// Findings on standard error, and how sure they are.
pub(super) fn tell_verdict(verdict: &RulebookVerdict) {
    for finding in &verdict.findings {
        let DiagnosticView { severity, code, message, file, line, column, .. } = finding;
        output::tell(&format!("{severity}[{code}]: {message}\n  --> {file}:{line}:{column}"));
    }
    output::tell(how_sure(verdict.proof));
}

/// `check: 2 errors, 1 warning; every single failure was played`.
pub(super) fn summary(verdict: &RulebookVerdict) -> String {
    let count = |severity: FindingSeverity| {
        verdict.findings.iter().filter(|f| f.severity == severity).count()
    };
    let counted = |number: usize, word: &str| match number {
        0 => None,
        1 => Some(format!("1 {word}")),
        many => Some(format!("{many} {word}s")),
    };
    let all = [FindingSeverity::Error, FindingSeverity::Warning, FindingSeverity::Note];
    let all = all.map(|severity| counted(count(severity), severity.as_str()));
    let all: Vec<String> = all.into_iter().flatten().collect();
    let found = if all.is_empty() { "no findings".to_owned() } else { all.join(", ") };
    format!("check: {found}; {}", how_sure(verdict.proof))
}

fn how_sure(proof: ProofState) -> &'static str {
    match proof {
        ProofState::Pending => {
            "this is what can be seen at once; `amends rules check` plays every failure"
        }
        ProofState::Proved => "every single failure was played",
        ProofState::NotProved => "its failures are too many to play all of them",
        ProofState::Failed => "playing its failures ended by a fault; see the supervisor's log",
    }
}

pub(super) fn run(options: &ActivateOptions) -> Outcome {
    let book = super::read_one(&options.rules)?;
    let mut client: Client = options.connection.client()?;
    if options.proof {
        client = client.with_answer_limit(PROOF_LIMIT);
    }
    let sources = book.sources().iter();
    let sources = sources
        .map(|source| SourceView { path: source.path.clone(), text: source.text.to_string() })
        .collect();
    let body = RulebookSources { sources, reason: Some(options.reason.clone()) };
    block_on(async {
        let proof = if options.proof { "?proof=wait" } else { "" };
        let path = format!("/v1/rulebooks/{}{proof}", percent::part(book.name()));
        let active: RulebookView = client.put(&path, &body).await?;
        let waiting = waiting_for(&client, book.name()).await?;
        let verdict = active.verdict.clone();
        if options.json {
            let active = json!({ "name": active.name, "hash": active.hash });
            return output::json(
                &json!({ "rulebook": active, "verdict": verdict, "waiting": waiting }),
            );
        }
        if let Some(verdict) = &verdict {
            tell_verdict(verdict);
        }
        output::line(&format!("{} is planned with version {} now", active.name, active.hash))?;
        waiting.iter().try_for_each(|stranger| output::line(&stranger.offer()))
    })
}
