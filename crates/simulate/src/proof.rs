//! Every single failure of every saga, played whole: is anything left behind?
//!
//! Four things keep this small. Whether an optional call is made is decided when it is met, so sagas that differ
//! behind the failure are one. Reports commute: they come as it happened, and the last first, which makes each of
//! them a root. What is late comes behind each effect that its own work can notice, of several
//! tries behind the first; all else commutes with it. Optional calls that share no service are combined in twos.

use crate::choices::{Choices, Decided, each_choice};
use crate::fault::{Declared, Fault, FaultKind, Spot, faults_at, faults_of_request};
use crate::flow::{Flow, entries};
use crate::play::{Asked, Played, play_with};
use crate::schedule::{Order, Schedule, Spacing};
use crate::simulation::{ALWAYS, Counterexample};
use crate::verdict::Finding;
use amends_rulebook::{ActionId, Field, Mode, Rule, Rulebook};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::sync::Arc;

/// Plays that are few enough for a proof.
pub const PLAYS_LIMIT: usize = 500_000;

/// Rules times actions that are few enough to look for the codes that each action may report.
const SIZE_LIMIT: usize = 2_000_000;

/// Bad ends that are told; of more each tells little.
const BAD_ENDS_LIMIT: usize = 200;

/// What came of playing everything.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Proof {
    /// How often a saga was played.
    pub plays: usize,
    /// Why that is not everything; none: it is.
    pub not_proved: Option<NotProved>,
    /// Each kind of end with something left behind, with the simplest story found.
    pub left_behind: Vec<Counterexample>,
    /// Labels of the rules that answered.
    pub reached: BTreeSet<String>,
}

/// Why not everything was played.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NotProved {
    /// More plays than the limit.
    TooManyPlays,
    /// A saga of more requests than are played.
    TooLong,
}

impl Proof {
    /// Whether everything was played.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.not_proved.is_none()
    }
}

/// Plays every single failure, at most `limit` plays. `told` hears of the number of plays now and then, and may stop
/// it.
#[must_use]
pub fn prove(
    book: &Arc<Rulebook>,
    limit: usize,
    told: &mut dyn FnMut(usize) -> ControlFlow<()>,
) -> Proof {
    let mut proof = Proof::default();
    let everything = match Everything::of(book, limit) {
        Ok(everything) => everything,
        Err(why) => {
            proof.not_proved = Some(why);
            return proof;
        }
    };
    let mut explorer = Explorer { book, limit, told, proof, by_way: false, found: BTreeMap::new() };
    let whole = everything.flows.iter().all(|flow| {
        explorer.by_way = asks_the_way(book, flow);
        each_fault(book, &everything.declared, flow, &mut |fault, decided| {
            explorer.play_fault(flow, fault, decided).is_some()
        })
    });
    if !whole {
        explorer.proof.not_proved = Some(NotProved::TooManyPlays);
    }
    explorer.proof
}

/// Whether a rulebook has at most so many faults, each in its place: every one takes a play, or several.
#[must_use]
pub fn has_at_most(book: &Rulebook, faults: usize) -> bool {
    Everything::of(book, faults).is_ok()
}

/// All sagas of a rulebook, and what can strike them.
struct Everything<'b> {
    flows: Vec<Flow>,
    declared: Declared<'b>,
}

impl<'b> Everything<'b> {
    /// As far as it may be few enough to play: each fault in its place takes a play, or several.
    fn of(book: &'b Rulebook, limit: usize) -> Result<Self, NotProved> {
        let size = book.rules().len().saturating_mul(book.actions().len());
        if size > SIZE_LIMIT || book.rules().len() > limit {
            return Err(NotProved::TooManyPlays);
        }
        let flows: Vec<Flow> = entries(book).into_iter().map(|id| Flow::whole(book, id)).collect();
        if flows.iter().any(|flow| flow.cut) {
            return Err(NotProved::TooLong);
        }
        let declared = Declared::without_limits(book);
        // To count costs a thousandth of playing.
        let mut counted = 0;
        let fits = flows.iter().all(|flow| {
            each_fault(book, &declared, flow, &mut |_, _| {
                counted += 1;
                counted <= limit
            })
        });
        if fits { Ok(Self { flows, declared }) } else { Err(NotProved::TooManyPlays) }
    }
}

/// Whether a rule for a service of this saga asks where it began, or who called: not every service says so.
fn asks_the_way(book: &Rulebook, flow: &Flow) -> bool {
    let asks =
        |rule: &&Rule| rule.when.iter().any(|c| matches!(c.field, Field::Entry | Field::Caller));
    let takes_part =
        |name: &str| flow.nodes.iter().any(|node| *book.get(node.action).name.service == *name);
    let mut rules = book.rules().iter().filter(asks);
    rules.any(|rule| rule.pattern.service.as_deref().is_none_or(takes_part))
}

/// Each place of each request with everything that can strike there, once for each combination of calls before it.
fn each_fault(
    book: &Rulebook,
    declared: &Declared<'_>,
    flow: &Flow,
    run: &mut dyn FnMut(&Fault, &Decided) -> bool,
) -> bool {
    let mut faults = Vec::new();
    for node in 0..flow.nodes.len() {
        let calls = &flow.nodes[node].calls;
        for after in (0..=calls.len()).filter(|after| !flow.is_awaiting(node, *after)) {
            // Of calls that are made at once, none is the last.
            let call = after.checked_sub(1).map(|n| calls[n]);
            let call = call.filter(|n| flow.nodes[*n].slot.together.is_none());
            let mut must = Decided::new();
            ways_to(flow, node).chain(call).for_each(|n| require(flow, n, &mut must));
            let whole = each_choice(flow, must, &mut |decided| {
                let choices = Choices::new(decided.clone());
                walk(flow, 0, (node, after), &choices);
                let met = choices.into_met();
                let mut all = decided.clone();
                all.extend(met.iter().map(|n| (*n, true)));
                let choices = Choices::new(all.clone());
                faults.clear();
                faults_at(
                    book,
                    declared,
                    flow,
                    Spot { node, after, choices: &choices },
                    &mut faults,
                );
                if after == 0 && node > 0 {
                    faults_of_request(flow, node, &mut faults);
                }
                faults.iter().all(|fault| run(fault, &all)).then_some(met)
            });
            if !whole {
                return false;
            }
        }
    }
    true
}

/// Decides so that a request is made.
fn require(flow: &Flow, node: usize, decided: &mut Decided) {
    let slot = &flow.nodes[node].slot;
    if let Some(first) = slot.only_with {
        require(flow, first, decided);
    }
    decided.extend(slot.unless.iter().map(|other| (*other, false)));
    if slot.optional {
        decided.insert(node, true);
    }
}

/// A request and its callers.
fn ways_to(flow: &Flow, node: usize) -> impl Iterator<Item = usize> {
    std::iter::successors(Some(node), |n| flow.nodes[*n].parent)
}

/// Meets every optional call that a saga decides about before it comes to a place.
fn walk(flow: &Flow, at: usize, place: (usize, usize), choices: &Choices) -> bool {
    let calls = &flow.nodes[at].calls;
    for (n, call) in calls.iter().enumerate() {
        if (at, n) == place || (choices.makes(flow, *call) && walk(flow, *call, place, choices)) {
            return true;
        }
    }
    (at, calls.len()) == place
}

struct Explorer<'b, 't> {
    book: &'b Arc<Rulebook>,
    limit: usize,
    told: &'t mut dyn FnMut(usize) -> ControlFlow<()>,
    proof: Proof,
    /// Some rule for this saga asks where it began, or who called.
    by_way: bool,
    /// Positions among those left behind.
    found: BTreeMap<(Finding, Vec<String>), usize>,
}

impl Explorer<'_, '_> {
    /// Everything that can come of one fault; none: that was too much.
    fn play_fault(&mut self, flow: &Flow, fault: &Fault, decided: &Decided) -> Option<()> {
        let plain = Schedule::plain(vec![fault.clone()]);
        self.play_schedule(flow, &plain, decided)?;
        if self.by_way {
            self.play_schedule(flow, &Schedule { nameless: true, ..plain }, decided)?;
        }
        Some(())
    }

    fn play_schedule(&mut self, flow: &Flow, plain: &Schedule, decided: &Decided) -> Option<()> {
        let mut over = false;
        let whole = each_choice(flow, decided.clone(), &mut |decided| {
            let played = self.play(flow, plain, decided)?;
            let mut all = decided.clone();
            all.extend(played.met.iter().map(|n| (*n, true)));
            over |= self.vary(flow, plain, &played, &all).is_none();
            (!over).then_some(played.met)
        });
        whole.then_some(())
    }

    /// What else can come of it: another order, late work, a failure that lasts.
    fn vary(
        &mut self,
        flow: &Flow,
        plain: &Schedule,
        played: &Played,
        decided: &Decided,
    ) -> Option<()> {
        if played.events > 1 {
            self.play_all(flow, &Schedule { order: Order::Reversed, ..plain.clone() }, decided)?;
        }
        let fault = plain.faults.first()?;
        if played.gives_up && matches!(fault.kind, FaultKind::Fails { .. }) {
            let faults = vec![Fault { times: ALWAYS, ..fault.clone() }];
            let lasting = Schedule { faults, ..plain.clone() };
            self.play_all(flow, &lasting, decided)?;
        }
        if played.late {
            let spacing = Spacing::Together;
            let after = |n| Schedule { late_after: Some(n), spacing, ..plain.clone() };
            let asked = self.play_all(flow, &after(usize::MAX), decided)?;
            let noticed = noticed_by(self.book, flow, fault);
            // One that is tried again finds what it found before.
            let mut before = None;
            let behind = (1..).zip(&asked).filter(|(_, asked)| {
                let again = before.replace(*asked) == Some(*asked);
                !again && noticed.concerns(self.book, asked)
            });
            for n in std::iter::once(0).chain(behind.map(|(n, _)| n)) {
                self.play_all(flow, &after(n), decided)?;
            }
        }
        Some(())
    }

    /// Plays a schedule with each combination of the calls that are still open; what the effects of the first were
    /// about.
    fn play_all(
        &mut self,
        flow: &Flow,
        schedule: &Schedule,
        decided: &Decided,
    ) -> Option<Vec<Asked>> {
        let mut first = None;
        let whole = each_choice(flow, decided.clone(), &mut |decided| {
            let played = self.play(flow, schedule, decided)?;
            first.get_or_insert(played.asked);
            Some(played.met)
        });
        first.filter(|_| whole)
    }

    fn play(&mut self, flow: &Flow, schedule: &Schedule, decided: &Decided) -> Option<Played> {
        if self.proof.plays == self.limit {
            return None;
        }
        self.proof.plays += 1;
        if self.proof.plays.is_multiple_of(256) && (self.told)(self.proof.plays).is_break() {
            return None;
        }
        let choices = Choices::new(decided.clone());
        let mut played = play_with(self.book, flow, schedule, choices, false);
        for rule in &played.rules {
            if !self.proof.reached.contains(rule) {
                self.proof.reached.insert(rule.clone());
            }
        }
        if let Some(finding) = played.finding.take().filter(Finding::is_left_behind) {
            self.note(flow, schedule, decided, (finding, played.rules.clone()));
        }
        Some(played)
    }

    fn note(
        &mut self,
        flow: &Flow,
        schedule: &Schedule,
        decided: &Decided,
        end: (Finding, Vec<String>),
    ) {
        if let Some(known) = self.found.get(&end) {
            self.proof.left_behind[*known].schedules += 1;
            return;
        }
        // A rule that only watches leaves everything behind, which is what it is for while it is being tried.
        let is_watching = |label: &String| {
            let mut rules = self.book.rules().iter();
            rules.any(|r| r.index_label == *label && r.mode == Mode::Shadow)
        };
        if self.found.len() == BAD_ENDS_LIMIT || end.1.iter().any(is_watching) {
            return;
        }
        let choices = Choices::new(decided.clone());
        let told = play_with(self.book, flow, schedule, choices, true);
        self.proof.left_behind.push(Counterexample {
            flow: label(self.book, flow, decided),
            faults: schedule.describe(self.book, flow),
            rules: end.1.clone(),
            finding: end.0.clone(),
            story: told.story,
            schedules: 1,
        });
        self.found.insert(end, self.proof.left_behind.len() - 1);
    }
}

/// `order.place`, or `order.place without coupon.redeem`.
fn label(book: &Rulebook, flow: &Flow, decided: &Decided) -> String {
    let name = |n: usize| book.get(flow.nodes[n].action).name.to_string();
    let left_out: Vec<String> = decided
        .iter()
        .filter(|(n, made)| !**made && **n < flow.nodes.len())
        .map(|(n, _)| name(*n))
        .collect();
    match left_out.as_slice() {
        [] => name(0),
        all => format!("{} without {}", name(0), all.join(", ")),
    }
}

/// The actions whose effects late work can notice, or be noticed by.
struct Noticed(BTreeSet<ActionId>);

/// Late work calls what is below it. If it is called again, its caller must have succeeded, and so on. What nobody
/// waits for, and what is called at once, may be late without a fault of its own.
fn noticed_by(book: &Rulebook, flow: &Flow, fault: &Fault) -> Noticed {
    let mut actions = BTreeSet::new();
    let is_event = |n: usize| flow.call_of(book, n).is_some_and(|call| call.is_event());
    if (0..flow.nodes.len()).any(|n| flow.nodes[n].slot.together.is_some() || is_event(n)) {
        return Noticed(flow.nodes.iter().map(|node| node.action).collect());
    }
    let mut open = vec![fault.node];
    while let Some(n) = open.pop() {
        actions.insert(flow.nodes[n].action);
        open.extend(&flow.nodes[n].calls);
    }
    let above = || ways_to(flow, fault.node).map(|n| flow.nodes[n].action);
    if above().any(|id| book.get(id).on_failure_retry) {
        actions.extend(above());
    }
    Noticed(actions)
}

impl Noticed {
    fn concerns(&self, book: &Rulebook, asked: &Asked) -> bool {
        match asked {
            Asked::Step(id) => {
                self.0.contains(id)
                    || book.get(*id).correction_of.is_some_and(|of| self.0.contains(&of))
            }
            Asked::History(service) => {
                self.0.iter().any(|id| *book.get(*id).name.service == **service)
            }
        }
    }
}
