//! `amends cases replan`: answers the reports of many cases anew with the active rulebook, as a bulk act of the supervisor:
//! counted and confirmed first, then let out in waves.

use super::filters::CaseFilters;
use super::show::header;
use crate::client::Client;
use crate::commands::bulk::{outcome, watch};
use crate::commands::confirm;
use crate::failure::{Failure, Outcome};
use crate::moment::now;
use crate::output;
use amends_api::{BulkActName, BulkRequest, BulkSteering, BulkView, CaseAct, CaseDetail};
use amends_protocol::CaseId;

/// Options of `cases replan`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  amends cases replan --state unmatched --reason 'there is a rule now' --dry-run\n  \
amends cases replan c-17 c-18 --reason 'the rulebook is mended' --yes\n\n\
Only adds steps: what was planned stays, and so does what people decided."
)]
pub struct ReplanOptions {
    /// Which cases
    #[arg(value_name = "ID")]
    ids: Vec<CaseId>,
    #[command(flatten)]
    filters: CaseFilters,
    /// Only say which cases it would be
    #[arg(long)]
    dry_run: bool,
    /// Don't ask
    #[arg(long, short)]
    yes: bool,
    /// With this rulebook: of one case whose reporting service several rulebooks share
    #[arg(long, value_name = "NAME", conflicts_with = "dry_run")]
    with: Option<String>,
    /// Why, for the audit
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(client: &Client, options: ReplanOptions) -> Outcome {
    let filter = options.filters.pairs();
    if let Some(rulebook) = options.with {
        let [id] = options.ids[..] else {
            return Err(Failure::Usage("`--with` is for one case; give its id".into()));
        };
        let act = CaseAct::Replan { reason: options.reason, rulebook: Some(rulebook) };
        let case: CaseDetail = client.post(&format!("/v1/cases/{id}/acts"), &act).await?;
        return if options.json {
            output::json(&case)
        } else {
            output::line(&header(&case, now()))
        };
    }
    if options.ids.is_empty() == filter.is_empty() {
        return Err(Failure::Usage(
            "say which cases to replan: either ids, or filters such as --state unmatched".into(),
        ));
    }
    let filter = filter.into_iter().map(|(name, value)| (name.to_owned(), value));
    let wanted = BulkRequest {
        act: BulkActName::Replan,
        reason: options.reason.clone(),
        ids: options.ids.iter().map(ToString::to_string).collect(),
        filter: options.ids.is_empty().then(|| filter.collect()),
        dry_run: true,
    };
    let meant: BulkView = client.post("/v1/bulk", &wanted).await?;
    if options.dry_run {
        return rehearsal(&meant, options.json);
    }
    if meant.matched == 0 {
        output::tell("no case matches");
        return Ok(());
    }
    if !options.yes {
        confirm(&format!("replan {}", cases(meant.matched)))?;
    }
    let made: BulkView = client.post("/v1/bulk", &BulkRequest { dry_run: false, ..wanted }).await?;
    let path = format!("/v1/bulk/{}", made.id.unwrap_or_default());
    let _: BulkView = client.post(&format!("{path}/start"), &BulkSteering::default()).await?;
    outcome(&watch(client, &path).await?, "replanned", options.json)
}

fn rehearsal(meant: &BulkView, json: bool) -> Outcome {
    if json {
        return output::json(meant);
    }
    for case in &meant.sample {
        output::line(&format!("{}  {}, {}", case.case_id, case.subject, case.state))?;
    }
    let shown = u64::try_from(meant.sample.len()).unwrap_or(u64::MAX);
    if meant.matched > shown {
        output::tell(&format!("and {} more", meant.matched - shown));
    }
    output::tell(&format!("would replan {}", cases(meant.matched)));
    Ok(())
}

fn cases(number: u64) -> String {
    format!("{number} {}", if number == 1 { "case" } else { "cases" })
}
