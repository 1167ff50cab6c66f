//! An old warehouse, without keys. The first answer about a reservation with a slash is lost.

use super::{Answered, Got, answer};
use serde_json::Value;
use std::collections::BTreeSet;

#[derive(Default)]
pub struct Stock {
    /// Reservations that were released.
    pub released: BTreeSet<String>,
}

impl Stock {
    pub fn ask(&mut self, got: &Got) -> Answered {
        let id = got.line.strip_prefix("DELETE /reservations/").unwrap_or_default();
        let id = id.trim_end_matches(" HTTP/1.1");
        if id == "none" {
            return answer(404, Value::Null);
        }
        match self.released.insert(id.to_owned()) {
            true if id.contains("%2F") => None,
            true => answer(204, Value::Null),
            false => answer(410, Value::Null),
        }
    }
}
