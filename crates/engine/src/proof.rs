//! A case's findings in words: what may still stand, and the proof that tells of each action who said what and when.

use crate::case::Case;
use crate::fences::is_undone_by_its_service;
use crate::standing::{Doubt, Finding, Ground, Reached};
use crate::{StepState, StoredCase};
use amends_api::{ActionProof, ClosedOn, MayStand, Source, Statement, Verdict};
use amends_protocol::{ActionName, Evidence, HistoryState, Timestamp, Verb};
use amends_rulebook::{ActionId, Rulebook};
use std::sync::Arc;

/// What may stand that a settled case keeps; of more, a proof tells.
const KEPT: usize = 100;

/// What a case's closing word rests on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Proof {
    /// Of each action, whether anything may stand and on whose word.
    pub actions: Vec<ActionProof>,
    /// What may still stand.
    pub may_still_stand: Vec<MayStand>,
}

impl Proof {
    /// The proof of a stored case, by the same judgement that closes it. Without the rulebook that it was planned with
    /// there are only the statements, and what was kept when it was settled.
    #[must_use]
    pub fn of(stored: StoredCase, book: Option<Arc<Rulebook>>) -> Self {
        let case = Case::stored(stored, book.clone());
        match book {
            Some(book) => case.proof(&book),
            None => Self {
                actions: case.told_alone(),
                may_still_stand: case.row.extra.may_still_stand.clone(),
            },
        }
    }
}

impl Case {
    fn proof(&self, book: &Rulebook) -> Proof {
        let (findings, reached) = (self.findings(book), self.reached(book));
        let actions = findings.iter().map(|finding| ActionProof {
            action: finding.name.clone(),
            verdict: verdict(finding.ground),
            why: self.why(book, finding, finding.ground, &reached),
            statements: self.statements(&finding.name),
        });
        let settled_in_peace =
            matches!(self.row.closed_on, Some(ClosedOn::Proven | ClosedOn::Forward));
        Proof {
            actions: actions.collect(),
            may_still_stand: match settled_in_peace {
                true => Vec::new(),
                false => self.left_of(book, &findings),
            },
        }
    }

    /// What was said, where nothing can be judged.
    fn told_alone(&self) -> Vec<ActionProof> {
        let of_action = |name: &ActionName| ActionProof {
            action: name.clone(),
            verdict: Verdict::MayStand,
            why: "the rulebook that the case was planned with can't be read".to_owned(),
            statements: self.statements(name),
        };
        self.heard().all_effects().map(of_action).collect()
    }

    /// What may still stand, for a case that is being settled on less than a proof.
    pub(crate) fn may_still_stand(&self) -> Vec<MayStand> {
        let mut left = match &self.book {
            Some(book) => self.left_of(book, &self.findings(book)),
            None => self.left_without_book(),
        };
        left.truncate(KEPT);
        left
    }

    fn left_of(&self, book: &Rulebook, findings: &[Finding]) -> Vec<MayStand> {
        let reached = self.reached(book);
        // Where nothing is undone, what nobody has told of is not in question.
        let is_backward = self.is_backward();
        let in_shadow = !is_backward && findings.iter().any(Finding::is_in_shadow);
        let open = findings.iter().filter(|finding| match finding.ground {
            Ground::Open(Doubt::InShadow) => true,
            // Where the undoing is only recorded, it is not in question what else stands.
            Ground::Open(Doubt::NotAsked) if in_shadow => false,
            Ground::Open(Doubt::Unheard | Doubt::CallersGoOn) => is_backward,
            _ => finding.is_open(),
        });
        open.flat_map(|finding| {
            self.requests_left(&finding.name, finding.ground, |ground| {
                self.why(book, finding, ground, &reached)
            })
        })
        .collect()
    }

    fn left_without_book(&self) -> Vec<MayStand> {
        let why = "no rulebook says how it is undone";
        let effects = self.heard().all_effects();
        let ground = Ground::Open(Doubt::Stranger);
        effects.flat_map(|name| self.requests_left(name, ground, |_| why.to_owned())).collect()
    }

    /// Each known request that may stand; the action as a whole if it is told of without a request, if no request is
    /// known, or if those known have been undone.
    fn requests_left(
        &self,
        name: &ActionName,
        ground: Ground,
        why: impl Fn(Ground) -> String,
    ) -> Vec<MayStand> {
        let of = |request_id: Option<String>, state| MayStand {
            service: name.service.to_string(),
            action: name.action.to_string(),
            why: why(self.ground_of_request(ground, request_id.as_deref())),
            request_id,
            state,
        };
        let undone = |request: &Arc<str>| match ground {
            Ground::Open(Doubt::NoFence(step) | Doubt::Decided(step) | Doubt::Unfinished(step)) => {
                self.rows_of_step(&self.steps[step]).map(|row| &self.steps[row]).any(|row| {
                    let about = row.request().is_none_or(|about| about == request);
                    about && is_undone_by_its_service(row)
                })
            }
            _ => false,
        };
        let requests = self.requests_of(name).into_iter();
        let mut left: Vec<MayStand> = requests
            .filter(|(request, state)| state.may_have_effect() && !undone(request))
            .map(|(request, state)| of(Some(request.to_string()), state))
            .collect();
        let unnamed = self.heard().unnamed_word(name, self.callers_of(name));
        let unnamed = unnamed.iter().filter(|state| state.may_have_effect()).last();
        match (left.is_empty(), unnamed) {
            (false, None) => left,
            (_, state) => {
                left.push(of(None, state.unwrap_or(HistoryState::Unknown)));
                left
            }
        }
    }

    /// Why one request of an action may stand, where each is undone by itself and they ended in different ways.
    fn ground_of_request(&self, ground: Ground, request: Option<&str>) -> Ground {
        let (
            Ground::Open(Doubt::NoFence(step) | Doubt::Decided(step) | Doubt::Unfinished(step)),
            Some(request),
        ) = (ground, request)
        else {
            return ground;
        };
        let is_of_it = |row: &usize| self.steps[*row].request().is_some_and(|id| **id == *request);
        let Some(row) = self.rows_of_step(&self.steps[step]).find(is_of_it) else { return ground };
        let of_row = &self.steps[row];
        Ground::Open(match is_undone_by_its_service(of_row) {
            true => Doubt::NoFence(row),
            false if of_row.state.is_terminal() => Doubt::Decided(row),
            false => Doubt::Unfinished(row),
        })
    }

    /// Why a finding is what it is, in plain words.
    fn why(&self, book: &Rulebook, finding: &Finding, ground: Ground, reached: &Reached) -> String {
        let service = &finding.name.service;
        let callers = |going_on: bool| match finding.id {
            Some(id) if going_on => names(book, self.callers_going_on(book, id, reached)),
            Some(id) => names(book, callers_in(book, id, reached)),
            None => String::new(),
        };
        match ground {
            Ground::Undone(step) => {
                format!("{service} answered `{}` and refuses what comes late", self.ending_of(step))
            }
            Ground::NoEffect => match callers(false) {
                callers if callers.is_empty() => {
                    format!("{service} says that it took no effect, and nobody calls it")
                }
                callers => format!(
                    "{service} says that it took no effect, and whoever calls it has ended: {callers}"
                ),
            },
            Ground::NeverReached => match callers(false) {
                callers if callers.is_empty() => {
                    "it was never reached: nobody who calls it was".to_owned()
                }
                callers => format!(
                    "it was never reached: whoever calls it has ended and tells of no call: {callers}"
                ),
            },
            Ground::UnknownToHistory => {
                let who = match callers(false) {
                    callers if callers.is_empty() || self.row.extra.saga_ended_at.is_some() => {
                        "the saga has ended".to_owned()
                    }
                    callers => format!("whoever calls it has ended ({callers})"),
                };
                format!("{who}, and the History of {service}, read after that, knows nothing of it")
            }
            Ground::NoUndo => "the rulebook declares nothing to undo for it".to_owned(),
            Ground::Pivot => "it may have taken effect, and nothing can undo a pivot".to_owned(),
            Ground::Kept => {
                "it came before a pivot that took effect, and its rule says that it stays"
                    .to_owned()
            }
            Ground::Open(doubt) => self.doubt(doubt, &finding.name, &callers(true)),
        }
    }

    fn doubt(&self, doubt: Doubt, name: &ActionName, callers: &str) -> String {
        let service = &name.service;
        let or_call = match callers {
            "" => String::new(),
            callers => format!("; {callers} may still call it"),
        };
        match doubt {
            Doubt::Unfinished(step) => {
                format!("it is not undone yet: its step is `{}`", self.ending_of(step))
            }
            Doubt::Decided(step) => {
                let who = self.steps[step].extra.decided_by.as_deref().unwrap_or("a person");
                format!("{who} decided `{}`; {service} has not said so", self.ending_of(step))
            }
            Doubt::Contradicted(step) => {
                let recorded = self.row.recorded(&self.steps[step]);
                let by_hand = recorded.and_then(|answer| {
                    answer.outcome.map(|outcome| format!("; {} recorded `{outcome}`", answer.by))
                });
                format!(
                    "{service} answered `{}`, and evidence says that a request of it took effect{}",
                    self.ending_of(step),
                    by_hand.unwrap_or_default()
                )
            }
            Doubt::NoFence(step) => format!(
                "{service} answered `{}`, but puts up no fence: a request that comes late takes effect{or_call}",
                self.ending_of(step)
            ),
            Doubt::CallersGoOn => {
                format!("{service} says that it took no effect, which is no fence{or_call}")
            }
            Doubt::InShadow => "it may have taken effect, and its undo is only recorded (the rule is in shadow mode)".to_owned(),
            Doubt::NotAsked => "it may have taken effect, and no rule asks to undo it".to_owned(),
            Doubt::Unheard => format!("nobody has told of it{or_call}"),
            Doubt::Stranger => {
                "it may have taken effect, and the rulebook does not know it".to_owned()
            }
        }
    }

    /// How a step has ended, or where it stands.
    fn ending_of(&self, step: usize) -> &'static str {
        match &self.steps[step].state {
            StepState::Done(outcome) => outcome.as_str(),
            state => state.name().as_str(),
        }
    }

    /// Everything that was said of an action, oldest first; what has no time comes last.
    fn statements(&self, name: &ActionName) -> Vec<Statement> {
        let is_about = |e: &Evidence| *e.service == *name.service && *e.action == *name.action;
        let evidence = |by: &str, source, at: Option<i64>, id, e: &Evidence| Statement {
            by: by.to_owned(),
            source,
            at: at.map(Timestamp),
            id,
            request_id: e.request_id.clone(),
            state: Some(e.state),
            outcome: None,
        };
        let mut all = Vec::new();
        for row in &self.reports {
            let (report, at) = (&row.report, Some(row.received_at.0));
            let told = report.data.history.iter().filter(|e| is_about(e));
            let id = || Some(report.id.clone());
            all.extend(told.map(|e| evidence(report.service(), Source::Report, at, id(), e)));
        }
        for query in &self.row.extra.histories {
            let told = query.entries.iter().filter(|e| is_about(e));
            let (by, at) = (&query.service, query.told_at);
            all.extend(told.map(|e| evidence(by, Source::History, at, None, e)));
        }
        for told in self.row.extra.told.iter().filter(|told| is_about(&told.evidence)) {
            let source = told.within.unwrap_or(Source::Answer);
            all.push(evidence(&told.by, source, told.at, None, &told.evidence));
        }
        all.extend(self.outcomes(name));
        all.sort_by_key(|statement| (statement.at.is_none(), statement.at));
        all
    }

    /// How its steps ended, and who said so.
    fn outcomes(&self, name: &ActionName) -> impl Iterator<Item = Statement> {
        let steps =
            self.steps.iter().filter(|step| step.verb != Verb::Notify && step.action == *name);
        steps.filter_map(|step| {
            let StepState::Done(outcome) = step.state else { return None };
            let extra = &step.extra;
            let (by, source) = match &extra.decided_by {
                Some(person) if extra.by_hand => (person.clone(), Source::Person),
                _ if extra.called_back => (step.action.service.to_string(), Source::Callback),
                _ => (step.action.service.to_string(), Source::Answer),
            };
            Some(Statement {
                by,
                source,
                at: Some(step.updated_at),
                id: Some(step.shown_id().to_string()),
                request_id: step.request().map(ToString::to_string),
                state: None,
                outcome: Some(outcome),
            })
        })
    }
}

fn verdict(ground: Ground) -> Verdict {
    match ground {
        Ground::Undone(_) => Verdict::Undone,
        Ground::NoEffect | Ground::UnknownToHistory => Verdict::NoEffect,
        Ground::NeverReached => Verdict::NeverReached,
        Ground::NoUndo => Verdict::NoUndo,
        Ground::Pivot | Ground::Kept => Verdict::Kept,
        Ground::Open(_) => Verdict::MayStand,
    }
}

fn callers_in(book: &Rulebook, id: ActionId, reached: &Reached) -> impl Iterator<Item = ActionId> {
    let calls = move |caller: &ActionId| book.get(*caller).calls.iter().any(|c| c.action == id);
    reached.now.iter().copied().filter(calls)
}

fn names(book: &Rulebook, ids: impl Iterator<Item = ActionId>) -> String {
    let names: Vec<String> = ids.map(|id| book.get(id).name.to_string()).collect();
    names.join(", ")
}
