//! What an upgrade would change: stored cases, judged by the engine of this version as it judges them on their next
//! input. No time passes meanwhile, and nothing is sent.
//!
//! A settled case is judged as if it were heard of again; by itself an upgrade reopens none.

use amends_engine::{
    BrokenCase, Engine, LookupResult, RulebookRow, StepRow, StepState, StoredCase, UnreadableRow,
    Write,
};
use amends_protocol::{CaseId, CaseState, Timestamp};
use amends_rulebook::Rulebook;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// A preview that is being fed.
#[derive(Debug)]
pub struct UpgradePreview {
    now: Timestamp,
    books: BTreeMap<Arc<str>, Arc<Rulebook>>,
    active: Vec<Arc<Rulebook>>,
    /// Versions that were looked up, or are active.
    seen: BTreeSet<Arc<str>>,
    found: Previewed,
    groups: BTreeMap<(String, Vec<String>), (usize, CaseId)>,
}

/// What came of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Previewed {
    /// Cases that are not settled.
    pub open: usize,
    /// Settled ones.
    pub settled: usize,
    /// Cases whose plan or state would change.
    pub changed: usize,
    /// Those of them that would need a person, and don't now.
    pub stuck: usize,
    /// Cases that could not be worked on.
    pub quarantined: usize,
    /// Versions of rulebooks that can't be read.
    pub unreadable: Vec<UnreadableRow>,
    /// The differences, the most frequent first.
    pub groups: Vec<PreviewGroup>,
}

/// Cases with the same difference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PreviewGroup {
    /// Their first report, `service/code`.
    pub report: String,
    /// What would be new, a sentence or a step each.
    pub differences: Vec<String>,
    /// How many.
    pub cases: usize,
    /// One of them.
    pub example: CaseId,
}

impl UpgradePreview {
    /// With the versions that are active, as they are stored; `now` is when the store was last written.
    #[must_use]
    pub fn new(active: &[RulebookRow], now: Timestamp) -> Self {
        let mut preview = Self {
            now,
            books: BTreeMap::new(),
            active: Vec::new(),
            seen: BTreeSet::new(),
            found: Previewed::default(),
            groups: BTreeMap::new(),
        };
        active.iter().for_each(|row| preview.learn(row));
        preview
    }

    /// Whether a version must be learned before cases with it are judged.
    #[must_use]
    pub fn needs(&self, stored: &StoredCase) -> Option<Arc<str>> {
        let book = stored.case.rulebook.as_ref()?;
        Some(Arc::clone(&book.hash)).filter(|hash| !self.seen.contains(hash))
    }

    /// Reads a version of a rulebook as this version of the program does.
    pub fn learn(&mut self, row: &RulebookRow) {
        if !self.seen.insert(Arc::clone(&row.hash)) {
            return;
        }
        match row.read() {
            Ok(book) if row.active => {
                self.active.push(Arc::clone(&book));
                self.books.insert(Arc::clone(&row.hash), book);
            }
            Ok(book) => drop(self.books.insert(Arc::clone(&row.hash), book)),
            Err(unreadable) => self.found.unreadable.push(UnreadableRow {
                row: format!("rulebook `{}` ({})", unreadable.name, unreadable.hash),
                why: unreadable.why,
            }),
        }
    }

    /// A case that can't be read.
    pub fn add_broken(&mut self, broken: &BrokenCase) {
        self.count(broken.settled);
        self.quarantined(broken.id, "unknown", &broken.broken);
    }

    /// Judges a case.
    pub fn add(&mut self, stored: StoredCase) {
        let (id, is_settled) = (stored.case.id, stored.case.state == CaseState::Settled);
        self.count(is_settled);
        let report = stored.case.report.to_string();
        let before = stored.clone();
        match self.judge(stored, is_settled) {
            Err(broken) => self.quarantined(id, &report, &broken),
            Ok((state, steps)) => {
                let (differences, is_stuck) = compare(&before, is_settled, state, &steps);
                if !differences.is_empty() {
                    self.found.changed += 1;
                    self.found.stuck += usize::from(is_stuck);
                    self.group(id, report, differences);
                }
            }
        }
    }

    /// What is different, and how often.
    #[must_use]
    pub fn finish(mut self) -> Previewed {
        let groups = self.groups.into_iter();
        self.found.groups = groups
            .map(|((report, differences), (cases, example))| PreviewGroup {
                report,
                differences,
                cases,
                example,
            })
            .collect();
        self.found.groups.sort_by_key(|group| std::cmp::Reverse(group.cases));
        self.found
    }

    /// The case's state and steps after the engine has taken it in.
    fn judge(
        &self,
        mut stored: StoredCase,
        is_settled: bool,
    ) -> Result<(CaseState, BTreeMap<u32, StepRow>), UnreadableRow> {
        let id = stored.case.id;
        if is_settled {
            stored.case.state = CaseState::Open;
            stored.case.closed_on = None;
            stored.case.settled_at = None;
            stored.case.detail.quiet_at = None;
        }
        let mut state = stored.case.state;
        let mut steps: BTreeMap<u32, StepRow> =
            stored.steps.iter().map(|step| (step.id.ordinal, step.clone())).collect();
        let mut engine = Engine::new(id.0);
        engine.halt();
        self.active.iter().for_each(|book| engine.restore_active(Arc::clone(book)));
        self.books.values().for_each(|book| engine.learn_rulebook(Arc::clone(book)));
        engine.take_output(self.now); // of nothing: from here on it knows the time
        engine.learn(LookupResult { cases: vec![stored], ..LookupResult::default() }, []);
        if let Some(found) = engine.quarantined().into_iter().next() {
            return Err(found.case.broken);
        }
        for write in engine.take_output(self.now).writes {
            match write {
                Write::Case(row) if row.id == id => state = row.state,
                Write::Step(row) => drop(steps.insert(row.id.ordinal, *row)),
                Write::Case(_)
                | Write::Report(_)
                | Write::Attempt(_)
                | Write::Act(_)
                | Write::Saga(_)
                | Write::Service(_)
                | Write::Stranger(_)
                | Write::Activate(_)
                | Write::Remove(_) => {}
            }
        }
        Ok((state, steps))
    }

    fn count(&mut self, is_settled: bool) {
        match is_settled {
            true => self.found.settled += 1,
            false => self.found.open += 1,
        }
    }

    fn quarantined(&mut self, id: CaseId, report: &str, broken: &UnreadableRow) {
        self.found.quarantined += 1;
        let why = match broken.row.strip_prefix("rulebook ") {
            Some(rulebook) => format!("quarantined: rulebook {rulebook}: {}", broken.why),
            // The row names the case, which would make a group of each.
            None => format!("quarantined: {}", broken.why),
        };
        self.group(id, report.to_owned(), vec![why]);
    }

    fn group(&mut self, id: CaseId, report: String, differences: Vec<String>) {
        self.groups.entry((report, differences)).or_insert((0, id)).0 += 1;
    }
}

/// What is different in words, and whether a person is needed who was not.
fn compare(
    before: &StoredCase,
    is_settled: bool,
    state: CaseState,
    steps: &BTreeMap<u32, StepRow>,
) -> (Vec<String>, bool) {
    let mut differences = BTreeSet::new();
    let mut is_stuck = false;
    for step in steps.values() {
        let known = before.steps.iter().find(|known| known.id == step.id);
        let what = format!("{} {}", step.verb, step.action);
        let was_stuck = known.is_some_and(|known| matches!(known.state, StepState::Stuck(_)));
        match (&step.state, known) {
            (StepState::Stuck(reason), _) if !was_stuck => {
                is_stuck = true;
                differences.insert(format!("stuck: {what}: {reason}"));
            }
            (StepState::Shadow, None) => drop(differences.insert(format!("+ {what} in shadow"))),
            (_, None) => drop(differences.insert(format!("+ {what}"))),
            (StepState::Superseded, Some(known)) if known.state != StepState::Superseded => {
                differences.insert(format!("- {what}"));
            }
            (_, Some(_)) => {}
        }
    }
    let was = before.case.state;
    if !is_settled && state != was {
        is_stuck |= matches!(state, CaseState::Stuck | CaseState::Unmatched);
        differences.insert(format!("{was} becomes {state}"));
    }
    (differences.into_iter().collect(), is_stuck)
}

impl Previewed {
    /// For people.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut out = String::new();
        for UnreadableRow { row, why } in &self.unreadable {
            out += &format!("{row} can't be read: {why}\n");
        }
        for group in &self.groups {
            let some = if group.cases == 1 { "case" } else { "cases" };
            out += &format!("{}: {} {some}, e.g. {}\n", group.report, group.cases, group.example);
            for difference in &group.differences {
                out += &format!("  {difference}\n");
            }
        }
        let Self { open, settled, changed, stuck, quarantined, .. } = self;
        out + &format!(
            "{} cases looked at, {open} open and {settled} settled: {changed} would change on their next input, {stuck} of them would need a person, {quarantined} could not be worked on\n",
            open + settled
        )
    }

    /// As data.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let group = |g: &PreviewGroup| json!({ "report": g.report, "differences": g.differences, "cases": g.cases, "example": g.example });
        let unreadable = |r: &UnreadableRow| json!({ "row": r.row, "why": r.why });
        json!({
            "open": self.open,
            "settled": self.settled,
            "changed": self.changed,
            "stuck": self.stuck,
            "quarantined": self.quarantined,
            "unreadable": self.unreadable.iter().map(unreadable).collect::<Vec<_>>(),
            "groups": self.groups.iter().map(group).collect::<Vec<_>>(),
        })
    }

    /// Whether anything is different.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.groups.is_empty() && self.unreadable.is_empty()
    }
}
