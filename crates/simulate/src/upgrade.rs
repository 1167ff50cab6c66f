//! What an upgrade would change: stored cases, judged by the engine of this version as it judges them on their next
//! input. No time passes meanwhile, and nothing is sent.
//!
//! A settled case is judged as if it were heard of again; by itself an upgrade reopens none.

mod previewed;

pub use previewed::{PreviewGroup, PreviewQuestions, Previewed};

use amends_api::{CaseState, ClosedOn, QuestionEffect, QuestionKind};
use amends_engine::{
    BrokenCase, Engine, LookupResult, Question, RulebookRow, StepState, StoredCase, UnreadableRow,
    Write, open_questions,
};
use amends_protocol::{CaseId, Timestamp};
use amends_rulebook::Rulebook;
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
    questions: BTreeMap<(String, QuestionKind, QuestionEffect), BTreeSet<CaseId>>,
}

/// Examples of each kind of question: enough to see what they have in common.
const EXAMPLES: usize = 3;

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
            questions: BTreeMap::new(),
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
            Ok(after) => {
                let questions = self.questions_of(&before, &after);
                let (differences, is_stuck) = compare(&before, is_settled, &after, &questions);
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
        let questions = self.questions.into_iter();
        self.found.questions = questions
            .map(|((rulebook, kind, effect), cases)| PreviewQuestions {
                rulebook,
                kind,
                effect,
                cases: cases.len(),
                examples: cases.into_iter().rev().take(EXAMPLES).collect(),
            })
            .collect();
        self.found.questions.sort_by_key(|asked| std::cmp::Reverse(asked.cases));
        self.found
    }

    /// What is in doubt afterwards; counted, too. Whoever settled a case by hand has said enough of it.
    fn questions_of(&mut self, before: &StoredCase, after: &StoredCase) -> Vec<Question> {
        let Some(version) = &after.case.rulebook else { return Vec::new() };
        if before.case.closed_on == Some(ClosedOn::ByPerson) {
            return Vec::new();
        }
        let questions = open_questions(after, self.books.get(&version.hash));
        for question in &questions {
            let key = (version.name.to_string(), question.kind, question.effect);
            self.questions.entry(key).or_default().insert(after.case.id);
        }
        questions
    }

    /// The case as it is after the engine has taken it in.
    fn judge(&self, mut stored: StoredCase, is_settled: bool) -> Result<StoredCase, UnreadableRow> {
        let id = stored.case.id;
        if is_settled {
            stored.case.state = CaseState::Open;
            stored.case.closed_on = None;
            stored.case.settled_at = None;
            stored.case.extra.quiet_at = None;
        }
        let mut after = stored.clone();
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
                Write::Case(row) if row.id == id => after.case = *row,
                Write::Step(row) => {
                    let known = |step: &amends_engine::StepRow| step.id.ordinal == row.id.ordinal;
                    match after.steps.iter().position(known) {
                        Some(place) => after.steps[place] = *row,
                        None => after.steps.push(*row),
                    }
                }
                Write::Report(row) => {
                    let known = after.reports.iter_mut().find(|one| one.position == row.position);
                    if let Some(known) = known {
                        *known = *row;
                    }
                }
                Write::Case(_)
                | Write::Attempt(_)
                | Write::Act(_)
                | Write::Saga(_)
                | Write::Service(_)
                | Write::Stranger(_)
                | Write::RuleHold(_)
                | Write::Activate(_)
                | Write::Erasure(_)
                | Write::Erased(_)
                | Write::Remove(_) => {}
            }
        }
        Ok(after)
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
    after: &StoredCase,
    questions: &[Question],
) -> (Vec<String>, bool) {
    let mut differences = BTreeSet::new();
    let mut is_stuck = false;
    for step in &after.steps {
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
    let (was, state) = (before.case.state, after.case.state);
    if was != CaseState::Stuck {
        let held = questions.iter().filter(|question| question.holds());
        let asks: Vec<_> = held.map(|one| format!("asks: {}: {}", one.kind, one.about())).collect();
        is_stuck |= !asks.is_empty();
        differences.extend(asks);
    }
    if !is_settled && state != was {
        is_stuck |= matches!(state, CaseState::Stuck | CaseState::Unmatched);
        differences.insert(format!("{was} becomes {state}"));
    }
    (differences.into_iter().collect(), is_stuck)
}
