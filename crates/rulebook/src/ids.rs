//! What services and actions are known by within one rulebook: their positions in it.

/// A service of one rulebook: its position in [`crate::Rulebook::services`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServiceId(pub u32);

/// An action of one rulebook: its position in [`crate::Rulebook::actions`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ActionId(pub u32);
