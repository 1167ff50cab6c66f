//! Businesses of any size, made up from a seed, to measure how the number of rules grows with them.
//!
//! What a business looks like (services with one action each, calls in a tree per saga, some of them optional, some
//! services shared by two sagas, messages at the leaves) is made up; nothing is measured of real ones.

use crate::seeded_rng::SeededRng;
use crate::simulation::{Options, Simulation, simulate};
use amends_rulebook::{Diagnostic, Rulebook};
use amends_workbench::{ExplicitPart, Matrix, count_failure_points, derive, explicit_rulebook};
use std::fmt::Write as _;
use std::sync::Arc;

/// How large a business is to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Services; at least as many as sagas.
    pub services: usize,
    /// Sagas, each beginning with a service of its own.
    pub sagas: usize,
    /// Calls from the entry down to the deepest service.
    pub depth: usize,
    /// Of 100 calls so many are optional.
    pub optional_percent: usize,
    /// Decides all else.
    pub seed: u64,
}

const fn shape(services: usize, sagas: usize, depth: usize, optional_percent: usize) -> Shape {
    Shape { services, sagas, depth, optional_percent, seed: 3 }
}

/// Businesses from small to large.
pub const SIZES: [Shape; 7] = [
    shape(3, 1, 2, 35),
    shape(6, 1, 3, 35),
    shape(8, 1, 3, 35),
    shape(12, 2, 4, 35),
    shape(20, 2, 4, 35),
    shape(30, 3, 5, 35),
    shape(60, 5, 6, 35),
];

/// One business with more and more of its calls optional, and a larger one.
pub const OPTIONS: [Shape; 7] = [
    shape(24, 1, 4, 0),
    shape(24, 1, 4, 20),
    shape(24, 1, 4, 40),
    shape(24, 1, 4, 60),
    shape(24, 1, 4, 80),
    shape(24, 1, 4, 100),
    shape(40, 1, 4, 100),
];

/// Rules that are written out to be played; nobody would write more.
const BY_HAND_LIMIT: u128 = 5_000;

/// Calls that one action makes at most; a service that calls more is rare.
const CALLS_LIMIT: usize = 4;

/// Of 100 services without calls so many send messages, which can only be corrected.
const NOTICE_PERCENT: usize = 15;

/// Of 100 services so many are called by a second saga.
const SHARED_PERCENT: usize = 20;

const NAMES: &[&str] = &[
    "order", "booking", "claim", "signup", "refill", "payment", "stock", "invoice", "wallet",
    "coupon", "delivery", "rider", "points", "tax", "fraud", "ledger", "hotel", "flight", "car",
    "seat", "meal", "visa", "depot", "parcel", "route", "dock", "crane", "label", "scan", "vault",
    "bank", "card", "escrow", "fee", "audit", "profile", "consent", "badge", "room", "key",
    "meter", "line", "number", "device", "plan", "quota", "bundle", "gift", "voucher", "bonus",
    "rating", "slot", "shift", "crew", "truck", "pump", "sensor", "permit", "notary", "archive",
];

struct Made {
    name: String,
    saga: usize,
    depth: usize,
    calls: Vec<(usize, bool)>,
    notice: bool,
}

/// The services of a business as the head of a rulebook, without reports and rules.
#[must_use]
pub fn business(shape: &Shape) -> String {
    let services = make(shape);
    let mut text =
        format!("rulebook: business-{}\nsettle: {{ quiet: 2s }}\nservices:\n", shape.services);
    for service in &services {
        let calls: Vec<String> = service
            .calls
            .iter()
            .map(|(to, optional)| {
                let mark = if *optional { "?" } else { "" };
                format!("\"{}.run{mark}\"", services[*to].name)
            })
            .collect();
        let class = match service.notice {
            true => "on_failure: retry, correction: run-correction",
            false => "compensation: undo",
        };
        let calls = match calls.is_empty() {
            true => String::new(),
            false => format!(", calls: [{}]", calls.join(", ")),
        };
        let name = &service.name;
        let _ = writeln!(
            text,
            "  {name}: {{ url: \"http://{name}\", actions: {{ run: {{ {class}{calls} }} }} }}"
        );
    }
    text
}

/// The rules that such a business needs with layers and sets: the default, and for each saga one that keeps what is
/// below and runs the entry again.
#[must_use]
pub fn rules_with_sets(shape: &Shape) -> String {
    let entries = || (0..shape.sagas.min(shape.services)).map(name_of);
    let mut text = String::from("reports:\n");
    for entry in entries() {
        let _ = writeln!(text, "  {entry}/own-part: {{ in: run, keep: true }}");
    }
    text.push_str("rules:\n");
    for entry in entries() {
        let _ = writeln!(
            text,
            "  - {{ on: {entry}/own-part, retry: {entry}.run, give_up: {{ after: 10 attempts, then: {{ compensate: recorded }} }} }}"
        );
    }
    text.push_str("  - { on: \"*/*\", compensate: recorded }\n");
    text
}

/// How many rules one business takes, and what playing them left behind.
#[derive(Clone, Debug)]
pub struct Measured {
    /// Calls that not every saga makes.
    pub optional_calls: usize,
    /// What is declared besides the rules.
    pub declarations: usize,
    /// Failure points.
    pub points: u128,
    /// Rules written out, one for each failure point, and the default.
    pub rules_by_hand: u128,
    /// Rules with layers and sets.
    pub rules_with_sets: usize,
    /// Cells of the matrix of the rules with layers and sets.
    pub matrix_cells: usize,
    /// The rules written out, played; none if there are too many to write.
    pub by_hand: Option<Simulation>,
    /// The rules with layers and sets, played.
    pub with_sets: Simulation,
}

/// Writes both rulebooks for a business and plays each.
///
/// # Errors
/// What is wrong with a rulebook that was made up; it means a fault in this module.
pub fn measure(shape: &Shape, options: &Options) -> Result<Measured, Vec<Diagnostic>> {
    let head = business(shape);
    let with_sets = Rulebook::from_yaml(&(head.clone() + &rules_with_sets(shape)))?;
    let bare = Rulebook::from_yaml(&(head + "rules: [{ on: \"*/*\", compensate: recorded }]\n"))?;
    let points = count_failure_points(&bare);
    let by_hand = if points <= BY_HAND_LIMIT { written_out(&bare, points)? } else { None };
    let optional = bare.actions().iter().flat_map(|a| &a.calls).filter(|c| c.optional);
    Ok(Measured {
        optional_calls: optional.count(),
        declarations: declarations(&with_sets),
        points,
        rules_by_hand: by_hand.as_ref().map_or(points + 1, |book| rules_written(book) as u128),
        rules_with_sets: rules_written(&with_sets),
        matrix_cells: matrix_cells(&with_sets),
        by_hand: by_hand.map(|book| simulate(&book, options)),
        with_sets: simulate(&with_sets, options),
    })
}

/// One rule for each failure point; none if they are too many even for `derive`.
fn written_out(bare: &Rulebook, points: u128) -> Result<Option<Arc<Rulebook>>, Vec<Diagnostic>> {
    let derived = derive(bare);
    if derived.points.len() as u128 != points {
        return Ok(None);
    }
    Rulebook::from_yaml(&explicit_rulebook(bare, &derived, ExplicitPart::Whole)).map(Some)
}

/// Rules that somebody wrote.
#[must_use]
pub fn rules_written(book: &Rulebook) -> usize {
    book.rules().iter().filter(|r| !r.implied).count()
}

/// What somebody wrote besides the rules: services, actions, their calls, and reports.
#[must_use]
pub fn declarations(book: &Rulebook) -> usize {
    let actions = || book.actions().iter().filter(|action| action.correction_of.is_none());
    let calls: usize = actions().map(|action| action.calls.len()).sum();
    book.services().len() + actions().count() + calls + book.reports().len()
}

/// Cells of the matrix that shows the whole rulebook: its rows times its columns.
#[must_use]
pub fn matrix_cells(book: &Rulebook) -> usize {
    let matrix = Matrix::new(book, None).folded();
    (matrix.rows.len() + matrix.omitted) * matrix.columns.len()
}

impl Measured {
    /// The columns that are the same however much is played.
    #[must_use]
    pub fn counts(&self, shape: &Shape) -> String {
        format!(
            "| {} | {} | {} | {} | {} | {} | {} | {} |",
            shape.services,
            shape.sagas,
            self.optional_calls,
            self.declarations,
            self.points,
            self.rules_by_hand,
            self.rules_with_sets,
            self.matrix_cells
        )
    }

    /// The columns that tell what was played and what was left behind.
    #[must_use]
    pub fn played(&self) -> String {
        let told = |s: &Simulation| format!("{} / {}", s.schedules, s.failed);
        let by_hand = self.by_hand.as_ref().map_or_else(|| "too many to write".to_owned(), told);
        format!(" {by_hand} | {} |", told(&self.with_sets))
    }
}

fn name_of(n: usize) -> String {
    match NAMES.get(n) {
        Some(name) => (*name).to_owned(),
        None => format!("service-{n}"),
    }
}

fn make(shape: &Shape) -> Vec<Made> {
    let mut rng = SeededRng::new(shape.seed);
    let sagas = shape.sagas.clamp(1, shape.services.max(1));
    let mut made: Vec<Made> = Vec::with_capacity(shape.services);
    for n in 0..shape.services {
        let saga = n % sagas;
        let mut service =
            Made { name: name_of(n), saga, depth: 0, calls: Vec::new(), notice: false };
        if n >= sagas
            && let Some(caller) = caller_in(&made, saga, shape, &mut rng)
        {
            service.depth = made[caller].depth + 1;
            made[caller].calls.push((n, rng.chance(shape.optional_percent)));
        }
        made.push(service);
    }
    for n in sagas..made.len() {
        made[n].notice = made[n].calls.is_empty() && rng.chance(NOTICE_PERCENT);
        if sagas > 1 && rng.chance(SHARED_PERCENT) {
            let other = (made[n].saga + 1) % sagas;
            // Only entries call across sagas, so that calls never form a circle.
            if made[other].calls.len() < CALLS_LIMIT {
                made[other].calls.push((n, rng.chance(shape.optional_percent)));
            }
        }
    }
    made
}

/// A service of the saga that may call one more; the entry if none is left.
fn caller_in(made: &[Made], saga: usize, shape: &Shape, rng: &mut SeededRng) -> Option<usize> {
    let fits = |m: &Made| m.saga == saga && m.depth < shape.depth && m.calls.len() < CALLS_LIMIT;
    let able: Vec<usize> = (0..made.len()).filter(|n| fits(&made[*n])).collect();
    match able.is_empty() {
        true => made.iter().position(|m| m.saga == saga),
        false => Some(able[rng.below(able.len())]),
    }
}
