//! An open question in one sentence: `billing says that there was nothing to undo of billing.charge, and shop says that
//! request p-1 succeeded`.

use crate::{ActionName, QuestionKind};

/// Names that are told; of more, their number is.
const NAMED: usize = 3;

/// What the sentence is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuestionFacts<'a> {
    /// What is in doubt.
    pub kind: QuestionKind,
    /// The service that it is about.
    pub service: &'a str,
    /// The action that it is about.
    pub action: Option<&'a ActionName>,
    /// Who speaks against that service, each once.
    pub witnesses: Vec<&'a str>,
    /// The requests that they speak of, each once.
    pub requests: Vec<&'a str>,
}

/// The sentence.
#[must_use]
pub fn question_sentence(question: &QuestionFacts<'_>) -> String {
    let QuestionFacts { kind, service, action, witnesses, requests } = question;
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
            format!(
                "{service} says that there was nothing to undo of {about}, and {who} {says} that {word} {} succeeded",
                listed(requests)
            )
        }
        QuestionKind::Stranger => {
            let tell = if witnesses.len() == 1 { "tells" } else { "tell" };
            format!("{} {tell} of {about}, which the rulebook does not know", listed(witnesses))
        }
        QuestionKind::Dropped => format!(
            "{service} told of more requests than are kept, so that something to undo may be missing"
        ),
        QuestionKind::HistoryUnavailable => {
            format!("no History of {service} could be read for a long time, and the case needs it")
        }
        QuestionKind::DataConflict => {
            format!("the data that undoing {about} needs differ from source to source")
        }
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
                witnesses,
                requests,
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
        ] {
            assert_eq!(said, expected);
        }
    }
}
