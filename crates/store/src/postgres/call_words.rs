//! How calls between nodes are written: as words without blanks, which begin with what they are.

use crate::{Call, LetterAnswered, LetterId, Partition};
use amends_engine::Answer;
use amends_protocol::CaseId;
use amends_protocol::wire::percent;

/// Most bytes of a text that goes along with an answer; three times as many on the way.
const TEXT: usize = 600;

/// `l12`: letters for a partition; `f`: leases came free; `s7`: the settings have this version; else what became of a
/// letter, which is named first: `a<uuid>/<case>/<0 or 1>` a report, `d<uuid>` done, `t<uuid>/<version>` set, `k<uuid>`
/// kept, `e<uuid>/<number>` an erasure, and `r<uuid>/<why>/<text>` refused. None of what is not called out, and of a
/// letter that went on to somebody else.
pub(super) fn word(call: &Call) -> Option<String> {
    let LetterAnswered { letter, answer } = match call {
        Call::Letters(Partition(part)) => return Some(format!("l{part}")),
        Call::Leases => return Some("f".to_owned()),
        Call::Settings(version) => return Some(format!("s{version}")),
        Call::Missed => return None,
        Call::Answered(answered) => answered,
    };
    let (why, text) = match answer {
        Answer::Received { case, duplicate } => {
            return Some(format!("a{letter}/{}/{}", case.0, u8::from(*duplicate)));
        }
        Answer::Done | Answer::Announced(_) => return Some(format!("d{letter}")),
        Answer::Set(version) => return Some(format!("t{letter}/{version}")),
        Answer::Kept => return Some(format!("k{letter}")),
        Answer::Erased(number) => return Some(format!("e{letter}/{number}")),
        Answer::Posted(_) => return None,
        Answer::NotFound(text) => ('n', text),
        Answer::Conflict(text) | Answer::Dropped { detail: text, .. } => ('c', text),
        Answer::Unproven(text) => ('p', text),
        Answer::Unavailable(text) => ('u', text),
        Answer::Invalid(text) => ('i', text),
    };
    let text = &text[..text.floor_char_boundary(TEXT)];
    Some(format!("r{letter}/{why}/{}", percent::part(text)))
}

/// A word; none of one that this version does not know.
pub(super) fn read(word: &str) -> Option<Call> {
    let mut chars = word.chars();
    let (kind, rest) = (chars.next()?, chars.as_str());
    match kind {
        'l' => return rest.parse().ok().map(|part| Call::Letters(Partition(part))),
        'f' => return rest.is_empty().then_some(Call::Leases),
        's' => return rest.parse().ok().map(Call::Settings),
        _ => {}
    }
    let mut parts = rest.splitn(3, '/');
    let letter = u128::from_str_radix(&parts.next()?.replace('-', ""), 16).ok()?;
    let (first, second) = (parts.next(), parts.next());
    let answer = match (kind, first, second) {
        ('a', Some(case), Some(duplicate)) => {
            Answer::Received { case: CaseId(case.parse().ok()?), duplicate: duplicate == "1" }
        }
        ('d', None, None) => Answer::Done,
        ('t', Some(version), None) => Answer::Set(version.parse().ok()?),
        ('k', None, None) => Answer::Kept,
        ('e', Some(number), None) => Answer::Erased(number.parse().ok()?),
        ('r', Some(why), Some(text)) => {
            let text = percent::decode(text)?;
            match why {
                "n" => Answer::NotFound(text),
                "c" => Answer::Conflict(text),
                "p" => Answer::Unproven(text),
                "u" => Answer::Unavailable(text),
                "i" => Answer::Invalid(text),
                _ => return None,
            }
        }
        _ => return None,
    };
    Some(Call::Answered(LetterAnswered { letter: LetterId(letter), answer }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn again(answer: Answer) -> Option<Call> {
        let call = Call::Answered(LetterAnswered { letter: LetterId(7), answer });
        let word = word(&call).expect("it is called out");
        assert!(!word.contains(' ') && word.len() < 2_000, "{word}");
        read(&word)
    }

    #[test]
    fn what_became_of_a_letter_arrives_as_it_was_told() {
        let why = "step 3 is `done`: 100 % of it / nothing more to do é".to_owned();
        for answer in [
            Answer::Received { case: CaseId(17), duplicate: true },
            Answer::Done,
            Answer::Set(8),
            Answer::Kept,
            Answer::Erased(9),
            Answer::NotFound(why.clone()),
            Answer::Conflict(why.clone()),
            Answer::Unproven(why.clone()),
            Answer::Unavailable(why.clone()),
            Answer::Invalid(why),
        ] {
            let told =
                Call::Answered(LetterAnswered { letter: LetterId(7), answer: answer.clone() });
            assert_eq!(again(answer), Some(told));
        }
    }

    #[test]
    fn a_long_text_is_cut_between_two_letters() {
        let told = again(Answer::Conflict("é".repeat(500)));
        let Some(Call::Answered(LetterAnswered { answer: Answer::Conflict(text), .. })) = told
        else {
            panic!("{told:?}")
        };
        assert_eq!(text, "é".repeat(300));
    }

    #[test]
    fn what_is_no_call_is_passed_over() {
        for word in [
            "", "x", "l", "l-1", "s", "s-1", "a", "a1/2", "t1", "azz/1/0", "ff", "r1/z/x", "d",
            "d1/2", "é",
        ] {
            assert_eq!(read(word), None, "{word}");
        }
    }
}
