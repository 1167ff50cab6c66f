//! What a person sees while the run goes on: a bar on a terminal, or plain sentences in a slow run. Standard error only.

use crate::shop::{Ending, Shop};
use crate::workload::PlannedOrder;
use amends_api::CaseState;
use indicatif::{ProgressBar, ProgressStyle};
use std::collections::BTreeMap;
use std::time::Duration;

/// How often the cases are counted for the bar.
const COUNT_EVERY: Duration = Duration::from_millis(300);

/// The live view of one run.
pub struct Progress {
    bar: ProgressBar,
    slow: bool,
}

impl Progress {
    /// Begins the view; nothing is drawn where standard error is no terminal.
    #[must_use]
    pub fn new(orders: u32, slow: bool) -> Self {
        let bar = if slow { ProgressBar::hidden() } else { ProgressBar::new(u64::from(orders)) };
        if let Ok(style) =
            ProgressStyle::with_template("{elapsed:>4} orders {wide_bar} {pos}/{len}  {msg}")
        {
            bar.set_style(style);
        }
        Self { bar, slow }
    }

    /// Says something above the bar.
    pub fn say(&self, text: &str) {
        self.bar.suspend(|| eprintln!("{text}"));
    }

    /// Tells of an order before it is placed.
    pub fn before(&self, order: &PlannedOrder) {
        if !self.slow {
            return;
        }
        let fault = order.fault.map_or_else(
            || "nothing is planned to go wrong".to_owned(),
            |fault| format!("planned fault {}: {}", fault.word, fault.explanation),
        );
        let amount = format!("{}.{:02}", order.amount / 100, order.amount % 100);
        let (id, customer, details) = (&order.id, &order.customer, &order.details);
        eprintln!("{id}: {customer} orders for {amount}{details}; {fault}");
    }

    /// Tells how the customer saw it end.
    pub fn after(&self, ending: &Ending) {
        self.bar.inc(1);
        if self.slow {
            match ending {
                Ending::Placed => eprintln!("  the customer is told: placed"),
                Ending::Refused(status) => {
                    eprintln!("  the customer is told: {status}, not placed so far")
                }
                Ending::NoAnswer => eprintln!("  the customer gets no answer"),
            }
        }
    }

    /// Tells that a process was killed, in a slow run.
    pub fn killed(&self, victim: &impl std::fmt::Display) {
        if self.slow {
            eprintln!("kill -9: {victim}; it is started again");
        }
    }

    /// Tells what else was done to one, in a slow run.
    pub fn disturbed(&self, what: &impl std::fmt::Display) {
        if self.slow {
            eprintln!("{what}; it goes on in a while");
        }
    }

    /// Tells which services are deployed now, and what their gateways answer meanwhile.
    pub fn deploying(&self, services: &[&str], status: http::StatusCode) {
        self.say(&format!("deploying {}: their gateways answer {status}", services.join(", ")));
    }

    /// Tells what the supervisor does about the order, in a slow run.
    pub async fn explain(&self, shop: &Shop, order: &PlannedOrder) {
        if !self.slow {
            return;
        }
        let Ok(cases) = shop.cases().await else { return };
        let Some(case) = cases.of_saga(&order.id) else { return };
        for report in &case.reports {
            let message = report.data.message.as_deref().unwrap_or("");
            eprintln!(
                "  report {}/{} ({}): {message}",
                report.service,
                report.data.code,
                report.role.as_str().replace('_', " ")
            );
        }
        for step in &case.plan {
            let standing = step
                .outcome
                .map_or(step.state.as_str(), |outcome| outcome.as_str())
                .replace('_', " ");
            eprintln!("    {} {}: {standing}", step.verb, step.action);
        }
        eprintln!("  case {}: {}", case.summary.id, case.summary.state);
    }

    /// Counts cases on the bar until it is dropped.
    pub async fn count(&self, shop: &Shop) -> std::convert::Infallible {
        loop {
            if let Ok(states) = shop.case_states().await {
                self.bar.set_message(shown(&states));
            }
            tokio::time::sleep(COUNT_EVERY).await;
        }
    }

    /// Takes the bar away.
    pub fn end(&self) {
        self.bar.finish_and_clear();
    }
}

fn shown(states: &BTreeMap<CaseState, u64>) -> String {
    let count = |state| states.get(&state).copied().unwrap_or(0);
    format!(
        "cases: {} open, {} settled, {} stuck",
        count(CaseState::Open),
        count(CaseState::Settled),
        count(CaseState::Stuck) + count(CaseState::Unmatched)
    )
}
