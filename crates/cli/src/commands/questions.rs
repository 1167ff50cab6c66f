//! `amends questions`: what evidence leaves in doubt, who says what, and what a person says about it.

use super::bulk::{outcome, watch};
use super::{Connection, block_on};
use crate::client::{Client, Query};
use crate::complete;
use crate::failure::{Failure, Outcome};
use crate::moment::{now, relative};
use crate::output::{self, Grid};
use crate::printing::{Printing, Width};
use amends_api::signs::Signed;
use amends_api::{
    BulkActName, BulkRequest, BulkSteering, BulkView, Page, QuestionAct, QuestionAnswered,
    QuestionView, StrangerAct, StrangerView,
};
use amends_api::{QuestionActName, QuestionEffect, QuestionId, QuestionKind};
use amends_protocol::wire::percent;
use amends_protocol::{ActionName, CaseId, Outcome as StepOutcome};
use clap_complete::ArgValueCompleter;
use serde_json::Value;
use std::collections::BTreeMap;

/// What to do with open questions, and where.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  amends questions\n  amends questions list --kind contradiction --service billing\n  \
amends questions show q-17-9f86d081884c7d65\n  \
amends questions answer q-17-9f86d081884c7d65 --record compensated --reason 'refunded in the bank portal'\n  \
amends questions answer q-18-1b2c3d4e5f607182 --choose pay-4711 --reason 'so in the bank portal'\n  \
amends questions strangers\n  \
amends questions stranger shop catalog.search --ignore --reason 'it changes nothing'\n  \
amends questions answer --kind dropped --service order --accept --reason 'looked into its History' --dry-run"
)]
pub struct QuestionsOptions {
    #[command(flatten)]
    connection: Connection,
    #[command(subcommand)]
    command: Option<QuestionsCommand>,
    #[command(flatten)]
    printing: Printing,
}

#[derive(Debug, clap::Subcommand)]
enum QuestionsCommand {
    /// List open questions, newest case first [default]
    List {
        #[command(flatten)]
        filters: Filters,
        /// Most questions [default: 50]
        #[arg(long, value_name = "N")]
        limit: Option<u32>,
    },
    /// Say who says what
    Show {
        /// Which question, e.g. q-17-9f86d081884c7d65
        #[arg(add = ArgValueCompleter::new(complete::questions))]
        question: QuestionId,
    },
    /// Say something about questions
    Answer(AnswerOptions),
    /// List names that rulebooks don't know, with what was said of them and how many cases wait for each
    Strangers {
        /// Of this rulebook
        #[arg(long, value_name = "NAME")]
        rulebook: Option<String>,
    },
    /// Say something of a name that a rulebook does not know, for all its cases
    Stranger(StrangerOptions),
}

#[derive(Debug, clap::Args)]
struct StrangerOptions {
    /// The rulebook
    #[arg(add = ArgValueCompleter::new(complete::rulebooks))]
    rulebook: String,
    /// The name: SERVICE.ACTION
    action: ActionName,
    #[command(flatten)]
    says: OfStranger,
    /// Why, for the audit
    #[arg(long, value_name = "TEXT")]
    reason: String,
}

#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
struct OfStranger {
    /// Nobody needs to hear of it; what it held goes on
    #[arg(long)]
    ignore: bool,
    /// The rulebook will declare it; its cases wait until then
    #[arg(long)]
    declare: bool,
    /// Take back what was said of it
    #[arg(long)]
    reconsider: bool,
}

#[derive(Debug, Default, clap::Args)]
struct Filters {
    /// Of this kind: contradiction, stranger, dropped, history_unavailable, data_conflict, past_the_pivot
    #[arg(long)]
    kind: Option<QuestionKind>,
    /// `hold`: those that hold their case; `note`: those that are only shown
    #[arg(long)]
    effect: Option<QuestionEffect>,
    /// About this service
    #[arg(long, value_name = "NAME")]
    service: Option<String>,
    /// Of this case
    #[arg(long, value_name = "ID")]
    case: Option<CaseId>,
    /// Of cases that are planned with this rulebook
    #[arg(long, value_name = "NAME")]
    rulebook: Option<String>,
}

impl Filters {
    fn pairs(&self) -> Vec<(&'static str, String)> {
        let some = [
            ("kind", self.kind.map(|kind| kind.to_string())),
            ("effect", self.effect.map(|effect| effect.to_string())),
            ("service", self.service.clone()),
            ("case", self.case.map(|case| case.to_string())),
            ("rulebook", self.rulebook.clone()),
        ];
        some.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
    }
}

#[derive(Debug, clap::Args)]
struct AnswerOptions {
    /// Which questions
    #[arg(value_name = "ID", add = ArgValueCompleter::new(complete::questions))]
    ids: Vec<QuestionId>,
    #[command(flatten)]
    filters: Filters,
    #[command(flatten)]
    says: Says,
    /// Why, for the audit
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// Only say which questions it would be
    #[arg(long)]
    dry_run: bool,
    /// Don't ask
    #[arg(long, short)]
    yes: bool,
    /// With `--ask-again`: a try that brought no answer may run once more; you have made sure that it did nothing
    #[arg(long, requires = "ask_again")]
    may_have_run: bool,
}

#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
struct Says {
    /// Take the doubt as it is; the case then closes by a person
    #[arg(long)]
    accept: bool,
    /// Write down how it was ended outside, e.g. compensated
    #[arg(long, value_name = "OUTCOME")]
    record: Option<StepOutcome>,
    /// Ask whoever can tell once more
    #[arg(long)]
    ask_again: bool,
    /// Of a data conflict: the value that is right, one of those that were told
    #[arg(long, value_name = "VALUE")]
    choose: Option<String>,
    /// Nobody needs to hear of this stranger, in any case of its rulebook
    #[arg(long)]
    ignore: bool,
    /// The rulebook will declare this stranger; its cases wait until then
    #[arg(long)]
    declare: bool,
}

pub(super) fn run(options: QuestionsOptions) -> Outcome {
    let client = options.connection.client()?;
    let printing = options.printing;
    let everything = || QuestionsCommand::List { filters: Filters::default(), limit: None };
    block_on(async {
        match options.command.unwrap_or_else(everything) {
            QuestionsCommand::List { filters, limit } => {
                let read = async || read(&client, &filters, limit).await;
                printing.list(read, list).await
            }
            QuestionsCommand::Show { question } => {
                let path = format!("/v1/questions/{question}");
                printing.one(async || client.get::<QuestionView>(&path).await, show).await
            }
            QuestionsCommand::Answer(answer) => {
                answered(&client, answer, printing.act_as_json()?).await
            }
            QuestionsCommand::Strangers { rulebook } => {
                let read = async || strangers(&client, rulebook.as_deref()).await;
                printing.list(read, |found: &Vec<_>, _| show_strangers(found)).await
            }
            QuestionsCommand::Stranger(options) => {
                decide(&client, options, printing.act_as_json()?).await
            }
        }
    })
}

async fn read(
    client: &Client,
    filters: &Filters,
    limit: Option<u32>,
) -> Outcome<Page<QuestionView>> {
    let mut query = Query::default();
    filters.pairs().iter().for_each(|(name, value)| query.push(name, value));
    query.push_opt("limit", limit.as_ref());
    client.get(&format!("/v1/questions{}", query.as_str())).await
}

fn list(found: &Page<QuestionView>, width: Width) -> Outcome {
    if found.items.is_empty() {
        output::tell("no question is open");
        return Ok(());
    }
    let now = now();
    let mut heads = vec!["question", "kind", "case", "saga", "effect", "since", "what"];
    if width == Width::Wide {
        heads.push("may");
    }
    let mut grid = Grid::new(&heads);
    for question in &found.items {
        let sign = question.kind.sign();
        let mut row = vec![
            question.id.to_string(),
            format!("{} {}", sign.shape, sign.word),
            question.case_id.to_string(),
            question.saga_id.as_ref().map_or_else(String::new, ToString::to_string),
            question.effect.to_string(),
            relative(question.since, now),
            question.sentence.clone(),
        ];
        if width == Width::Wide {
            let may: Vec<_> = question.may.iter().map(|act| act.as_str()).collect();
            row.push(may.join(", "));
        }
        grid.row(row);
    }
    grid.print()?;
    if found.next.is_some() {
        output::tell("there are more; narrow the list, or raise --limit");
    }
    Ok(())
}

fn show(question: &QuestionView) -> Outcome {
    let id = question.id;
    let sign = question.kind.sign();
    let saga = question.saga_id.as_ref().map_or_else(String::new, |saga| format!(", saga {saga}"));
    output::line(&format!("{} {}: {}", sign.shape, sign.word, question.sentence))?;
    output::line(&format!("case {}{saga}; {}", question.case_id, question.effect.sign().word))?;
    let mut grid = Grid::new(&["who", "request", "says"]);
    for statement in &question.statements {
        let request = statement.request_id.clone().unwrap_or_else(|| "-".to_owned());
        grid.row(vec![statement.by.clone(), request, statement.says.clone()]);
    }
    grid.print()?;
    let takes = |act: &QuestionActName| match act {
        QuestionActName::Record => "record OUTCOME".to_owned(),
        QuestionActName::Choose => "choose VALUE".to_owned(),
        QuestionActName::Accept
        | QuestionActName::AskAgain
        | QuestionActName::Ignore
        | QuestionActName::Declare => act.as_str().replace('_', "-"),
    };
    let may: Vec<_> = question.may.iter().map(takes).collect();
    output::line(&format!(
        "to answer: amends questions answer {id} --{} --reason '...'",
        may.join(" | --")
    ))
}

async fn answered(client: &Client, options: AnswerOptions, json: bool) -> Outcome {
    let filter = options.filters.pairs();
    if options.ids.is_empty() == filter.is_empty() {
        return Err(Failure::Usage(
            "say which questions: either ids, or filters such as --kind contradiction".into(),
        ));
    }
    match options.ids.as_slice() {
        [one] if !options.dry_run => answer_one(client, *one, &options, json).await,
        _ if options.may_have_run => Err(Failure::Usage(
            "--may-have-run is for one question at a time: each must be weighed up by itself"
                .into(),
        )),
        _ if options.says.accept => accept_many(client, &options, filter, json).await,
        [] => Err(Failure::Usage(
            "only --accept is for many at once; give the id of one question".into(),
        )),
        _ if options.dry_run => Err(Failure::Usage("--dry-run is for --accept".into())),
        ids => {
            for id in ids {
                answer_one(client, *id, &options, json).await?;
            }
            Ok(())
        }
    }
}

async fn answer_one(
    client: &Client,
    id: QuestionId,
    options: &AnswerOptions,
    json: bool,
) -> Outcome {
    let reason = options.reason.clone();
    let act = match (&options.says.choose, options.says.record) {
        (Some(said), _) => QuestionAct::Choose { reason, value: told(client, id, said).await? },
        (None, Some(outcome)) => QuestionAct::Record { reason, outcome },
        (None, None) if options.says.ask_again => {
            QuestionAct::AskAgain { reason, may_have_run: options.may_have_run }
        }
        (None, None) if options.says.ignore => QuestionAct::Ignore { reason },
        (None, None) if options.says.declare => QuestionAct::Declare { reason },
        (None, None) => QuestionAct::Accept { reason },
    };
    let done: QuestionAnswered = client.post(&format!("/v1/questions/{id}/acts"), &act).await?;
    if json {
        return output::json(&done);
    }
    let word = match act {
        QuestionAct::AskAgain { .. } => "asked again",
        QuestionAct::Ignore { .. } => "ignored in all cases",
        QuestionAct::Declare { .. } => "to be declared",
        QuestionAct::Accept { .. } | QuestionAct::Record { .. } | QuestionAct::Choose { .. } => {
            "answered"
        }
    };
    output::line(&format!("{id} {word}; {} open in case {}", done.open.len(), id.case))
}

/// Strangers as the supervisor lists them.
async fn strangers(client: &Client, rulebook: Option<&str>) -> Outcome<Vec<StrangerView>> {
    let mut query = Query::default();
    query.push_opt("rulebook", rulebook.map(str::to_owned).as_ref());
    client.get(&format!("/v1/strangers{}", query.as_str())).await
}

/// What the active version of a rulebook declares and cases wait for.
pub(super) async fn waiting_for(client: &Client, rulebook: &str) -> Outcome<Vec<Waiting>> {
    let found = strangers(client, Some(rulebook)).await?.into_iter();
    Ok(found.filter(|one| one.declared && one.waiting > 0).map(Waiting).collect())
}

/// A name that is declared now, and that cases have waited for.
#[derive(Debug, serde::Serialize)]
#[serde(transparent)]
pub(super) struct Waiting(StrangerView);

impl Waiting {
    /// What a person can do about it.
    pub(super) fn offer(&self) -> String {
        let StrangerView { action, waiting, group, .. } = &self.0;
        let (some, wait) = if *waiting == 1 { ("case", "waits") } else { ("cases", "wait") };
        format!(
            "{waiting} {some} {wait} for {action}: amends cases replan --group {} --reason '...'",
            group.as_deref().unwrap_or_default()
        )
    }
}

async fn decide(client: &Client, options: StrangerOptions, json: bool) -> Outcome {
    let StrangerOptions { rulebook, action, says, reason } = options;
    let act = match (says.ignore, says.declare) {
        (true, _) => StrangerAct::Ignore { reason },
        (false, true) => StrangerAct::Declare { reason },
        (false, false) => StrangerAct::Reconsider { reason },
    };
    let action = action.to_string();
    let (name, what) = (percent::part(&rulebook), percent::part(&action));
    let path = format!("/v1/strangers/{name}/{what}/acts");
    let found: Vec<StrangerView> = client.post(&path, &act).await?;
    if json { output::json(&found) } else { show_strangers(&found) }
}

fn show_strangers(found: &[StrangerView]) -> Outcome {
    if found.is_empty() {
        output::tell("no stranger has been told of");
        return Ok(());
    }
    let mut grid = Grid::new(&["rulebook", "name", "cases", "waiting", "said", "by", "why"]);
    for one in found {
        let said = match &one.decision {
            Some(said) => said.act.to_string(),
            None if one.declared => "declared now".to_owned(),
            None => "-".to_owned(),
        };
        let (by, why) = one.decision.as_ref().map_or(("", ""), |said| (&*said.by, &*said.reason));
        grid.row(vec![
            one.rulebook.clone(),
            one.action.to_string(),
            one.cases.to_string(),
            one.waiting.to_string(),
            said,
            by.to_owned(),
            why.to_owned(),
        ]);
    }
    grid.print()?;
    let waiting = found.iter().filter(|one| one.declared && one.waiting > 0).cloned();
    waiting.map(Waiting).for_each(|one| output::tell(&one.offer()));
    Ok(())
}

/// The told value that somebody means: texts need no quotes, unless a number is told as well that looks the same.
async fn told(client: &Client, id: QuestionId, said: &str) -> Outcome<Value> {
    let question: QuestionView = client.get(&format!("/v1/questions/{id}")).await?;
    let values: BTreeMap<String, Value> = question
        .statements
        .into_iter()
        .filter_map(|statement| Some((statement.says, statement.value?)))
        .collect();
    if let Some(value) = values.get(said) {
        return Ok(value.clone());
    }
    let as_text = values.values().find(|value| value.as_str() == Some(said));
    as_text.cloned().ok_or_else(|| {
        let told: Vec<&str> = values.keys().map(String::as_str).collect();
        let text = match told.as_slice() {
            [] => format!("{id} is no data conflict; it takes no `--choose`"),
            told => format!("nobody says `{said}`; told are {}", told.join(" and ")),
        };
        Failure::Usage(text)
    })
}

async fn accept_many(
    client: &Client,
    options: &AnswerOptions,
    filter: Vec<(&'static str, String)>,
    json: bool,
) -> Outcome {
    let filter: BTreeMap<String, String> =
        filter.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    let wanted = BulkRequest {
        act: BulkActName::Accept,
        reason: options.reason.clone(),
        ids: options.ids.iter().map(ToString::to_string).collect(),
        filter: options.ids.is_empty().then_some(filter),
        dry_run: true,
    };
    let meant: BulkView = client.post("/v1/bulk", &wanted).await?;
    if options.dry_run {
        return rehearsal(&meant, json);
    }
    if meant.matched == 0 {
        output::tell("no question matches");
        return Ok(());
    }
    if !options.yes {
        super::confirm(&format!("accept {}", BulkActName::Accept.of(meant.matched)))?;
    }
    let made: BulkView = client.post("/v1/bulk", &BulkRequest { dry_run: false, ..wanted }).await?;
    let path = format!("/v1/bulk/{}", made.id.unwrap_or_default());
    let _: BulkView = client.post(&format!("{path}/start"), &BulkSteering::default()).await?;
    outcome(&watch(client, &path).await?, "accepted", json)
}

fn rehearsal(meant: &BulkView, json: bool) -> Outcome {
    if json {
        return output::json(meant);
    }
    for one in &meant.sample {
        let sentence = one.message.as_deref().unwrap_or_default();
        output::line(&format!("{}  {}: {sentence}", one.case_id, one.state))?;
    }
    output::tell(&format!("would accept {}", BulkActName::Accept.of(meant.matched)));
    Ok(())
}
