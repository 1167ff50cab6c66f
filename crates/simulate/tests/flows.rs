//! Flows of other shapes than the source's.

use amends_rulebook::Rulebook;
use amends_simulate::{Options, simulate};

const EIGHT: &str = r#"
rulebook: eight
settle: { quiet: 2s }
services:
  shop: { url: "http://shop", actions: { buy: { compensation: cancel, calls: [stock.reserve, wallet.charge, parcel.send] } } }
  stock: { url: "http://stock", actions: { reserve: { compensation: release, calls: [depot.pick] } } }
  depot: { url: "http://depot", actions: { pick: { compensation: put-back } } }
  wallet: { url: "http://wallet", actions: { charge: { compensation: refund, calls: ["points.spend?", bank.debit] } } }
  points: { url: "http://points", actions: { spend: { compensation: give-back } } }
  bank: { url: "http://bank", actions: { debit: { compensation: credit } } }
  parcel: { url: "http://parcel", actions: { send: { compensation: stop, calls: [mail.tell] } } }
  mail: { url: "http://mail", actions: { tell: { on_failure: retry, correction: tell-otherwise } } }
rules:
  - { on: "*/*", compensate: recorded }
"#;

#[test]
fn eight_services_with_every_single_failure() {
    let book = Rulebook::from_yaml(EIGHT).expect("valid");
    let options = Options { pairs: false, ..Options::default() };
    let result = simulate(&book, &options);
    let stories: String = result.counterexamples.iter().map(ToString::to_string).collect();
    assert!(result.counterexamples.is_empty(), "{stories}");
    assert_eq!((result.flows, result.longest), (2, 8));
    for tier in &result.tiers {
        assert!(tier.all > 0 && tier.played == tier.all, "{:?}", result.tiers);
    }
}
