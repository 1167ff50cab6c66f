//! Past an effect that nothing can undo, nothing that came before it is undone unseen.

use amends_rulebook::Rulebook;
use amends_simulate::{Options, PLAYS_LIMIT, Proof, prove, simulate};
use std::ops::ControlFlow;
use std::sync::Arc;

fn bank(rule: &str) -> Arc<Rulebook> {
    let text = format!(
        "
rulebook: bank
services:
  order: {{ url: \"http://order\", actions: {{ place: {{ compensation: cancel, calls: [stock.reserve, card.charge, bank.transfer, parcel.send] }} }} }}
  stock: {{ url: \"http://stock\", actions: {{ reserve: {{ compensation: release }} }} }}
  card: {{ url: \"http://card\", actions: {{ charge: {{ compensation: refund }} }} }}
  bank: {{ url: \"http://bank\", actions: {{ transfer: {{ effect: pivot }} }} }}
  parcel: {{ url: \"http://parcel\", actions: {{ send: {{ compensation: call-back }} }} }}
rules:
  - {{ on: \"*/*\", {rule} }}
"
    );
    Rulebook::from_yaml(&text).unwrap_or_else(|found| panic!("{found:#?}"))
}

fn proof(rule: &str) -> Proof {
    prove(&bank(rule), PLAYS_LIMIT, &mut |_| ControlFlow::Continue(()))
}

#[test]
fn whatever_a_rule_says_past_the_pivot_nothing_is_left_behind() {
    for past in ["ask", "undo", "keep"] {
        let proof = proof(&format!("compensate: recorded, past: {past}"));
        assert!(proof.is_whole(), "{past}: {:?}", proof.not_proved);
        let told: Vec<String> = proof.left_behind.iter().map(ToString::to_string).collect();
        assert!(told.is_empty(), "{past}: {}", told.join("\n"));
    }
}

#[test]
fn a_person_is_asked_only_where_the_transfer_took_effect_or_nobody_knows() {
    let options =
        Options { max_schedules: 5_000, pairs: false, stop_after: 200, ..Options::default() };
    let played = simulate(&bank("compensate: recorded"), &options);
    let asked: Vec<String> = played.counterexamples.iter().map(ToString::to_string).collect();
    assert!(!asked.is_empty(), "a parcel that fails behind the transfer is asked about");
    assert!(asked.iter().all(|one| one.contains("bank.transfer took effect")), "{asked:#?}");
    let kept = simulate(&bank("compensate: recorded, past: keep"), &options);
    let asked: Vec<String> = kept.counterexamples.iter().map(ToString::to_string).collect();
    assert!(asked.iter().all(|one| one.contains("is not known")), "{asked:#?}");
}
