//! Calls whose caller goes on whatever comes of them, and messages that nobody waits for: what a failure there
//! concerns, and how a saga is undone while something may still be under way.

mod world;

use amends_api::{CaseState, ClosedOn};
use amends_engine::HistoryResult;
use amends_protocol::{HistoryState as H, Outcome};
use world::{Reply, Says, World, evidence, report, words};

/// An order that goes on without its mail, and tells the warehouse by a message.
const KIOSK: &str = "
rulebook: kiosk
settle: { quiet: 60s }
services:
  order:
    url: \"http://order\"
    actions:
      place:
        compensation: cancel
        calls: [card.pay, { call: news.send, tolerate: true }, { event: stock.send }, gift.pack]
  card: { url: \"http://card\", actions: { pay: { compensation: refund } } }
  news: { url: \"http://news\", actions: { send: { compensation: recall, calls: [mail.send] } } }
  mail: { url: \"http://mail\", actions: { send: { compensation: unsend } } }
  stock: { url: \"http://stock\", actions: { send: { compensation: take-back, calls: [van.book] } } }
  van: { url: \"http://van\", actions: { book: { compensation: give-back } } }
  gift: { url: \"http://gift\", actions: { pack: { compensation: unpack } } }
rules:
  - { on: news/all-gone, compensate: all }
  - { on: \"*/*\", compensate: recorded }
";

fn news_failed(code: &str) -> amends_protocol::Report {
    report(&format!("news/{code}"), "s")
        .action("send")
        .saw("news.send", H::Failed)
        .saw("mail.send", H::Succeeded)
}

/// The kiosk, where the message to the warehouse has not arrived.
fn kiosk() -> World {
    let mut world = World::new(KIOSK);
    let nothing = Reply::Done(Outcome::NothingToCompensate);
    world.replies.insert("compensate stock.send".to_owned(), nothing);
    world
}

fn order_failed() -> amends_protocol::Report {
    report("order/odd", "s")
        .action("place")
        .saw("order.place", H::Failed)
        .saw("card.pay", H::Succeeded)
}

#[test]
fn a_failure_that_its_caller_tolerates_undoes_what_lies_below_alone() {
    for code in ["odd", "all-gone"] {
        let mut world = kiosk();
        let case = world.report(news_failed(code));
        world.settle_down();
        assert!(world.plan(case).contains("compensate mail.send"), "{code}");
        assert!(
            world.plan(case).is_subset(&words(["compensate mail.send", "compensate news.send"])),
            "{code}"
        );
        assert_eq!(
            world.case(case).closed_on,
            Some(ClosedOn::Proven),
            "{code}: the order stands and nobody waits for it"
        );
        let mut read: Vec<_> =
            world.case(case).extra.histories.iter().map(|w| w.service.to_string()).collect();
        read.sort();
        let wanted: &[&str] = if code == "odd" { &["mail", "news"] } else { &[] };
        assert_eq!(read, wanted, "{code}: the Histories of the whole saga are nobody's business");
    }
}

#[test]
fn a_report_from_outside_makes_it_the_whole_saga_in_any_order() {
    let plan = |reports: [amends_protocol::Report; 2]| {
        let mut world = kiosk();
        let mut case = None;
        for report in reports {
            case = Some(world.report(report));
            world.settle_down();
        }
        let case = case.expect("reported");
        assert_eq!(world.state(case), CaseState::Settled);
        world.plan(case)
    };
    let first = plan([news_failed("odd"), order_failed()]);
    assert!(first.contains("compensate card.pay"));
    assert_eq!(first, plan([order_failed(), news_failed("odd")]));
}

#[test]
fn a_consumer_that_may_still_get_a_message_is_barred_though_nobody_has_heard_of_it() {
    let mut world = kiosk();
    let case = world.report(order_failed());
    world.settle_down();
    assert!(world.plan(case).contains("compensate stock.send"), "{:?}", world.plan(case));
    assert_eq!(world.case(case).closed_on, Some(ClosedOn::Proven));
}

#[test]
fn a_message_that_its_senders_history_does_not_name_was_not_sent_and_nobody_is_asked_about_it() {
    let read = |told: &[(&str, H)]| {
        let mut world = kiosk();
        let told: Vec<_> = told.iter().map(|(what, state)| evidence(what, "r", *state)).collect();
        world.histories.insert("order".to_owned(), HistoryResult::Told(told.into()));
        let case = world.report(order_failed());
        world.settle_down();
        (world.plan(case).contains("compensate stock.send"), world.case(case).closed_on)
    };
    let told = [("order.place", H::Failed), ("card.pay", H::Succeeded)];
    assert_eq!(read(&told), (false, Some(ClosedOn::Proven)));
    let read = |told: &[(&str, H)]| read(told).0;
    assert!(read(&[("order.place", H::Failed), ("stock.send", H::Unknown)]), "it was sent");
    assert!(read(&[("order.place", H::Started)]), "it may still be sent");
    assert!(read(&[("card.pay", H::Succeeded)]), "it tells nothing of its own work");
}

#[test]
fn a_consumer_is_asked_at_once_where_its_sender_keeps_no_history_and_later_where_it_is_read() {
    let mut world = kiosk();
    world.report(order_failed());
    assert!(!world.sent.contains(&"compensate stock.send".to_owned()), "{:?}", world.sent);
    world.histories.insert("order".to_owned(), HistoryResult::NoHistory);
    world.settle_down();
    assert!(world.sent.contains(&"compensate stock.send".to_owned()), "{:?}", world.sent);
}

#[test]
fn a_consumer_that_fails_concerns_nobody_else() {
    let mut world = kiosk();
    let failed = report("stock/empty", "s")
        .action("send")
        .saw("stock.send", H::Failed)
        .saw("van.book", H::Unknown);
    let case = world.report(failed);
    world.settle_down();
    assert_eq!(world.plan(case), words(["compensate van.book"]));
    assert_eq!(world.case(case).closed_on, Some(ClosedOn::Proven));
}

/// A parcel service that puts up no fence.
const MAPPED: &str = "
rulebook: kiosk
settle: { quiet: 60s }
services:
  order: { url: \"http://order\", actions: { place: { compensation: cancel, calls: [{ event: parcel.send, within: 1h }] } } }
  parcel:
    url: \"http://parcel\"
    actions: { send: { compensation: recall, endpoints: { compensate: { path: /recall, body: { saga: \"{sagaId}\" }, done: [2xx] } } } }
rules:
  - { on: \"*/*\", compensate: recorded }
";

#[test]
fn where_nothing_bars_a_message_the_case_waits_as_long_as_it_may_be_under_way() {
    let mut world = World::new(MAPPED);
    let told = vec![
        evidence("order.place", "r-order.place", H::Succeeded),
        evidence("parcel.send", "r-parcel.send", H::Succeeded),
    ];
    world.histories.insert("order".to_owned(), HistoryResult::Told(told.into()));
    let sent = report("order/odd", "s")
        .action("place")
        .saw("order.place", H::Unknown)
        .saw("parcel.send", H::Succeeded);
    let case = world.report(sent);
    world.settle_down();
    assert_eq!(world.plan(case), words(["compensate order.place", "compensate parcel.send"]));
    world.pass_ms(30 * 60_000);
    assert_eq!(world.state(case), CaseState::Open, "the message may still be under way");
    world.pass_ms(31 * 60_000);
    world.settle_down();
    assert_eq!(world.case(case).closed_on, Some(ClosedOn::Quiet));
}
