//! The sentence by example: one row, one case.

use super::*;

const NOON: Timestamp = Timestamp(1_700_049_910_000);

fn case(state: CaseState, steps: Vec<StepFacts>) -> CaseFacts<'static> {
    CaseFacts {
        state,
        closed_on: None,
        service: "delivery",
        code: "report-1",
        message: Some("no rider"),
        after: vec!["payment"],
        steps,
        histories: vec![],
        quiet_at: None,
        settled_by: None,
        may_still_stand: vec![],
    }
}

fn step(verb: Verb, service: &str, state: StepStateName) -> StepFacts {
    StepFacts {
        verb,
        action: ActionName::new(service, "act"),
        state,
        outcome: None,
        reason: None,
        cause: None,
        due_at: None,
        awaits_callback: false,
    }
}

fn undo(service: &str, state: StepStateName) -> StepFacts {
    step(Verb::Compensate, service, state)
}

fn done(verb: Verb, service: &str, outcome: Outcome) -> StepFacts {
    StepFacts { outcome: Some(outcome), ..step(verb, service, StepStateName::Done) }
}

fn undone(service: &str) -> StepFacts {
    done(Verb::Compensate, service, Outcome::Compensated)
}

fn due(service: &str, cause: Option<Cause>) -> StepFacts {
    StepFacts { cause, due_at: Some(NOON), ..undo(service, StepStateName::Due) }
}

fn stuck(service: &str, reason: StuckReason) -> StepFacts {
    StepFacts { reason: Some(reason), ..undo(service, StepStateName::Stuck) }
}

fn actions(names: &[&str]) -> Vec<ActionName> {
    names.iter().map(|name| name.parse().expect("a name")).collect()
}

#[test]
fn the_sentence_says_what_failed_how_far_it_is_and_what_is_next() {
    use CaseState::{Open, Settled, Stuck, Unmatched};
    let retried = done(Verb::Retry, "order", Outcome::Retried);
    let told = done(Verb::Notify, "sms", Outcome::Notified);
    let table: Vec<(CaseFacts<'_>, &str)> = vec![
        (case(Open, vec![]), ""),
        (
            case(
                Open,
                vec![
                    undone("payment"),
                    undone("delivery"),
                    undone("rider"),
                    due("coupon", Some(Cause::Unreachable)),
                ],
            ),
            "; 3 of 4 undone; coupon unreachable, next try 12:05:10 UTC",
        ),
        (
            case(
                Stuck,
                vec![
                    due("coupon", None),
                    stuck("rider", StuckReason::Refused),
                    undo("payment", StepStateName::InFlight),
                    step(Verb::Notify, "sms", StepStateName::Waiting),
                ],
            ),
            "; 0 of 3 undone; 0 of 1 told; rider refuses; payment is being asked; 1 more under way; 1 comes after that",
        ),
        (
            CaseFacts {
                closed_on: Some(ClosedOn::Proven),
                ..case(Settled, vec![undone("payment"), undone("coupon"), told])
            },
            "; both undone; sms told; settled, proven: everything that could stand has answered or is fenced",
        ),
        (
            CaseFacts {
                closed_on: Some(ClosedOn::ByPerson),
                ..case(
                    Settled,
                    vec![
                        done(Verb::Compensate, "payment", Outcome::Waived),
                        done(Verb::Compensate, "coupon", Outcome::NothingToCompensate),
                    ],
                )
            },
            "; 0 of 1 undone; 1 had nothing to undo; 1 waived; settled by a person",
        ),
        (
            CaseFacts { closed_on: Some(ClosedOn::Forward), ..case(Settled, vec![retried]) },
            "; order retried; settled, forward: nothing had to be undone",
        ),
        (case(Unmatched, vec![]), "; no rule answers delivery/report-1, pick a plan"),
        (
            CaseFacts { quiet_at: Some(NOON), ..case(Open, vec![undone("payment")]) },
            "; undone; settles 12:05:10 UTC if there is no further activity",
        ),
        (
            case(
                Open,
                vec![
                    undo("payment", StepStateName::Superseded),
                    undo("coupon", StepStateName::Shadow),
                ],
            ),
            "",
        ),
    ];
    for (facts, rest) in table {
        let expected = format!("delivery failed after payment: no rider{rest}");
        assert_eq!(case_sentence(&facts), expected);
    }
}

#[test]
fn a_case_says_which_history_it_waits_for_since_when_and_until_when() {
    let history = |service, cause| HistoryFacts {
        service,
        cause,
        since: Some(Timestamp(NOON.0 - 180_000)),
        due_at: Some(NOON).filter(|_| cause != Cause::Paused && cause != Cause::Asked),
    };
    let open = |histories: Vec<HistoryFacts<'static>>| CaseFacts {
        histories,
        ..case(CaseState::Open, vec![undone("coupon")])
    };
    let waits = "waits for the History of payment since 12:02 UTC";
    for (facts, expected) in [
        (open(vec![history("payment", Cause::History)]), format!("{waits}, next try 12:05:10 UTC")),
        (open(vec![history("payment", Cause::Asked)]), format!("{waits}, which is being read")),
        (open(vec![history("payment", Cause::Paused)]), format!("{waits}, payment is paused")),
        (
            open(vec![history("payment", Cause::Unreachable)]),
            format!("{waits}, payment unreachable, next try 12:05:10 UTC"),
        ),
        (
            open(["payment", "b", "c", "d"].map(|name| history(name, Cause::Asked)).into()),
            format!(
                "{waits}, which is being read; waits for the History of b since 12:02 UTC, which is being read; waits for 2 more Histories"
            ),
        ),
    ] {
        let sentence = case_sentence(&facts);
        assert_eq!(
            sentence,
            format!("delivery failed after payment: no rider; undone; {expected}")
        );
    }
}

#[test]
fn steps_of_a_paused_service_say_so_and_those_that_are_stuck_are_not_under_way() {
    let paused = |service| StepFacts { due_at: None, ..due(service, Some(Cause::Paused)) };
    let open = case(CaseState::Open, vec![paused("payment")]);
    assert!(case_sentence(&open).ends_with("; 0 of 1 undone; payment is paused"));
    let refused = StuckReason::Refused;
    let steps = vec![stuck("a", refused), stuck("b", refused), stuck("c", refused), paused("d")];
    let sentence = case_sentence(&case(CaseState::Stuck, steps));
    assert!(
        sentence.ends_with("; a refuses; b refuses; 1 more stuck; 1 more under way"),
        "{sentence}"
    );
}

#[test]
fn a_settled_case_says_who_closed_it_and_what_may_still_stand() {
    let settled = |closed_on, left: &[&str]| CaseFacts {
        closed_on: Some(closed_on),
        settled_by: Some("kim").filter(|_| closed_on == ClosedOn::ByPerson),
        may_still_stand: actions(left),
        ..case(CaseState::Settled, vec![])
    };
    let quiet = "settled, quiet: no further activity";
    for (facts, expected) in [
        (settled(ClosedOn::Quiet, &[]), quiet.to_owned()),
        (settled(ClosedOn::Quiet, &["a.b"]), format!("{quiet}; a.b may still stand")),
        (
            settled(ClosedOn::Quiet, &["a.b", "c.d"]),
            format!("{quiet}; a.b and c.d may still stand"),
        ),
        (
            settled(ClosedOn::ByPerson, &["a.b", "c.d", "e.f"]),
            "settled by kim; a.b, c.d and 1 more may still stand".to_owned(),
        ),
    ] {
        let sentence = case_sentence(&facts);
        assert_eq!(sentence, format!("delivery failed after payment: no rider; {expected}"));
    }
}

#[test]
fn a_failure_is_told_with_what_is_known_of_it() {
    let plain = |after: &[&'static str], message| CaseFacts {
        after: after.to_vec(),
        message,
        ..case(CaseState::Open, vec![])
    };
    let long = "x".repeat(500);
    for (facts, expected) in [
        (plain(&[], None), "delivery failed: report-1".to_owned()),
        (plain(&[], Some("  ")), "delivery failed: report-1".to_owned()),
        (plain(&["a", "b", "c"], Some("m")), "delivery failed after a, b and c: m".to_owned()),
        (
            CaseFacts { message: Some(&long), ..plain(&[], None) },
            format!("delivery failed: {}…", "x".repeat(80)),
        ),
    ] {
        assert_eq!(case_sentence(&facts), expected);
    }
}

#[test]
fn every_reason_and_every_cause_has_words_of_its_own() {
    let reasons = StuckReason::ALL.iter().map(|reason| one(&stuck("a", *reason)));
    let reasons: std::collections::BTreeSet<String> = reasons.collect();
    assert_eq!(reasons.len(), StuckReason::ALL.len());
    for cause in [Cause::Unreachable, Cause::NoAnswer, Cause::Busy, Cause::Status] {
        assert!(one(&due("a", Some(cause))).ends_with("next try 12:05:10 UTC"), "{cause}");
    }
}
