//! The businesses that are tried: a rulebook each, and what may go wrong.

/// What is tried.
#[derive(Clone, Copy, Debug)]
pub struct Business {
    /// For people.
    pub name: &'static str,
    /// What its only rule asks to undo, as written there.
    pub compensate: &'static str,
    /// Whether `a.x` can be undone; if not, its service keeps no History either.
    pub entry_can_be_undone: bool,
    /// How many things may go wrong in one history: an answer or a report is lost, the supervisor crashes, a service
    /// takes a step and calls back.
    pub faults: u8,
    /// A service forgets its fences: it breaks its promise, so that something must be found.
    pub fences_leak: bool,
}

impl Business {
    /// The rulebook: `a.x` begins the saga and calls `b.y` up to twice.
    #[must_use]
    pub fn rulebook(&self) -> String {
        let entry = match self.entry_can_be_undone {
            true => "url: \"http://a\", actions: { x: { compensation: unx, calls: [b.y?] } }",
            false => "actions: { x: { effect: none, calls: [b.y?] } }",
        };
        format!(
            "
rulebook: small
settle: {{ quiet: 5s }}
services:
  a: {{ {entry} }}
  b: {{ url: \"http://b\", actions: {{ y: {{ compensation: uny }} }} }}
rules: [{{ on: \"*/*\", compensate: {} }}]
",
            self.compensate
        )
    }
}

/// Both undo, and what anybody tells is undone.
pub const RECORDED: Business = Business {
    name: "recorded",
    compensate: "recorded",
    entry_can_be_undone: true,
    faults: 1,
    fences_leak: false,
};

/// A list: what it does not name is left, and said to be.
pub const LISTED: Business = Business { name: "listed", compensate: "[b.y]", ..RECORDED };

/// A list that names the beginning alone: what the other did is left, and said to be.
pub const LISTED_ENTRY: Business =
    Business { name: "listed entry", compensate: "[a.x]", ..RECORDED };

/// Whoever begins the saga has nothing to undo and keeps no History.
pub const PLAIN_ENTRY: Business =
    Business { name: "plain entry", entry_can_be_undone: false, ..RECORDED };
