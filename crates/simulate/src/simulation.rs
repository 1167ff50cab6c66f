//! Which schedules are played, and what is made of those that end badly.
//!
//! Three tiers, the plain ones first, so that a counterexample is the simplest of its kind: every fault in every place by
//! itself; each of these with everything that can vary around it; every two faults at once. A tier that fits into the
//! budget is played whole, of any other a sample that a seed decides.

use crate::fault::{Declared, Fault, FaultKind, faults};
use crate::flow::{Flow, flows};
use crate::play::{Played, play};
use crate::schedule::{Disturbance, Order, Schedule, Spacing};
use crate::seeded_rng::SeededRng;
use crate::verdict::Finding;
use amends_rulebook::Rulebook;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

/// Orders tried per fault: all of four events; of more a sample.
const ORDERS_LIMIT: usize = 24;

const SPACINGS: [Spacing; 3] = [Spacing::Apart, Spacing::Together, Spacing::OneEffect];

/// Runs of a retried action that a fault strikes when it is to outlast every retry.
pub(crate) const ALWAYS: u32 = 1_000;

/// How much is played, and when it is enough.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Schedules at most.
    pub max_schedules: usize,
    /// Decides the samples; the same seed plays the same schedules.
    pub seed: u64,
    /// Two faults at once as well.
    pub pairs: bool,
    /// Stops when so many different counterexamples are found.
    pub stop_after: usize,
}

impl Default for Options {
    /// 200,000 schedules, which take seconds; pairs; at most 20 counterexamples, since a person reads them one by one.
    fn default() -> Self {
        Self { max_schedules: 200_000, seed: 1, pairs: true, stop_after: 20 }
    }
}

/// What was played and what was found.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Simulation {
    /// Sagas without faults: each entry action with each choice of optional calls (or a sample of these).
    pub flows: usize,
    /// Whether these are all of them, in full length.
    pub flows_complete: bool,
    /// Requests in the longest of them.
    pub longest: usize,
    /// Faults, over all flows.
    pub faults: usize,
    /// Schedules played.
    pub schedules: usize,
    /// How much of each tier was played.
    pub tiers: Vec<Tier>,
    /// Schedules that ended badly.
    pub failed: usize,
    /// Rules that answered in none of the played schedules: of these nothing is known.
    pub rules_not_reached: Vec<String>,
    /// One story for each kind of bad end.
    pub counterexamples: Vec<Counterexample>,
}

/// One kind of schedules.
#[derive(Clone, Debug, Serialize)]
pub struct Tier {
    /// Its name.
    pub name: &'static str,
    /// How many there are.
    pub all: usize,
    /// How many of them were played.
    pub played: usize,
}

/// A schedule after which something is left behind.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Counterexample {
    /// The saga.
    pub flow: String,
    /// What goes wrong.
    pub faults: Vec<String>,
    /// The rules that answered.
    pub rules: Vec<String>,
    /// What is wrong in the end.
    #[serde(flatten)]
    pub finding: Finding,
    /// What happened, line by line.
    pub story: Vec<String>,
    /// How many schedules with the same rules ended the same way.
    pub schedules: usize,
}

/// Plays the sagas of `book` with failures everywhere. Nothing found means: in none of the played schedules was anything
/// left behind.
#[must_use]
pub fn simulate(book: &Arc<Rulebook>, options: &Options) -> Simulation {
    let mut rng = SeededRng::new(options.seed);
    let (flows, flows_complete) = flows(book, &mut rng);
    let mut run = Run {
        book,
        options,
        rng,
        left: options.max_schedules,
        found: BTreeMap::new(),
        reached: BTreeSet::new(),
        result: Simulation {
            flows: flows.len(),
            flows_complete: flows_complete && flows.iter().all(|f| !f.cut),
            longest: flows.iter().map(|f| f.nodes.len()).max().unwrap_or(0),
            faults: 0,
            schedules: 0,
            tiers: Vec::new(),
            failed: 0,
            rules_not_reached: Vec::new(),
            counterexamples: Vec::new(),
        },
    };
    let declared = Declared::of(book);
    let faults: Vec<(&Flow, Vec<Fault>)> =
        flows.iter().map(|f| (f, faults(book, &declared, f))).collect();
    run.result.faults = faults.iter().map(|(_, faults)| faults.len()).sum();
    let singles = run.alone(&faults);
    run.varied(&singles);
    if options.pairs {
        run.paired(&faults);
    }
    let written = book.rules().iter().filter(|r| !r.implied).map(|r| &r.index_label);
    run.result.rules_not_reached = written.filter(|r| !run.reached.contains(*r)).cloned().collect();
    run.result
}

/// A fault that was played by itself, and what its variations need to know.
struct Single<'f> {
    flow: &'f Flow,
    fault: &'f Fault,
    events: usize,
    effects: usize,
    gives_up: bool,
}

struct Run<'b> {
    book: &'b Arc<Rulebook>,
    options: &'b Options,
    rng: SeededRng,
    left: usize,
    /// Position of a bad end among the counterexamples.
    found: BTreeMap<(Finding, Vec<String>), usize>,
    /// Rules that answered.
    reached: BTreeSet<String>,
    result: Simulation,
}

impl Run<'_> {
    fn enough(&self) -> bool {
        self.left == 0 || self.result.counterexamples.len() >= self.options.stop_after
    }

    fn play(&mut self, flow: &Flow, schedule: &Schedule) -> Played {
        let mut played = play(self.book, flow, schedule, false);
        self.left = self.left.saturating_sub(1);
        self.result.schedules += 1;
        for rule in &played.rules {
            if !self.reached.contains(rule) {
                self.reached.insert(rule.clone());
            }
        }
        if let Some(finding) = played.finding.take() {
            self.result.failed += 1;
            self.note(flow, schedule, finding, &played);
        }
        played
    }

    fn note(&mut self, flow: &Flow, schedule: &Schedule, finding: Finding, played: &Played) {
        let key = (finding, played.rules.clone());
        if let Some(known) = self.found.get(&key) {
            self.result.counterexamples[*known].schedules += 1;
            return;
        }
        if self.enough() && self.left > 0 {
            return;
        }
        let told = play(self.book, flow, schedule, true);
        self.result.counterexamples.push(Counterexample {
            flow: flow.label(self.book),
            faults: schedule.describe(self.book, flow),
            rules: played.rules.clone(),
            finding: key.0.clone(),
            story: told.story,
            schedules: 1,
        });
        self.found.insert(key, self.result.counterexamples.len() - 1);
    }

    /// Every fault by itself, and every flow without any.
    fn alone<'f>(&mut self, faults: &'f [(&'f Flow, Vec<Fault>)]) -> Vec<Single<'f>> {
        let before = self.result.schedules;
        let mut singles = Vec::new();
        let all = faults.iter().map(|(_, f)| f.len() + 1).sum();
        let every: Vec<(&Flow, Option<&Fault>)> = faults
            .iter()
            .flat_map(|(flow, f)| {
                std::iter::once((*flow, None)).chain(f.iter().map(|f| (*flow, Some(f))))
            })
            .collect();
        let order = self.pick(every.len());
        for n in order {
            if self.enough() {
                break;
            }
            let (flow, fault) = every[n];
            let played = self.play(flow, &Schedule::plain(fault.cloned().into_iter().collect()));
            let (events, effects, gives_up) = (played.events, played.effects, played.gives_up);
            singles.extend(fault.map(|fault| Single { flow, fault, events, effects, gives_up }));
        }
        self.tier("one fault", all, before);
        singles
    }

    /// Positions below `count`: all in order if the budget covers them, else a sample.
    fn pick(&mut self, count: usize) -> Vec<usize> {
        if count <= self.left {
            return (0..count).collect();
        }
        (0..self.left).map(|_| self.rng.below(count)).collect()
    }

    fn varied(&mut self, singles: &[Single<'_>]) {
        let before = self.result.schedules;
        let all = singles.iter().fold(0usize, |n, s| n.saturating_add(variations_of(s, orders(s))));
        let listed: usize = singles.iter().map(|s| variations_of(s, listed_orders(s))).sum();
        // The pairs get the other half, if there are to be any.
        let share = if self.options.pairs { self.left / 2 } else { self.left };
        if listed <= share {
            for (n, single) in singles.iter().enumerate() {
                for schedule in variations(single, self.seed_of(n)) {
                    if self.enough() {
                        break;
                    }
                    self.play(single.flow, &schedule);
                }
            }
        } else if !singles.is_empty() {
            for _ in 0..share {
                if self.enough() {
                    break;
                }
                let n = self.rng.below(singles.len());
                let mut schedules = variations(&singles[n], self.seed_of(n));
                let schedule = schedules.swap_remove(self.rng.below(schedules.len()));
                self.play(singles[n].flow, &schedule);
            }
        }
        self.tier("one fault, in every order, with every disturbance", all, before);
    }

    /// Decides which orders of the n-th single are played, however often they are asked for.
    fn seed_of(&self, single: usize) -> u64 {
        self.options.seed.rotate_left(32) ^ single as u64
    }

    fn paired(&mut self, faults: &[(&Flow, Vec<Fault>)]) {
        let before = self.result.schedules;
        let all: usize = faults.iter().map(|(_, f)| f.len() * f.len().saturating_sub(1)).sum();
        let spacings = [Spacing::Apart, Spacing::Together];
        if all <= self.left {
            for (flow, faults) in faults {
                for (n, first) in faults.iter().enumerate() {
                    for second in &faults[n + 1..] {
                        for spacing in spacings {
                            if self.enough() {
                                break;
                            }
                            self.play(flow, &pair(first, second, spacing));
                        }
                    }
                }
            }
        } else if !faults.is_empty() {
            while !self.enough() {
                let (flow, faults) = &faults[self.rng.below(faults.len())];
                let first = &faults[self.rng.below(faults.len())];
                let second = &faults[self.rng.below(faults.len())];
                let spacing = spacings[self.rng.below(2)];
                self.play(flow, &pair(first, second, spacing));
            }
        }
        self.tier("two faults", all, before);
    }

    fn tier(&mut self, name: &'static str, all: usize, before: usize) {
        let played = self.result.schedules - before;
        self.result.tiers.push(Tier { name, all, played });
    }
}

fn pair(first: &Fault, second: &Fault, spacing: Spacing) -> Schedule {
    Schedule { spacing, ..Schedule::plain(vec![first.clone(), second.clone()]) }
}

/// In how many orders the aftermath of a fault can come. Saturates.
fn orders(single: &Single<'_>) -> usize {
    (1..=single.events).fold(1, usize::saturating_mul)
}

/// How many of them are tried.
fn listed_orders(single: &Single<'_>) -> usize {
    orders(single).min(ORDERS_LIMIT)
}

/// How many schedules [`variations`] makes of so many orders: each with every spacing, of which the plain one was played
/// already; twice; the effects disturbed; and the fault again and again. Saturates.
fn variations_of(single: &Single<'_>, orders: usize) -> usize {
    let rest = 2 + 3 * single.effects + usize::from(fails_for_good(single));
    orders.saturating_mul(SPACINGS.len()).saturating_add(rest) - 1
}

fn fails_for_good(single: &Single<'_>) -> bool {
    single.gives_up && matches!(single.fault.kind, FaultKind::Fails { .. })
}

/// The orders that are tried: all, or the plain one and others that the seed decides, none of them twice.
fn orders_tried(single: &Single<'_>, seed: u64) -> BTreeSet<usize> {
    let (orders, tried) = (orders(single), listed_orders(single));
    let mut rng = SeededRng::new(seed);
    let mut numbers: BTreeSet<usize> = BTreeSet::from([0]);
    while numbers.len() < tried {
        numbers.insert(if orders == tried { numbers.len() } else { rng.below(orders) });
    }
    numbers
}

/// What can vary around one fault. The same for the same seed.
fn variations(single: &Single<'_>, seed: u64) -> Vec<Schedule> {
    let plain = Schedule::plain(vec![single.fault.clone()]);
    let mut all = Vec::new();
    for n in orders_tried(single, seed) {
        let order = if n == 0 { Order::AsItHappened } else { Order::Permuted(n) };
        for spacing in SPACINGS {
            let schedule = Schedule { order, spacing, ..plain.clone() };
            if schedule != plain {
                all.push(schedule);
            }
        }
    }
    for spacing in [Spacing::Apart, Spacing::Together] {
        all.push(Schedule { twice: true, spacing, ..plain.clone() });
    }
    for n in 0..single.effects {
        let at = [Disturbance::AnswerLost(n), Disturbance::NotSent(n), Disturbance::Restart(n)];
        all.extend(at.map(|d| Schedule { disturbance: Some(d), ..plain.clone() }));
    }
    if fails_for_good(single) {
        all.push(Schedule::plain(vec![Fault { times: ALWAYS, ..single.fault.clone() }]));
    }
    all
}

impl fmt::Display for Counterexample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.finding)?;
        writeln!(f, "  saga   {}", self.flow)?;
        for fault in &self.faults {
            writeln!(f, "  fault  {fault}")?;
        }
        for rule in &self.rules {
            writeln!(f, "  rule   {rule}")?;
        }
        for (n, line) in (1..).zip(&self.story) {
            writeln!(f, "  {n:>4}. {line}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::LeftBehind { leftovers } => {
                let left: Vec<_> = leftovers.iter().map(|l| l.action.as_str()).collect();
                let wanted: Vec<_> = leftovers.iter().map(|l| l.wanted.as_str()).collect();
                write!(f, "left behind: {} (would take: {})", left.join(", "), wanted.join(", "))
            }
            Self::Incomplete { missing, wanted } => {
                write!(f, "the saga went on without: {}", missing.join(", "))?;
                match wanted.as_slice() {
                    [] => Ok(()),
                    wanted => write!(f, " (would take: then {})", wanted.join(", then ")),
                }
            }
            Self::WronglyCorrected { corrected } => {
                write!(
                    f,
                    "all of it stands, yet a correction went out for: {}",
                    corrected.join(", ")
                )
            }
            Self::Unmatched { reports } => {
                write!(f, "no rule answers: {}", reports.join(", "))
            }
            Self::InQuestion { questions } => {
                write!(f, "a person must say: {}", questions.join("; "))
            }
            Self::NeverSettles { steps } if steps.is_empty() => {
                write!(f, "the case never comes to its end")
            }
            Self::NeverSettles { steps } => {
                write!(f, "the case never comes to its end: {}", steps.join(", "))
            }
        }
    }
}
