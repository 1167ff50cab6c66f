//! An open question in one sentence: `billing says that there was nothing to undo of billing.charge, and shop says that
//! request p-1 succeeded`.

use crate::QuestionKind;
use amends_protocol::{ActionName, Outcome};
use std::collections::BTreeMap;

/// Names that are told; of more, their number is.
const NAMED: usize = 3;

/// Characters of a value that are told.
const VALUE_CHARS: usize = 80;

/// What the sentence is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuestionFacts<'a> {
    /// What is in doubt.
    pub kind: QuestionKind,
    /// The service that it is about.
    pub service: &'a str,
    /// The action that it is about.
    pub action: Option<&'a ActionName>,
    /// How that service ended its undoing, if that is in doubt.
    pub outcome: Option<Outcome>,
    /// Who speaks against that service, each once.
    pub witnesses: Vec<&'a str>,
    /// The requests that they speak of, each once.
    pub requests: Vec<&'a str>,
    /// They say that it took effect, not only that it may have.
    pub took_effect: bool,
    /// On which field's value they don't agree.
    pub field: Option<&'a str>,
    /// What each says that it is, as JSON text.
    pub values: Vec<(&'a str, &'a str)>,
}

/// The sentence.
#[must_use]
pub fn question_sentence(question: &QuestionFacts<'_>) -> String {
    let QuestionFacts {
        kind,
        service,
        action,
        outcome,
        witnesses,
        requests,
        took_effect,
        field,
        values,
    } = question;
    let about = action.map_or_else(|| (*service).to_owned(), ToString::to_string);
    match kind {
        QuestionKind::Contradiction => {
            let own = witnesses.as_slice() == [*service];
            let (who, says) = match witnesses.len() {
                _ if own => ("its History".to_owned(), "says"),
                0 => ("evidence".to_owned(), "says"),
                1 => (listed(witnesses), "says"),
                _ => (listed(witnesses), "say"),
            };
            let word = if requests.len() == 1 { "request" } else { "requests" };
            let ended = match outcome {
                Some(Outcome::Compensated | Outcome::AlreadyCompensated) => "it has undone",
                _ => "there was nothing to undo of",
            };
            format!(
                "{service} says that {ended} {about}, and {who} {says} that {word} {} succeeded",
                listed(requests)
            )
        }
        QuestionKind::Stranger => {
            let tell = if witnesses.len() == 1 { "tells" } else { "tell" };
            format!("{} {tell} of {about}, which the rulebook does not know", listed(witnesses))
        }
        QuestionKind::Dropped => format!(
            "{service} told of more requests than are kept, or of some that can't be read, so that something to undo may be missing"
        ),
        QuestionKind::HistoryUnavailable => {
            format!("no History of {service} could be read for a long time, and the case needs it")
        }
        QuestionKind::DataConflict => {
            let of = match requests.as_slice() {
                [request] => format!("of request {request} of {about}"),
                _ => format!("of {about}"),
            };
            format!("{of}, {}", disagreement(field.unwrap_or("data"), values))
        }
        QuestionKind::PastThePivot if *took_effect => {
            let say = if witnesses.len() == 1 { "says" } else { "say" };
            format!(
                "{} {say} that {about} took effect, which nothing can undo: is what came before it to be undone all the same?",
                listed(witnesses)
            )
        }
        QuestionKind::PastThePivot => format!(
            "whether {about} took effect is not known, and nothing can undo it: is what came before it to be undone all the same?"
        ),
    }
}

/// `shop and till say paymentId = "a", and order says "b"`.
fn disagreement(field: &str, values: &[(&str, &str)]) -> String {
    let mut by_value: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (who, value) in values {
        let sayers = by_value.entry(value).or_default();
        if !sayers.contains(who) {
            sayers.push(who);
        }
    }
    let said = by_value.iter().enumerate().map(|(place, (value, sayers))| {
        let say = if sayers.len() == 1 { "says" } else { "say" };
        let is = if place == 0 { format!("{field} = ") } else { String::new() };
        format!("{} {say} {is}{}", listed(sayers), shortened(value))
    });
    said.collect::<Vec<_>>().join(", and ")
}

fn shortened(value: &str) -> String {
    match value.char_indices().nth(VALUE_CHARS) {
        None => value.to_owned(),
        Some((end, _)) => format!("{}…", &value[..end]),
    }
}

/// `a`, `a and b`, `a, b, c and 4 more`.
fn listed(names: &[&str]) -> String {
    match names {
        [] => "somebody".to_owned(),
        [one] => (*one).to_owned(),
        [most @ .., last] if names.len() <= NAMED => format!("{} and {last}", most.join(", ")),
        _ => format!("{} and {} more", names[..NAMED].join(", "), names.len() - NAMED),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sentence_says_who_says_what_against_whom() {
        let action = ActionName::new("billing", "charge");
        let of = |kind, witnesses: &[&'static str], requests: &[&'static str]| {
            let (witnesses, requests) = (witnesses.to_vec(), requests.to_vec());
            let action = Some(&action);
            question_sentence(&QuestionFacts {
                kind,
                service: "billing",
                action,
                outcome: None,
                witnesses,
                requests,
                took_effect: true,
                field: Some("paymentId"),
                values: vec![("shop", "\"p-1\""), ("till", "\"p-1\""), ("order", "7")],
            })
        };
        for (said, expected) in [
            (
                of(QuestionKind::Contradiction, &["shop"], &["p-1"]),
                "billing says that there was nothing to undo of billing.charge, and shop says that request p-1 succeeded",
            ),
            (
                of(QuestionKind::Contradiction, &["billing"], &["a", "b", "c", "d"]),
                "billing says that there was nothing to undo of billing.charge, and its History says that requests a, b, c and 1 more succeeded",
            ),
            (
                of(QuestionKind::Stranger, &["shop", "till"], &[]),
                "shop and till tell of billing.charge, which the rulebook does not know",
            ),
            (
                of(QuestionKind::DataConflict, &[], &["q"]),
                "of request q of billing.charge, shop and till say paymentId = \"p-1\", and order says 7",
            ),
            (
                of(QuestionKind::PastThePivot, &["billing"], &["p-1"]),
                "billing says that billing.charge took effect, which nothing can undo: is what came before it to be undone all the same?",
            ),
        ] {
            assert_eq!(said, expected);
        }
    }
}
