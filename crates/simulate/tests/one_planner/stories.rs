//! The stories: what comes in a case, in order, and what must be decided of it. Data only.

use Then::{
    CausesHadTheirTime, HistoryTells, OtherCase, PersonPlans, Report, RetryIsRefused,
    RetryMayHaveRun,
};

/// One thing that happens.
#[derive(Clone, Copy, Debug)]
pub enum Then {
    /// `id service/code action <- causes : what its own History says`.
    Report(&'static str),
    /// A report of another saga, within the same minute.
    OtherCase(&'static str),
    /// `cause_wait` is over.
    CausesHadTheirTime,
    /// A service's History: `service: what it says`.
    HistoryTells(&'static str),
    /// The retry of an action was tried and given up; it may have had effects.
    RetryMayHaveRun(&'static str),
    /// The retry of an action was refused by its service and given up; it had no effects.
    RetryIsRefused(&'static str),
    /// A person plans the compensation of an action.
    PersonPlans(&'static str),
}

pub struct Story {
    pub name: &'static str,
    pub rules: &'static str,
    pub then: &'static [Then],
    /// `id: label of the rule`, or `derived`, `waits`, `no rule`, `by hand`.
    pub roles: &'static [&'static str],
    /// `stage verb action: reports that ask for it`.
    pub steps: &'static [&'static str],
}

pub const FOOD: &str = include_str!("../../../../demo/rulebook/food-order.yaml");

/// Rules of every kind; no rule for the rest.
pub const SHOP: &str = r#"
rulebook: shop
services:
  order: { url: "http://order", actions: { place: { compensation: cancel, calls: [payment.pay] } } }
  payment: { url: "http://payment", actions: { pay: { compensation: refund, calls: ["coupon.redeem?", delivery.request] } } }
  coupon: { url: "http://coupon", actions: { redeem: { compensation: restore } } }
  delivery: { url: "http://delivery", actions: { request: { compensation: cancel } } }
rules:
  - { on: order/again, retry: order.place, give_up: { after: 1 attempts, then: { compensate: recorded } } }
  - { on: order/tried-out, retry: order.place, mode: shadow }
  - { on: order/lost, compensate: [payment.pay] }
  - { on: payment/down, compensate: [delivery.request], then: { compensate: [coupon.redeem] } }
  - { on: payment/ask, compensate: [delivery.request], mode: ask }
  - { on: payment/shadow, compensate: [delivery.request, coupon.redeem], mode: shadow }
  - { on: payment/limited, compensate: [delivery.request], limit: 1 per minute }
"#;

pub const STORIES: &[Story] = &[
    Story {
        name: "a list asks for what it names; a reporter that did nothing stays out of it",
        rules: FOOD,
        then: &[Report("p payment/report-2 pay : payment.pay=failed")],
        roles: &["p: payment/report-2"],
        steps: &[
            "0 compensate delivery.request: p",
            "0 compensate rider.match: p",
            "last notify sms.send-cancellation: p",
        ],
    },
    Story {
        name: "a reporter that cannot prove that it did nothing is undone with the rest",
        rules: FOOD,
        then: &[Report("p payment/report-2 pay : payment.pay=started")],
        roles: &["p: payment/report-2"],
        steps: &[
            "0 compensate delivery.request: p",
            "0 compensate payment.pay: p",
            "0 compensate rider.match: p",
            "last notify sms.send-cancellation: p",
        ],
    },
    Story {
        name: "one of several own requests that may have worked is no proof",
        rules: FOOD,
        then: &[Report("p payment/odd pay : payment.pay=failed, payment.pay=unknown")],
        roles: &["p: */*"],
        steps: &["0 compensate payment.pay: p"],
    },
    Story {
        name: "recorded undoes what the report and the Histories tell",
        rules: FOOD,
        then: &[
            Report("p payment/odd pay : payment.pay=failed, coupon.redeem=unknown"),
            HistoryTells("delivery: delivery.request=succeeded"),
        ],
        roles: &["p: */*"],
        steps: &["0 compensate coupon.redeem: p", "0 compensate delivery.request: p"],
    },
    Story {
        name: "a message that may have gone out is corrected, after all else",
        rules: FOOD,
        then: &[Report("d delivery/odd request : delivery.request=failed, sms.send=unknown")],
        roles: &["d: */*"],
        steps: &["last notify sms.send-cancellation: d"],
    },
    Story {
        name: "what the report says to keep stays",
        rules: FOOD,
        then: &[Report("o order/report-1 place : order.place=failed, payment.pay=succeeded")],
        roles: &["o: order/report-1"],
        steps: &["0 retry order.place: o"],
    },
    Story {
        name: "two roots are answered by both rules, and a step is asked for once",
        rules: FOOD,
        then: &[
            Report("p payment/report-2 pay : payment.pay=failed"),
            Report("o order/report-2 place : order.place=failed"),
        ],
        roles: &["p: payment/report-2", "o: order/report-2"],
        steps: &[
            "0 compensate delivery.request: p o",
            "0 compensate payment.pay: o",
            "0 compensate rider.match: p o",
            "last notify sms.send-cancellation: p o",
        ],
    },
    Story {
        name: "what several rules ask for has the latest of their stages",
        rules: SHOP,
        then: &[
            Report("a payment/down pay : payment.pay=failed"),
            Report("b payment/down pay : payment.pay=failed, coupon.redeem=succeeded"),
            Report("c order/lost place : order.place=failed"),
        ],
        roles: &["a: payment/down", "b: payment/down", "c: order/lost"],
        steps: &[
            "0 compensate delivery.request: a b",
            "0 compensate payment.pay: c",
            "1 compensate coupon.redeem: a b",
        ],
    },
    Story {
        name: "no rule answers, so a person must",
        rules: SHOP,
        then: &[Report("c coupon/odd redeem : coupon.redeem=failed")],
        roles: &["c: no rule"],
        steps: &[],
    },
    // Causes.
    Story {
        name: "what follows from another report needs no rule",
        rules: FOOD,
        then: &[
            Report("p payment/report-2 pay : payment.pay=failed"),
            Report("o order/downstream place <- p : order.place=started"),
        ],
        roles: &["p: payment/report-2", "o: derived"],
        steps: &[
            "0 compensate delivery.request: p",
            "0 compensate order.place: o",
            "0 compensate rider.match: p",
            "last notify sms.send-cancellation: p",
        ],
    },
    Story {
        name: "nor does it when it comes before its cause",
        rules: FOOD,
        then: &[
            Report("o order/downstream place <- p : order.place=started"),
            Report("p payment/report-2 pay : payment.pay=failed"),
        ],
        roles: &["o: derived", "p: payment/report-2"],
        steps: &[
            "0 compensate delivery.request: p",
            "0 compensate order.place: o",
            "0 compensate rider.match: p",
            "last notify sms.send-cancellation: p",
        ],
    },
    Story {
        name: "what follows from a derived report is derived too",
        rules: FOOD,
        then: &[
            Report("o order/odd place <- p : order.place=unknown"),
            Report("p payment/odd pay <- d : payment.pay=started"),
            Report("d delivery/odd request : delivery.request=failed"),
        ],
        roles: &["o: derived", "p: derived", "d: */*"],
        steps: &["0 compensate order.place: d o", "0 compensate payment.pay: d p"],
    },
    Story {
        name: "a report waits for its cause",
        rules: FOOD,
        then: &[Report("o order/downstream place <- lost : order.place=started")],
        roles: &["o: waits"],
        steps: &[],
    },
    Story {
        name: "a report whose cause never comes counts as a root",
        rules: FOOD,
        then: &[
            Report("o order/downstream place <- lost : order.place=started"),
            CausesHadTheirTime,
        ],
        roles: &["o: */*"],
        steps: &["0 compensate order.place: o"],
    },
    Story {
        name: "and what follows from it is derived",
        rules: SHOP,
        then: &[
            Report("p payment/down pay <- lost : payment.pay=failed"),
            Report("o order/lost place <- p : order.place=failed"),
            CausesHadTheirTime,
        ],
        roles: &["p: payment/down", "o: derived"],
        steps: &["0 compensate delivery.request: p", "1 compensate coupon.redeem: p"],
    },
    Story {
        name: "in whatever order they come",
        rules: SHOP,
        then: &[
            Report("o order/lost place <- p : order.place=failed"),
            Report("p payment/down pay <- lost : payment.pay=failed"),
            CausesHadTheirTime,
        ],
        roles: &["o: derived", "p: payment/down"],
        steps: &["0 compensate delivery.request: p", "1 compensate coupon.redeem: p"],
    },
    Story {
        name: "a cause that comes too late changes no answer: both are roots",
        rules: SHOP,
        then: &[
            Report("o order/lost place <- p : order.place=failed"),
            CausesHadTheirTime,
            Report("p payment/down pay : payment.pay=failed"),
        ],
        roles: &["o: order/lost", "p: payment/down"],
        steps: &[
            "0 compensate delivery.request: p",
            "0 compensate payment.pay: o",
            "1 compensate coupon.redeem: p",
        ],
    },
    Story {
        name: "causes in a circle are roots all of them",
        rules: SHOP,
        then: &[
            Report("o order/lost place <- p : order.place=failed"),
            Report("p payment/down pay <- o : payment.pay=failed"),
            CausesHadTheirTime,
        ],
        roles: &["o: order/lost", "p: payment/down"],
        steps: &[
            "0 compensate delivery.request: p",
            "0 compensate payment.pay: o",
            "1 compensate coupon.redeem: p",
        ],
    },
    Story {
        name: "a circle that something else has caused is derived",
        rules: SHOP,
        then: &[
            Report("o order/lost place <- p : order.place=failed"),
            Report("p payment/ask pay <- o q : payment.pay=failed"),
            Report("q payment/down pay : payment.pay=failed"),
        ],
        roles: &["o: derived", "p: derived", "q: payment/down"],
        steps: &["0 compensate delivery.request: q", "1 compensate coupon.redeem: q"],
    },
    Story {
        name: "a report that names itself names nobody",
        rules: SHOP,
        then: &[Report("o order/lost place <- o : order.place=failed")],
        roles: &["o: order/lost"],
        steps: &["0 compensate payment.pay: o"],
    },
    // Retries.
    Story {
        name: "backward beats forward: a retry is dropped, and what was to be run again is undone",
        rules: SHOP,
        then: &[
            Report("o order/again place : order.place=started"),
            Report("p payment/down pay : payment.pay=failed"),
        ],
        roles: &["o: order/again", "p: payment/down"],
        steps: &[
            "0 compensate delivery.request: p",
            "0 compensate order.place: o",
            "0 retry order.place: o (superseded)",
            "1 compensate coupon.redeem: p",
        ],
    },
    Story {
        name: "a message that was to be sent again is corrected where it may have gone out",
        rules: FOOD,
        then: &[
            Report("s sms/gateway send : sms.send=unknown"),
            Report("p payment/report-2 pay : payment.pay=failed"),
        ],
        roles: &["s: sms/* when action = \"send\"", "p: payment/report-2"],
        steps: &[
            "0 compensate delivery.request: p",
            "0 compensate rider.match: p",
            "0 retry sms.send: s (superseded)",
            "last notify sms.send-cancellation: p s",
        ],
    },
    Story {
        name: "a retry that is given up may have had effects, so they are undone",
        rules: SHOP,
        then: &[
            Report("o order/again place : order.place=failed, payment.pay=succeeded"),
            RetryMayHaveRun("order.place"),
        ],
        roles: &["o: order/again"],
        steps: &[
            "0 compensate order.place: o",
            "0 compensate payment.pay: o",
            "0 retry order.place: o (superseded)",
        ],
    },
    Story {
        name: "one that was refused had none",
        rules: SHOP,
        then: &[
            Report("o order/again place : order.place=failed, payment.pay=succeeded"),
            RetryIsRefused("order.place"),
        ],
        roles: &["o: order/again"],
        steps: &["0 compensate payment.pay: o", "0 retry order.place: o (superseded)"],
    },
    // Holds.
    Story {
        name: "a rule that asks holds its steps",
        rules: SHOP,
        then: &[Report("a payment/ask pay : payment.pay=started")],
        roles: &["a: payment/ask"],
        steps: &["0 compensate delivery.request: a (ask)", "0 compensate payment.pay: a (ask)"],
    },
    Story {
        name: "a rule in shadow mode only says what it would do",
        rules: SHOP,
        then: &[Report("a payment/shadow pay : payment.pay=failed")],
        roles: &["a: payment/shadow"],
        steps: &[
            "0 compensate coupon.redeem: a (shadow)",
            "0 compensate delivery.request: a (shadow)",
        ],
    },
    Story {
        name: "of shadow, ask and auto the strongest counts, and shadow moves no stage",
        rules: SHOP,
        then: &[
            Report("a payment/shadow pay : payment.pay=failed"),
            Report("b payment/ask pay : payment.pay=failed"),
            Report("c payment/down pay : payment.pay=failed"),
        ],
        roles: &["a: payment/shadow", "b: payment/ask", "c: payment/down"],
        steps: &["0 compensate delivery.request: a b c", "1 compensate coupon.redeem: a c"],
    },
    Story {
        name: "of shadow and ask, ask",
        rules: SHOP,
        then: &[
            Report("b payment/ask pay : payment.pay=failed"),
            Report("a payment/shadow pay : payment.pay=failed"),
        ],
        roles: &["b: payment/ask", "a: payment/shadow"],
        steps: &[
            "0 compensate coupon.redeem: a (shadow)",
            "0 compensate delivery.request: b a (ask)",
        ],
    },
    Story {
        name: "who follows from a held report is held with it",
        rules: SHOP,
        then: &[
            Report("a payment/ask pay : payment.pay=failed"),
            Report("o order/odd place <- a : order.place=started"),
        ],
        roles: &["a: payment/ask", "o: derived"],
        steps: &["0 compensate delivery.request: a (ask)", "0 compensate order.place: o (ask)"],
    },
    Story {
        name: "a retry that is only tried out adds its reporter to the undoing in shadow",
        rules: SHOP,
        then: &[
            Report("o order/tried-out place : order.place=started"),
            Report("p payment/down pay : payment.pay=failed"),
        ],
        roles: &["o: order/tried-out", "p: payment/down"],
        steps: &[
            "0 compensate delivery.request: p",
            "0 compensate order.place: o (shadow)",
            "0 retry order.place: o (shadow, superseded)",
            "1 compensate coupon.redeem: p",
        ],
    },
    Story {
        name: "a case past its rule's limit is held",
        rules: SHOP,
        then: &[
            OtherCase("x payment/limited pay : payment.pay=failed"),
            Report("p payment/limited pay : payment.pay=failed"),
            Report("q payment/limited pay : payment.pay=failed"),
        ],
        roles: &["p: payment/limited, held", "q: payment/limited, held"],
        steps: &["0 compensate delivery.request: p q (ask)"],
    },
    // People.
    Story {
        name: "where a person undoes without a rule, who follows is undone too",
        rules: SHOP,
        then: &[
            Report("c coupon/odd redeem : coupon.redeem=failed"),
            Report("o order/odd place <- c : order.place=started"),
            PersonPlans("payment.pay"),
        ],
        roles: &["c: by hand", "o: derived"],
        steps: &["0 compensate order.place: o"],
    },
    Story {
        name: "what a person undoes is meant in earnest, whatever rules only try out",
        rules: SHOP,
        then: &[
            Report("a payment/shadow pay : payment.pay=failed"),
            Report("o order/odd place <- a : order.place=started"),
            PersonPlans("payment.pay"),
        ],
        roles: &["a: payment/shadow", "o: derived"],
        steps: &[
            "0 compensate coupon.redeem: a (shadow)",
            "0 compensate delivery.request: a (shadow)",
            "0 compensate order.place: o",
        ],
    },
];
