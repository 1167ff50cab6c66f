//! Gauges of open work that are set from one look at it, when they are scraped.

use super::labels::{CurrencyLabels, QuestionLabels};
use amends_api::{Overview, QuestionEffect, QuestionKind};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use std::sync::atomic::AtomicU64;

/// Currencies that get a label value of their own: reports name them, so anybody could make some up.
const CURRENCIES_LIMIT: usize = 20;

/// Every kind of question, also those of which none is open.
pub(super) fn set_questions(questions: &Family<QuestionLabels, Gauge>, overview: &Overview) {
    let by_effect = [
        (QuestionEffect::Hold, &overview.questions),
        (QuestionEffect::Note, &overview.noted_questions),
    ];
    for (effect, counts) in by_effect {
        for kind in QuestionKind::ALL {
            let labels = QuestionLabels { kind: kind.as_str(), effect: effect.as_str() };
            let count = counts.get(kind).copied().unwrap_or_default();
            questions.get_or_create(&labels).set(i64::try_from(count).unwrap_or(i64::MAX));
        }
    }
}

/// A gauge holds a float; who needs the exact sum asks the overview.
pub(super) fn set_amounts(
    amounts: &Family<CurrencyLabels, Gauge<f64, AtomicU64>>,
    overview: &Overview,
) {
    amounts.clear();
    for money in overview.amounts.iter().take(CURRENCIES_LIMIT) {
        let labels = CurrencyLabels { currency: money.currency.clone() };
        let nearest = money.amount.to_string().parse().unwrap_or_default();
        amounts.get_or_create(&labels).set(nearest);
    }
}
