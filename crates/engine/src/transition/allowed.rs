//! The one table of what a person may do: to a step, by its state, and to a case, by what is left of it.
//!
//! `act.rs` refuses by this table, views show it as `may`, and nobody else knows it. Whether an act's own members make
//! sense (an outcome that fits the verb, an action that the rulebook knows) is `act.rs`'s business.

use crate::whole::Whole;
use crate::{CaseRow, StepRow, StepState};
use amends_api::{CaseActName, CaseState, StepActName, StuckReason};
use amends_protocol::{ActionName, Outcome, Verb};
use amends_rulebook::{ActionId, Rulebook, fits};
use std::fmt::{self, Display};
use std::sync::Arc;

/// What the acts on a step depend on, and nothing else.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StepFacts<'a> {
    pub(crate) state: &'a StepState,
    /// The rule wants a person's yes before it is sent, and nobody has given it.
    pub(crate) held: bool,
    /// It is a retry in a case that is being undone: sent again, it would be replaced at once.
    pub(crate) replaced: bool,
    /// Its stage has come, and it waits for callers of its action.
    pub(crate) awaits_callers: bool,
    /// A person holds the rules that ask for it.
    pub(crate) on_hold: bool,
    /// It is a fence: it asks its service to call nobody any more, and takes no data.
    pub(crate) fence: bool,
}

/// What the acts on a case depend on, and nothing else.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CaseFacts<'a> {
    pub(crate) settled: bool,
    /// The first step that has not ended.
    pub(crate) unfinished: Option<&'a StepRow>,
    /// Some step is stuck or between two tries, and may be tried again.
    pub(crate) retriable: bool,
    /// An active rulebook claims the case, or a person can say which of several does.
    pub(crate) claimed: bool,
    /// It has a rulebook to plan with: its own version, else the active one that claims it.
    pub(crate) has_rulebook: bool,
    /// That rulebook knows something that is not in the plan yet.
    pub(crate) plannable: bool,
    /// Its business data, by which rules are picked, went.
    pub(crate) erased: bool,
}

/// The rulebooks that a case may be planned with.
#[derive(Clone, Copy, Debug, Default)]
pub struct CaseBooks<'a> {
    /// The version that it is planned with, if it can be read.
    pub own: Option<&'a Rulebook>,
    /// The active one that claims it, see [`claiming`].
    pub active: Option<&'a Rulebook>,
    /// Several share its service, and nothing says to which of them it belongs: a person may.
    pub several: bool,
}

/// An act that is not allowed now: why, and what is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal<A> {
    why: String,
    instead: Vec<A>,
}

impl<A: Display> Display for Refusal<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let instead: Vec<String> = self.instead.iter().map(ToString::to_string).collect();
        match instead.as_slice() {
            [] => write!(f, "{}; no act is possible any more", self.why),
            acts => write!(f, "{}; possible now: {}", self.why, acts.join(", ")),
        }
    }
}

impl StepRow {
    /// The acts that are possible now; the engine takes exactly these.
    #[must_use]
    pub fn may(&self) -> Vec<StepActName> {
        allowed(self.act_facts())
    }

    /// The acts that are not possible now, with the reason: the end of a sentence that begins with "the step".
    #[must_use]
    pub fn may_not(&self) -> Vec<(StepActName, &'static str)> {
        let facts = self.act_facts();
        let refused = |act: &StepActName| Some((*act, permit(facts, *act).err()?));
        StepActName::ALL.iter().filter_map(refused).collect()
    }

    pub(crate) fn act_facts(&self) -> StepFacts<'_> {
        let replaced = self.verb == Verb::Retry && self.extra.last_try;
        let awaits_callers = self.awaits_callers().is_some();
        let (held, fence, on_hold) = (self.extra.held, self.extra.fence, self.on_hold().is_some());
        StepFacts { state: &self.state, held, replaced, awaits_callers, on_hold, fence }
    }

    /// Whether [`CaseActName::Retry`] tries it again: a waiver is taken back, and a shadow step meant, only one by one.
    pub(crate) fn is_retried_with_its_case(&self) -> bool {
        matches!(self.state, StepState::Due(_) | StepState::Stuck(_))
            && permit(self.act_facts(), StepActName::Retry).is_ok()
    }
}

impl Whole<'_> {
    /// The acts that are possible now on the step: those that some part of it takes. Data are for one part only.
    #[must_use]
    pub fn may(&self) -> Vec<StepActName> {
        let [row] = self.rows() else {
            let all = StepActName::ALL.iter().copied();
            return all.filter(|act| *act != StepActName::Edit && self.takes(*act)).collect();
        };
        row.may()
    }

    /// The acts that are not possible now, with the reason that the row gives which speaks for the step.
    #[must_use]
    pub fn may_not(&self) -> Vec<(StepActName, &'static str)> {
        let may = self.may();
        let of_parts = "has several requests, and data are for one of them";
        let why = |act: StepActName| match permit(self.speaker().act_facts(), act) {
            Err(why) => why,
            Ok(()) => of_parts,
        };
        let refused = StepActName::ALL.iter().filter(|act| !may.contains(act));
        refused.map(|act| (*act, why(*act))).collect()
    }

    fn takes(&self, act: StepActName) -> bool {
        self.rows().iter().any(|row| permit(row.act_facts(), act).is_ok())
    }
}

impl CaseRow {
    /// The acts that are possible now, given the case's steps and its rulebooks; the engine takes exactly these.
    #[must_use]
    pub fn may(&self, steps: &[StepRow], books: CaseBooks<'_>) -> Vec<CaseActName> {
        allowed_on_case(self.act_facts(steps, books))
    }

    /// The acts that are not possible now, each with the reason.
    #[must_use]
    pub fn may_not(&self, steps: &[StepRow], books: CaseBooks<'_>) -> Vec<(CaseActName, String)> {
        let facts = self.act_facts(steps, books);
        let refused = |act: &CaseActName| Some((*act, permit_on_case(facts, *act).err()?));
        CaseActName::ALL.iter().filter_map(refused).collect()
    }

    pub(crate) fn act_facts<'a>(
        &self,
        steps: &'a [StepRow],
        books: CaseBooks<'_>,
    ) -> CaseFacts<'a> {
        let book = books.own.or(books.active);
        let is_planned = |verb: Verb, name: &ActionName| {
            let is_it = |s: &&StepRow| s.verb == verb && s.action == *name;
            steps.iter().filter(is_it).any(|step| step.state != StepState::Shadow)
        };
        CaseFacts {
            settled: self.state == CaseState::Settled,
            unfinished: steps.iter().find(|step| !step.state.is_terminal()),
            retriable: steps.iter().any(StepRow::is_retried_with_its_case),
            claimed: books.active.is_some() || books.several,
            has_rulebook: book.is_some(),
            plannable: book.is_some_and(|book| plannable(book, is_planned).next().is_some()),
            erased: self.extra.erasure.as_ref().is_some_and(|erasure| erasure.done_at.is_some()),
        }
    }
}

/// What a person can add to a plan: everything that makes sense and is not in it. A step in shadow mode is not in it yet.
pub fn plannable<'a>(
    book: &'a Rulebook,
    is_planned: impl Fn(Verb, &ActionName) -> bool + 'a,
) -> impl Iterator<Item = (Verb, ActionId)> + 'a {
    let actions = (0..book.actions().len()).filter_map(|n| u32::try_from(n).ok()).map(ActionId);
    let each = actions.flat_map(|id| Verb::ALL.iter().map(move |verb| (*verb, id)));
    each.filter(move |(verb, id)| {
        fits(*verb, book.get(*id)) && !is_planned(*verb, &book.get(*id).name)
    })
}

/// Of the active rulebooks, the one that a case would be answered by anew: the one of the name that it began with; of a
/// service that several share, the one that declares what its saga began with (`entry`, an action or its service); else
/// the one that declares the service, else the only one.
pub fn claiming<'a>(
    active: impl Iterator<Item = &'a Arc<Rulebook>> + Clone,
    name: Option<&str>,
    service: &str,
    entry: Option<&str>,
) -> Option<&'a Arc<Rulebook>> {
    let declare = |service: &str| {
        let all = active.clone().filter(|book| book.service(service).is_some());
        all.collect::<Vec<_>>()
    };
    let only = |books: Vec<&'a Arc<Rulebook>>| match books[..] {
        [book] => Some(book),
        _ => None,
    };
    let named = active.clone().find(|book| Some(book.name()) == name);
    named.or_else(|| {
        let declaring = declare(service);
        let is_shared = declaring.iter().any(|book| book.shares(service));
        let began = entry.map(|entry| entry.split('.').next().unwrap_or_default());
        let by_entry = began.filter(|_| is_shared).and_then(|service| only(declare(service)));
        by_entry.or_else(|| match declaring.is_empty() {
            true => only(active.clone().collect()),
            false => only(declaring),
        })
    })
}

/// The active rulebooks that share a service, if those are several: which of them a report belongs to, its saga's entry
/// says.
pub fn sharing<'a>(
    active: impl Iterator<Item = &'a Arc<Rulebook>>,
    service: &str,
) -> Vec<&'a Arc<Rulebook>> {
    let mut all: Vec<_> = active.filter(|book| book.shares(service)).collect();
    if all.len() < 2 {
        all.clear();
    }
    all
}

/// Every act that is possible now.
pub(crate) fn allowed(step: StepFacts<'_>) -> Vec<StepActName> {
    StepActName::ALL.iter().copied().filter(|act| permit(step, *act).is_ok()).collect()
}

/// Every act that is possible now.
pub(crate) fn allowed_on_case(case: CaseFacts<'_>) -> Vec<CaseActName> {
    CaseActName::ALL.iter().copied().filter(|act| permit_on_case(case, *act).is_ok()).collect()
}

/// Whether a person may do this to the step now.
pub(crate) fn check(step: StepFacts<'_>, act: StepActName) -> Result<(), Refusal<StepActName>> {
    permit(step, act)
        .map_err(|why| Refusal { why: format!("the step {why}"), instead: allowed(step) })
}

/// Whether a person may do this to the case now.
pub(crate) fn check_on_case(
    case: CaseFacts<'_>,
    act: CaseActName,
) -> Result<(), Refusal<CaseActName>> {
    permit_on_case(case, act).map_err(|why| Refusal { why, instead: allowed_on_case(case) })
}

/// The table for steps: every state against every act. The error ends a sentence that begins with "the step".
fn permit(step: StepFacts<'_>, act: StepActName) -> Result<(), &'static str> {
    use StepActName as A;
    use StepState as S;
    const NO_YES: &str = "does not wait for approval";
    const REPLACED: &str = "is a retry, and the case is being undone instead";
    match (step.state, act) {
        (_, A::Edit) if step.fence => Err("is a fence, which takes no data"),
        (S::Waiting, A::Edit | A::Waive | A::Record) => Ok(()),
        (S::Waiting, A::Approve) if step.held => Ok(()),
        (S::Waiting, A::Retry) if step.on_hold => {
            Err("waits because a person holds its rule, and goes out once that is released")
        }
        (S::Waiting, A::Retry) if step.awaits_callers => Ok(()),
        (S::Waiting, A::Retry) => {
            Err("waits for an earlier stage, and goes out by itself after it")
        }

        (S::Due(_), A::Retry | A::Edit) if step.replaced => Err(REPLACED),
        (S::Due(_), A::Retry | A::Edit | A::Waive | A::Record) => Ok(()),

        (S::InFlight | S::Accepted { .. }, A::Waive | A::Record) => Ok(()),
        (S::InFlight, A::Retry | A::Edit) => Err("has been sent, and its answer is awaited"),
        (S::Accepted { .. }, A::Retry | A::Edit) => {
            Err("has been taken by its service, which works on it")
        }

        (S::Stuck(_), A::Retry | A::Edit) if step.replaced => Err(REPLACED),
        (S::Stuck(StuckReason::AwaitsApproval), A::Approve) => Ok(()),
        (S::Stuck(StuckReason::AwaitsApproval), A::Retry) => Err("waits for approval"),
        (S::Stuck(_), A::Retry | A::Edit | A::Waive | A::Record) => Ok(()),

        // A waiver can be taken back, or give way to an outcome; what a service did cannot.
        (S::Done(Outcome::Waived), A::Retry | A::Edit) if step.replaced => Err(REPLACED),
        (S::Done(Outcome::Waived), A::Retry | A::Edit | A::Record) => Ok(()),
        (S::Done(Outcome::Waived), A::Waive) => Err("is waived already"),
        (S::Done(_), A::Retry | A::Edit | A::Waive | A::Record | A::Approve) => {
            Err("has ended, and what was done stays done")
        }

        (S::Superseded, A::Retry | A::Edit | A::Waive | A::Record | A::Approve) => {
            Err("is superseded: a compensation has replaced this retry")
        }

        (S::Shadow, A::Retry | A::Edit) if step.replaced => Err(REPLACED),
        // Somebody means it in earnest.
        (S::Shadow, A::Retry | A::Edit) => Ok(()),
        (S::Shadow, A::Waive | A::Record) => Err("is only watched (mode `shadow`), and never sent"),

        (
            S::Waiting | S::Due(_) | S::InFlight | S::Accepted { .. } | S::Stuck(_) | S::Shadow,
            A::Approve,
        ) => Err(NO_YES),
    }
}

/// The table for cases.
fn permit_on_case(case: CaseFacts<'_>, act: CaseActName) -> Result<(), String> {
    const UNCLAIMED: &str =
        "no active rulebook claims this case's service; activate one that declares it first";
    match act {
        CaseActName::Retry if case.retriable => Ok(()),
        CaseActName::Retry => {
            Err("no step of the case is stuck or waiting for its next try".to_owned())
        }
        CaseActName::Replan if case.erased => {
            Err("its business data were erased, and rules are picked by them; plan by hand what is still to be done".to_owned())
        }
        CaseActName::Replan if case.claimed => Ok(()),
        CaseActName::Replan => Err(UNCLAIMED.to_owned()),
        CaseActName::Plan if case.plannable => Ok(()),
        CaseActName::Plan if case.has_rulebook => {
            Err("everything that the case's rulebook could ask for is in the plan already"
                .to_owned())
        }
        CaseActName::Plan => Err(UNCLAIMED.to_owned()),
        CaseActName::Settle if case.settled => Err("the case is settled already".to_owned()),
        CaseActName::Settle => match case.unfinished {
            None => Ok(()),
            Some(step) => Err(format!(
                "step {} ({} {}) is `{}`; waive it or record its outcome first",
                step.id,
                step.verb,
                step.action,
                step.state.name()
            )),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use amends_protocol::Timestamp;

    /// What views offer and what they refuse with a reason are all acts, and none is both.
    #[test]
    fn every_act_is_possible_or_has_a_reason() {
        let saga = amends_protocol::SagaId::new("order-1").expect("valid");
        let action: ActionName = "payment.pay".parse().expect("a name");
        for state in [StepState::Waiting, StepState::InFlight, StepState::Superseded] {
            let row = StepRow {
                id: amends_protocol::StepId::derive(
                    amends_protocol::CaseId(1),
                    1,
                    &saga,
                    "compensate",
                    &action,
                ),
                verb: Verb::Compensate,
                action: action.clone(),
                stage: 0,
                state,
                attempts: 0,
                planned_at: Timestamp(1),
                updated_at: Timestamp(1),
                extra: crate::StepExtra::default(),
            };
            let mut all = row.may();
            all.extend(row.may_not().iter().map(|(act, _)| *act));
            all.sort_unstable();
            assert_eq!(all, StepActName::ALL);
            let rows = [row];
            let whole = Whole::among(&rows);
            assert_eq!(whole.may_not(), rows[0].may_not());
        }
    }

    #[test]
    fn who_waits_for_callers_can_be_sent_ahead_of_them() {
        let waiting = StepFacts {
            state: &StepState::Waiting,
            held: false,
            replaced: false,
            awaits_callers: true,
            on_hold: false,
            fence: false,
        };
        assert!(allowed(waiting).contains(&StepActName::Retry));
    }

    #[test]
    fn a_fence_takes_no_data_not_even_in_shadow() {
        for state in [StepState::Waiting, StepState::Shadow, StepState::Due(Timestamp(7))] {
            let held = StepFacts {
                state: &state,
                held: false,
                replaced: false,
                awaits_callers: false,
                on_hold: false,
                fence: true,
            };
            let plain = StepFacts { fence: false, ..held };
            let without_edit: Vec<_> =
                allowed(plain).into_iter().filter(|act| *act != StepActName::Edit).collect();
            assert!(allowed(plain).contains(&StepActName::Edit));
            assert_eq!(allowed(held), without_edit);
        }
    }

    /// The whole table as a picture: rows are states (plain, held, replaced), columns acts in their order; `.` is refused.
    #[test]
    fn the_table_for_steps() {
        const T: Timestamp = Timestamp(7);
        let states = [
            StepState::Waiting,
            StepState::Due(T),
            StepState::InFlight,
            StepState::Accepted { poll_at: T, until: T, location: None },
            StepState::Stuck(StuckReason::AwaitsApproval),
            StepState::Stuck(StuckReason::Refused),
            StepState::Done(Outcome::Waived),
            StepState::Done(Outcome::Compensated),
            StepState::Superseded,
            StepState::Shadow,
        ];
        let mut picture = String::new();
        for state in &states {
            for (held, replaced) in [(false, false), (true, false), (false, true)] {
                let may = allowed(StepFacts {
                    state,
                    held,
                    replaced,
                    awaits_callers: false,
                    on_hold: false,
                    fence: false,
                });
                let letter = |act: &StepActName| {
                    if may.contains(act) { act.as_str()[..1].to_owned() } else { ".".to_owned() }
                };
                let row: String = StepActName::ALL.iter().map(letter).collect();
                picture.push_str(&row);
                picture.push(if replaced { '\n' } else { ' ' });
            }
        }
        // approve, retry, edit, waive, record
        let expected = "\
..ewr a.ewr ..ewr
.rewr .rewr ...wr
...wr ...wr ...wr
...wr ...wr ...wr
a.ewr a.ewr a..wr
.rewr .rewr ...wr
.re.r .re.r ....r
..... ..... .....
..... ..... .....
.re.. .re.. .....
";
        assert_eq!(picture, expected);
    }
}
