//! Where a saga began: its announcement counts where a report doesn't say it.

mod world;

use amends_protocol::HistoryState as H;
use world::{Says, World, report, words};

const ACCOUNT: &str = "
rulebook: account
services:
  cancel: { url: \"http://cancel\", actions: { cancel: { effect: none, calls: [account.draw-back] } } }
  rebook: { url: \"http://rebook\", actions: { rebook: { effect: none, calls: [account.draw-back] } } }
  account: { url: \"http://account\", actions: { draw-back: { compensation: charge } } }
rules:
  - { on: account/odd, when: { entry: cancel.cancel }, retry: account.draw-back, give_up: { after: 10 attempts, then: { compensate: recorded } } }
  - { on: \"*/*\", compensate: recorded }
";

fn odd() -> amends_protocol::Report {
    report("account/odd", "s").action("draw-back").saw("account.draw-back", H::Unknown)
}

#[test]
fn the_announcement_says_it_for_every_report_of_the_saga() {
    let mut world = World::new(ACCOUNT);
    world.begin_with("s", "cancel", "cancel", 3_600_000);
    let case = world.report(odd());
    world.settle_down();
    assert_eq!(world.plan(case), words(["retry account.draw-back"]));
    let kept = &world.case(case).extra.entry;
    assert_eq!(
        kept.as_deref(),
        Some("cancel.cancel"),
        "for the next reports, also after a restart"
    );
}

#[test]
fn a_report_is_believed_before_the_announcement_and_silence_meets_no_condition() {
    let mut world = World::new(ACCOUNT);
    world.begin_with("s", "cancel", "cancel", 3_600_000);
    let mut from_rebook = odd();
    from_rebook.data.entry = Some("rebook.rebook".to_owned());
    let case = world.report(from_rebook);
    world.settle_down();
    assert!(world.plan(case).contains("compensate account.draw-back"));

    let mut world = World::new(ACCOUNT);
    let case = world.report(odd());
    world.settle_down();
    assert!(world.plan(case).contains("compensate account.draw-back"));
}
