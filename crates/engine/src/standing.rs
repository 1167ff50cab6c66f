//! What may still stand of a saga: of each action that it may have reached, whether anything of it can stand, and why
//! (not). Closing asks whether any is open, a settled case keeps those that are, and a proof tells of all.

use crate::case::Case;
use crate::fences::{self, is_undone_by_its_service};
use crate::heard::States;
use crate::whole::says_more;
use crate::{StepRow, StepState};
use amends_protocol::{ActionName, HistoryState, Outcome, Verb};
use amends_rulebook::{Action, ActionClass, ActionId, Rulebook};
use std::collections::BTreeSet;

/// What is known of one action.
#[derive(Debug)]
pub(crate) struct Finding {
    pub(crate) name: ActionName,
    /// None if the rulebook does not know it.
    pub(crate) id: Option<ActionId>,
    pub(crate) ground: Ground,
}

/// Why nothing of an action can stand, or why something may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ground {
    /// Its own service has undone it and refuses what comes late: the step with this index says so.
    Undone(usize),
    /// Its own service says of every request that it has no effect, and nobody is left who could send another one: a
    /// failure is no fence, so whoever calls it must have ended too.
    NoEffect,
    /// Whoever could have called it has ended, and none of them tells of a call.
    NeverReached,
    /// The saga has ended, or whoever could have called it, and the History of its own service, read after that, knows
    /// nothing of it.
    UnknownToHistory,
    /// The rulebook declares that there is nothing to undo.
    NoUndo,
    /// It is a pivot that may have taken effect: nothing takes it back.
    Pivot,
    /// It came before a pivot that took effect, and its rule says that it stays.
    Kept,
    /// It may stand.
    Open(Doubt),
}

/// Why something of an action may stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Doubt {
    /// The step with this index, which undoes it, has not ended.
    Unfinished(usize),
    /// Its service ended the step with this index as if there were nothing to undo, and evidence says that there is.
    Contradicted(usize),
    /// A person ended the step with this index, not the service.
    Decided(usize),
    /// Its endpoint undid it and puts up no fence.
    NoFence(usize),
    /// It has no effect, and somebody may call it again.
    CallersGoOn,
    /// It may have taken effect, and nobody is asked to undo it.
    NotAsked,
    /// It may have taken effect, and a rule in shadow mode only records that it would be undone.
    InShadow,
    /// Nobody tells of it, and somebody may call it.
    Unheard,
    /// It may have taken effect, and the rulebook does not know it.
    Stranger,
}

impl Finding {
    pub(crate) fn is_open(&self) -> bool {
        matches!(self.ground, Ground::Open(_))
    }

    pub(crate) fn is_contradicted(&self) -> bool {
        matches!(self.ground, Ground::Open(Doubt::Contradicted(_)))
    }

    pub(crate) fn is_in_shadow(&self) -> bool {
        self.ground == Ground::Open(Doubt::InShadow)
    }
}

/// How far a saga may have come.
pub(crate) struct Reached {
    /// By the calls that the rulebook declares, from where reports came.
    pub(crate) declared: BTreeSet<ActionId>,
    /// By what is known now: an action whose own service says that it has ended calls nobody any more, so below it only
    /// the calls count that its service tells of, and that the callee's has not denied. One whose fence is up without a
    /// word of its calls may have made all, and so may one of which only others say that it has ended.
    pub(crate) now: BTreeSet<ActionId>,
    /// Where the saga began, as far as the rulebook tells: nobody in it calls these.
    pub(crate) entries: BTreeSet<ActionId>,
}

impl Case {
    /// Every action that the saga may have reached, and every other one that may have taken effect by anybody's word.
    pub(crate) fn findings(&self, book: &Rulebook) -> Vec<Finding> {
        let reached = self.reached(book);
        let mut actions = reached.declared.clone();
        let concerned = self.concerns(book);
        let concerns = |id: &ActionId| concerned.as_ref().is_none_or(|all| all.contains(id));
        actions.extend(self.heard().effects(book).into_iter().filter(concerns));
        let (kept, contradicted) = (self.kept_before_pivots(book), self.contradicted());
        let known = actions.into_iter().map(|id| {
            let ground = match self.ground(book, id, &reached, &contradicted) {
                Ground::Open(doubt) if kept.contains(&id) && self.is_kept(doubt) => Ground::Kept,
                ground => ground,
            };
            Finding { name: book.get(id).name.clone(), id: Some(id), ground }
        });
        let strangers = self.heard().effects_unknown_to(book).into_iter().map(|name| Finding {
            name,
            id: None,
            ground: Ground::Open(Doubt::Stranger),
        });
        known.chain(strangers).collect()
    }

    fn ground(
        &self,
        book: &Rulebook,
        id: ActionId,
        reached: &Reached,
        contradicted: &BTreeSet<ActionName>,
    ) -> Ground {
        let action = book.get(id);
        let said = self.heard().anybodys_word(&action.name);
        let is_told = said.may_have_effect();
        if action.class == ActionClass::Pivot && is_told {
            return Ground::Pivot;
        }
        if action.class != ActionClass::Compensable {
            return match self.may_be_sent_yet(book, id, reached) {
                true => Ground::Open(Doubt::Unheard),
                false => Ground::NoUndo,
            };
        }
        let undo = self.undo_of(&action.name);
        // What ended without a request was asked of nobody.
        let undo = undo.filter(|(_, step)| !step.ended_unasked());
        let undone = undo.filter(|(_, step)| is_undone_by_its_service(step));
        if let Some((index, _)) = undo
            && contradicted.contains(&action.name)
        {
            return Ground::Open(Doubt::Contradicted(index));
        }
        // Whom nobody has called by their own word, and who was asked all the same, must have answered.
        let is_asked_in_vain = undo.is_some() && undone.is_none();
        if !reached.now.contains(&id) && !is_told && !is_asked_in_vain {
            return match said.is_empty() {
                false if self.never_arrived(book, id) => Ground::UnknownToHistory,
                _ => Ground::NeverReached,
            };
        }
        if let Some((index, _)) = undone
            && action.bars()
        {
            return Ground::Undone(index);
        }
        let has_no_effect = !self.owners_word(book, id).is_empty()
            && !self.states_of(&action.name).any(HistoryState::may_have_effect);
        // What only the saga's end says of its beginning, the own History must have been read after; and what only
        // others say of some request.
        let nobody_calls = self.callers_running(book, id, reached).next().is_none()
            && self.heard().untold_by_own(&action.name).is_empty();
        let service = &action.name.service;
        let is_over = self.callers_going_on(book, id, reached).next().is_none()
            && (self.history_read_after_the_end(service)
                || self.history_read_after_callers(service));
        match undo {
            _ if has_no_effect && (nobody_calls || is_over) => Ground::NoEffect,
            Some((index, _)) if undone.is_some() => Ground::Open(Doubt::NoFence(index)),
            Some((index, step)) if step.state.is_terminal() => Ground::Open(Doubt::Decided(index)),
            Some((index, _)) => Ground::Open(Doubt::Unfinished(index)),
            None if is_told && self.is_in_shadow(&action.name) => Ground::Open(Doubt::InShadow),
            None if is_told => Ground::Open(Doubt::NotAsked),
            None if has_no_effect => Ground::Open(Doubt::CallersGoOn),
            None if is_over => Ground::UnknownToHistory,
            None => Ground::Open(Doubt::Unheard),
        }
    }

    /// Whether what is in doubt of an action that stays is only that nobody undoes it.
    fn is_kept(&self, doubt: Doubt) -> bool {
        match doubt {
            Doubt::Decided(step) => !self.steps[step].extra.by_hand,
            Doubt::NotAsked | Doubt::InShadow | Doubt::Unheard | Doubt::CallersGoOn => true,
            Doubt::Unfinished(_) | Doubt::Contradicted(_) | Doubt::NoFence(_) | Doubt::Stranger => {
                false
            }
        }
    }

    /// Whether a message that would have to be corrected may go out yet: whoever sends it goes on, and nobody corrects
    /// it.
    fn may_be_sent_yet(&self, book: &Rulebook, id: ActionId, reached: &Reached) -> bool {
        let Some(correction) = book.get(id).correction else { return false };
        let corrects =
            |step: &StepRow| step.verb == Verb::Notify && step.action == book.get(correction).name;
        reached.now.contains(&id)
            && !self.steps.iter().any(corrects)
            && self.callers_going_on(book, id, reached).next().is_some()
    }

    /// Whether the undo of an action is only recorded.
    fn is_in_shadow(&self, name: &ActionName) -> bool {
        let recorded = |s: &StepRow| s.verb == Verb::Compensate && s.state == StepState::Shadow;
        self.steps.iter().any(|step| step.action == *name && recorded(step))
    }

    /// What is known of an action: of each request, and of none that is named.
    pub(crate) fn states_of(&self, name: &ActionName) -> impl Iterator<Item = HistoryState> {
        let unnamed = self.heard().unnamed_word(name, self.callers_of(name));
        self.requests_of(name).into_values().chain(unnamed.iter())
    }

    /// The step that undoes an action, if one was meant in earnest.
    fn undo_of(&self, name: &ActionName) -> Option<(usize, &StepRow)> {
        let undoes = |step: &StepRow| step.verb == Verb::Compensate && step.action == *name;
        let in_earnest =
            |step: &StepRow| !matches!(step.state, StepState::Shadow | StepState::Superseded);
        let rows = self.steps.iter().enumerate();
        let rows = rows.filter(|(_, step)| undoes(step) && in_earnest(step));
        rows.reduce(|said, row| if says_more(row.1, said.1) { row } else { said })
    }

    /// Who may still call an action, but for the beginning of a saga that is said to have ended.
    pub(crate) fn callers_going_on<'a>(
        &'a self,
        book: &'a Rulebook,
        id: ActionId,
        reached: &'a Reached,
    ) -> impl Iterator<Item = ActionId> + 'a {
        let saga_has_ended = self.row.extra.saga_ended_at.is_some();
        let is_over = move |caller: &ActionId| saga_has_ended && reached.entries.contains(caller);
        self.callers_running(book, id, reached).filter(move |caller| !is_over(caller))
    }

    /// Who calls an action and has not ended by the word of its own service, or has not told whom it called. A message
    /// of one that has may still be under way.
    fn callers_running<'a>(
        &'a self,
        book: &'a Rulebook,
        id: ActionId,
        reached: &'a Reached,
    ) -> impl Iterator<Item = ActionId> + 'a {
        let calls = move |caller: &ActionId| book.get(*caller).calls.iter().any(|c| c.action == id);
        let callers = reached.now.iter().copied().filter(calls);
        let sent = move |caller: &ActionId| {
            let Action { calls, name, .. } = book.get(*caller);
            calls.iter().any(|c| c.action == id && c.is_event())
                && self.told_call(book, &name.service, id)
        };
        callers.filter(move |caller| !self.has_told_its_calls(book, *caller) || sent(caller))
    }

    pub(crate) fn reached(&self, book: &Rulebook) -> Reached {
        self.reached_where(book, |id| self.tells_of_every_request(book, id))
    }

    /// How far the saga may have come, where it is known of those for whom `tells_of_all` holds whom they have called
    /// once they have ended.
    pub(crate) fn reached_where(
        &self,
        book: &Rulebook,
        tells_of_all: impl Fn(ActionId) -> bool,
    ) -> Reached {
        let declared = self.reach(book);
        let called: BTreeSet<ActionId> =
            declared.iter().flat_map(|id| book.get(*id).calls.iter().map(|c| c.action)).collect();
        let entries: BTreeSet<ActionId> = declared.difference(&called).copied().collect();
        let mut queue: Vec<ActionId> = entries.iter().copied().collect();
        queue.extend(self.happened(book).intersection(&declared));
        let mut now = BTreeSet::new();
        while let Some(id) = queue.pop() {
            if !now.insert(id) {
                continue;
            }
            let is_told = self.has_told_its_calls(book, id) && tells_of_all(id);
            let service = &book.get(id).name.service;
            for call in &book.get(id).calls {
                let is_denied = || self.never_arrived(book, call.action);
                if !is_told || (self.told_call(book, service, call.action) && !is_denied()) {
                    queue.push(call.action);
                }
            }
        }
        Reached { declared, now, entries }
    }

    /// Whether the action calls nobody any more, and it is known whom it has called.
    fn has_told_its_calls(&self, book: &Rulebook, id: ActionId) -> bool {
        self.has_ended(book, id) && !self.has_untold_calls(&book.get(id).name)
    }

    /// Whether the action's own service has told of each of its requests that anybody knows of, and so of their calls.
    /// Of the rest others may say that they failed, if its History, read when nobody could call it any more, does not
    /// know them.
    pub(crate) fn tells_of_every_request(&self, book: &Rulebook, id: ActionId) -> bool {
        let action = book.get(id);
        let is_fence = |step: &StepRow| step.action == action.name && fences::is_up(step);
        if self.steps.iter().any(is_fence)
            || (action.bars() && self.is_barred_and_told(&action.name))
        {
            return true;
        }
        let untold = self.heard().untold_by_own(&action.name);
        untold.is_empty()
            || (!untold.may_have_effect() && self.history_read_after_callers(&action.name.service))
    }

    /// Whether a call of the action never came to its service: nobody says that it may have had an effect or was asked
    /// to undo it, and the service's History, read when nobody could call it any more, knows nothing of it.
    fn never_arrived(&self, book: &Rulebook, id: ActionId) -> bool {
        let name = &book.get(id).name;
        self.history_read_after_callers(&name.service)
            && self.undo_of(name).is_none()
            && self.owners_word(book, id).is_empty()
            && !self.heard().anybodys_word(name).may_have_effect()
    }

    /// Whether nobody can call anything of a service any more, directly or through others, by the word of whoever could
    /// have. Of the beginning of a saga nobody can say that, nor while something is run again.
    pub(crate) fn nobody_calls(&self, book: &Rulebook, service: &str) -> bool {
        let is_run_again = |step: &StepRow| step.verb == Verb::Retry && step.attempts > 0;
        !self.steps.iter().any(is_run_again) && self.nobody_leads_to(book, service, false)
    }

    /// The same of a saga that is said to have ended: its beginning calls nobody any more either.
    pub(crate) fn nobody_calls_after_the_end(&self, book: &Rulebook, service: &str) -> bool {
        let runs_again = |step: &StepRow| {
            step.verb == Verb::Retry && step.attempts > 0 && !step.state.is_terminal()
        };
        self.row.extra.saga_ended_at.is_some()
            && !self.steps.iter().any(runs_again)
            && self.nobody_leads_to(book, service, true)
    }

    fn nobody_leads_to(&self, book: &Rulebook, service: &str, beginning_is_over: bool) -> bool {
        let reached = self.reached(book);
        let is_over = |id: &ActionId| beginning_is_over && reached.entries.contains(id);
        let goes_on = |id: &&ActionId| !is_over(id) && !self.has_told_its_calls(book, **id);
        let running = reached.now.iter().filter(goes_on);
        let led_to: BTreeSet<ActionId> =
            running.flat_map(|id| book.downstream(*id).iter().copied()).collect();
        let own = |id: &&ActionId| *book.get(**id).name.service == *service;
        reached.declared.iter().filter(own).all(|id| {
            (beginning_is_over || !reached.entries.contains(id))
                && !led_to.contains(id)
                && self.callers_running(book, *id, &reached).all(|caller| is_over(&caller))
        })
    }

    /// Whether the action calls nobody any more: its own service says that it has ended, or a caller does where that
    /// says nothing, or its service bars it and has told whom it called.
    pub(crate) fn has_ended(&self, book: &Rulebook, id: ActionId) -> bool {
        let action = book.get(id);
        let is_fence = |step: &StepRow| step.action == action.name && fences::is_up(step);
        if action.class != ActionClass::Compensable && self.steps.iter().any(is_fence) {
            return true;
        }
        if action.bars() && self.is_barred_and_told(&action.name) {
            return true;
        }
        let word = self.word_that_counts(book, id);
        !word.is_empty() && word.iter().all(fences::has_ended)
    }

    /// What is known of an action's requests by the word that counts. A caller's counts only of an action that keeps no
    /// undo: what such a one says of the rest, its own service has to confirm.
    pub(crate) fn word_that_counts(&self, book: &Rulebook, id: ActionId) -> States {
        let action = book.get(id);
        let heard = self.heard();
        let calls = |by: &str| {
            let services = book.callers(id).iter().map(|caller| &book.get(*caller).name.service);
            services.into_iter().any(|service| **service == *by) || heard.takes_part(by)
        };
        let trusted = action.class != ActionClass::Compensable;
        heard.word_that_counts(&action.name, |by| trusted && calls(by))
    }

    pub(crate) fn told_call(&self, book: &Rulebook, by: &str, callee: ActionId) -> bool {
        !self.heard().word_of(by, &book.get(callee).name).is_empty()
    }

    fn history_read_after_the_end(&self, service: &str) -> bool {
        let mut histories =
            self.row.extra.histories.iter().filter(|query| *query.service == *service);
        histories.any(|query| query.answered && query.told_at.is_some() && query.asked_after_end)
    }

    fn history_read_after_callers(&self, service: &str) -> bool {
        let mut histories =
            self.row.extra.histories.iter().filter(|query| *query.service == *service);
        histories
            .any(|query| query.answered && query.told_at.is_some() && query.asked_after_callers)
    }

    /// Whether waiting can't bring anything new about what is open: everybody who could begin something has ended, and
    /// of every known request it is known what became of it. Then the quiet time need not run.
    pub(crate) fn nobody_goes_on(&self, book: &Rulebook, open: &[Finding]) -> bool {
        let reached = self.reached(book);
        let is_over = self.row.extra.saga_ended_at.is_some()
            || (!reached.entries.is_empty()
                && reached.entries.iter().all(|id| self.has_ended(book, *id)));
        let may_come = |finding: &Finding| {
            let unclear = |state: HistoryState| {
                matches!(state, HistoryState::Started | HistoryState::Unknown)
            };
            let called = finding
                .id
                .is_none_or(|id| self.callers_going_on(book, id, &reached).next().is_some());
            called || self.states_of(&finding.name).any(unclear)
        };
        is_over && !open.iter().any(may_come)
    }
}

impl StepRow {
    /// Whether it ended by itself as nothing to undo, without ever having been sent.
    pub(crate) fn ended_without_effect(&self) -> bool {
        self.ended_unasked() && self.state == StepState::Done(Outcome::NothingToCompensate)
    }

    /// Whether it ended by itself without ever having been sent.
    pub(crate) fn ended_unasked(&self) -> bool {
        self.attempts == 0 && !self.extra.by_hand && self.state.is_terminal()
    }
}
