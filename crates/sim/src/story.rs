//! What happens in a run, as lines for people. Nothing is told, and nothing is spent on it, unless somebody listens.

/// A story that grows line by line.
#[derive(Debug, Default)]
pub struct Story {
    telling: bool,
    now: i64,
    lines: Vec<String>,
}

impl Story {
    /// A story that is told.
    #[must_use]
    pub fn telling() -> Self {
        Self { telling: true, ..Self::default() }
    }

    /// The time of the lines that follow.
    pub const fn set_time(&mut self, now: i64) {
        self.now = now;
    }

    /// Adds a line.
    pub fn tell(&mut self, line: impl FnOnce() -> String) {
        if self.telling {
            self.lines.push(format!("{:>10.3} s  {}", self.now as f64 / 1_000.0, line()));
        }
    }

    /// All lines.
    #[must_use]
    pub fn into_lines(self) -> Vec<String> {
        self.lines
    }
}
