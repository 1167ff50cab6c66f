//! What a run has come to, as `--json` prints it and in one line. It is filled elsewhere.

use crate::attacks::Attack;
use crate::cases::{ReportCount, ServiceCount, Undone};
use crate::chaos::ChaosCount;
use crate::deploys::GatewayCount;
use crate::fleet::NodesCount;
use crate::invariants::{Invariant, OrderCount};
use crate::published::PublishedCount;
use amends_api::signs::Signed;
use amends_api::{CaseState, ClosedOn, QuestionKind, totals_in_words};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The result of a run; `--json` prints it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Summary {
    /// Which business ran.
    pub business: String,
    /// What the plan was made from.
    pub seed: u64,
    /// How the orders ended.
    pub orders: OrderCount,
    /// Planned faults by kind.
    pub faults: BTreeMap<String, u64>,
    /// Reports by `service/code`, with the steps that they led to.
    pub reports: BTreeMap<String, ReportCount>,
    /// How far each service has compensated.
    pub services: BTreeMap<String, ServiceCount>,
    /// Whether the business held.
    pub invariants: Vec<Invariant>,
    /// Cases by state.
    pub cases: BTreeMap<CaseState, u64>,
    /// Settled cases by closing word.
    #[serde(default)]
    pub closed_on: BTreeMap<ClosedOn, u64>,
    /// Open questions by kind. None are expected: everybody here keeps what the protocol promises.
    #[serde(default)]
    pub questions: BTreeMap<QuestionKind, u64>,
    /// How much the cases were about in which something was undone.
    #[serde(default)]
    pub undone: Undone,
    /// How the customers saw it: answers by kind.
    pub customers: BTreeMap<String, u64>,
    /// How often the supervisor was killed.
    pub kills: u32,
    /// How many cases it had open each time, just before it was killed.
    pub open_at_kills: Vec<u64>,
    /// What chaos came to, in a run with `--chaos`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chaos: Option<ChaosCount>,
    /// What became of the reports at a broker, in a run with `--broker`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub published: Option<PublishedCount>,
    /// What became of the nodes, in a run with several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nodes: Option<NodesCount>,
    /// What gateways did, in a run with `--gateways`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gateways: Option<GatewayCount>,
    /// How attacks were answered, in a run with `--secure`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attacks: Vec<Attack>,
    /// What went wrong that nobody planned, and what was left when patience ran out. Empty in a good run.
    pub mishaps: Vec<String>,
    /// From the first process to the last table, in milliseconds.
    pub elapsed_ms: u64,
}

impl Summary {
    /// Whether every invariant holds, nothing is left to do, and nothing happened that nobody planned.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.mishaps.is_empty() && self.invariants.iter().all(|invariant| invariant.held)
    }

    /// Settled cases by closing word and open questions by kind, as a line: `cases: 52 proven, 3 quiet; questions: 0`.
    fn closings(&self) -> String {
        let cases = counted(&self.closed_on, "none settled");
        format!("cases: {cases}; questions: {}", counted(&self.questions, "0"))
    }

    /// The numbers of the run in a line, the cases by closing word, a line more for chaos, a broker, gateways and each
    /// attack.
    #[must_use]
    pub fn in_short(&self) -> String {
        let mut text = format!(
            "{} orders: {} complete, {} cancelled ({} never begun); {} with a planned fault; seed {}; {:.1} s",
            self.orders.total,
            self.orders.completed,
            self.orders.cancelled,
            self.orders.never_begun,
            self.faults.values().sum::<u64>(),
            self.seed,
            self.elapsed_ms as f64 / 1000.0
        );
        text.push_str(&format!("\n{}", self.closings()));
        let Undone { cases, amounts, without_amount } = &self.undone;
        let undone = totals_in_words(amounts, *cases, *without_amount);
        if !undone.is_empty() {
            text.push_str(&format!("\nundone: {undone}"));
        }
        if let Some(chaos) = &self.chaos {
            text.push_str(&format!("\n{chaos}"));
        }
        if let Some(nodes) = &self.nodes {
            text.push_str(&format!("\n{nodes}"));
        }
        if let Some(published) = &self.published {
            text.push_str(&format!("\n{published}"));
        }
        if let Some(gateways) = &self.gateways {
            text.push_str(&format!("\n{gateways}"));
        }
        for attack in &self.attacks {
            text.push_str(&format!("\n{attack}"));
        }
        text
    }
}

fn counted<W: Signed + Copy>(counts: &BTreeMap<W, u64>, none: &str) -> String {
    let parts: Vec<String> =
        counts.iter().map(|(word, count)| format!("{count} {}", word.sign().word)).collect();
    if parts.is_empty() { none.to_owned() } else { parts.join(", ") }
}
