//! What the API says as a tree that keeps the order of its members, written as YAML or as rows for CSV. Pure.

use serde::de::{Deserializer, MapAccess, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::fmt;

/// A value of JSON.
pub(super) enum Tree {
    /// A number, `true`, `false` or `null`, as written.
    Word(String),
    Text(String),
    List(Vec<Tree>),
    Map(Vec<(String, Tree)>),
}

/// The members of an object, in their order.
struct Members<'a>(Vec<(String, &'a RawValue)>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;
        impl<'de> Visitor<'de> for InOrder {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members<'de>, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(InOrder)
    }
}

impl Tree {
    /// What a value says in JSON.
    pub(super) fn of<T: Serialize>(value: &T) -> serde_json::Result<Self> {
        Self::read(&serde_json::to_string(value)?)
    }

    fn read(json: &str) -> serde_json::Result<Self> {
        Ok(match json.as_bytes().first() {
            Some(b'{') => {
                let Members(members) = serde_json::from_str(json)?;
                let read =
                    |(name, value): (String, &RawValue)| Ok((name, Self::read(value.get())?));
                Self::Map(members.into_iter().map(read).collect::<serde_json::Result<_>>()?)
            }
            Some(b'[') => {
                let items: Vec<&RawValue> = serde_json::from_str(json)?;
                let read = |item: &RawValue| Self::read(item.get());
                Self::List(items.into_iter().map(read).collect::<serde_json::Result<_>>()?)
            }
            Some(b'"') => Self::Text(serde_json::from_str(json)?),
            _ => Self::Word(json.to_owned()),
        })
    }

    /// As YAML in block style. Texts that could be taken for something else are quoted as JSON quotes them, which YAML
    /// understands.
    pub(super) fn yaml(&self) -> String {
        self.yaml_lines().join("\n")
    }

    fn yaml_lines(&self) -> Vec<String> {
        match self {
            Self::Map(members) if !members.is_empty() => {
                members.iter().flat_map(|(name, value)| value.yaml_member(name)).collect()
            }
            Self::List(items) if !items.is_empty() => items
                .iter()
                .flat_map(|item| {
                    let lines = item.yaml_lines().into_iter().enumerate();
                    lines.map(|(n, line)| format!("{}{line}", if n == 0 { "- " } else { "  " }))
                })
                .collect(),
            Self::Text(text) => vec![yaml_scalar(text)],
            empty_or_word => vec![empty_or_word.json()],
        }
    }

    fn yaml_member(&self, name: &str) -> Vec<String> {
        let name = yaml_scalar(name);
        let lines = self.yaml_lines();
        let is_block = match self {
            Self::Map(members) => !members.is_empty(),
            Self::List(items) => !items.is_empty(),
            Self::Word(_) | Self::Text(_) => false,
        };
        if is_block {
            let inner = lines.iter().map(|line| format!("  {line}"));
            std::iter::once(format!("{name}:")).chain(inner).collect()
        } else {
            vec![format!("{name}: {}", lines.concat())]
        }
    }

    /// The rows of a list: itself, or what the lists that it holds have.
    pub(super) fn items(&self) -> Vec<&Self> {
        match self {
            Self::List(items) => items.iter().collect(),
            Self::Map(members) => members
                .iter()
                .filter_map(|(_, value)| match value {
                    Self::List(items) => Some(items),
                    Self::Map(_) | Self::Text(_) | Self::Word(_) => None,
                })
                .flatten()
                .collect(),
            Self::Word(_) | Self::Text(_) => vec![self],
        }
    }

    /// Its cells with the names of their columns: members of members are `outer.inner`.
    fn cells(&self) -> Vec<(String, String)> {
        match self {
            Self::Map(members) => members
                .iter()
                .flat_map(|(name, value)| {
                    let inner = value.cells().into_iter();
                    inner.map(move |(rest, cell)| match rest.as_str() {
                        "" => (name.clone(), cell),
                        rest => (format!("{name}.{rest}"), cell),
                    })
                })
                .collect(),
            single => vec![(String::new(), single.cell())],
        }
    }

    /// Lists of texts and numbers are separated by `;`, all others are JSON.
    fn cell(&self) -> String {
        match self {
            Self::Text(text) => text.clone(),
            Self::Word(word) if word == "null" => String::new(),
            Self::Word(word) => word.clone(),
            Self::List(items) if items.iter().all(|item| !item.has_parts()) => {
                items.iter().map(Self::cell).collect::<Vec<_>>().join("; ")
            }
            Self::List(_) | Self::Map(_) => self.json(),
        }
    }

    const fn has_parts(&self) -> bool {
        matches!(self, Self::List(_) | Self::Map(_))
    }

    fn json(&self) -> String {
        let all = |parts: Vec<String>| parts.join(",");
        match self {
            Self::Word(word) => word.clone(),
            Self::Text(text) => quoted(text),
            Self::List(items) => format!("[{}]", all(items.iter().map(Self::json).collect())),
            Self::Map(members) => {
                let member =
                    |(name, value): &(String, Self)| format!("{}:{}", quoted(name), value.json());
                format!("{{{}}}", all(members.iter().map(member).collect()))
            }
        }
    }
}

/// Rows as a table: the names of the columns first, in the order in which they appear.
pub(super) fn table(rows: &[&Tree]) -> Vec<Vec<String>> {
    let rows: Vec<Vec<(String, String)>> = rows.iter().map(|row| row.cells()).collect();
    let mut columns: Vec<&str> = Vec::new();
    for (name, _) in rows.iter().flatten() {
        if !columns.contains(&name.as_str()) {
            columns.push(name);
        }
    }
    let cell = |row: &[(String, String)], column: &str| {
        row.iter().find(|(name, _)| name == column).map_or(String::new(), |(_, cell)| cell.clone())
    };
    let head = columns.iter().map(|name| (*name).to_owned()).collect();
    let body = rows.iter().map(|row| columns.iter().map(|column| cell(row, column)).collect());
    std::iter::once(head).chain(body).collect()
}

fn quoted(text: &str) -> String {
    // A text alone always is JSON.
    serde_json::to_string(text).unwrap_or_default()
}

/// A text as YAML: as it is where it can mean nothing else.
fn yaml_scalar(text: &str) -> String {
    const WORDS: [&str; 9] = ["true", "false", "null", "yes", "no", "on", "off", "y", "n"];
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '/' | ' ');
    let stands_alone = text.starts_with(|c: char| c.is_ascii_alphabetic())
        && !text.ends_with(' ')
        && text.chars().all(is_plain)
        && !WORDS.contains(&text.to_ascii_lowercase().as_str());
    if stands_alone { text.to_owned() } else { quoted(text) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CASES: &str = r#"[{"id":"c-1","state":"open","steps":{"stuck":1},"amounts":[{"amount":12.50}],"causedBy":["a","b"]},
        {"id":"c-2","note":"a: b # \u001b[31m","none":null,"empty":[],"yes":"no","n":1e400}]"#;

    #[test]
    fn yaml_keeps_the_order_and_quotes_what_could_mean_something_else() {
        let yaml = Tree::read(CASES).expect("JSON").yaml();
        let wanted = r#"- id: c-1
  state: open
  steps:
    stuck: 1
  amounts:
    - amount: 12.50
  causedBy:
    - a
    - b
- id: c-2
  note: "a: b # \u001b[31m"
  none: null
  empty: []
  "yes": "no"
  "n": 1e400"#;
        assert_eq!(yaml, wanted);
        assert_eq!(Tree::read("[]").expect("JSON").yaml(), "[]");
    }

    #[test]
    fn rows_have_all_columns_that_any_of_them_has() {
        let cases = Tree::read(CASES).expect("JSON");
        let rows = table(&cases.items());
        assert_eq!(
            rows[0],
            [
                "id",
                "state",
                "steps.stuck",
                "amounts",
                "causedBy",
                "note",
                "none",
                "empty",
                "yes",
                "n"
            ]
        );
        assert_eq!(rows[1][..5], ["c-1", "open", "1", r#"[{"amount":12.50}]"#, "a; b"]);
        assert_eq!(rows[2][..6], ["c-2", "", "", "", "", "a: b # \u{1b}[31m"]);
    }

    #[test]
    fn the_rows_of_a_page_are_its_items() {
        let page = Tree::read(r#"{"items":[{"id":"c-1"}],"next":"x","rows":[{"row":"r"}]}"#);
        assert_eq!(table(&page.expect("JSON").items()), [["id", "row"], ["c-1", ""], ["", "r"]]);
    }
}
