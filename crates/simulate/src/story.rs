//! What happened in one run, line by line, for people. Silent unless asked, so that millions of runs cost no text.

/// Lines of one story; a run that needs more is a loop, and its beginning tells why.
const LINES_LIMIT: usize = 400;

#[derive(Debug, Default)]
pub(crate) struct Story {
    lines: Option<Vec<String>>,
}

impl Story {
    /// One that listens.
    pub(crate) fn telling() -> Self {
        Self { lines: Some(Vec::new()) }
    }

    pub(crate) fn tell(&mut self, line: impl FnOnce() -> String) {
        if let Some(lines) = self.lines.as_mut().filter(|lines| lines.len() < LINES_LIMIT) {
            lines.push(line());
        }
    }

    pub(crate) fn into_lines(self) -> Vec<String> {
        self.lines.unwrap_or_default()
    }
}
