//! The bridge of the tests: to a service of Spring, with every part that a bridge can have.

use super::given::read_bridges;
use super::mapping::Bridge;

pub(super) const SPRING: &str = r#"
topics = ["payment.failed"]
when = { "header:__TypeId__" = "com.shop.PaymentFailed", "/status" = ["FAILED", 13, true] }
saga = "/order/id"
source = "payment"
id = "/eventId"
code = { at = "/error/code", values = { CARD_DECLINED = "card-declined" }, otherwise = "failed" }
action = "charge"
entry = "order.place"
request_id = "/paymentId"
time = "/occurredAt"
message = "/error/message"
[data]
paymentId = "/paymentId"
amount = "/amount"
card.token = "/card/token"
"#;

/// The bridge of a text without mistakes.
pub(super) fn bridge(text: &str) -> Bridge {
    let given = ("spring".to_owned(), Ok(text.parse().expect("TOML")));
    let (mut bridges, wrong) = read_bridges(vec![given]);
    assert_eq!(wrong, []);
    bridges.remove(0)
}
