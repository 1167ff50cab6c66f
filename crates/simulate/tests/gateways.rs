//! What a mapped service did is told by whoever called it, whatever can be undone of that one itself.

use amends_rulebook::Rulebook;
use amends_simulate::{check_by_proof, prove};
use amends_workbench::{CheckSettings, check};
use std::ops::ControlFlow;

/// Our own payment service stands between the order and a provider that knows nothing of Amends.
fn gateway(undo: &str, asked: &str, compensate: &str) -> String {
    format!(
        r#"
rulebook: gateway
services:
  order: {{ url: "http://order", actions: {{ place: {{ compensation: cancel, calls: [payments.take, parcel.order] }} }} }}
  payments: {{ url: "http://payments", actions: {{ take: {{ {undo}, calls: [stripe.charge] }} }} }}
  stripe: {{ url: "http://stripe", actions: {{ charge: {{ compensation: refund, endpoints: {{ compensate: {{ path: "/refunds", body: {{ of: "{asked}" }}, done: [2xx] }} }} }} }} }}
  parcel: {{ url: "http://parcel", actions: {{ order: {{ compensation: cancel }} }} }}
reports:
  payments/declined: {{ in: take, data: {{ paymentIntent: text }} }}
  order/failed: {{ in: place, data: {{ paymentIntent: text }} }}
rules: [{{ on: "*/*", compensate: {compensate} }}]
"#
    )
}

#[test]
fn whoever_stands_before_a_mapped_service_tells_of_it() {
    for undo in ["compensation: give-back", "effect: none", "effect: notice", "on_failure: retry"] {
        for asked in ["{sagaId}", "{data.paymentIntent}"] {
            for compensate in ["recorded", "[recorded, stripe.charge]"] {
                let text = gateway(undo, asked, compensate);
                let book = Rulebook::from_yaml(&text).unwrap_or_else(|found| panic!("{found:#?}"));
                let proof = prove(&book, 50_000, &mut |_| ControlFlow::Continue(()));
                let left: Vec<String> =
                    proof.left_behind.iter().map(|end| end.finding.to_string()).collect();
                assert_eq!(left, Vec::<String>::new(), "{undo}, {asked}, {compensate}");
                let told = |found: &amends_rulebook::Diagnostic| found.code == "under-compensation";
                let seen = check(&book).into_iter().find(told);
                assert_eq!(seen.map(|d| d.message), None, "{undo}, {asked}, {compensate}");
                let found = check_by_proof(&book, &CheckSettings::default(), &proof);
                assert!(!found.iter().any(told), "{undo}, {asked}, {compensate}");
            }
        }
    }
}
