//! What is missing where a node did not answer, in a sentence.

use super::{relative, span};
use crate::SilentNodeView;
use amends_protocol::Timestamp;

/// Silence that is told with its length; before, it only was too slow.
const SILENCE_MS: u64 = 3_000;

/// How much of all is missing, or old, because of this node.
#[must_use]
pub fn silent_sentence(node: &SilentNodeView, now: Timestamp) -> String {
    let SilentNodeView { name, silent_ms, parts, as_of } = node;
    let silence = match silent_ms {
        ms if *ms < SILENCE_MS => "has not answered in time".to_owned(),
        ms => format!("is silent for {}", span(*ms)),
    };
    let works = match parts {
        1 => "What it works on, 1 of the 64 parts of all sagas,".to_owned(),
        parts => format!("What it works on, {parts} of the 64 parts of all sagas,"),
    };
    match as_of {
        Some(at) => {
            format!("Node {name} {silence}. {works} is told here as it was {}.", relative(*at, now))
        }
        None => format!("Node {name} {silence}. {works} is missing here."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_reads_it_knows_how_much_is_missing() {
        let node =
            |silent_ms, as_of| SilentNodeView { name: "b".to_owned(), silent_ms, parts: 21, as_of };
        let told = |node| silent_sentence(&node, Timestamp(20_000));
        assert_eq!(
            told(node(12_300, Some(Timestamp(8_000)))),
            "Node b is silent for 12s. What it works on, 21 of the 64 parts of all sagas, is told here as it was 12s ago."
        );
        assert_eq!(
            told(node(400, None)),
            "Node b has not answered in time. What it works on, 21 of the 64 parts of all sagas, is missing here."
        );
    }
}
