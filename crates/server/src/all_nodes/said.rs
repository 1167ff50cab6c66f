//! How nodes ask each other, as texts: a line of JSON that says what it is, and below it what is asked or told. What
//! another version says and this one does not know is passed over.

use super::feed::EventId;
use amends_engine::QuestionFilter;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// What a node can be asked of the part that it works on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Inquiry {
    /// How much there is, what holds it up, how services are.
    OpenWork,
    /// What belongs to a group, at most so much.
    Members { group: String, limit: usize },
    /// Open questions, at most so many.
    Questions { filter: QuestionFilter, limit: usize },
    /// Names that rulebooks don't know.
    Strangers,
    /// What can't be worked on.
    Quarantine,
    /// To say what happens from now on, for a while; it answers once it does.
    Watch,
}

/// A service that a node can't reach.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Outage {
    pub(crate) service: Arc<str>,
    /// What it failed with last.
    pub(crate) message: Option<String>,
}

/// What a text is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Head {
    /// The node `by` asks these, under a number of its own.
    Ask { number: u64, by: String, of: Vec<String> },
    /// The node `by` answers the one that asked under this number.
    Tell { number: u64, by: String, to: String },
    /// The services that the node `by` can't reach, in place of what it said before.
    Outages { by: String },
    /// Somebody watches at the node `by`, still.
    Watch { by: String },
    /// What happened at the node `by`: events in a row, of which this is the name of the first.
    Events { by: String, first: EventId },
}

/// A text of it, with what goes along.
pub(crate) fn text(head: &Head, body: &impl Serialize) -> Option<String> {
    let (head, body) = (serde_json::to_string(head).ok()?, serde_json::to_string(body).ok()?);
    Some(format!("{head}\n{body}"))
}

/// What a text is, and what goes along.
pub(crate) fn read(text: &str) -> Option<(Head, &str)> {
    let (head, body) = text.split_once('\n')?;
    Some((serde_json::from_str(head).ok()?, body))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_arrives_and_what_is_not_known_is_passed_over() {
        let head =
            Head::Ask { number: u64::MAX, by: "a node".to_owned(), of: vec!["b".to_owned()] };
        let asked = Inquiry::Members { group: "g-1".to_owned(), limit: 7 };
        let text = text(&head, &asked).expect("it can be said");
        let (again, body) = read(&text).expect("it was understood");
        assert_eq!((again, serde_json::from_str(body).ok()), (head, Some(asked)));
        for other in ["", "x", "{}\n{}", "{\"ask\":{}}\n", "{\"sing\":{\"by\":\"a\"}}\n\"la\""] {
            assert_eq!(read(other), None, "{other}");
        }
        assert!(serde_json::from_str::<Inquiry>("\"weather\"").is_err());
    }
}
