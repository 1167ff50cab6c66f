//! The checker of what waits, shown work that nobody does and pauses that are not kept.

use super::*;

#[test]
fn something_is_due_and_nobody_sends_it() {
    let mut run = Watched::new();
    run.open("failed", vec![pay(StepState::Due(NOW)), place(StepState::Waiting)]);
    run.rest(None);
    assert!(run.found("7 waiting"));
}

#[test]
fn nothing_will_wake_the_supervisor() {
    let mut run = Watched::new();
    let later = NOW.plus_ms(1_000);
    run.open("failed", vec![pay(StepState::Due(later)), place(StepState::Waiting)]);
    run.rest(Some(later.plus_ms(1)));
    assert!(run.found("7 waiting"));
}

#[test]
fn a_service_that_wants_a_pause_gets_none() {
    let mut run = Watched::new();
    let sent = pay(StepState::InFlight);
    run.open("failed", vec![sent.clone(), place(StepState::Waiting)]);
    run.send(1, &sent, sent.id);
    let busy = StepReading::Busy { overloaded: true, retry_after_ms: Some(5_000) };
    run.answered(1, &sent, busy, 429);
    run.is_content();
    run.rest(None);
    run.found.clear(); // of that rest
    run.send(2, &sent, sent.id);
    assert!(run.found("7 waiting"));
}

/// The answer waits in the queue while the store is late and the commit before it fails.
#[test]
fn a_pause_that_was_asked_for_before_a_loading_begins_after_it_and_ends() {
    let mut run = Watched::new();
    let sent = pay(StepState::InFlight);
    run.open("failed", vec![sent.clone(), place(StepState::Waiting)]);
    run.send(1, &sent, sent.id);
    let busy = StepReading::Busy { overloaded: true, retry_after_ms: Some(5_000) };
    run.answered(1, &sent, busy, 429);
    run.now = run.now.plus_ms(10_000);
    run.see(&Seen::Loaded);
    run.commit(vec![Write::Step(Box::new(pay(StepState::Due(run.now))))]);
    run.found.clear();
    run.rest(None);
    assert!(!run.found("7 waiting"), "it takes note of the pause now");
    run.now = run.now.plus_ms(5_001);
    run.rest(None);
    assert!(run.found("7 waiting"), "it waits longer than it was asked to");
}
