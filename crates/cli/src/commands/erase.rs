//! `amends erase`: lets business data go for good, lists what went, confirms it, and erases again after a restore.

use super::{Connection, block_on, confirm};
use crate::client::{Client, Query};
use crate::complete;
use crate::failure::{Failure, Outcome};
use crate::moment::{clock, now, relative};
use crate::output::{self, Grid};
use crate::printing::{Printing, Width};
use amends_api::{
    ErasureClaim, ErasureConfirmed, ErasureDetail, ErasurePlan, ErasureRequest, ErasureView,
    FieldHeld, Page,
};
use amends_protocol::causes::of_json;
use amends_protocol::{ProblemCode, ReportData, SagaId};
use anyhow::{Context, anyhow};
use clap_complete::ArgValueCompleter;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// What is to go, and why; or a look at what went.
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
#[command(
    after_help = "Examples:\n  amends erase --saga order-4711 --reason 'asked for, ticket 12' --dry-run\n  \
amends erase --saga order-4711 --reason 'asked for, ticket 12'\n  \
amends erase --field customer=c-1029 --reason 'asked for, ticket 12' --when-settled --yes\n  \
amends erase list\n  amends erase show er-3\n  amends erase list --all -o json > erasures.json\n  \
amends erase replay erasures.json --reason 'restored from a backup'\n\n\
What reports, requests and answers held goes, of settled cases at once. Who was asked what, when, and how it ended stays, \
with digests of what went. Needs the right `admin`."
)]
pub struct EraseOptions {
    #[command(flatten)]
    connection: Connection,
    #[command(subcommand)]
    command: Option<EraseCommand>,
    /// A saga whose data go; several are one erasure
    #[arg(long = "saga", value_name = "SAGA")]
    sagas: Vec<SagaId>,
    /// All sagas that hold this value in a declared field, or in a field with this role
    #[arg(long, value_name = "NAME=VALUE", conflicts_with = "sagas", value_parser = field)]
    field: Option<FieldHeld>,
    /// Why, for the audit; it stays, so write no business data into it
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// Where a case is not settled, as soon as it is
    #[arg(long)]
    when_settled: bool,
    /// Only say what would go
    #[arg(long)]
    dry_run: bool,
    /// Do not ask
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    printing: Printing,
}

#[derive(Debug, clap::Subcommand)]
enum EraseCommand {
    /// List erasures, the newest first
    List {
        /// All of them with their sagas, as `replay` reads them
        #[arg(long)]
        all: bool,
    },
    /// Say what became of each saga of an erasure
    Show {
        /// Which, e.g. er-3
        #[arg(add = ArgValueCompleter::new(complete::erasures))]
        id: String,
    },
    /// Say whether what you have is what went
    Confirm {
        /// Which, e.g. er-3
        #[arg(add = ArgValueCompleter::new(complete::erasures))]
        id: String,
        /// The value of the field by which its sagas were found
        #[arg(long, value_name = "TEXT")]
        value: Option<String>,
        /// A file with the `data` of a report
        #[arg(long, value_name = "FILE")]
        report: Option<PathBuf>,
    },
    /// Erase again what a restored backup has brought back
    Replay {
        /// What `amends erase list --all --json` wrote before
        file: PathBuf,
        /// Why, for the audit
        #[arg(long = "reason", value_name = "TEXT")]
        why: String,
    },
}

fn field(text: &str) -> Result<FieldHeld, String> {
    let (name, value) = text.split_once('=').ok_or("write NAME=VALUE, as in customer=c-1029")?;
    match name.is_empty() || value.is_empty() {
        true => Err("write NAME=VALUE, as in customer=c-1029".to_owned()),
        false => Ok(FieldHeld { name: name.to_owned(), value: value.to_owned() }),
    }
}

pub(super) fn run(options: EraseOptions) -> Outcome {
    let client = options.connection.client()?;
    let printing = options.printing;
    block_on(async {
        match options.command {
            None => {
                let Some(reason) = options.reason else {
                    return Err(Failure::Usage("say why, for the audit: --reason".to_owned()));
                };
                let wanted = ErasureRequest {
                    sagas: options.sagas,
                    field: options.field,
                    reason,
                    when_settled: options.when_settled,
                    dry_run: options.dry_run,
                };
                erase(&client, wanted, options.yes, printing.act_as_json()?).await
            }
            Some(EraseCommand::List { all: false }) => {
                let read = async || client.get::<Page<ErasureView>>("/v1/erasures").await;
                printing.list(read, list).await
            }
            Some(EraseCommand::List { all: true }) => {
                let read = async || all(&client).await;
                printing.list(read, |found, width| list_all(found, width)).await
            }
            Some(EraseCommand::Show { id }) => {
                let path = format!("/v1/erasures/{}", amends_protocol::wire::percent::part(&id));
                let read = async || client.get::<ErasureDetail>(&path).await;
                printing.one(read, show).await
            }
            Some(EraseCommand::Confirm { id, value, report }) => {
                let report = report.as_deref().map(report_data).transpose()?;
                let claim = ErasureClaim { value, report };
                let path =
                    format!("/v1/erasures/{}/confirm", amends_protocol::wire::percent::part(&id));
                confirm_gone(client.post(&path, &claim).await?, printing.act_as_json()?)
            }
            Some(EraseCommand::Replay { file, why }) => replay(&client, &file, &why).await,
        }
    })
}

/// Shows what would go, asks, and lets it go; more than one erasure takes at once in turns.
async fn erase(client: &Client, wanted: ErasureRequest, yes: bool, json: bool) -> Outcome {
    if wanted.sagas.is_empty() && wanted.field.is_none() {
        let text = "say whose data go: --saga SAGA, or --field NAME=VALUE";
        return Err(Failure::Usage(text.to_owned()));
    }
    let look = ErasureRequest { dry_run: true, ..wanted.clone() };
    if wanted.dry_run {
        let plan: ErasurePlan = client.post("/v1/erasures", &look).await?;
        return if json { output::json(&plan) } else { tell_plan(&plan) };
    }
    if !yes {
        let plan: ErasurePlan = client.post("/v1/erasures", &look).await?;
        tell_plan(&plan)?;
        confirm(&format!("erase {} for good", counted(plan.fields, "value")))?;
    }
    let mut before = String::new();
    loop {
        let made: ErasureDetail = client.post("/v1/erasures", &wanted).await?;
        if json {
            output::json(&made)?;
        } else {
            tell_made(&made)?;
        }
        // What waits for its case to settle is found again, so that only settled ones go on.
        let goes_on = made.more && made.view.waiting == 0 && made.view.id != before;
        before.clone_from(&made.view.id);
        if !goes_on {
            return match made.more && !json {
                true => output::line(
                    "there are more; the same again takes those that are settled by then",
                ),
                false => Ok(()),
            };
        }
    }
}

fn counted(count: u64, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

fn tell_plan(plan: &ErasurePlan) -> Outcome {
    if plan.sagas.is_empty() {
        output::tell("nothing would go");
        return Ok(());
    }
    let mut grid = Grid::new(&["saga", "case", "state", "values", "bytes"]);
    for one in &plan.sagas {
        grid.row(vec![
            one.saga_id.to_string(),
            one.case_id.map_or_else(|| "-".to_owned(), |case| case.to_string()),
            one.state.map_or_else(|| "announced".to_owned(), |state| state.to_string()),
            one.fields.to_string(),
            one.bytes.to_string(),
        ]);
    }
    grid.print()?;
    let more = if plan.more { "; there are more, which come next" } else { "" };
    output::line(&format!(
        "{} of {} would go, {} bytes; {} not settled yet{more}",
        counted(plan.fields, "value"),
        counted(plan.sagas.len() as u64, "saga"),
        plan.bytes,
        plan.open,
    ))
}

fn tell_made(made: &ErasureDetail) -> Outcome {
    let fields = made.erased.iter().map(|one| one.fields).sum();
    let view = &made.view;
    let waiting = match view.waiting {
        0 => String::new(),
        waiting => format!("; {waiting} as soon as settled"),
    };
    let not_yet = match view.not_yet {
        0 => String::new(),
        not_yet => format!(
            "; {not_yet} as soon as the nodes that hold them take it (`amends erase show {}`)",
            view.id
        ),
    };
    output::line(&format!(
        "{}: {} of {} went for good{waiting}{not_yet}",
        view.id,
        counted(fields, "value"),
        counted(view.sagas.saturating_sub(view.waiting + view.not_yet), "saga"),
    ))
}

fn list(page: &Page<ErasureView>, _: Width) -> Outcome {
    if page.items.is_empty() {
        output::tell("nothing was erased yet");
        return Ok(());
    }
    let now = now();
    let mut grid = Grid::new(&["id", "when", "who", "found by", "sagas", "waiting", "why"]);
    for one in &page.items {
        grid.row(vec![
            one.id.clone(),
            relative(one.at, now),
            one.actor.clone(),
            one.field.clone().unwrap_or_else(|| "name".to_owned()),
            one.sagas.to_string(),
            one.waiting.to_string(),
            one.reason.clone(),
        ]);
    }
    grid.print()?;
    if page.next.is_some() {
        output::tell("these are the newest; --all shows all with their sagas");
    }
    Ok(())
}

/// All erasures with their sagas, the oldest first.
async fn all(client: &Client) -> Outcome<Vec<ErasureDetail>> {
    let (mut found, mut cursor) = (Vec::new(), None::<String>);
    loop {
        let mut query = Query::default();
        query.push("limit", "500");
        if let Some(cursor) = &cursor {
            query.push("cursor", cursor);
        }
        let page: Page<ErasureView> =
            client.get(&format!("/v1/erasures{}", query.as_str())).await?;
        for one in page.items {
            let id = amends_protocol::wire::percent::part(&one.id).to_string();
            found.push(client.get::<ErasureDetail>(&format!("/v1/erasures/{id}")).await?);
        }
        cursor = page.next;
        if cursor.is_none() {
            found.reverse();
            return Ok(found);
        }
    }
}

fn list_all(found: &[ErasureDetail], _: Width) -> Outcome {
    found.iter().try_for_each(show)
}

fn show(made: &ErasureDetail) -> Outcome {
    let field = made.view.field.as_ref();
    let found = field.map_or(String::new(), |field| format!(", found by {field}"));
    output::line(&format!(
        "{}  {}  {}: {}{found}",
        made.view.id,
        clock(made.view.at),
        made.view.actor,
        made.view.reason
    ))?;
    let mut grid = Grid::new(&["saga", "case", "went", "values", "bytes", "digests"]);
    for one in &made.erased {
        grid.row(vec![
            one.saga_id.to_string(),
            one.case_id.map_or_else(|| "-".to_owned(), |case| case.to_string()),
            one.done_at.map_or_else(|| "when settled".to_owned(), clock),
            one.fields.to_string(),
            one.bytes.to_string(),
            one.digests.len().to_string(),
        ]);
    }
    grid.print()?;
    if made.view.not_yet > 0 {
        let not_yet = made.view.not_yet;
        output::tell(&format!(
            "{not_yet} of {} are not taken yet by the nodes that hold them; what one refuses is among `amends report rejected`",
            counted(made.view.sagas, "saga")
        ));
    }
    Ok(())
}

fn report_data(path: &Path) -> Outcome<ReportData> {
    let text = std::fs::read(path).with_context(|| format!("cannot read `{}`", path.display()))?;
    let data = serde_json::from_slice(&text)
        .map_err(|e| anyhow!("`{}` is no data of a report: {}", path.display(), of_json(&e)))?;
    Ok(data)
}

fn confirm_gone(confirmed: ErasureConfirmed, json: bool) -> Outcome {
    if json {
        return output::json(&confirmed);
    }
    match confirmed.same {
        true => output::line(&format!("it is what went: {}", confirmed.of.join(", "))),
        false => output::line("it is not what went"),
    }
}

/// What is needed of a list of erasures.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Listed {
    erased: Vec<ListedSaga>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ListedSaga {
    saga_id: SagaId,
}

/// Erases each saga by itself, so that one that is not there any more stops no other.
async fn replay(client: &Client, file: &Path, why: &str) -> Outcome {
    let text = std::fs::read(file).with_context(|| format!("cannot read `{}`", file.display()))?;
    let listed: Vec<Listed> = serde_json::from_slice(&text).map_err(|e| {
        let what = "what `amends erase list --all --json` writes";
        anyhow!("`{}` is not {what}: {}", file.display(), of_json(&e))
    })?;
    let sagas = listed.into_iter().flat_map(|one| one.erased).map(|one| (one.saga_id, ()));
    let sagas: BTreeMap<SagaId, ()> = sagas.collect();
    let (mut erased, mut missing) = (0_u64, 0_u64);
    for saga in sagas.into_keys() {
        let wanted = ErasureRequest {
            sagas: vec![saga],
            field: None,
            reason: why.to_owned(),
            when_settled: true,
            dry_run: false,
        };
        match client.post::<_, ErasureDetail>("/v1/erasures", &wanted).await {
            Ok(_) => erased += 1,
            Err(Failure::Problem(problem)) if problem.is(ProblemCode::NotFound) => missing += 1,
            Err(failure) => return Err(failure),
        }
    }
    output::line(&format!(
        "{} erased again; {} not in this store",
        counted(erased, "saga"),
        counted(missing, "saga")
    ))
}
