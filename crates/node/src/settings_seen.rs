//! Which version of the settings a node goes by, and whether there is a newer one.

/// The version of the settings that is known here.
#[derive(Debug, Default)]
pub(crate) struct SettingsSeen {
    seen: u64,
    /// What the store has is said to be this.
    stands: u64,
    /// The seat is about to be held here: whoever held it before may have changed what nobody has told of yet.
    unsure: bool,
}

impl SettingsSeen {
    /// It was read with everything else.
    pub(crate) fn loaded(&mut self, version: u64) {
        *self = Self { seen: version, stands: self.stands.max(version), unsure: false };
    }

    pub(crate) fn is_due(&self) -> bool {
        self.unsure || self.stands > self.seen
    }

    /// The store has this version, or a later one.
    pub(crate) fn stand(&mut self, version: u64) {
        self.stands = self.stands.max(version);
    }

    /// It was made here.
    pub(crate) fn made(&mut self, version: u64) {
        self.seen = self.seen.max(version);
    }

    /// It is to be read whatever is said of it.
    pub(crate) fn doubt(&mut self) {
        self.unsure = true;
    }

    pub(crate) fn seen(&self) -> u64 {
        self.seen
    }
}
