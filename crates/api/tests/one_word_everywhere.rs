//! Every state of a step against the places that show it: its sign (lists, case page, timeline), the sentence of its
//! case (lists, case page, alerts), its event, and the title of its group (overview, groups, `top`). One row, one
//! state: who reads the table sees whether two places contradict each other.

use amends_api::sentence::{CaseFacts, StepFacts, case_sentence, group_title};
use amends_api::signs::case_sign;
use amends_api::{CaseState, Cause, ClosedOn, EventState, StepStateName, StepView, StuckReason};
use amends_protocol::{Outcome, Timestamp, Verb};
use serde_json::json;

/// 12:05:10 UTC.
const NOON: Timestamp = Timestamp(1_700_049_910_000);

/// A state as it can stand in a plan.
#[derive(Clone, Copy, Default)]
struct Standing {
    state: Option<StepStateName>,
    outcome: Option<Outcome>,
    recorded: Option<Outcome>,
    reason: Option<StuckReason>,
    cause: Option<Cause>,
    awaits_callback: bool,
}

impl Standing {
    const fn of(state: StepStateName, cause: Option<Cause>) -> Self {
        Self {
            state: Some(state),
            outcome: None,
            recorded: None,
            reason: None,
            cause,
            awaits_callback: false,
        }
    }

    fn name(&self) -> String {
        let words = [
            self.state.map(|state| state.to_string()),
            self.outcome.map(|outcome| outcome.to_string()),
            self.recorded.map(|outcome| format!("recorded {outcome}")),
            self.reason.map(|reason| reason.to_string()),
            self.cause.map(|cause| format!("({cause})")),
            self.awaits_callback.then(|| "calls back".to_owned()),
        ];
        words.into_iter().flatten().collect::<Vec<_>>().join(" ")
    }

    fn sign(&self) -> String {
        let view: StepView = serde_json::from_value(json!({
            "id": "s-1-1-9f86d081884c7d65", "caseId": "c-1", "sagaId": "o-1", "verb": "compensate",
            "action": "pay.charge", "stage": 0, "state": self.state, "outcome": self.outcome,
            "recorded": self.recorded, "reason": self.reason, "cause": self.cause,
            "awaitsCallback": self.awaits_callback, "attempts": 1, "because": [],
            "plannedAt": "2026-01-01T00:00:00Z",
        }))
        .expect("a step");
        view.sign().word.to_owned()
    }

    fn sentence(&self) -> String {
        let step = StepFacts {
            verb: match self.outcome {
                Some(Outcome::Retried) => Verb::Retry,
                Some(Outcome::Notified) => Verb::Notify,
                _ => Verb::Compensate,
            },
            action: "pay.charge".parse().expect("a name"),
            state: self.state.unwrap_or(StepStateName::Due),
            outcome: self.recorded.or(self.outcome),
            reason: self.reason,
            cause: self.cause,
            due_at: matches!(self.state, Some(StepStateName::Due | StepStateName::Accepted))
                .then_some(NOON),
            awaits_callback: self.awaits_callback,
        };
        let state = match self.reason {
            Some(_) => CaseState::Stuck,
            None => CaseState::Open,
        };
        let sentence = case_sentence(&CaseFacts {
            state,
            closed_on: None,
            service: "pay",
            code: "x",
            message: None,
            after: Vec::new(),
            steps: vec![step],
            histories: Vec::new(),
            quiet_at: None,
            settled_by: None,
            may_still_stand: Vec::new(),
        });
        sentence
            .strip_prefix("pay failed: x")
            .expect("it begins so")
            .trim_start_matches("; ")
            .to_owned()
    }

    fn event(&self) -> &'static str {
        match (self.outcome, self.reason, self.state) {
            (Some(outcome), ..) => EventState::Ended(outcome).as_str(),
            (None, Some(reason), _) => EventState::Stuck(reason).as_str(),
            (None, None, Some(state)) => EventState::Step(state).as_str(),
            (None, None, None) => "",
        }
    }

    fn group(&self) -> String {
        let Some(cause) = self.cause else { return "-".to_owned() };
        let title = group_title("pay", cause, self.reason.is_some(), Some("why"), 1, NOON);
        title.split(": 1 ").next().unwrap_or_default().to_owned()
    }
}

/// Every state that a step can have, as the engine makes it.
fn all() -> Vec<Standing> {
    let mut all = vec![Standing::of(StepStateName::Waiting, None)];
    for cause in [Cause::Held, Cause::Question, Cause::Callers] {
        all.push(Standing::of(StepStateName::Waiting, Some(cause)));
    }
    all.push(Standing::of(StepStateName::Due, None));
    for cause in [
        Cause::Unreachable,
        Cause::NoAnswer,
        Cause::Status,
        Cause::Busy,
        Cause::Rejecting,
        Cause::Paused,
        Cause::Held,
    ] {
        all.push(Standing::of(StepStateName::Due, Some(cause)));
    }
    all.push(Standing::of(StepStateName::InFlight, Some(Cause::Asked)));
    let accepted = Standing::of(StepStateName::Accepted, Some(Cause::Accepted));
    all.push(accepted);
    all.push(Standing { awaits_callback: true, ..accepted });
    for (reason, cause) in [
        (StuckReason::Refused, Cause::Refused),
        (StuckReason::OutOfAttempts, Cause::Unreachable),
        (StuckReason::OutOfTime, Cause::NoAnswer),
        (StuckReason::Rejected, Cause::Rejected),
        (StuckReason::Unsendable, Cause::Unsendable),
        (StuckReason::Unsendable, Cause::Question),
        (StuckReason::AwaitsApproval, Cause::Approval),
    ] {
        let stuck = Standing::of(StepStateName::Stuck, Some(cause));
        all.push(Standing { reason: Some(reason), ..stuck });
    }
    let done = Standing::of(StepStateName::Done, None);
    // What its service refuses is stuck.
    let ends = Outcome::ALL.iter().filter(|one| **one != Outcome::Refused);
    all.extend(ends.map(|one| Standing { outcome: Some(*one), ..done }));
    all.push(Standing {
        outcome: Some(Outcome::NothingToCompensate),
        recorded: Some(Outcome::Compensated),
        ..done
    });
    all.push(Standing::of(StepStateName::Superseded, None));
    all.push(Standing::of(StepStateName::Shadow, None));
    all
}

/// State, sign, sentence, event, group.
const TABLE: &str = "\
waiting | waiting | 0 of 1 undone; 1 comes after that | waiting | -
waiting (held) | waiting | 0 of 1 undone; pay waits for the release of its rule | waiting | pay waits for the release of why
waiting (question) | waiting | 0 of 1 undone; pay waits for an answer | waiting | a question about pay: why
waiting (callers) | waiting | 0 of 1 undone; pay waits for whoever may still call it | waiting | pay waits for whoever may still call it
due | due | 0 of 1 undone; pay waits for its turn | due | -
due (unreachable) | due | 0 of 1 undone; pay unreachable, next try 12:05:10 UTC | due | pay unreachable
due (no_answer) | due | 0 of 1 undone; pay does not answer, next try 12:05:10 UTC | due | pay does not answer
due (status) | due | 0 of 1 undone; pay answers with an error, next try 12:05:10 UTC | due | pay answers with an error
due (busy) | due | 0 of 1 undone; pay is busy, next try 12:05:10 UTC | due | pay is busy
due (rejecting) | due | 0 of 1 undone; pay rejects whatever it is asked, next try 12:05:10 UTC | due | pay rejects whatever it is asked
due (paused) | due | 0 of 1 undone; pay is paused | due | pay paused
due (held) | due | 0 of 1 undone; pay waits for the release of its rule | due | pay waits for the release of why
in_flight (asked) | in flight | 0 of 1 undone; pay is being asked | in_flight | pay is being asked
accepted (accepted) | accepted | 0 of 1 undone; pay works on it, next look 12:05:10 UTC | accepted | pay works on it
accepted (accepted) calls back | tells when done | 0 of 1 undone; pay works on it and tells when it is done, asked again 12:05:10 UTC if it does not | accepted | pay works on it
stuck refused (refused) | refused | 0 of 1 undone; pay refuses | stuck: refused | pay refuses
stuck out_of_attempts (unreachable) | out of attempts | 0 of 1 undone; pay out of attempts | stuck: out_of_attempts | pay unreachable
stuck out_of_time (no_answer) | out of time | 0 of 1 undone; pay out of time | stuck: out_of_time | pay does not answer
stuck rejected (rejected) | rejected | 0 of 1 undone; pay says the request is invalid | stuck: rejected | pay says the request is invalid
stuck unsendable (unsendable) | unsendable | 0 of 1 undone; the request to pay cannot be built | stuck: unsendable | the request to pay cannot be built
stuck unsendable (question) | a question | 0 of 1 undone; pay waits for an answer | stuck: unsendable | a question about pay: why
stuck awaits_approval (approval) | waits for approval | 0 of 1 undone; pay waits for approval | stuck: awaits_approval | pay waits for approval
done compensated | undone | undone | compensated | -
done already_compensated | was undone already | undone | already_compensated | -
done nothing_to_compensate | had nothing to undo | 1 had nothing to undo | nothing_to_compensate | -
done retried | retried | pay retried | retried | -
done notified | told | pay told | notified | -
done waived | waived | 0 of 1 undone; 1 waived | waived | -
done not_fenceable | puts up no fence |  | not_fenceable | -
done nothing_to_compensate recorded compensated | undone | undone | nothing_to_compensate | -
superseded | superseded |  | superseded | -
shadow | shadow |  | shadow | -
";

#[test]
fn every_state_is_told_in_one_word_wherever_it_is_shown() {
    let mut table = String::new();
    for one in all() {
        let (sign, sentence, group) = (one.sign(), one.sentence(), one.group());
        for text in [&sign, &sentence, &group] {
            assert!(!text.contains('_'), "{}: a word for machines in {text:?}", one.name());
        }
        let row = [one.name(), sign, sentence, one.event().to_owned(), group];
        table.push_str(&row.join(" | "));
        table.push('\n');
    }
    assert_eq!(table, TABLE, "the states as they are shown now:\n{table}");
}

#[test]
fn no_state_and_no_reason_is_left_out() {
    let all = all();
    for state in StepStateName::ALL {
        assert!(all.iter().any(|one| one.state == Some(*state)), "{state}");
    }
    for reason in StuckReason::ALL {
        assert!(all.iter().any(|one| one.reason == Some(*reason)), "{reason}");
    }
}

/// State, sign, what ends the sentence, event.
const CASES: &str = "\
open | open | 0 of 1 undone; pay waits for its turn | open
stuck by a step | stuck | 0 of 1 undone; pay refuses | stuck
stuck by a question | stuck | a question waits for an answer; undone | stuck
unmatched | unmatched | no rule answers pay/x, pick a plan | unmatched
settled proven | settled: proven | undone; settled, proven: everything that could stand has answered or is fenced | settled
settled forward | settled: forward | settled, forward: nothing had to be undone | settled
settled quiet | settled: quiet | undone; settled, quiet: no further activity | settled
settled by_person | settled by a person | undone; settled by kim | settled
";

/// A case in a state, and how it is told.
fn case_row(
    name: &str,
    state: CaseState,
    closed_on: Option<ClosedOn>,
    steps: Vec<StepFacts>,
) -> String {
    let sentence = case_sentence(&CaseFacts {
        state,
        closed_on,
        service: "pay",
        code: "x",
        message: None,
        after: Vec::new(),
        steps,
        histories: Vec::new(),
        quiet_at: None,
        settled_by: Some("kim"),
        may_still_stand: Vec::new(),
    });
    let end =
        sentence.strip_prefix("pay failed: x").expect("it begins so").trim_start_matches("; ");
    let (sign, event) = (case_sign(state, closed_on).word, EventState::Case(state));
    format!("{name} | {sign} | {end} | {event}\n")
}

#[test]
fn every_state_of_a_case_is_told_the_same_by_sign_sentence_and_event() {
    let step = |state: StepStateName, outcome: Option<Outcome>, reason: Option<StuckReason>| {
        vec![StepFacts {
            verb: Verb::Compensate,
            action: "pay.charge".parse().expect("a name"),
            state,
            outcome,
            reason,
            cause: None,
            due_at: None,
            awaits_callback: false,
        }]
    };
    let undone = || step(StepStateName::Done, Some(Outcome::Compensated), None);
    let refused = step(StepStateName::Stuck, None, Some(StuckReason::Refused));
    let mut table = case_row("open", CaseState::Open, None, step(StepStateName::Due, None, None));
    table += &case_row("stuck by a step", CaseState::Stuck, None, refused);
    table += &case_row("stuck by a question", CaseState::Stuck, None, undone());
    table += &case_row("unmatched", CaseState::Unmatched, None, Vec::new());
    for closed_on in ClosedOn::ALL {
        let steps = if *closed_on == ClosedOn::Forward { Vec::new() } else { undone() };
        let name = format!("settled {closed_on}");
        table += &case_row(&name, CaseState::Settled, Some(*closed_on), steps);
    }
    assert_eq!(table, CASES, "the states as they are shown now:\n{table}");
}
