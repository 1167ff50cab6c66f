//! Texts and bodies with placeholders: `{unique}`, `{number}`, `{saga}`, `{request}`, `{downstream}`. Everything is checked
//! when it is read, so filling them in cannot fail.

use amends_protocol::wire::percent;
use serde_json::{Map, Value};

/// Every placeholder.
pub(crate) const SLOTS: &[(&str, Slot)] = &[
    ("unique", Slot::Unique),
    ("number", Slot::Number),
    ("saga", Slot::Saga),
    ("request", Slot::Request),
    ("downstream", Slot::Downstream),
];

/// What stands in a placeholder's stead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Slot {
    Unique,
    Number,
    Saga,
    Request,
    Downstream,
}

/// The values of one request.
#[derive(Clone, Debug)]
pub(crate) struct Values {
    pub(crate) unique: String,
    pub(crate) number: u64,
    pub(crate) saga: String,
    pub(crate) request: String,
    pub(crate) downstream: String,
}

impl Values {
    fn get(&self, slot: Slot) -> String {
        match slot {
            Slot::Unique => self.unique.clone(),
            Slot::Number => self.number.to_string(),
            Slot::Saga => self.saga.clone(),
            Slot::Request => self.request.clone(),
            Slot::Downstream => self.downstream.clone(),
        }
    }
}

/// A text with placeholders.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Template(Vec<Part>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    Slot(Slot),
}

impl Template {
    /// Reads a text.
    ///
    /// # Errors
    /// The name of what is no placeholder, or the brace without its partner.
    pub(crate) fn parse(text: &str) -> Result<Self, NoTemplate> {
        let mut parts = Vec::new();
        let mut plain = String::new();
        let mut rest = text;
        while let Some(at) = rest.find(['{', '}']) {
            plain.push_str(&rest[..at]);
            let brace = &rest[at..=at];
            let after = &rest[at + 1..];
            if let Some(doubled) = after.strip_prefix(brace) {
                plain.push_str(brace);
                rest = doubled;
                continue;
            }
            let end = after.find('}').filter(|_| brace == "{").ok_or(NoTemplate::LoneBrace)?;
            let name = &after[..end];
            let slot = SLOTS.iter().find(|(known, _)| *known == name).map(|(_, slot)| *slot);
            let slot = slot.ok_or_else(|| NoTemplate::Unknown(name.to_owned()))?;
            if !plain.is_empty() {
                parts.push(Part::Text(std::mem::take(&mut plain)));
            }
            parts.push(Part::Slot(slot));
            rest = &after[end + 1..];
        }
        plain.push_str(rest);
        if !plain.is_empty() {
            parts.push(Part::Text(plain));
        }
        Ok(Self(parts))
    }

    /// Whether it says something else for each request.
    pub(crate) fn is_of_one_request(&self) -> bool {
        let own = |slot: &Slot| matches!(slot, Slot::Unique | Slot::Number | Slot::Request);
        self.0.iter().any(|part| matches!(part, Part::Slot(slot) if own(slot)))
    }

    /// The text with every value in its place.
    pub(crate) fn fill(&self, values: &Values) -> String {
        self.fill_with(|slot| values.get(slot))
    }

    /// The same for a path: values are percent-encoded.
    pub(crate) fn fill_path(&self, values: &Values) -> String {
        self.fill_with(|slot| percent::part(&values.get(slot)).to_string())
    }

    fn fill_with(&self, value: impl Fn(Slot) -> String) -> String {
        let part = |part: &Part| match part {
            Part::Text(text) => text.clone(),
            Part::Slot(slot) => value(*slot),
        };
        self.0.iter().map(part).collect()
    }
}

/// Why a text is no template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum NoTemplate {
    /// In braces stands what is no placeholder.
    Unknown(String),
    /// A brace without its partner.
    LoneBrace,
}

/// A JSON body with placeholders in its texts.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum BodyTemplate {
    Fixed(Value),
    Text(Template),
    List(Vec<BodyTemplate>),
    Map(Vec<(String, BodyTemplate)>),
}

impl BodyTemplate {
    /// `{}`.
    pub(crate) fn empty() -> Self {
        Self::Map(Vec::new())
    }

    /// The body of one request.
    pub(crate) fn fill(&self, values: &Values) -> Value {
        match self {
            Self::Fixed(value) => value.clone(),
            Self::Text(template) if template.0 == [Part::Slot(Slot::Number)] => {
                Value::from(values.number)
            }
            Self::Text(template) => Value::from(template.fill(values)),
            Self::List(items) => items.iter().map(|item| item.fill(values)).collect(),
            Self::Map(members) => Value::Object(
                members.iter().map(|(k, v)| (k.clone(), v.fill(values))).collect::<Map<_, _>>(),
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{BodyTemplate, NoTemplate, Template, Values};
    use serde_json::json;

    fn values() -> Values {
        Values {
            unique: "u1".to_owned(),
            number: 17,
            saga: "a/b".to_owned(),
            request: "r-1".to_owned(),
            downstream: "http://127.0.0.1:1".to_owned(),
        }
    }

    #[test]
    fn placeholders_are_filled_and_doubled_braces_are_braces() {
        let fill = |text| Template::parse(text).expect("a template").fill(&values());
        assert_eq!(fill("C-{unique}-{number}"), "C-u1-17");
        assert_eq!(fill("{{unique}} {saga}"), "{unique} a/b");
        assert_eq!(fill("plain"), "plain");
        let path = Template::parse("/x?saga={saga}").expect("a template");
        assert_eq!(path.fill_path(&values()), "/x?saga=a%2Fb");
        assert!(!path.is_of_one_request());
        assert!(Template::parse("/x/{request}").expect("a template").is_of_one_request());
    }

    #[test]
    fn what_is_no_placeholder_is_named() {
        assert_eq!(Template::parse("{uniqe}"), Err(NoTemplate::Unknown("uniqe".to_owned())));
        for lone in ["{unique", "a } b", "{"] {
            assert_eq!(Template::parse(lone), Err(NoTemplate::LoneBrace), "{lone}");
        }
    }

    #[test]
    fn a_text_that_is_a_number_alone_becomes_one() {
        let text = |text| BodyTemplate::Text(Template::parse(text).expect("a template"));
        let body = BodyTemplate::Map(vec![
            ("n".to_owned(), text("{number}")),
            ("t".to_owned(), text("no {number}")),
        ]);
        assert_eq!(body.fill(&values()), json!({ "n": 17, "t": "no 17" }));
    }
}
