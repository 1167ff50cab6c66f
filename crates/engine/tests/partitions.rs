//! Partitions of a shared store that come and go: what an engine does for one of them is what it would do without the
//! others, and one that was handed over in order goes on as if nothing had happened.

mod world;

use amends_api::CaseState;
use amends_engine::{
    Adopted, CaseRow, Engine, Input, OpenPlace, Partition, ReportRow, SharedStore, StepReading,
    StepRow, StepState,
};
use amends_protocol::{CaseId, HistoryState, Outcome, SagaId, Timestamp};
use proptest::prelude::*;
use std::collections::BTreeSet;
use world::{Reply, Says, World, payment_report_1, report};

/// Two of the partitions that stay, and two of those that go.
const STAY: [(&str, u16); 3] =
    [("order-1", 12), ("order-4711", 15), ("0190f5a2-7c1e-7b3a-9f00-0123456789ab", 14)];
const GO: [(&str, u16); 3] = [("order-2", 53), ("a", 1), ("order-7:order-7", 59)];

/// Nothing is left for these partitions by others.
const NOTHING_COMES: Timestamp = Timestamp(i64::MAX);

/// First case number that tells its partition.
const FIRST: u64 = 1_000;

fn partitions(sagas: &[(&str, u16)]) -> Vec<Partition> {
    sagas.iter().map(|(_, partition)| Partition(*partition)).collect()
}

/// What a loop does when a partition becomes its own.
fn adopt(world: &mut World, partition: Partition, orderly: bool) {
    world.engine.adopt(partition, world.memory.adopt(partition, orderly));
    world.engine.heard(partition, NOTHING_COMES);
    let mut next = Some(OpenPlace::default());
    while let Some(after) = next {
        let page = world.memory.open(partition, after, 2);
        next = page.next;
        world.engine.take_open(partition, page);
    }
    world.input(Input::Tick);
}

/// Another loop on the store of this one.
fn start(world: &mut World, own: &[Partition], orderly: bool) {
    let shared = SharedStore { first_number: FIRST, ..SharedStore::default() };
    let loaded = world.memory.load_shared(shared);
    world.engine = Engine::load(loaded, &mut world.engine, world.now);
    own.iter().for_each(|partition| adopt(world, *partition, orderly));
}

fn world(own: &[Partition], budget: usize) -> World {
    let mut world = World::food_order().with_budget(budget);
    start(&mut world, own, true);
    world
}

/// All that is stored of some partitions.
fn stored(world: &World, of: &[Partition]) -> (Vec<CaseRow>, Vec<ReportRow>, Vec<StepRow>) {
    let is_of = |saga: &SagaId| of.contains(&Partition::of(saga));
    let cases: Vec<CaseRow> =
        world.memory.cases().filter(|row| is_of(&row.saga)).cloned().collect();
    let ids: BTreeSet<CaseId> = cases.iter().map(|row| row.id).collect();
    let reports = world.memory.reports().filter(|row| ids.contains(&row.case)).cloned().collect();
    let steps = world.memory.steps().filter(|row| ids.contains(&row.id.case)).cloned().collect();
    (cases, reports, steps)
}

/// What was sent for them.
fn sent(world: &World, of: &[Partition]) -> Vec<String> {
    let sends = world.sends.iter().filter(|send| of.contains(&Partition::of(&send.saga)));
    sends.map(|send| format!("{} {} {}", send.step, send.attempt, send.verb)).collect()
}

#[derive(Clone, Debug)]
enum Move {
    Report { saga: &'static str, partition: u16, kind: &'static str },
    Begin { saga: &'static str, partition: u16, within_ms: u64 },
    End { saga: &'static str, partition: u16 },
    Pass(u32),
    Nothing(bool),
}

fn any_move() -> impl Strategy<Value = Move> {
    let saga = || prop::sample::select([STAY, GO].concat());
    let kinds = vec!["payment/report-1", "payment/report-2", "order/report-3", "stranger/any"];
    prop_oneof![
        4 => (saga(), prop::sample::select(kinds))
            .prop_map(|((saga, partition), kind)| Move::Report { saga, partition, kind }),
        2 => (saga(), 1_u64..100_000)
            .prop_map(|((saga, partition), within_ms)| Move::Begin { saga, partition, within_ms }),
        1 => saga().prop_map(|(saga, partition)| Move::End { saga, partition }),
        3 => (1_u32..200_000).prop_map(Move::Pass),
        1 => any::<bool>().prop_map(Move::Nothing),
    ]
}

/// Does it, if its saga is of a partition that is here. All are answered at once: when a loop is woken by others must
/// make no difference.
fn play(world: &mut World, n: usize, step: &Move) {
    let is_here = |partition: &u16| world.engine.holds_partition(Partition(*partition));
    match step {
        Move::Report { partition, .. }
        | Move::Begin { partition, .. }
        | Move::End { partition, .. }
            if !is_here(partition) => {}
        Move::Report { saga, kind, .. } => {
            let told = report(kind, saga).id(&format!("{n}")).action("pay");
            world.report(told.saw("coupon.redeem", HistoryState::Succeeded));
        }
        Move::Begin { saga, within_ms, .. } => world.begin(saga, "order", *within_ms),
        Move::End { saga, .. } => drop(world.end(saga)),
        Move::Pass(ms) => world.pass_ms(u64::from(*ms)),
        Move::Nothing(nothing) => {
            world.replies.clear();
            if *nothing {
                let reply = Reply::Done(Outcome::NothingToCompensate);
                world.replies.insert("compensate coupon.redeem".into(), reply);
            }
        }
    }
    world.settle_down();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// An engine that had two groups of partitions and has abandoned one does for the other what an engine does that
    /// never had the first.
    #[test]
    fn an_abandoned_partition_leaves_nothing(
        before in prop::collection::vec(any_move(), 1..24),
        after in prop::collection::vec(any_move(), 1..12),
        budget in prop::sample::select(vec![0, 6_000, usize::MAX]),
    ) {
        let (stay, go) = (partitions(&STAY), partitions(&GO));
        let mut both = world(&[stay.clone(), go.clone()].concat(), budget);
        let mut one = world(&stay, budget);
        for (n, step) in before.iter().enumerate() {
            play(&mut both, n, step);
            play(&mut one, n, step);
        }
        for partition in &go {
            both.engine.abandon(*partition);
            prop_assert!(!both.engine.holds_partition(*partition));
        }
        prop_assert_eq!(both.engine.open_cases(), one.engine.open_cases());
        let queued = |world: &World| -> Vec<(String, usize)> {
            let queues = world.engine.queues().into_iter();
            queues.map(|queue| (queue.service.to_string(), queue.queued)).filter(|(_, n)| *n > 0).collect()
        };
        prop_assert_eq!(queued(&both), queued(&one));
        let left = stored(&both, &go);
        for (n, step) in after.iter().enumerate() {
            play(&mut both, 100 + n, step);
            play(&mut one, 100 + n, step);
        }
        both.pass_ms(3_600_000);
        one.pass_ms(3_600_000);
        prop_assert_eq!(stored(&both, &stay), stored(&one, &stay));
        prop_assert_eq!(sent(&both, &stay), sent(&one, &stay));
        prop_assert_eq!(stored(&both, &go), left, "nothing is done for what has gone");
    }

    /// Whoever takes partitions over in order does what the loop before would have done.
    #[test]
    fn a_partition_that_was_handed_over_goes_on_as_it_was(
        before in prop::collection::vec(any_move(), 1..24),
        after in prop::collection::vec(any_move(), 1..12),
        budget in prop::sample::select(vec![0, 6_000, usize::MAX]),
    ) {
        let all = [partitions(&STAY), partitions(&GO)].concat();
        let (mut kept, mut handed) = (world(&all, budget), world(&all, budget));
        for (n, step) in before.iter().enumerate() {
            play(&mut kept, n, step);
            play(&mut handed, n, step);
        }
        all.iter().for_each(|partition| handed.engine.abandon(*partition));
        start(&mut handed, &all, true);
        prop_assert_eq!(stored(&handed, &all), stored(&kept, &all), "nothing is written for it");
        for (n, step) in after.iter().enumerate() {
            play(&mut kept, 100 + n, step);
            play(&mut handed, 100 + n, step);
        }
        kept.pass_ms(3_600_000);
        handed.pass_ms(3_600_000);
        prop_assert_eq!(stored(&handed, &all), stored(&kept, &all));
    }
}

#[test]
fn a_new_case_has_a_number_that_tells_its_partition() {
    let mut world = world(&partitions(&STAY), usize::MAX);
    let first = world.report(payment_report_1("order-1"));
    assert_eq!(first, CaseId(FIRST.div_ceil(64) * 64 + 12));
    world.settle_down();
    world.pass_ms(3_600_000);
    assert_eq!(world.state(first), CaseState::Settled);
    assert_eq!(world.engine.partition_of_case(first), Some(Partition(12)));
}

#[test]
fn what_waits_for_a_time_goes_on_to_wait_after_a_hand_over_and_goes_at_once_after_a_crash() {
    for (orderly, tries) in [(true, 1), (false, 2)] {
        let mut world = world(&[Partition(12)], 0);
        world.replies.insert("coupon".into(), Reply::Says(StepReading::Unknown));
        let case = world.report(payment_report_1("order-1"));
        world.settle_down();
        let due = world.step(case, "compensate coupon.redeem").clone();
        assert!(matches!(due.state, StepState::Due(at) if at > world.now), "{due:?}");
        world.replies.clear();
        world.engine.abandon(Partition(12));
        start(&mut world, &[Partition(12)], orderly);
        world.settle_down();
        let step = world.step(case, "compensate coupon.redeem");
        assert_eq!((step.attempts, step.state.is_terminal()), (tries, !orderly), "{step:?}");
        world.pass_ms(3_600_000);
        assert_eq!(world.state(case), CaseState::Settled);
    }
}

#[test]
fn a_partition_can_be_abandoned_while_its_cases_are_read() {
    let mut world = world(&partitions(&STAY), usize::MAX);
    let case = world.report(payment_report_1("order-1")); // its steps are under way
    let before = world.stored(case);
    world.under_way.clear();
    start(&mut world, &[], false);
    let Adopted { last_sequence, .. } = world.memory.adopt(Partition(12), false);
    assert_eq!(last_sequence, FIRST.div_ceil(64));
    world.engine.adopt(Partition(12), world.memory.adopt(Partition(12), false));
    let page = world.memory.open(Partition(12), OpenPlace::default(), 10);
    world.engine.take_open(Partition(12), page);
    assert_eq!(world.engine.open_cases(), 1);
    assert!(world.engine.knows_all_open());
    world.engine.abandon(Partition(12));
    world.input(Input::Tick);
    world.pass_ms(3_600_000);
    assert_eq!(world.stored(case), before, "what was read of it is not written");
    assert_eq!(world.sent.len(), before.steps.iter().filter(|step| step.attempts > 0).count());
}
