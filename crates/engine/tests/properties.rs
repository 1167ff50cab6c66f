//! What must hold whatever comes, in whatever order: the invariants of ARCHITECTURE.md as properties. The world of
//! these tests checks on every single output that nothing is sent before it is durable (4), out of its stage (5), or
//! again after its outcome (3).

mod world;

use amends_api::{CaseState, StepAct};
use amends_engine::{HistoryResult, Lateness, ReportRole, StepReading, StepState};
use amends_protocol::{HistoryState, Outcome, Report, SagaId, StepId};
use proptest::prelude::*;
use std::collections::BTreeSet;
use world::{Reply, Says, World, evidence, report};

const ACTIONS: [&str; 6] =
    ["order.place", "payment.pay", "coupon.redeem", "delivery.request", "rider.match", "sms.send"];

fn any_report() -> impl Strategy<Value = Report> {
    let kinds = prop::sample::select(vec![
        ("payment/report-1", "pay"),
        ("payment/report-2", "pay"),
        ("order/report-1", "place"),
        ("order/report-2", "place"),
        ("order/report-3", "place"),
        ("coupon/odd", "redeem"),
        ("delivery/late", "request"),
        ("rider/none", "match"),
        ("sms/gateway", "send"),
        ("stranger/any", "thing"),
    ]);
    let seen =
        prop::collection::vec((0..ACTIONS.len(), prop::sample::select(HistoryState::ALL)), 0..4);
    let causes = prop::collection::vec(0_usize..8, 0..2);
    (kinds, seen, causes).prop_map(|((kind, action), seen, causes)| {
        let mut report = report(kind, "s").action(action);
        for (index, state) in seen {
            report = report.saw(ACTIONS[index], state);
        }
        for cause in causes {
            report = report.caused_by(&format!("id-{cause}"));
        }
        report
    })
}

/// Up to six reports of one saga, each with an id of its own.
fn any_reports() -> impl Strategy<Value = Vec<Report>> {
    prop::collection::vec(any_report(), 1..6).prop_map(|reports| {
        reports.into_iter().enumerate().map(|(n, r)| r.id(&format!("id-{n}"))).collect()
    })
}

/// Steps as a set: what, in which stage. Compensation of a retried action depends on whether the retry had already
/// gone out, so plans with retries are compared without it.
fn plan(world: &World) -> BTreeSet<(String, u16)> {
    let case = world.only_case();
    world.steps_of(case).map(|s| (format!("{} {}", s.verb, s.action), s.stage)).collect()
}

#[derive(Clone, Debug)]
enum Weather {
    Fine,
    Gone(usize),
    Refuses(usize),
    Unknown(usize),
    Nothing(usize),
    Silent(usize),
}

fn any_weather() -> impl Strategy<Value = Weather> {
    let n = 0..ACTIONS.len();
    prop_oneof![
        Just(Weather::Fine),
        n.clone().prop_map(Weather::Gone),
        n.clone().prop_map(Weather::Refuses),
        n.clone().prop_map(Weather::Unknown),
        n.clone().prop_map(Weather::Nothing),
        n.prop_map(Weather::Silent),
    ]
}

impl Weather {
    fn set(&self, world: &mut World) {
        let service = |n: &usize| ACTIONS[*n].split_once('.').expect("a name").0.to_owned();
        world.replies.clear();
        match self {
            Self::Fine => {}
            Self::Gone(n) => {
                world.replies.insert(service(n), Reply::Says(StepReading::NotSent));
            }
            Self::Unknown(n) => {
                world.replies.insert(service(n), Reply::Says(StepReading::Unknown));
            }
            Self::Silent(n) => {
                world.replies.insert(service(n), Reply::Silent);
            }
            Self::Refuses(n) => {
                world.replies.insert(
                    format!("compensate {}", ACTIONS[*n]),
                    Reply::Says(StepReading::Refused),
                );
            }
            Self::Nothing(n) => {
                let nothing = Reply::Done(Outcome::NothingToCompensate);
                world.replies.insert(format!("compensate {}", ACTIONS[*n]), nothing);
            }
        }
    }
}

#[derive(Clone, Debug)]
enum Move {
    Report(usize),
    Answer,
    Pass(u32),
    Crash,
    Weather(Weather),
    Waive(usize),
    Retry(usize),
}

fn any_move() -> impl Strategy<Value = Move> {
    prop_oneof![
        4 => (0_usize..6).prop_map(Move::Report),
        4 => Just(Move::Answer),
        3 => (1_u32..200_000).prop_map(Move::Pass),
        1 => Just(Move::Crash),
        2 => any_weather().prop_map(Move::Weather),
        1 => (0_usize..12).prop_map(Move::Waive),
        1 => (0_usize..12).prop_map(Move::Retry),
    ]
}

fn nth_step(world: &World, n: usize) -> Option<StepId> {
    world.memory.steps().nth(n).map(|s| s.id)
}

/// All that people are told of open work.
fn survey(world: &World) -> Vec<String> {
    let lateness = Lateness { now: world.now, default_ms: Some(60_000) };
    let mut query = world.engine.survey(lateness);
    while !query.look(&world.engine, 1) {}
    let survey = query.finish();
    let mut told = vec![format!(
        "{:?} {} {:?} {:?} {:?}",
        survey.cases, survey.awaiting_approval, survey.late_cases, survey.services, survey.troubles
    )];
    told.extend(survey.groups.iter().map(|group| format!("{group:?}")));
    told
}

fn play(world: &mut World, reports: &[Report], moves: &[Move]) {
    for step in moves {
        match step {
            Move::Report(n) => drop(world.report(reports[n % reports.len()].clone())),
            Move::Answer => world.settle_down(),
            Move::Pass(ms) => world.pass_ms(u64::from(*ms)),
            Move::Crash => world.crash(),
            Move::Weather(weather) => weather.set(world),
            Move::Waive(n) => {
                if let Some(id) = nth_step(world, *n) {
                    world.act(id, StepAct::Waive { reason: "test".into() });
                }
            }
            Move::Retry(n) => {
                if let Some(id) = nth_step(world, *n) {
                    world.act(id, StepAct::retry("test".into()));
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    /// INVARIANT 6: order and duplication of reports do not matter for what is compensated and told. (With `retry`
    /// in the plan, time decides whether it was sent before it was superseded; its own test tells that story.)
    #[test]
    fn the_plan_does_not_depend_on_order_or_duplication(
        reports in any_reports(),
        shuffle in any::<prop::sample::Index>(),
        again in prop::collection::vec(any::<prop::sample::Index>(), 0..4),
    ) {
        let settle = |reports: &[Report]| {
            let mut world = World::food_order();
            for service in ["order", "payment", "coupon", "delivery", "rider", "sms"] {
                world.pause(service, true);
            }
            for report in reports {
                world.report(report.clone());
            }
            world.skip_ms(11_000); // derived reports without a root have waited long enough
            plan(&world)
        };
        let mut other = reports.clone();
        other.rotate_left(shuffle.index(reports.len()));
        other.reverse();
        for index in again {
            let copy = other[index.index(other.len())].clone();
            other.push(copy);
        }
        prop_assert_eq!(settle(&reports), settle(&other));
    }

    /// The same with the Histories of all services, and services that answer at once: what one query finds, every
    /// order of the reports finds. (No report here asks for a retry.)
    #[test]
    fn the_plan_does_not_depend_on_order_when_histories_tell_more(
        reports in any_reports(),
        told in prop::collection::vec(
            (0..ACTIONS.len(), 0..ACTIONS.len(), prop::sample::select(HistoryState::ALL)), 0..5),
        turn in any::<prop::sample::Index>(),
    ) {
        let retried = ["report-1", "none", "gateway"];
        let reports: Vec<Report> = reports
            .into_iter()
            .filter(|r| r.source == "payment" || !retried.contains(&r.data.code.as_str()))
            .collect();
        prop_assume!(!reports.is_empty());
        let settle = |reports: &[Report]| {
            let mut world = World::food_order();
            for (by, about, state) in &told {
                let service = ACTIONS[*by].split_once('.').expect("a name").0.to_owned();
                let entry = evidence(ACTIONS[*about], "told", *state);
                match world.histories.entry(service).or_insert(HistoryResult::Told(vec![].into())) {
                    HistoryResult::Told(entries) => entries.append(vec![entry].into()),
                    other => panic!("{other:?}"),
                }
            }
            for report in reports {
                world.report(report.clone());
                world.settle_down();
            }
            world.pass_ms(600_000);
            plan(&world).into_iter().map(|(what, _)| what).collect::<BTreeSet<_>>()
        };
        let mut other = reports.clone();
        other.rotate_left(turn.index(reports.len()));
        other.reverse();
        prop_assert_eq!(settle(&reports), settle(&other));
    }

    /// INVARIANTS 1 to 5 under any weather, with crashes and a person's acts in between: every report is in exactly
    /// one case, and once the weather is fine every step ends or is visibly stuck, and every case with it.
    #[test]
    fn everything_ends_or_is_visibly_stuck(
        reports in any_reports(),
        moves in prop::collection::vec(any_move(), 1..40),
    ) {
        let mut world = World::food_order();
        play(&mut world, &reports, &moves);
        for report in &reports {
            world.report(report.clone());
        }
        Weather::Fine.set(&mut world);
        world.crash(); // whoever was silent for ever is asked again
        world.settle_down();
        world.pass_ms(2 * 86_400_000);

        prop_assert_eq!(world.memory.reports().count(), reports.len());
        prop_assert_eq!(world.memory.cases().count(), 1);
        let case = world.only_case();
        for step in world.steps_of(case) {
            let ended = step.state.is_terminal();
            prop_assert!(ended || matches!(step.state, StepState::Stuck(_)) || step.state == StepState::Waiting,
                "{} {} is {:?}", step.verb, step.action, step.state);
        }
        let stuck = world.steps_of(case).any(|s| matches!(s.state, StepState::Stuck(_)));
        // A stranger's report that names no cause is answered by nobody.
        let unmatched = world.memory.reports_of(case).any(|r| r.role == ReportRole::Unmatched);
        let expected = match (unmatched, stuck) {
            (true, _) => CaseState::Unmatched,
            (false, true) => CaseState::Stuck,
            (false, false) => CaseState::Settled,
        };
        prop_assert_eq!(world.state(case), expected, "{:#?}", world.stored(case));
    }

    /// INVARIANT 8: the same inputs at the same times lead to the same rows and the same requests.
    #[test]
    fn the_same_inputs_have_the_same_effects(
        reports in any_reports(),
        moves in prop::collection::vec(any_move(), 1..25),
    ) {
        let run = || {
            let mut world = World::food_order();
            play(&mut world, &reports, &moves);
            (world.sent, world.memory)
        };
        prop_assert_eq!(run(), run());
    }

    /// Cases that are in the store only behave as those in memory: the same plans and outcomes, the same requests in
    /// all, and people are told the same of them.
    #[test]
    fn where_a_case_is_kept_changes_nothing(
        reports in any_reports(),
        moves in prop::collection::vec(any_move(), 1..40),
        budget in prop_oneof![Just(0_usize), Just(6_000), 0_usize..20_000],
    ) {
        let in_three_sagas = |(n, mut report): (usize, Report)| {
            report.saga_id = SagaId::new(["s-1", "s-2", "s-3"][n % 3]).expect("valid");
            report
        };
        let reports: Vec<Report> = reports.into_iter().enumerate().map(in_three_sagas).collect();
        let run = |budget: usize| {
            let mut world = World::food_order().with_budget(budget);
            // A case that is looked up first is sent for after the others of its turn. In which order services answer
            // is theirs to say, and how many failures in a row a breaker sees depends on it: so it is given.
            world.answers_in_order = true;
            let mut told = Vec::new();
            for step in &moves {
                play(&mut world, &reports, std::slice::from_ref(step));
                told.push(survey(&world));
            }
            Weather::Fine.set(&mut world);
            world.crash();
            world.settle_down();
            world.pass_ms(2 * 86_400_000);
            told.push(survey(&world));
            let ended: Vec<String> = world
                .memory
                .steps()
                .map(|s| format!("{} {} {} {:?}", s.id, s.verb, s.action, s.state))
                .collect();
            let cases: Vec<CaseState> = world.memory.cases().map(|case| case.state).collect();
            world.sent.sort();
            (ended, cases, world.sent, told)
        };
        let (anywhere, in_memory) = (run(budget), run(usize::MAX));
        prop_assert_eq!((&anywhere.0, &anywhere.1), (&in_memory.0, &in_memory.1));
        prop_assert_eq!(anywhere.2, in_memory.2);
        prop_assert_eq!(anywhere.3, in_memory.3);
    }

    /// A crash at any moment changes neither the plan nor how it ends.
    #[test]
    fn a_crash_at_any_moment_changes_no_outcome(
        reports in any_reports(),
        crash_after in 0_usize..6,
    ) {
        let run = |crash: bool| {
            let mut world = World::food_order();
            world.histories.insert("delivery".into(),
                HistoryResult::Told(vec![evidence("delivery.request", "d", HistoryState::Succeeded)].into()));
            for (n, report) in reports.iter().enumerate() {
                world.report(report.clone());
                if crash && n == crash_after {
                    world.crash();
                }
                world.settle_down();
            }
            world.pass_ms(3_600_000);
            let case = world.only_case();
            let ended: BTreeSet<_> =
                world.steps_of(case).map(|s| (format!("{} {}", s.verb, s.action), s.state.clone())).collect::<Vec<_>>()
                    .into_iter().map(|(w, s)| format!("{w} {s:?}")).collect();
            (ended, world.state(case))
        };
        prop_assert_eq!(run(false), run(true));
    }
}
