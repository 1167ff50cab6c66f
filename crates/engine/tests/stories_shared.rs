//! A service that several rulebooks share: its reports belong to the rulebook of their saga's entry.

mod world;

use amends_api::{CaseAct, CaseState};
use amends_engine::{Answer, Input};
use amends_protocol::CaseId;
use amends_rulebook::{Rulebook, SourceFile, load_sources};
use std::sync::Arc;
use world::{Says, World, reason, report};

/// Shop and kiosk both send their mails by the same service.
fn book(name: &str, service: &str) -> Arc<Rulebook> {
    let text = format!(
        "
rulebook: {name}
import: [mail.yaml]
services:
  {service}: {{ url: \"http://{service}\", actions: {{ sell: {{ compensation: undo, calls: [mail.send] }} }} }}
rules:
  - {{ on: mail/*, compensate: [{service}.sell] }}
  - {{ on: \"*/*\", compensate: recorded }}
"
    );
    let mail = "
service: mail
shared: true
url: http://mail
actions: { send: { compensation: recall } }
";
    let file = |path: &str, text: &str| SourceFile { path: path.to_owned(), text: text.into() };
    let loaded = load_sources(vec![file("book.yaml", &text), file("mail.yaml", mail)]);
    loaded.rulebook.unwrap_or_else(|| panic!("{:#?}", loaded.diagnostics))
}

/// A rulebook that has nothing to do with mails.
const OTHER: &str = "
rulebook: other
services:
  depot: { url: \"http://depot\", actions: { count: { compensation: undo } } }
rules: [{ on: \"*/*\", compensate: recorded }]
";

fn shop_and_kiosk() -> World {
    let mut world = World::new(OTHER);
    world.activate(book("shop", "till"));
    world.activate(book("kiosk", "hatch"));
    world
}

fn mail_failed() -> amends_protocol::Report {
    report("mail/odd", "s").action("send").saw("mail.send", amends_protocol::HistoryState::Failed)
}

fn belongs_to(world: &World, case: CaseId) -> Option<String> {
    world.case(case).rulebook.as_ref().map(|rulebook| rulebook.name.to_string())
}

#[test]
fn a_report_belongs_where_its_saga_began() {
    for (entry, rulebook, undone) in [
        ("till.sell", "shop", "compensate till.sell"),
        ("hatch.sell", "kiosk", "compensate hatch.sell"),
    ] {
        let mut world = shop_and_kiosk();
        let mut failed = mail_failed();
        failed.data.entry = Some(entry.to_owned());
        let case = world.report(failed);
        assert_eq!(belongs_to(&world, case).as_deref(), Some(rulebook));
        assert!(world.plan(case).contains(undone), "{:?}", world.plan(case));
    }
}

#[test]
fn an_announcement_says_it_too_before_and_after_the_report() {
    let mut world = shop_and_kiosk();
    world.begin_with("s", "hatch", "sell", 60_000);
    let case = world.report(mail_failed());
    assert_eq!(belongs_to(&world, case).as_deref(), Some("kiosk"));

    let mut world = shop_and_kiosk();
    let case = world.report(mail_failed());
    world.pass_ms(60_000);
    assert_eq!(world.state(case), CaseState::Unmatched);
    world.begin_with("s", "till", "sell", 60_000);
    assert_eq!(belongs_to(&world, case).as_deref(), Some("shop"));
    assert!(world.plan(case).contains("compensate till.sell"), "{:?}", world.plan(case));
}

#[test]
fn without_an_entry_it_waits_for_one_and_then_a_person_is_asked_which_rulebook() {
    let mut world = shop_and_kiosk();
    let case = world.report(mail_failed());
    assert_eq!((world.state(case), belongs_to(&world, case)), (CaseState::Open, None));
    world.pass_ms(9_000);
    assert_eq!(world.state(case), CaseState::Open);
    world.pass_ms(2_000);
    assert_eq!(world.state(case), CaseState::Unmatched);
    let notes = &world.case(case).extra.notes;
    assert!(
        notes.iter().any(|note| note.text.starts_with("which rulebook? mail is shared by")),
        "{notes:#?}"
    );
    // Which one, only a person knows.
    let refused = world.act_on_case(case, CaseAct::replan(reason()));
    assert!(
        matches!(&refused, Answer::Conflict(text) if text.contains("kiosk, shop")),
        "{refused:?}"
    );
    let unknown = CaseAct::Replan { reason: reason(), rulebook: Some("shoe".to_owned()) };
    assert!(matches!(world.act_on_case(case, unknown), Answer::Conflict(_)));
    let with = CaseAct::Replan { reason: reason(), rulebook: Some("kiosk".to_owned()) };
    assert_eq!(world.act_on_case(case, with), Answer::Done);
    assert_eq!(belongs_to(&world, case).as_deref(), Some("kiosk"));
    assert!(world.plan(case).contains("compensate hatch.sell"), "{:?}", world.plan(case));
    let other = CaseAct::Replan { reason: reason(), rulebook: Some("shop".to_owned()) };
    assert!(matches!(world.act_on_case(case, other), Answer::Conflict(_)), "it stays where it is");
}

#[test]
fn a_report_of_a_service_that_only_one_of_them_has_decides_and_what_waited_is_answered() {
    for wait_ms in [0, 60_000] {
        let mut world = shop_and_kiosk();
        let case = world.report(mail_failed());
        world.pass_ms(wait_ms);
        let sold = report("hatch/odd", "s").action("sell");
        world.report(sold.saw("hatch.sell", amends_protocol::HistoryState::Failed));
        assert_eq!(belongs_to(&world, case).as_deref(), Some("kiosk"));
        world.settle_down();
        world.pass_ms(200_000);
        assert_eq!(world.state(case), CaseState::Settled, "{wait_ms}");
        let of_the_other = report("till/odd", "s").action("sell");
        world.report(of_the_other.with("x", 1.into()));
        assert_eq!(belongs_to(&world, case).as_deref(), Some("kiosk"), "it never changes");
    }
}

#[test]
fn where_only_one_rulebook_has_it_nobody_asks() {
    let mut world = World::new(OTHER);
    world.activate(book("shop", "till"));
    let case = world.report(mail_failed());
    assert_eq!(belongs_to(&world, case).as_deref(), Some("shop"));
}

#[test]
fn a_restart_goes_on_waiting() {
    let mut world = shop_and_kiosk();
    let case = world.report(mail_failed());
    world.crash();
    world.input(Input::Tick);
    world.pass_ms(11_000);
    assert_eq!(world.state(case), CaseState::Unmatched);
}
