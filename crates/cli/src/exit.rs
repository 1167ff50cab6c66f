//! The exit codes of `amends`: part of its interface, listed in `docs/reference/exit-codes.md`. They never change their meaning.

/// How a command ended, as scripts see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// It did what was asked.
    Ok = 0,
    /// It did its work and found something wrong: errors in a rulebook or configuration, a broken invariant.
    Findings = 1,
    /// The command line is wrong, or an answer from a person is missing.
    Usage = 2,
    /// The supervisor (or a participant under test) can't be reached or broke the connection.
    Unreachable = 3,
    /// The supervisor refused the request with a problem.
    Refused = 4,
    /// There is no such case, step or rulebook.
    NotFound = 5,
    /// Something on this machine failed: a file, a port, a database.
    Failed = 6,
    /// What was waited for did not come within the time given.
    TimedOut = 7,
    /// The supervisor does not know who asks, or whoever it is may not do that.
    Denied = 8,
    /// Ctrl-C ended it; as shells have it, 128 + SIGINT.
    Interrupted = 130,
}

impl Exit {
    /// Every code with a short explanation; the page in docs/reference is checked against it.
    #[cfg(test)]
    pub const ALL: &'static [(Self, &'static str)] = &[
        (Self::Ok, "ok"),
        (Self::Findings, "findings"),
        (Self::Usage, "usage"),
        (Self::Unreachable, "unreachable"),
        (Self::Refused, "refused"),
        (Self::NotFound, "not found"),
        (Self::Failed, "failed"),
        (Self::TimedOut, "timed out"),
        (Self::Denied, "denied"),
        (Self::Interrupted, "interrupted"),
    ];
}

impl From<Exit> for std::process::ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

#[cfg(test)]
mod tests {
    use super::Exit;

    #[test]
    fn the_page_lists_every_exit_code() {
        let page = include_str!("../../../docs/reference/exit-codes.md");
        for (exit, word) in Exit::ALL {
            let row = format!("| {} | {word} |", *exit as u8);
            assert!(page.contains(&row), "docs/reference/exit-codes.md lacks the row `{row}`");
        }
    }
}
