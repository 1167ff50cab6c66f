//! Pivots: whether the saga is past an effect that nothing can undo, and what becomes of the steps that would undo what
//! came before it.
//!
//! INVARIANT: nothing that came before a pivot is asked for before those who can tell of the pivot were read, and
//! nothing while it may have taken effect, unless a rule or a person says so. What may have run is seen through.

use crate::case::Case;
use crate::fences;
use crate::heard::States;
use crate::record::AtPivot;
use crate::transition::StepEvent;
use crate::turn::Turn;
use crate::{CallsBefore, StepRow, StepState};
use amends_api::{QuestionActName, StuckReason};
use amends_protocol::{HistoryState, Outcome, Timestamp, Verb};
use amends_rulebook::{
    ActionClass, ActionId, CaseFacts, Past, Pivot, ReportFacts, RuleId, Rulebook,
};
use std::collections::BTreeSet;
use std::sync::Arc;

/// Whether a pivot took effect, by the word that counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Passage {
    /// It has no effect, and gets none while its fence is up.
    Not,
    /// Somebody who can tell more is being asked.
    Unread,
    /// Nobody can tell.
    Perhaps,
    /// It did.
    Surely,
}

/// What becomes of steps that would undo what came before a pivot; what comes later here counts more.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Passing {
    Go,
    Read,
    Ask,
    Keep(KeptBy),
}

/// Who says that what came before a pivot stays.
#[derive(Clone, Debug, PartialEq, Eq)]
enum KeptBy {
    Rule,
    Person(String),
}

impl Passing {
    const fn rank(&self) -> u8 {
        match self {
            Self::Go => 0,
            Self::Read => 1,
            Self::Ask => 2,
            Self::Keep(_) => 3,
        }
    }
}

impl Case {
    /// Brings the steps up to what is known of the pivots behind what they undo.
    pub(crate) fn heed_pivots(&mut self, now: Timestamp, turn: &mut Turn) {
        let Some(book) = self.book.clone() else { return };
        if book.pivots().is_empty() || !self.steps.iter().any(may_be_held) {
            return;
        }
        self.read_at_pivots(&book, now, turn);
        let at_stake = self.pivots_at_stake(&book, may_be_held);
        let passing: Vec<(&Pivot, Passing)> =
            at_stake.into_iter().map(|pivot| (pivot, self.passing(&book, pivot))).collect();
        for index in
            (0..self.steps.len()).filter(|n| may_be_held(&self.steps[*n])).collect::<Vec<_>>()
        {
            let behind =
                passing.iter().filter(|(pivot, _)| undoes_before(&book, pivot, &self.steps[index]));
            let strongest = behind.max_by_key(|(_, passing)| passing.rank());
            match strongest {
                Some((pivot, Passing::Keep(by))) => self.keep(index, &book, pivot, by, now, turn),
                Some((pivot, Passing::Ask)) => {
                    self.hold_back(index, &book, pivot, AtPivot::Asks, now, turn)
                }
                Some((pivot, Passing::Read)) => {
                    self.hold_back(index, &book, pivot, AtPivot::Reads, now, turn)
                }
                Some((_, Passing::Go)) | None => self.let_pass(index),
            }
        }
    }

    fn hold_back(
        &mut self,
        index: usize,
        book: &Rulebook,
        pivot: &Pivot,
        why: AtPivot,
        now: Timestamp,
        turn: &mut Turn,
    ) {
        let step = &self.steps[index];
        if matches!(step.state, StepState::Stuck(_)) {
            return; // it waits for approval, and is held back after that
        }
        if matches!(step.state, StepState::Due(_)) {
            self.must_change(index, StepEvent::CloseStage, now, turn);
        }
        if self.steps[index].extra.pivot != Some(why) {
            let name = &book.get(pivot.action).name;
            let extra = &mut self.step_mut(index).extra;
            extra.message = Some(match why {
                AtPivot::Asks => format!(
                    "the saga may be past {name}, which nothing can undo: waits for a person"
                ),
                _ => format!(
                    "waits until it is known whether {name} took effect, which nothing can undo"
                ),
            });
            extra.pivot = Some(why);
        }
    }

    fn let_pass(&mut self, index: usize) {
        if matches!(self.steps[index].extra.pivot, Some(AtPivot::Reads | AtPivot::Asks)) {
            let extra = &mut self.step_mut(index).extra;
            extra.pivot = None;
            extra.message = None;
        }
    }

    /// What came before the pivot stays.
    fn keep(
        &mut self,
        index: usize,
        book: &Rulebook,
        pivot: &Pivot,
        by: &KeptBy,
        now: Timestamp,
        turn: &mut Turn,
    ) {
        let name = &book.get(pivot.action).name;
        let who = match by {
            KeptBy::Person(who) => who.clone(),
            KeptBy::Rule => {
                self.rule_of(index, book).map_or("a rule".to_owned(), |on| format!("rule {on}"))
            }
        };
        if *by == KeptBy::Rule {
            self.note(format!(
                "{name} took effect, which nothing can undo: by the rule, what came before it stays"
            ));
        }
        let extra = &mut self.step_mut(index).extra;
        extra.message = Some(format!("stays: the saga is past {name}"));
        extra.pivot = Some(AtPivot::Kept);
        extra.decided_by = Some(who);
        extra.by_hand = matches!(by, KeptBy::Person(_));
        self.must_change(index, StepEvent::Decide(Outcome::Waived), now, turn);
    }

    /// The rule because of which a step is there.
    fn rule_of<'b>(&self, index: usize, book: &'b Rulebook) -> Option<&'b str> {
        let because = self.steps[index].extra.because.iter();
        let roles = because.filter_map(|n| self.reports.get(*n as usize));
        let rule = roles.filter_map(|row| row.role.for_planner().rule()).next()?;
        book.rules().get(rule.0 as usize).map(|rule| rule.index_label.as_str())
    }

    /// Those who can tell of a pivot are read once; of one whose fence went up, once more. So are those of one that may
    /// call others: it is barred from that as soon as they are read.
    fn read_at_pivots(&mut self, book: &Rulebook, now: Timestamp, turn: &mut Turn) {
        let mut ids: BTreeSet<ActionId> =
            self.pivots_at_stake(book, may_be_held).into_iter().map(|pivot| pivot.action).collect();
        let calls_others = |id: &ActionId| {
            book.get(*id).class == ActionClass::Pivot && !book.get(*id).calls.is_empty()
        };
        ids.extend(self.going_on(book, false).into_iter().filter(calls_others));
        for id in ids {
            self.ask_histories(tellers(book, id), now, turn);
            let name = &book.get(id).name;
            self.ask_for_calls(|step| step.action == *name, now, turn);
        }
    }

    /// Reads once more those who can tell of a pivot.
    pub(crate) fn read_pivot_again(
        &mut self,
        book: &Rulebook,
        id: ActionId,
        now: Timestamp,
        turn: &mut Turn,
    ) {
        self.ask_again(&tellers(book, id), now, turn);
    }

    /// The pivots that the saga may have reached, and behind which one of these steps undoes something.
    fn pivots_at_stake<'b>(
        &self,
        book: &'b Rulebook,
        which: impl Fn(&StepRow) -> bool,
    ) -> Vec<&'b Pivot> {
        let mut all: Vec<&Pivot> = book.pivots().iter().collect();
        let steps: Vec<&StepRow> = self.steps.iter().filter(|step| which(step)).collect();
        all.retain(|pivot| steps.iter().any(|step| undoes_before(book, pivot, step)));
        if !all.is_empty() {
            let reach = self.reach(book);
            all.retain(|pivot| reach.contains(&pivot.action));
        }
        all
    }

    fn passing(&self, book: &Rulebook, pivot: &Pivot) -> Passing {
        let passage = self.passage(book, pivot.action);
        match (passage, self.past(book)) {
            (Passage::Not, _) => Passing::Go,
            (Passage::Unread, _) => Passing::Read,
            (_, Past::Undo) => Passing::Go,
            (Passage::Surely, Past::Keep) => Passing::Keep(KeptBy::Rule),
            (Passage::Perhaps | Passage::Surely, Past::Ask | Past::Keep) => {
                let question = self.question_at_pivot(book, pivot.action);
                if !question.holds() {
                    return Passing::Go;
                }
                let mut answers = self.row.extra.answers.iter().rev();
                match answers.find(|answer| answer.covers(&question)) {
                    Some(answer) if answer.act == QuestionActName::Accept => {
                        Passing::Keep(KeptBy::Person(answer.by.to_string()))
                    }
                    Some(_) => Passing::Go,
                    None => Passing::Ask,
                }
            }
        }
    }

    /// The pivots of which a person must say what becomes of what came before them.
    pub(crate) fn pivots_in_doubt<'b>(&self, book: &'b Rulebook) -> Vec<&'b Pivot> {
        let mut all = self.pivots_at_stake(book, is_meant);
        if all.is_empty() {
            return all;
        }
        let past = self.past(book);
        all.retain(|pivot| match (self.passage(book, pivot.action), past) {
            (Passage::Not | Passage::Unread, _) | (_, Past::Undo) => false,
            (Passage::Surely, Past::Keep) => false,
            (Passage::Perhaps | Passage::Surely, Past::Ask | Past::Keep) => true,
        });
        all
    }

    /// What stays, since the saga is past a pivot and its rule says so.
    pub(crate) fn kept_before_pivots(&self, book: &Rulebook) -> BTreeSet<ActionId> {
        if book.pivots().is_empty() || self.past(book) != Past::Keep {
            return BTreeSet::new();
        }
        let reach = self.reach(book);
        let passed = book.pivots().iter().filter(|pivot| {
            reach.contains(&pivot.action) && self.passage(book, pivot.action) == Passage::Surely
        });
        passed.flat_map(|pivot| pivot.before.iter().copied()).collect()
    }

    /// Whether everything that was to be undone stays, since the saga is past a pivot.
    pub(crate) fn keeps_everything(&self) -> bool {
        let undoes = |step: &&StepRow| {
            step.verb == Verb::Compensate
                && !step.extra.fence
                && !matches!(step.state, StepState::Shadow | StepState::Superseded)
        };
        let mut undone = self.steps.iter().filter(undoes).peekable();
        undone.peek().is_some()
            && undone.all(|step| step.extra.pivot == Some(AtPivot::Kept) && !step.extra.by_hand)
    }

    /// What the rules that answered say of what came before a pivot.
    fn past(&self, book: &Rulebook) -> Past {
        let of_report = |role| ReportFacts { role, action: None, proven_without_effect: false };
        let reports = self.reports.iter().map(|row| of_report(row.role.for_planner())).collect();
        let given_up = self.row.extra.gave_up.iter().copied().map(RuleId).collect();
        CaseFacts { reports, given_up, ..CaseFacts::default() }.past(book)
    }

    /// Whether a pivot took effect: by the word of its own service, else of its callers. One that was begun, or of
    /// which nobody knows the end, is barred first, and its History read after that.
    pub(crate) fn passage(&self, book: &Rulebook, id: ActionId) -> Passage {
        if self.is_unread_at_pivot(book, id) {
            return Passage::Unread;
        }
        let may_stand = |state| matches!(state, HistoryState::Started | HistoryState::Unknown);
        let word = self.word_that_counts(book, id);
        if word.has(HistoryState::Succeeded) {
            return Passage::Surely;
        }
        if self.may_be_half_done(book, id, word) {
            return Passage::Perhaps;
        }
        let unless = |perhaps: bool| if perhaps { Passage::Perhaps } else { Passage::Not };
        let may_stand_by_word = word.iter().any(may_stand);
        let name = &book.get(id).name;
        let is_fence = |step: &&StepRow| step.extra.fence && step.action == *name;
        let Some(fence) = self.steps.iter().rfind(is_fence) else {
            return unless(may_stand_by_word || self.may_come_unbarred(book, id));
        };
        // Whoever may still lead to it may do so until it is barred.
        match fence.extra.calls {
            _ if !fence.state.is_terminal() => Passage::Unread,
            Some(CallsBefore::Untold) if fences::is_up(fence) => Passage::Unread,
            Some(CallsBefore::Told) if fences::is_up(fence) => {
                let own = self.heard().word_that_counts(name, |_| false);
                unless(own.iter().any(may_stand))
            }
            _ => unless(may_stand_by_word || self.may_come_unbarred(book, id)),
        }
    }

    /// Whether somebody may still lead to a pivot that nothing bars.
    fn may_come_unbarred(&self, book: &Rulebook, id: ActionId) -> bool {
        let is_barred = book.is_fenceable(id) && !self.not_fenceable(book).contains(&id);
        !is_barred && self.going_on(book, false).contains(&id)
    }

    /// Whether its own service had begun it, or has said that it does not know what it did: a fence that came after
    /// that tells nothing of what was done before.
    fn may_be_half_done(&self, book: &Rulebook, id: ActionId, word: States) -> bool {
        let name = &book.get(id).name;
        let own = self.heard().word_of(&name.service, name);
        let is_fenced = word.has(HistoryState::Fenced);
        let had_begun = own.has(HistoryState::Started) && is_fenced;
        let is_unknown = word.has(HistoryState::Unknown) || is_fenced;
        had_begun || (own.has(HistoryState::Unknown) && is_unknown)
    }

    /// Whether somebody who can tell of a pivot has not been read.
    pub(crate) fn is_unread_at_pivot(&self, book: &Rulebook, id: ActionId) -> bool {
        let histories = &self.row.extra.histories;
        let is_read =
            |service| histories.iter().any(|query| query.service == service && query.answered);
        tellers(book, id).into_iter().any(|service| !is_read(service))
    }

    /// Whether a step waits because of a pivot.
    pub(crate) fn is_held_at_pivot(&self, index: usize) -> bool {
        let extra = &self.steps[index].extra;
        !extra.held && matches!(extra.pivot, Some(AtPivot::Reads | AtPivot::Asks))
    }
}

/// Services whose Histories can tell whether a pivot took effect: its own, else those of whoever calls it.
pub(crate) fn tellers(book: &Rulebook, id: ActionId) -> BTreeSet<Arc<str>> {
    let name = |id: &ActionId| Arc::clone(&book.get(*id).name.service);
    if book.get(id).keeps_history() {
        return BTreeSet::from([name(&id)]);
    }
    let callers =
        book.callers(id).iter().filter(|caller| book.keeps_history(book.get(**caller).service));
    callers.map(name).collect()
}

fn undoes_before(book: &Rulebook, pivot: &Pivot, step: &StepRow) -> bool {
    let action = book.action(&step.action.service, &step.action.action);
    action.is_some_and(|id| book.undoes_before(pivot, step.verb, id))
}

/// Whether a rule asks for a step in earnest, and it undoes something or may.
fn is_meant(step: &StepRow) -> bool {
    !step.extra.fence
        && !step.extra.because.is_empty()
        && step.extra.pivot != Some(AtPivot::Cleared)
        && !matches!(
            step.state,
            StepState::Shadow
                | StepState::Superseded
                | StepState::Done(Outcome::NothingToCompensate)
        )
}

/// Whether nothing of a step was sent yet, so that it can be held back.
fn may_be_held(step: &StepRow) -> bool {
    is_meant(step)
        && !step.extra.may_have_run
        && matches!(
            step.state,
            StepState::Waiting | StepState::Due(_) | StepState::Stuck(StuckReason::AwaitsApproval)
        )
}
