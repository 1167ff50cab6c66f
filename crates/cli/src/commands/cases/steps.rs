//! Which steps an act is for, and the act itself: one step, several by id, or all that a filter finds. What comes from a
//! filter is counted and confirmed first.

use super::ramp::{self, Many};
use super::show::state;
use crate::client::Client;
use crate::complete;
use crate::failure::{Failure, Outcome};
use crate::output;
use amends_api::{BulkAct, BulkActName, BulkResult, CaseDetail, StepAct, StepView};
use amends_api::{StepStateName, StuckReason};
use amends_protocol::{ActionName, CaseId, SagaId, StepId, Verb};
use clap_complete::ArgValueCompleter;
use std::collections::BTreeMap;
use std::io::{self, IsTerminal};
use std::str::FromStr;

/// The API lists at most so many ids of a dry run; up to here, exactly the steps that were shown are touched.
const LISTED_IDS: usize = 1_000;

/// A step, or a case whose steps are meant.
#[derive(Clone, Copy, Debug)]
enum Target {
    Step(StepId),
    Case(CaseId),
}

impl FromStr for Target {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(step) = text.parse() {
            return Ok(Self::Step(step));
        }
        text.parse().map(Self::Case).map_err(|_| {
            format!(
                "`{text}` is neither a step id (`s-17-3-9f86d081884c7d65`) nor a case id (`c-17`)"
            )
        })
    }
}

/// Which steps.
#[derive(Debug, clap::Args)]
pub struct Selection {
    /// Step ids; or case ids, whose steps in the default state are meant
    #[arg(value_name = "ID", add = ArgValueCompleter::new(complete::steps))]
    ids: Vec<Target>,
    /// Steps of this service
    #[arg(long, add = ArgValueCompleter::new(complete::services))]
    service: Option<String>,
    /// Steps of this action: SERVICE.ACTION
    #[arg(long)]
    action: Option<ActionName>,
    /// Steps with this verb: compensate, retry, notify
    #[arg(long)]
    verb: Option<Verb>,
    /// Steps in these states, e.g. stuck,due
    #[arg(long, value_delimiter = ',')]
    state: Vec<StepStateName>,
    /// Steps that are stuck for this reason, e.g. out_of_time
    #[arg(long, value_name = "REASON")]
    stuck_because: Option<StuckReason>,
    /// Steps of this saga
    #[arg(long)]
    saga: Option<SagaId>,
    /// Steps of this rulebook
    #[arg(long, add = ArgValueCompleter::new(complete::rulebooks))]
    rulebook: Option<String>,
    /// Steps of this group of open work, see `cases groups`; `g-late`: of all cases past their objective
    #[arg(long, value_name = "ID", add = ArgValueCompleter::new(complete::groups))]
    group: Option<String>,
    /// Steps with this text in their message
    #[arg(long, value_name = "TEXT")]
    find: Option<String>,
    /// All at once, rather than in waves of 1, 5, 20, 100 and 500
    #[arg(long)]
    at_once: bool,
    /// Only say which steps it would be
    #[arg(long)]
    dry_run: bool,
    /// Don't ask
    #[arg(long, short)]
    yes: bool,
    /// Why, for the audit
    #[arg(long, value_name = "TEXT")]
    pub reason: String,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// An act with its words.
pub struct StepActArgs {
    /// What is sent.
    pub act: StepAct,
    /// `retry`, for questions.
    pub verb: &'static str,
    /// `retried`, for answers.
    pub done: &'static str,
}

impl StepActArgs {
    /// The act as a bulk act that goes out in waves; none for what differs from step to step.
    fn ramped(&self) -> Option<BulkActName> {
        match self.act {
            StepAct::Retry { .. } => Some(BulkActName::Retry),
            StepAct::Waive { .. } => Some(BulkActName::Waive),
            StepAct::Approve { .. } => Some(BulkActName::Approve),
            StepAct::Edit { .. } | StepAct::Record { .. } => None,
        }
    }
}

impl Selection {
    /// Does it to the selected steps.
    pub async fn perform(&self, client: &Client, args: StepActArgs) -> Outcome {
        let filter = self.filter();
        let bulk = match (self.ids.as_slice(), filter.is_empty()) {
            ([Target::Step(step)], true) if !self.dry_run => {
                return self.one(client, *step, &args).await;
            }
            ([], true) => {
                return Err(Failure::Usage(format!(
                    "say which steps to {}: ids, or filters such as --service and --state",
                    args.verb
                )));
            }
            ([], false) => bulk_act(&args, Vec::new(), Some(filter)),
            (ids, _) => {
                let only_state = filter.keys().all(|k| k == "state");
                if !only_state {
                    return Err(Failure::Usage(
                        "give ids or filters, not both (--state may go with case ids)".into(),
                    ));
                }
                bulk_act(&args, self.resolve(client, ids, &filter, &args).await?, None)
            }
        };
        self.many(client, bulk, &args).await
    }

    fn filter(&self) -> BTreeMap<String, String> {
        let mut filter = BTreeMap::new();
        let mut put = |name: &str, value: Option<String>| {
            if let Some(value) = value {
                filter.insert(name.to_owned(), value);
            }
        };
        put("service", self.service.clone());
        put("action", self.action.as_ref().map(ToString::to_string));
        put("verb", self.verb.map(|v| v.to_string()));
        put("reason", self.stuck_because.map(|r| r.to_string()));
        put("saga", self.saga.as_ref().map(ToString::to_string));
        put("group", self.group.clone());
        put("rulebook", self.rulebook.clone());
        put("q", self.find.clone());
        put("state", (!self.state.is_empty()).then(|| words(&self.state)));
        filter
    }

    /// Case ids become the ids of their steps that the act is for; which those are, the supervisor knows.
    async fn resolve(
        &self,
        client: &Client,
        targets: &[Target],
        filter: &BTreeMap<String, String>,
        args: &StepActArgs,
    ) -> Outcome<Vec<StepId>> {
        let mut ids = Vec::new();
        for target in targets {
            match target {
                Target::Step(id) => ids.push(*id),
                Target::Case(case) => {
                    let mut filter = filter.clone();
                    filter.insert("case".to_owned(), case.to_string());
                    let found = rehearse(client, &bulk_act(args, Vec::new(), Some(filter))).await?;
                    if found.matched == 0 {
                        // A case that there isn't has no step either; that is another mistake.
                        let _: CaseDetail = client.get(&format!("/v1/cases/{case}")).await?;
                        output::tell(&format!(
                            "{case} has no step to {} now; name others with --state, or by id",
                            args.verb
                        ));
                    }
                    ids.extend(found.ids);
                }
            }
        }
        Ok(ids)
    }

    async fn one(&self, client: &Client, step: StepId, args: &StepActArgs) -> Outcome {
        let view: StepView = client.post(&format!("/v1/steps/{step}/acts"), &args.act).await?;
        if self.json {
            return output::json(&view);
        }
        output::line(&format!(
            "{} {} {} {}: {}",
            args.done,
            view.id,
            view.verb,
            view.action,
            state(&view)
        ))
    }

    async fn many(&self, client: &Client, mut bulk: BulkAct, args: &StepActArgs) -> Outcome {
        if bulk.filter.is_none() && bulk.ids.is_empty() {
            return Ok(());
        }
        let explicit =
            self.ids.iter().all(|t| matches!(t, Target::Step(_))) && !self.ids.is_empty();
        if self.dry_run || !explicit {
            let meant = rehearse(client, &bulk).await?;
            if self.dry_run {
                return self.print_rehearsal(&meant, args);
            }
            if meant.matched == 0 {
                output::tell("no step matches");
                return Ok(());
            }
            if !self.yes {
                confirm(&meant, args)?;
            }
            if meant.matched <= LISTED_IDS {
                bulk = bulk_act(args, meant.ids, None);
            }
        }
        if let Some(ramped) = args.ramped().filter(|_| !explicit && !self.at_once) {
            let many = Many { ids: bulk.ids, filter: bulk.filter };
            return ramp::perform(client, ramped, many, (&self.reason, args.done, self.json)).await;
        }
        let result: BulkResult = client.post("/v1/steps:act", &bulk).await?;
        self.print_result(&result, args)
    }

    fn print_rehearsal(&self, meant: &BulkResult, args: &StepActArgs) -> Outcome {
        if self.json {
            return output::json(meant);
        }
        for id in &meant.ids {
            output::line(&id.to_string())?;
        }
        output::tell(&format!("would {} {}", args.verb, steps(meant.matched)));
        Ok(())
    }

    fn print_result(&self, result: &BulkResult, args: &StepActArgs) -> Outcome {
        if self.json {
            output::json(result)?;
        } else {
            output::line(&format!("{} {} of {}", args.done, result.done, steps(result.matched)))?;
        }
        for failure in &result.failed {
            output::tell(&format!("error: {}: {}", failure.id, failure.detail));
        }
        if result.done < result.matched { Err(Failure::SomeRefused) } else { Ok(()) }
    }
}

fn bulk_act(
    args: &StepActArgs,
    ids: Vec<StepId>,
    filter: Option<BTreeMap<String, String>>,
) -> BulkAct {
    BulkAct { act: args.act.clone(), ids, filter, dry_run: false }
}

/// Which steps it would be.
async fn rehearse(client: &Client, bulk: &BulkAct) -> Outcome<BulkResult> {
    client.post("/v1/steps:act", &BulkAct { dry_run: true, ..bulk.clone() }).await
}

/// Asks on a terminal; elsewhere the answer has to be on the command line.
fn confirm(meant: &BulkResult, args: &StepActArgs) -> Outcome {
    let question = format!("{} {}", args.verb, steps(meant.matched));
    if !io::stdin().is_terminal() || !io::stderr().is_terminal() {
        return Err(Failure::Usage(format!(
            "this would {question}; add --yes to do it, or --dry-run to see them"
        )));
    }
    for id in meant.ids.iter().take(10) {
        output::tell(&format!("  {id}"));
    }
    if meant.matched > 10 {
        output::tell(&format!("  and {} more", meant.matched - 10));
    }
    output::prompt(&format!("{question}? [y/N] "))?;
    let mut answer = String::new();
    io::stdin().read_line(&mut answer)?;
    if matches!(answer.trim(), "y" | "Y" | "yes") {
        Ok(())
    } else {
        Err(Failure::Usage("not confirmed; nothing was changed".to_owned()))
    }
}

fn words(states: &[StepStateName]) -> String {
    states.iter().map(|s| s.as_str()).collect::<Vec<_>>().join(",")
}

fn steps(n: usize) -> String {
    format!("{n} step{}", if n == 1 { "" } else { "s" })
}
