//! Open cases that are in the store only: what they cost, and that nothing about them is forgotten. That it changes
//! nothing where a case is kept is a property (`properties.rs`).

mod world;

use amends_api::CaseState;
use amends_engine::{Answer, Replaces, StepReading};
use amends_rulebook::Rulebook;
use world::{Reply, Says, World, payment_report_1, report};

/// A house with no room for cases that wait.
fn without_room() -> World {
    World::food_order().with_budget(0)
}

#[test]
fn a_case_that_waits_costs_less_than_a_kilobyte() {
    const CASES: usize = 1_000;
    let mut world = without_room();
    world.replies.insert("coupon".into(), Reply::Says(StepReading::NotSent));
    for n in 0..CASES {
        world.report(payment_report_1(&format!("s-{n}")));
        world.settle_down();
    }
    let used = world.engine.memory_use();
    assert_eq!((used.resident_cases, used.spilled_cases), (0, CASES), "{used:?}");
    assert!(used.bytes() / CASES < 1_000, "{used:?}");
    assert_eq!(used.resident_bytes, 0);

    // After a restart it is the same, before anything has been worked on.
    world.crash();
    let again = world.engine.memory_use();
    assert!(again.spilled_cases >= CASES - 16 && again.bytes() / CASES < 1_000, "{again:?}");

    // The service is back: all go, and nothing of them is left.
    world.replies.clear();
    world.settle_down();
    world.pass_ms(60_000);
    let open = world.memory.cases().find(|case| case.state != CaseState::Settled);
    assert!(open.is_none(), "{open:#?}");
    let used = world.engine.memory_use();
    assert_eq!((used.resident_cases, used.spilled_cases, used.spilled_bytes), (0, 0, 0));
}

#[test]
fn a_service_that_returns_gets_what_waits_for_it_in_spite_of_its_backoff() {
    let mut world = without_room();
    world.replies.insert("coupon".into(), Reply::Says(StepReading::NotSent));
    for n in 0..40 {
        world.report(payment_report_1(&format!("s-{n}")));
        world.settle_down();
    }
    world.pass_ms(600_000); // every backoff has grown to minutes
    world.replies.clear();
    world.pass_ms(5_000);
    let waits = world.memory.steps().filter(|step| !step.state.is_terminal()).count();
    assert_eq!(waits, 0, "{} of them wait", waits);
}

#[test]
fn a_case_without_room_still_knows_its_reports_and_joins_later_ones() {
    let mut world = without_room();
    let first = report("stranger/odd", "s").id("1");
    let case = world.report(first.clone());
    world.settle_down();
    assert!(world.engine.is_spilled(case), "{:#?}", world.stored(case));
    assert_eq!(world.report(first), case);
    assert_eq!(world.report(report("stranger/odd", "s").id("2")), case);
    assert_eq!(world.memory.reports_of(case).count(), 2);
}

#[test]
fn a_version_that_drops_what_a_spilled_case_needs_is_not_taken() {
    let text = |services: &str| {
        format!(
            "rulebook: two\nservices: {{ {services} }}\nrules: [{{ on: \"*/*\", compensate: [a.x] }}]\n"
        )
    };
    let a = "a: { url: \"http://a\", actions: { x: { compensation: undo } } }";
    let b = "b: { url: \"http://b\", actions: { y: { compensation: undo } } }";
    let both = format!("{a}, {b}");
    let with_b = text(&both).replace("[a.x]", "[a.x, b.y]");
    let mut world = World::new(&with_b).with_budget(0);
    world.replies.insert("b".into(), Reply::Says(StepReading::NotSent));
    let case = world.report(report("a/broken", "s").action("x"));
    world.settle_down();
    assert!(world.engine.is_spilled(case));
    let without_b = Rulebook::from_yaml(&text(a)).expect("valid");
    let answer = world.try_to_activate(without_b, Replaces::Any);
    let Answer::Dropped { needed, .. } = answer else { panic!("{answer:?}") };
    assert!(needed[0].contains("b.y"), "{needed:?}");
}

#[test]
fn versions_that_no_resident_case_needs_are_forgotten_and_come_back_with_a_case() {
    let version = |quiet: usize| {
        format!(
            "rulebook: two\nsettle: {{ quiet: {quiet}s }}\nservices: {{ a: {{ url: \"http://a\", actions: {{ x: {{ compensation: undo }} }} }} }}\nrules: [{{ on: \"*/*\", compensate: [a.x] }}]\n"
        )
    };
    let mut world = World::new(&version(1)).with_budget(0);
    world.replies.insert("a".into(), Reply::Says(StepReading::NotSent));
    for n in 2..60 {
        world.report(report("a/broken", &format!("s-{n}")).action("x"));
        world.settle_down();
        world.activate(Rulebook::from_yaml(&version(n)).expect("valid"));
    }
    let versions = world.memory.rulebooks();
    let known = versions.filter(|row| world.engine.knows_rulebook(&row.hash)).count();
    assert!(known <= 20, "{known} of 59 are known");
    world.replies.clear();
    world.pass_ms(120_000);
    let open = world.memory.cases().find(|case| case.state != CaseState::Settled);
    assert!(open.is_none(), "{open:#?}");
}

#[test]
fn a_spilled_case_that_does_not_read_back_is_quarantined_when_it_is_needed() {
    let mut world = without_room();
    let case = world.report(report("stranger/odd", "s").id("1"));
    world.settle_down();
    assert!(world.engine.is_spilled(case));
    world.memory.break_case(case, "somebody wrote into its file");
    assert_eq!(world.report(report("stranger/odd", "s").id("2")), case, "it is kept all the same");
    assert_eq!(world.engine.quarantined().len(), 1);
    assert!(!world.engine.is_spilled(case));
    assert_eq!(world.engine.memory_use().spilled_bytes, 0);
}
