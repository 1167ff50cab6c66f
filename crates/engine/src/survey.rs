//! Looks through open cases for people: how many, how far each service has come, and groups of open work by cause. It
//! changes nothing, and goes in slices, so that a million open cases never hold the loop up.
//!
//! Each case is seen whole at one moment; two cases may be seen some milliseconds apart.

mod cause;
mod merge;
mod strangers;

pub use cause::{Group, GroupKey};
pub use strangers::{FoundStranger, StrangerScan};

use crate::Engine;
use crate::brief::{Brief, BriefQuestion, BriefStep, Since, Standing};
use amends_api::{CaseState, QuestionKind, StuckReason, Totals};
use amends_protocol::{CaseId, StepId, Timestamp};
use serde::{Deserialize, Serialize};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::sync::Arc;

/// Troubles that are kept: a screen of them.
const TROUBLES: usize = 20;
/// Kinds of groups that are told apart by their message; of more, the messages are left out.
const GROUPS: usize = 500;
/// Late cases that are named; the rest is a number.
const LATE_CASES: usize = 10_000;
/// Id of the group of all late cases; those of other groups are `g-` and a number.
const LATE: &str = "g-late";

/// What was found.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Survey {
    /// When it began.
    pub at: Timestamp,
    /// Cases that are not settled, by state.
    pub cases: BTreeMap<CaseState, u64>,
    /// Steps that wait for a person's yes.
    pub awaiting_approval: u64,
    /// When the oldest of these cases was opened.
    pub oldest_open_at: Option<Timestamp>,
    /// Cases that are older than their objective.
    pub late: u64,
    /// The newest of them; at most 10,000. Other nodes are not told.
    #[serde(skip)]
    pub late_cases: Vec<LateCase>,
    /// Their steps by service.
    pub services: BTreeMap<Arc<str>, Progress>,
    /// Open questions that hold their cases, by kind.
    pub questions: BTreeMap<QuestionKind, u64>,
    /// Open questions that are only shown.
    pub noted: BTreeMap<QuestionKind, u64>,
    /// What is stuck, in doubt or unmatched, newest first.
    pub troubles: Vec<Trouble>,
    /// How much the cases that are not settled are about.
    pub money: Totals,
    /// Open work by cause.
    #[serde(with = "merge::pairs")]
    pub groups: BTreeMap<GroupKey, Group>,
}

/// A case that is older than its objective.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LateCase {
    /// The case.
    pub case: CaseId,
    /// When it was opened.
    pub opened_at: Timestamp,
    /// Within which age it should have been settled.
    pub objective_ms: u64,
    /// Label of the rule that says so; none if no rule does.
    pub rule: Option<Arc<str>>,
}

/// When a case counts as late.
#[derive(Clone, Copy, Debug)]
pub struct Lateness {
    /// The moment that cases are looked at for.
    pub now: Timestamp,
    /// The objective of cases whose rules state none; none: they are never late.
    pub default_ms: Option<u64>,
}

/// How far one service has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// Ended with an outcome that the service reached.
    pub done: u64,
    /// A person decided to go without.
    pub waived: u64,
    /// Not asked for yet.
    pub waiting: u64,
    /// Asked for, or taken with 202.
    pub in_flight: u64,
    /// Asked for in vain; another try follows.
    pub retrying: u64,
    /// Need a person.
    pub stuck: u64,
}

/// Something that needs a person.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Trouble {
    /// Since when.
    pub at: Timestamp,
    /// The case.
    pub case: CaseId,
    /// The step that is stuck, and why.
    pub step: Option<(StepId, StuckReason)>,
    /// What is in doubt; without it and without a step, no rule answers the case.
    pub question: Option<QuestionKind>,
    /// `verb service.action`, what the question is about, or the report.
    pub subject: String,
    /// What the last try brought.
    pub message: Option<String>,
}

/// A look through the cases, under way.
#[derive(Debug)]
pub struct SurveyScan {
    left: Vec<CaseId>,
    lateness: Lateness,
    survey: Survey,
    troubles: BinaryHeap<Reverse<Trouble>>,
}

/// A search for the members of one group, under way.
#[derive(Debug)]
pub struct GroupScan {
    left: Vec<CaseId>,
    wanted: Sought,
    limit: usize,
    members: Members,
}

/// What is searched for.
#[derive(Clone, Copy, Debug)]
enum Sought {
    /// The group with this number in its id; none finds nothing.
    Group(Option<u64>),
    /// Late cases, with whatever holds them up.
    Late(Lateness),
}

/// What belongs to a group, newest case first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Members {
    /// Its cases, each with when it was opened: the order of lists.
    pub cases: Vec<(Timestamp, CaseId)>,
    /// Its steps, each with when its case was opened; a group of Histories or of unmatched cases has none.
    pub steps: Vec<(Timestamp, StepId)>,
    /// There are more than were asked for.
    pub more: bool,
    /// The group itself, as a survey of this moment has it; none of `g-late`, and of one without members.
    pub group: Option<(GroupKey, Group)>,
}

impl Engine {
    /// Begins to look through all open cases.
    #[must_use]
    pub fn survey(&self, lateness: Lateness) -> SurveyScan {
        let strangers = self.stranger_troubles().take(TROUBLES);
        SurveyScan {
            left: self.open_case_ids(),
            lateness,
            survey: Survey { at: lateness.now, ..Survey::default() },
            troubles: strangers.map(Reverse).collect(),
        }
    }

    /// What evidence tells of and no active rulebook knows, once for a rulebook and a name.
    fn stranger_troubles(&self) -> impl Iterator<Item = Trouble> {
        self.strangers_heard().map(|(rulebook, name, sighting)| Trouble {
            at: sighting.since,
            case: sighting.cases.first().copied().unwrap_or(CaseId(0)),
            step: None,
            question: Some(QuestionKind::Stranger),
            subject: name.to_string(),
            message: Some(format!(
                "{} tells of it, and rulebook `{rulebook}` does not know it; in {} cases since the start",
                sighting.by,
                sighting.cases.len()
            )),
        })
    }

    /// Begins to search for the members of a group, by its id; at most `limit` steps, or cases if it has no steps.
    /// `g-late` are all cases that are late, with the steps that hold them up.
    #[must_use]
    pub fn members(&self, group: &str, limit: usize, lateness: Lateness) -> GroupScan {
        let number = |hex| u64::from_str_radix(hex, 16).ok();
        let wanted = match group {
            LATE => Sought::Late(lateness),
            _ => Sought::Group(group.strip_prefix("g-").and_then(number)),
        };
        GroupScan { left: self.open_case_ids(), wanted, limit, members: Members::default() }
    }
}

impl SurveyScan {
    /// Looks at some more cases. True when all have been seen.
    pub fn look(&mut self, engine: &Engine, cases: usize) -> bool {
        for id in next(&mut self.left, cases) {
            // It may have been settled meanwhile.
            if let Some(brief) = engine.brief(id) {
                self.see(engine, id, &brief);
            }
        }
        self.left.is_empty()
    }

    /// What was found.
    #[must_use]
    pub fn finish(mut self) -> Survey {
        let troubles = self.troubles.into_sorted_vec();
        self.survey.troubles = troubles.into_iter().map(|Reverse(trouble)| trouble).collect();
        self.survey
    }

    fn see(&mut self, engine: &Engine, id: CaseId, brief: &Brief) {
        let survey = &mut self.survey;
        *survey.cases.entry(brief.state).or_default() += 1;
        survey.money.add(&brief.amounts);
        let opened = brief.opened_at;
        survey.oldest_open_at = Some(survey.oldest_open_at.map_or(opened, |at| at.min(opened)));
        if let Some(late) = late(id, brief, self.lateness) {
            survey.late += 1;
            if survey.late_cases.len() < LATE_CASES {
                survey.late_cases.push(late);
            }
        }
        survey.count(brief);
        let mut seen = BTreeSet::new();
        for blocker in cause::blockers(engine, id, brief) {
            let key = if survey.groups.len() < GROUPS || survey.groups.contains_key(&blocker.key) {
                blocker.key.clone()
            } else {
                GroupKey { error: None, ..blocker.key.clone() }
            };
            let first = seen.insert(key.clone()).then_some(&*brief.amounts);
            survey.groups.entry(key).or_default().add(&blocker, id, first);
        }
        for trouble in troubles(id, brief) {
            self.troubles.push(Reverse(trouble));
            if self.troubles.len() > TROUBLES {
                self.troubles.pop();
            }
        }
    }
}

impl Survey {
    fn count(&mut self, brief: &Brief) {
        for question in brief.questions.iter().map(|asked| &asked.question) {
            let counted = if question.holds() { &mut self.questions } else { &mut self.noted };
            *counted.entry(question.kind).or_default() += 1;
        }
        for (service, waived) in &brief.done {
            let progress = self.progress(service);
            *if *waived { &mut progress.waived } else { &mut progress.done } += 1;
        }
        for step in &brief.steps {
            let progress = self.progress(&step.service);
            match step.standing {
                Standing::Due(_) if step.was_tried => progress.retrying += 1,
                Standing::Waiting | Standing::Due(_) => progress.waiting += 1,
                Standing::InFlight | Standing::Accepted { .. } => progress.in_flight += 1,
                Standing::Stuck(reason) => {
                    progress.stuck += 1;
                    self.awaiting_approval += u64::from(reason == StuckReason::AwaitsApproval);
                }
            }
        }
    }

    fn progress(&mut self, service: &Arc<str>) -> &mut Progress {
        self.services.entry(Arc::clone(service)).or_default()
    }
}

impl GroupScan {
    /// Looks at some more cases. True when nothing more is to be found.
    pub fn look(&mut self, engine: &Engine, cases: usize) -> bool {
        for id in next(&mut self.left, cases) {
            if let Some(brief) = engine.brief(id) {
                self.see(engine, id, &brief);
            }
        }
        self.left.is_empty()
    }

    fn see(&mut self, engine: &Engine, id: CaseId, brief: &Brief) {
        let mine = match self.wanted {
            Sought::Late(lateness) if late(id, brief, lateness).is_none() => return,
            Sought::Late(_) => cause::blockers(engine, id, brief),
            Sought::Group(None) => return,
            Sought::Group(Some(number)) => self.of_group(engine, id, brief, number),
        };
        if mine.is_empty() && matches!(self.wanted, Sought::Group(_)) {
            return;
        }
        let members = &mut self.members;
        members.more |= members.steps.len().max(members.cases.len()) + mine.len() > self.limit;
        if members.more {
            return;
        }
        members.cases.push((brief.opened_at, id));
        let steps = mine.iter().filter_map(|blocker| blocker.step);
        members.steps.extend(steps.map(|step| (brief.opened_at, step)));
    }

    /// What holds a case up and belongs to the group. It is counted, also past the limit.
    fn of_group(
        &mut self,
        engine: &Engine,
        id: CaseId,
        brief: &Brief,
        number: u64,
    ) -> Vec<cause::Blocker> {
        let mut mine = cause::blockers(engine, id, brief);
        mine.retain(|blocker| blocker.key.is_of_group(number));
        for (nth, blocker) in mine.iter().enumerate() {
            let new = || (blocker.key.in_group(number), Group::default());
            let (_, group) = self.members.group.get_or_insert_with(new);
            group.add(blocker, id, (nth == 0).then_some(&*brief.amounts));
        }
        mine
    }

    /// What was found.
    #[must_use]
    pub fn finish(self) -> Members {
        self.members
    }
}

/// Takes some ids from the end: newest first, since they are in order.
pub(crate) fn next(left: &mut Vec<CaseId>, cases: usize) -> Vec<CaseId> {
    let keep = left.len().saturating_sub(cases);
    let mut some = left.split_off(keep);
    some.reverse();
    some
}

/// Whether a case is older than its objective.
fn late(case: CaseId, brief: &Brief, lateness: Lateness) -> Option<LateCase> {
    let stated = brief.objective.as_ref();
    let objective_ms = stated.map(|(ms, _)| *ms).or(lateness.default_ms)?;
    let opened_at = brief.opened_at;
    (opened_at.plus_ms(objective_ms) <= lateness.now).then(|| LateCase {
        case,
        opened_at,
        objective_ms,
        rule: stated.map(|(_, rule)| Arc::clone(rule)),
    })
}

fn troubles(case: CaseId, brief: &Brief) -> Vec<Trouble> {
    if let Some(report) = &brief.unmatched {
        return vec![Trouble {
            at: report.since,
            case,
            step: None,
            question: None,
            subject: report.report.to_string(),
            message: report.message.as_deref().map(str::to_owned),
        }];
    }
    let stuck = |step: &BriefStep| match (step.standing, step.since) {
        (Standing::Stuck(reason), Since::Wall(at)) => Some(Trouble {
            at,
            case,
            step: Some((step.id(case), reason)),
            question: None,
            subject: format!("{} {}.{}", step.verb, step.service, step.action),
            message: step.message.as_deref().map(str::to_owned),
        }),
        _ => None,
    };
    let asked = |asked: &BriefQuestion| Trouble {
        at: asked.since,
        case,
        step: None,
        question: Some(asked.question.kind),
        subject: asked.question.about(),
        message: Some(asked.sentence.to_string()),
    };
    brief.steps.iter().filter_map(stuck).chain(brief.held_besides_steps().map(asked)).collect()
}
