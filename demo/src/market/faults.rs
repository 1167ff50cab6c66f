//! The planned faults of the marketplace: one closed list.

use crate::faults::{By, faults};

/// What a fault asks of the purchase that carries it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// Any purchase will do.
    Any,
    /// It is paid by card.
    Card,
    /// It is paid with a voucher.
    Voucher,
    /// Two things that are sent are among it.
    TwoParcels,
}

faults! {
    Need;

    SoldOut = "sold-out", Need::TwoParcels, 3, By::Service, "the last item is sold out, when the others are reserved";
    CardDeclined = "card-declined", Need::Card, 3, By::Service, "the bank declines the card, when the items are reserved";
    CardAnswerBroken = "card-answer-broken", Need::Card, 3, By::BrokenAnswer("card"), "the card is charged, but the answer is a bare 500";
    CardLate = "card-late", Need::Card, 3, By::Late("card"), "the card request is held up on its way and comes after its compensation";
    VoucherSpent = "voucher-spent", Need::Voucher, 3, By::Service, "the voucher service says that the voucher is spent";
    VoucherAnswerLost = "voucher-answer-lost", Need::Voucher, 3, By::LostAnswer("voucher"), "the voucher is redeemed, but the answer is lost";
    ParcelRefused = "parcel-refused", Need::TwoParcels, 3, By::Service, "the last parcel cannot be sent, when the others are";
    ParcelAnswerLost = "parcel-answer-lost", Need::TwoParcels, 3, By::LostAnswer("shipping"), "a parcel is sent, but the answer is lost";
    PointsLate = "points-late", Need::TwoParcels, 3, By::Late("loyalty"), "the message about the points is held up, a parcel cannot be sent, and the message comes after its compensation";
    PointsFail = "points-fail", Need::Any, 3, By::Service, "the points cannot be booked for a while";
    LoyaltyDown = "loyalty-down", Need::Any, 1, By::Down("loyalty"), "the loyalty service is down while the order is placed";
    TransferRefused = "transfer-refused", Need::Any, 3, By::Service, "the seller's bank refuses the transfer, when all else is done";
    TransferAnswerLost = "transfer-answer-lost", Need::Any, 3, By::LostAnswer("payout"), "the seller is paid, but the answer is lost";
    CheckoutCrash = "checkout-crash", Need::Any, 1, By::Service, "the checkout is killed before the seller is paid";
    CheckoutCrashPaid = "checkout-crash-paid", Need::Any, 1, By::Service, "the checkout is killed after the seller was paid";
    MailFails = "mail-fails", Need::Any, 3, By::Service, "the e-mail cannot be sent, and the order stands";
    MailDown = "mail-down", Need::Any, 1, By::Closed("email"), "the e-mail service answers 503 while the order is placed";
}
