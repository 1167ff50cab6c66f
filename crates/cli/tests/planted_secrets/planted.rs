//! What is planted, and how somebody may write it.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE_NO_PAD};

/// Where a secret comes from, which decides where it may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The configuration: known by its value.
    Configuration,
    /// A business field that the rulebook calls secret. It goes to services, so the store has it.
    Business,
    /// Somebody else's, which nobody told us: known by its shape.
    Strangers,
    /// Made by the supervisor itself: its digest alone is kept.
    Ours,
}

/// One secret.
#[derive(Clone, Debug)]
pub struct Secret {
    pub what: &'static str,
    pub value: String,
    pub origin: Origin,
}

impl Secret {
    pub fn new(origin: Origin, what: &'static str, value: impl Into<String>) -> Self {
        Self { what, value: value.into(), origin }
    }

    /// Whether it is known wherever it stands: by its value, or by a shape that is its own.
    pub fn is_known_anywhere(&self) -> bool {
        let has_shape = ["amends_", "eyJ"].iter().any(|begin| self.value.starts_with(begin));
        self.origin == Origin::Configuration || has_shape
    }

    /// As somebody would repeat it in a text.
    pub fn as_told(&self) -> Vec<String> {
        let value = self.value.as_str();
        match self.origin {
            // Its shape is what it is known by, and another writing has none.
            Origin::Strangers => return vec![value.to_owned()],
            Origin::Ours if value.starts_with("amends_") => return vec![value.to_owned()],
            // Nobody else knows it.
            Origin::Ours => return Vec::new(),
            Origin::Configuration | Origin::Business => {}
        }
        let escaped = serde_json::to_string(value).expect("a text");
        let percent: String = value.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let hex = value.bytes().map(|byte| format!("{byte:02x}")).collect();
        let inside = STANDARD.encode(format!("u:{value}"));
        vec![value.to_owned(), escaped.trim_matches('"').to_owned(), percent, hex, inside]
    }

    /// What gives it away in whatever is shown.
    pub fn gives_away(&self) -> Vec<String> {
        let value = self.secret_part();
        let hex: String = value.bytes().map(|byte| format!("{byte:02x}")).collect();
        let percent = |sign: &str| -> String {
            value
                .bytes()
                .map(|byte| match byte.is_ascii_alphanumeric() {
                    true => char::from(byte).to_string(),
                    false => format!("{sign}{byte:02X}"),
                })
                .collect()
        };
        let whole: String = value.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let escaped = serde_json::to_string(value).expect("a text");
        let escaped = escaped.trim_matches('"').to_owned();
        let twice = serde_json::to_string(&escaped).expect("a text");
        let html = value.replace('&', "&amp;").replace('"', "&quot;").replace('+', "&#43;");
        let mut all = vec![
            value.to_owned(),
            twice.trim_matches('"').to_owned(),
            escaped,
            percent("%"),
            percent("%25"),
            whole,
            html,
            hex.to_uppercase(),
            hex,
        ];
        for before in 0..3 {
            let padded = [&[0; 2][..before], value.as_bytes()].concat();
            let (shared, end) = ([0, 2, 3][before], padded.len() * 8 / 6);
            for text in [STANDARD_NO_PAD.encode(&padded), URL_SAFE_NO_PAD.encode(&padded)] {
                all.push(text[shared..end].to_owned());
            }
        }
        all.sort();
        all.dedup();
        all
    }

    /// What must not be seen of it: of what is known by its shape, the part behind the name of the shape.
    fn secret_part(&self) -> &str {
        let value = self.value.as_str();
        for shape in ["Bearer ", "Basic "] {
            if let Some(rest) = value.strip_prefix(shape) {
                return rest;
            }
        }
        match value.split_once("://").and_then(|(_, rest)| rest.split_once('@')) {
            Some((user, _)) if self.origin == Origin::Strangers => user,
            _ => value,
        }
    }
}
