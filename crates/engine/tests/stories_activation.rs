//! Stories of rulebook versions: what makes one active, what refuses it, and what of it is durable.

mod world;

use amends_engine::{Answer, Replaces, StepReading};
use amends_protocol::{HistoryState as H, Outcome};
use amends_rulebook::Rulebook;
use std::sync::Arc;
use world::{Reply, Says, World, report};

const SHOP: &str = "
rulebook: shop
services:
  a: { url: \"http://a\", actions: { x: { compensation: undo, calls: [b.y] } } }
  b: { url: \"http://b\", actions: { y: { compensation: undo } } }
rules: [{ on: \"*/*\", compensate: [a.x, b.y] }]
";

/// The shop without `b`.
const SMALLER: &str = "
rulebook: shop
services: { a: { url: \"http://a\", actions: { x: { compensation: undo } } } }
rules: [{ on: \"*/*\", compensate: recorded }]
";

/// The shop with `c`.
const LARGER: &str = "
rulebook: shop
services:
  a: { url: \"http://a\", actions: { x: { compensation: undo, calls: [b.y, c.z] } } }
  b: { url: \"http://b\", actions: { y: { compensation: undo } } }
  c: { url: \"http://c\", actions: { z: { compensation: undo } } }
rules: [{ on: \"*/*\", compensate: [a.x, b.y, c.z] }]
";

fn version(text: &str) -> Arc<Rulebook> {
    Rulebook::from_yaml(text).expect("valid")
}

fn durable(world: &World) -> Option<&str> {
    let mut active = world.memory.rulebooks().filter(|row| row.active && &*row.name == "shop");
    active.next().map(|row| &*row.hash)
}

fn in_use(world: &World) -> String {
    let books = world.engine.active_rulebooks();
    books.iter().map(|book| book.hash()).collect::<Vec<_>>().join(" ")
}

#[test]
fn a_version_and_its_audit_are_one_batch() {
    let mut world = World::new(SHOP);
    let larger = version(LARGER);
    world.activate(Arc::clone(&larger));
    assert_eq!(durable(&world), Some(larger.hash()));
    assert_eq!(in_use(&world), larger.hash());
    let act = world.memory.acts().last().expect("in the audit");
    assert_eq!((&*act.act, &act.detail["hash"]), ("activate", &serde_json::json!(larger.hash())));
}

#[test]
fn every_open_case_counts_when_a_version_drops_what_it_needs() {
    let mut world = World::new(SHOP);
    world.replies.insert("compensate b.y".into(), Reply::Silent);
    for n in 0..1_200 {
        world.report(report("a/broken", &format!("s-{n}")).action("x").saw("a.x", H::Succeeded));
        world.settle_down();
    }
    let before = (world.memory.acts().len(), in_use(&world));
    let Answer::Dropped { detail, needed } = world.try_to_activate(version(SMALLER), Replaces::Any)
    else {
        panic!("taken");
    };
    assert!(detail.contains("`shop`"), "{detail}");
    assert_eq!(
        needed,
        ["1200 open cases need to compensate `b.y`, which this rulebook cannot ask for"]
    );
    assert_eq!((world.memory.acts().len(), in_use(&world)), before, "a refusal changes nothing");
    assert_eq!(world.try_to_activate(version(LARGER), Replaces::Any), Answer::Done);
}

#[test]
fn what_no_open_case_needs_may_go() {
    let mut world = World::new(SHOP);
    world.replies.insert("compensate b.y".into(), Reply::Silent);
    world.report(report("a/broken", "s").action("x").saw("a.x", H::Succeeded));
    world.settle_down();
    let refused = world.try_to_activate(version(SMALLER), Replaces::Any);
    assert!(matches!(refused, Answer::Dropped { .. }), "{refused:?}");
    world.answer("compensate b.y", StepReading::Done(Outcome::Compensated));
    world.settle_down();
    assert_eq!(world.try_to_activate(version(SMALLER), Replaces::Any), Answer::Done);
}

#[test]
fn a_step_that_only_an_older_version_knows_is_still_needed_after_a_restart() {
    let mut world = World::new(LARGER);
    world.replies.insert("compensate c.z".into(), Reply::Silent);
    world.report(report("a/broken", "s").action("x").saw("a.x", H::Succeeded));
    world.settle_down();
    // The version of today declares less than the one that the case began with.
    world.restart_with(version(SHOP));
    let refused = world.try_to_activate(version(&SHOP.replace("//b", "//b2")), Replaces::Any);
    let Answer::Dropped { needed, .. } = refused else { panic!("{refused:?}") };
    assert!(needed[0].contains("`c.z`"), "{needed:?}");
}

#[test]
fn a_version_that_was_compared_with_another_one_is_not_taken() {
    let mut world = World::new(SHOP);
    let (shop, larger) = (version(SHOP), version(LARGER));
    let seen = Replaces::Exactly(Some(shop.hash().into()));
    assert_eq!(world.try_to_activate(Arc::clone(&larger), seen.clone()), Answer::Done);
    let again = world.try_to_activate(version(&LARGER.replace("//c", "//c2")), seen);
    assert!(matches!(again, Answer::Conflict(_)), "{again:?}");
    let nothing = world.try_to_activate(shop, Replaces::Exactly(None));
    assert!(matches!(nothing, Answer::Conflict(_)), "{nothing:?}");
    assert_eq!(in_use(&world), larger.hash());
}

#[test]
fn an_old_version_comes_back_and_stays_after_a_restart() {
    let mut world = World::new(SHOP);
    let shop = version(SHOP);
    world.activate(version(LARGER));
    world.activate(Arc::clone(&shop));
    assert_eq!((durable(&world), in_use(&world)), (Some(shop.hash()), shop.hash().to_owned()));
    world.crash();
    assert_eq!(in_use(&world), shop.hash());
}

/// Found by the simulator: what waited for room at a service went on only with the next answer of it.
#[test]
fn a_version_with_more_room_lets_go_what_waits_for_it() {
    let narrow = SHOP.replace("b: {", "b: { concurrency: 1,");
    let mut world = World::new(&narrow);
    world.replies.insert("b".to_owned(), Reply::Silent);
    for saga in ["s-1", "s-2"] {
        world.report(report("a/failed", saga).action("x"));
    }
    let sent = |world: &World| world.sent.iter().filter(|what| *what == "compensate b.y").count();
    assert_eq!(sent(&world), 1);
    world.activate(version(SHOP));
    assert_eq!(sent(&world), 2);
}
