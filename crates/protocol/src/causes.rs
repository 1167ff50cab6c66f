//! What an error says about its causes, in words for whoever has to mend it. The outermost error of an HTTP client
//! alone says only `client error`, and one about JSON names types of this program.

use std::error::Error;

/// The error that began it.
#[must_use]
pub fn innermost<'e>(error: &'e (dyn Error + 'static)) -> &'e (dyn Error + 'static) {
    let mut cause = error;
    while let Some(beneath) = cause.source() {
        cause = beneath;
    }
    cause
}

/// An error and all that caused it, in one line.
#[must_use]
pub fn in_one_line(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(beneath) = cause {
        text.push_str(": ");
        text.push_str(&beneath.to_string());
        cause = beneath.source();
    }
    text
}

/// What is wrong with a JSON text, with its line and column; without names of our types, and without the values that
/// stand there: a mistake is shown and logged, and a value may be anybody's secret.
#[must_use]
pub fn of_json(error: &serde_json::Error) -> String {
    without_values(&without_types(error.to_string()))
}

/// Leaves out the text or the number of `invalid type: string "…", expected …`, and a name that is none of a field or a
/// word: whoever wrote it finds it by line and column.
fn without_values(text: &str) -> String {
    let cut = |begin: &str, end: &str| {
        let from = text.find(begin)? + begin.len();
        let until = text[from..].rfind(end)? + from;
        Some((from, until))
    };
    for kind in ["invalid type: ", "invalid value: "] {
        if let Some((from, until)) = cut(kind, ", expected") {
            let what = text[from..until].split(['"', '`']).next().unwrap_or_default().trim_end();
            return format!("{}{what}{}", &text[..from], &text[until..]);
        }
    }
    for kind in ["unknown field ", "unknown variant "] {
        if let Some((from, until)) = cut(kind, ", ").filter(|_| text.starts_with(kind)) {
            // The list of what is known comes last, and has commas itself.
            let until = text[from..until].find("`, ").map_or(until, |end| from + end + 1);
            if !is_name(text[from..until].trim_matches('`')) {
                return format!("{}{}", text[..from].trim_end(), &text[until..]);
            }
        }
    }
    text.to_owned()
}

/// Whether a text looks like the name of a field or a word, as somebody may have misspelt it.
fn is_name(text: &str) -> bool {
    text.len() <= 40 && text.bytes().all(|b| b.is_ascii_alphabetic() || b"_- ".contains(&b))
}

fn without_types(text: String) -> String {
    /// How a type is announced, and what it is for whoever writes JSON.
    const TYPES: [(&str, &str); 6] = [
        ("expected internally tagged enum ", "expected an object"),
        ("expected adjacently tagged enum ", "expected an object"),
        ("expected tuple struct ", "expected a list"),
        ("expected unit struct ", "expected null"),
        ("expected struct ", "expected an object"),
        ("expected enum ", "expected one of its words"),
    ];
    let found = TYPES.iter().find_map(|(said, meant)| Some((text.find(said)?, said, meant)));
    let Some((at, said, meant)) = found else { return text };
    let (before, after) = (&text[..at], &text[at + said.len()..]);
    let rest =
        after.find(|c: char| !c.is_alphanumeric() && c != '_').map_or("", |end| &after[end..]);
    format!("{before}{meant}{rest}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mistake_in_json_is_told_without_names_of_our_types() {
        let answer = serde_json::from_str::<crate::StepAnswer>("null").expect_err("no object");
        assert_eq!(of_json(&answer), "invalid type: null, expected an object at line 1 column 4");
        let verb = serde_json::from_str::<crate::StepAnswer>("[]").expect_err("no object");
        assert!(!of_json(&verb).contains("StepAnswer"), "{}", of_json(&verb));
        let broken = serde_json::from_str::<serde_json::Value>("{").expect_err("no JSON");
        assert_eq!(of_json(&broken), broken.to_string());
    }

    #[test]
    fn a_mistake_in_json_does_not_repeat_what_stands_there() {
        #[derive(Debug, serde::Deserialize)]
        #[serde(deny_unknown_fields, rename_all = "camelCase")]
        #[allow(dead_code)] // it is never read
        struct Wanted {
            may_have_run: Option<bool>,
            list: Option<Vec<u8>>,
        }
        let told = |text: &str| of_json(&serde_json::from_str::<Wanted>(text).expect_err(text));
        for secret in ["4111222233334444", "\"sk \\\" live, expected 4711\"", "12.75"] {
            let said = told(&format!("{{\"mayHaveRun\": {secret}}}"));
            assert!(said.starts_with("invalid type: ") && said.contains(", expected"), "{said}");
            assert!(
                !said.contains("4711") && !said.contains("4111") && !said.contains("12.75"),
                "{said}"
            );
            assert!(said.contains("at line 1 column"), "{said}");
        }
        let said = told("{\"4111222233334444\": 1}");
        assert!(said.starts_with("unknown field, expected `mayHaveRun`"), "{said}");
        let said = told("{\"mayhaverun\": 1}");
        assert!(said.starts_with("unknown field `mayhaverun`, expected"), "{said}");
    }
}
