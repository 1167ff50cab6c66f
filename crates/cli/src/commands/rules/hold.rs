//! `amends rules hold` and `release`: stops what a rulebook or one of its rules asks for, at once and over restarts,
//! and lets it go again.

use crate::client::Client;
use crate::commands::{Connection, block_on};
use crate::failure::Outcome;
use crate::output;
use amends_api::{ReasonGiven, RuleHoldView};
use amends_protocol::wire::percent;

/// Options of `rules hold`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  amends rules hold food-order 'payment/report-1' --reason 'it refunds twice'\n  \
amends rules hold food-order --reason 'until we know more'\n  amends rules release food-order 'payment/report-1' --reason mended\n\n\
Cases are opened, planned and shown as ever. What is under way ends, and is not tried again; what another rule asks for as \
well goes. A hold stands for every version of the rulebook, over restarts, until it is released."
)]
pub struct HoldOptions {
    #[command(flatten)]
    what: What,
}

/// Options of `rules release`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  amends rules release food-order 'payment/report-1' --reason 'the rule is mended'\n  \
amends rules release food-order --reason 'all is well'\n\n\
What waited is sent now. To have its cases planned with a mended version first: `amends cases replan`."
)]
pub struct ReleaseOptions {
    #[command(flatten)]
    what: What,
}

#[derive(Debug, clap::Args)]
struct What {
    /// Which rulebook
    #[arg(value_name = "NAME")]
    name: String,
    /// Which rule, by its label [default: all of the rulebook]
    #[arg(value_name = "RULE")]
    rule: Option<String>,
    /// Why, for the audit
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: Connection,
}

impl What {
    fn client(&self) -> Outcome<Client> {
        self.connection.client()
    }

    fn path(&self) -> String {
        format!("/v1/rulebooks/{}/hold", percent::part(&self.name))
    }

    /// `?rule=payment%2F*`, or nothing.
    fn query(&self) -> Vec<String> {
        self.rule.iter().map(|rule| format!("rule={}", percent::part(rule))).collect()
    }

    fn tell(&self, held: &[RuleHoldView]) -> Outcome {
        if self.json {
            return output::json(&held);
        }
        if held.is_empty() {
            return output::line(&format!("nothing of {} is held", self.name));
        }
        held.iter().try_for_each(|hold| output::line(&told(hold)))
    }
}

/// `⊟ held: rule payment/report-1 of rulebook shop, by ann since …, because …`.
pub(super) fn told(hold: &RuleHoldView) -> String {
    format!("⊟ {}", hold.sentence())
}

pub(super) fn hold(options: &HoldOptions) -> Outcome {
    let what = &options.what;
    let client = what.client()?;
    let path = with_query(what.path(), &what.query());
    let body = ReasonGiven { reason: what.reason.clone() };
    let held: Vec<RuleHoldView> = block_on(client.put(&path, &body))?;
    what.tell(&held)?;
    if what.json {
        return Ok(());
    }
    let rule = what.rule.as_ref().map_or(String::new(), |rule| format!(" '{rule}'"));
    output::line(&format!("to undo: amends rules release {}{rule} --reason '...'", what.name))
}

pub(super) fn release(options: &ReleaseOptions) -> Outcome {
    let what = &options.what;
    let client = what.client()?;
    let mut query = what.query();
    query.push(format!("reason={}", percent::part(&what.reason)));
    let held: Vec<RuleHoldView> = block_on(client.delete(&with_query(what.path(), &query)))?;
    what.tell(&held)
}

fn with_query(path: String, query: &[String]) -> String {
    if query.is_empty() { path } else { format!("{path}?{}", query.join("&")) }
}
