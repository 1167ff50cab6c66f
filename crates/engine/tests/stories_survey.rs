//! What people are told of open work: how far each service has come, and what holds the rest up.

mod world;

use amends_api::{CaseState, Cause, StepAct};
use amends_engine::{Lateness, Members, StepReading, Survey};
use amends_protocol::{CaseId, Outcome, Timestamp};
use world::{Reply, World, payment_report_1, reason, report};

/// Cases should be settled within a minute, if their rule does not say otherwise.
fn lateness(world: &World) -> Lateness {
    Lateness { now: world.now, default_ms: Some(60_000) }
}

/// Looks one case at a time, as a busy loop would.
fn survey(world: &World) -> Survey {
    let mut query = world.engine.survey(lateness(world));
    while !query.look(&world.engine, 1) {}
    query.finish()
}

fn members(world: &World, group: &str, limit: usize) -> Members {
    let mut query = world.engine.members(group, limit, lateness(world));
    while !query.look(&world.engine, 1) {}
    query.finish()
}

/// `service cause count [stuck]` of each group.
fn groups(survey: &Survey) -> Vec<String> {
    let line = |(key, group): (&amends_engine::GroupKey, &amends_engine::Group)| {
        let stuck = if key.stuck { " stuck" } else { "" };
        format!("{} {} {}{stuck}", key.service, key.cause, group.count)
    };
    survey.groups.iter().map(line).collect()
}

#[test]
fn nothing_is_open_in_an_empty_house() {
    let survey = survey(&World::food_order());
    assert!(survey.cases.is_empty() && survey.groups.is_empty() && survey.troubles.is_empty());
}

#[test]
fn a_dead_service_makes_one_group_however_its_steps_met_it() {
    let mut world = World::food_order();
    world.replies.insert("coupon".into(), Reply::Says(StepReading::NotSent));
    for n in 0..7 {
        world.report(payment_report_1(&format!("s-{n}")));
        world.settle_down();
    }
    let survey = survey(&world);
    assert_eq!(survey.cases[&CaseState::Open], 7);
    let coupon = survey.services["coupon"];
    assert_eq!(coupon.waiting + coupon.retrying, 7, "{coupon:?}");
    assert_eq!(survey.services["delivery"].done, 7);
    let (key, group) =
        survey.groups.iter().find(|(k, _)| &*k.service == "coupon").expect("a group");
    assert_eq!((key.cause, group.count, group.cases), (Cause::Unreachable, 7, 7));
    assert_eq!(group.since, world.now);
    let found = members(&world, &key.id(), 10);
    assert_eq!((found.steps.len(), found.cases.len(), found.more), (7, 7, false));
    assert!(found.cases.is_sorted_by(|a, b| a > b), "newest first: {found:?}");
    assert_eq!(found.group.as_ref(), Some(&(key.clone(), group.clone())), "as the survey has it");
    let some = members(&world, &key.id(), 3);
    assert_eq!((some.cases.len(), some.more), (3, true));
    assert_eq!(some.group, found.group, "all of it is counted");
    assert_eq!(members(&world, "g-0", 3), Members::default());
}

#[test]
fn each_cause_is_told_by_its_word() {
    for (reading, expected) in [
        (StepReading::NotSent, "coupon unreachable 1"),
        (StepReading::Unknown, "coupon no_answer 1"),
        (StepReading::Busy { overloaded: false, retry_after_ms: Some(9_000) }, "coupon busy 1"),
        (StepReading::Refused, "coupon refused 1 stuck"),
        (StepReading::Rejected, "coupon rejected 1 stuck"),
        (StepReading::Unsendable, "coupon unsendable 1 stuck"),
        (StepReading::Accepted { location: None, retry_after_ms: None }, "coupon accepted 1"),
    ] {
        let mut world = World::food_order();
        world.replies.insert("coupon".into(), Reply::Says(reading));
        world.report(payment_report_1("s"));
        world.settle_down();
        let found = groups(&survey(&world));
        assert!(found.contains(&expected.to_owned()), "{expected}: {found:?}");
    }
}

#[test]
fn a_pause_and_an_earlier_stage_are_causes_too() {
    let mut world = World::food_order();
    world.pause("coupon", true);
    world.report(payment_report_1("s"));
    world.settle_down();
    let found = groups(&survey(&world));
    assert!(found.contains(&"coupon paused 1".to_owned()), "{found:?}");
    assert!(found.contains(&"sms stage 1".to_owned()), "the text goes last: {found:?}");
}

#[test]
fn what_needs_a_person_is_told_newest_first_until_somebody_acts() {
    let mut world = World::new(
        "rulebook: r\nservices:\n  a: { url: \"http://a\", actions: { x: { compensation: undo } } }\n\
         rules:\n  - { on: a/known, compensate: [a.x] }\n",
    );
    world.replies.insert("a".into(), Reply::Says(StepReading::Refused));
    let first = world.report(report("a/known", "s-1"));
    world.settle_down();
    world.now = Timestamp(world.now.0 + 1);
    let second = world.report(report("a/strange", "s-2"));
    let before = survey(&world);
    let cases: Vec<_> = before.troubles.iter().map(|t| (t.case, t.step.is_some())).collect();
    assert_eq!(cases, [(second, false), (first, true)]);
    assert_eq!(before.cases[&CaseState::Unmatched], 1);
    assert_eq!(groups(&before), ["a unmatched 1 stuck", "a refused 1 stuck"]);

    let step = world.step(first, "compensate a.x").id;
    world.act(step, StepAct::Waive { reason: reason() });
    world.settle_down();
    assert_eq!(survey(&world).troubles.len(), 1);
}

#[test]
fn a_case_is_late_by_the_shortest_objective_of_its_rules() {
    let mut world = World::new(
        "rulebook: r\nservices:\n  a: { url: \"http://a\", actions: { x: { compensation: undo } } }\n\
         rules:\n  - { on: a/slow, compensate: [a.x], objective: 1h }\n  \
         - { on: a/quick, compensate: [a.x], objective: 10s }\n  \
         - { on: a/any, compensate: [a.x] }\n",
    );
    world.replies.insert("a".into(), Reply::Says(StepReading::NotSent));
    let slow = world.report(report("a/slow", "s-1"));
    let quick = world.report(report("a/quick", "s-2"));
    let any = world.report(report("a/any", "s-3"));
    let late = |world: &World| {
        let survey = survey(world);
        assert_eq!(survey.late, survey.late_cases.len() as u64);
        let line = |l: amends_engine::LateCase| (l.case, l.rule.map(|r| r.to_string()));
        survey.late_cases.into_iter().map(line).collect::<Vec<_>>()
    };
    world.skip_ms(9_999);
    assert_eq!(late(&world), []);
    world.skip_ms(1);
    assert_eq!(late(&world), [(quick, Some("a/quick".to_owned()))]);
    world.skip_ms(50_000);
    assert_eq!(late(&world), [(any, None), (quick, Some("a/quick".to_owned()))], "newest first");

    let members = members(&world, "g-late", 10);
    let cases: Vec<CaseId> = members.cases.iter().map(|(_, case)| *case).collect();
    assert_eq!((cases, members.steps.len(), members.group), (vec![any, quick], 2, None));
    // A second report of the slow case is answered by the quick rule.
    world.report(report("a/quick", "s-1"));
    assert_eq!(late(&world).last(), Some(&(slow, Some("a/quick".to_owned()))));

    world.replies.insert("a".into(), Reply::Says(StepReading::Done(Outcome::Compensated)));
    world.settle_down();
    world.pass_ms(3_600_000);
    assert_eq!(late(&world), [], "what is settled is not late");
}
