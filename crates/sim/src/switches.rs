//! Kinds of trouble that only come when they are asked for.

/// Kinds of trouble that the product is known not to master yet; off unless asked for by name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Switches {
    /// A gateway's page with 404 may be the first that is ever heard of a service's Histories.
    pub gateway_hides_history: bool,
}

impl Switches {
    /// Their names on the command line.
    pub const NAMES: [&'static str; 1] = ["gateway-hides-history"];

    /// Turns one on; false if there is none of that name.
    pub fn turn_on(&mut self, name: &str) -> bool {
        match name {
            "gateway-hides-history" => self.gateway_hides_history = true,
            _ => return false,
        }
        true
    }
}
