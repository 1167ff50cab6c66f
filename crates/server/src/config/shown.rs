//! The configuration as people see it: every key with its value and where it was set, and no secret.

use super::layers::{Layers, Origin, SECRET_ADDRESSES, is_open, is_shown};
use super::value::Reader;
use super::withheld::gather;
use crate::withheld::Withheld;
use toml::Value;

impl Layers {
    /// Every key with its value as people write it and its origin; keys are not shown.
    #[must_use]
    pub fn shown(&self) -> Vec<(String, String, Origin)> {
        let withheld = Withheld::default();
        let wrong = gather(&withheld, self, &Reader::new(self));
        let is_wrong = |key: &str| wrong.iter().any(|(wrong, _)| wrong == key);
        let show = |(key, (value, origin)): (&String, &(Value, Origin))| {
            let secret = is_wrong(key)
                || (is_open(key) && !is_shown(key) && !matches!(value, Value::Table(_)))
                || (key == SECRET_ADDRESSES && *origin != Origin::Default);
            let text = match secret {
                true => "\"(secret)\"".to_owned(),
                false => withheld.hide(&value.to_string()).into_owned(),
            };
            (key.clone(), text, origin.clone())
        };
        self.values.iter().map(show).collect()
    }
}
