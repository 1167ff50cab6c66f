//! The planned faults of the food order: one closed list.

use crate::faults::{By, faults};

/// What a fault asks of the order that carries it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CouponNeed {
    /// The order must use a coupon.
    With,
    /// The order must not use one.
    Without,
    /// Either will do.
    Any,
    /// The order must use the coupon of the order before it.
    Shared,
}

faults! {
    CouponNeed;

    OrderReport1 = "order-report-1", CouponNeed::Any, 3, By::Service, "the order's own logic fails for a while after the payment succeeded";
    OrderReport2 = "order-report-2", CouponNeed::Without, 3, By::Service, "the order's own logic fails for good after a payment without a coupon";
    OrderReport3 = "order-report-3", CouponNeed::With, 3, By::Service, "the order's own logic fails for good after a payment with a coupon";
    OrderCrash = "order-crash", CouponNeed::Any, 1, By::Service, "the order service is killed after the payment succeeded";
    PaymentReport1 = "payment-report-1", CouponNeed::With, 3, By::Service, "the payment's remaining logic fails after the coupon was used and the delivery requested";
    PaymentReport2 = "payment-report-2", CouponNeed::Without, 3, By::Service, "the payment's remaining logic fails after the delivery was requested";
    CouponRefused = "coupon-refused", CouponNeed::With, 3, By::Service, "the coupon service fails before the coupon is used";
    CouponAnswerBroken = "coupon-answer-broken", CouponNeed::With, 3, By::BrokenAnswer("coupon"), "the coupon is used, but the answer is a bare 500";
    CouponRaced = "coupon-raced", CouponNeed::Shared, 3, By::Service, "two orders race for one coupon";
    DeliveryRefused = "delivery-refused", CouponNeed::Any, 3, By::Service, "the delivery service takes no more deliveries";
    DeliveryAnswerLost = "delivery-answer-lost", CouponNeed::Any, 3, By::LostAnswer("delivery"), "the delivery is requested, but its answer is lost";
    PaymentLate = "payment-late", CouponNeed::Any, 3, By::Late("payment"), "the payment request is held up on its way and comes after its compensation";
    CouponLate = "coupon-late", CouponNeed::With, 3, By::Late("coupon"), "the coupon request is held up on its way and comes after its compensation";
    DeliveryLate = "delivery-late", CouponNeed::Any, 3, By::Late("delivery"), "the delivery request is held up on its way and comes after its compensation";
    RiderFails = "rider-fails", CouponNeed::Any, 3, By::Service, "the rider matching fails for a while";
    SmsFails = "sms-fails", CouponNeed::Any, 3, By::Service, "the text message fails for a while";
    RiderDown = "rider-down", CouponNeed::Any, 1, By::Down("rider"), "the rider service is down while the order is placed";
    SmsDown = "sms-down", CouponNeed::Any, 1, By::Closed("sms"), "the text service answers 503 while the order is placed";
}
