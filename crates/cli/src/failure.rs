//! What can go wrong in a command, with the exit code that belongs to it. Each is shown once, on standard error.

use crate::exit::Exit;
use amends_protocol::{Problem, ProblemCode};
use std::io;

/// Why a command did not do what was asked.
#[derive(Debug)]
pub enum Failure {
    /// Something wrong was found and has been shown already.
    Findings,
    /// The command line asks for something impossible.
    Usage(String),
    /// No answer from the supervisor.
    Unreachable {
        /// Where it should be.
        url: String,
        /// What happened instead.
        why: String,
    },
    /// The participant under test is not there, in words.
    NoParticipant(String),
    /// The supervisor's answer is a problem.
    Problem(Box<Problem>),
    /// It does not know who we are, or we may not do that.
    Denied(Box<Denied>),
    /// The supervisor did a part of it; what it refused has been shown already.
    SomeRefused,
    /// What was waited for did not come in time; says how it stands.
    TimedOut(String),
    /// A file, port or database of this machine.
    Local(anyhow::Error),
    /// Whoever read our output has gone; not an error.
    BrokenPipe,
}

/// An answer 401 or 403.
#[derive(Debug)]
pub struct Denied {
    /// What it says.
    pub problem: Problem,
    /// The token that was sent, as it may be shown, and where it came from.
    pub sent: Option<String>,
}

/// What a command returns.
pub type Outcome<T = ()> = Result<T, Failure>;

impl Failure {
    /// Its exit code.
    pub fn exit(&self) -> Exit {
        match self {
            Self::Findings => Exit::Findings,
            Self::Usage(_) => Exit::Usage,
            Self::Unreachable { .. } | Self::NoParticipant(_) => Exit::Unreachable,
            Self::Problem(p) if p.is(ProblemCode::NotFound) => Exit::NotFound,
            Self::Problem(_) | Self::SomeRefused => Exit::Refused,
            Self::Denied(_) => Exit::Denied,
            Self::TimedOut(_) => Exit::TimedOut,
            Self::Local(_) => Exit::Failed,
            Self::BrokenPipe => Exit::Ok,
        }
    }

    /// The lines for standard error; none if there is nothing (more) to say.
    pub fn lines(&self) -> Vec<String> {
        match self {
            Self::Findings | Self::SomeRefused | Self::BrokenPipe => Vec::new(),
            Self::Usage(text) => vec![format!("error: {text}")],
            Self::Unreachable { url, why } => vec![
                format!("error: cannot reach the supervisor at `{url}`: {why}"),
                "help: is `amends serve` running there? name another address with --url, AMENDS_URL or a context"
                    .to_owned(),
            ],
            Self::NoParticipant(text) => vec![
                format!("error: {text}"),
                "help: is it running there? it must be started before it can be tested".to_owned(),
            ],
            Self::Problem(problem) => problem_lines(problem),
            Self::Denied(denied) => denied.lines(),
            Self::TimedOut(text) => vec![format!("error: the time is over: {text}")],
            Self::Local(error) => vec![format!("error: {error:#}")],
        }
    }
}

impl Denied {
    fn lines(&self) -> Vec<String> {
        let mut lines = problem_lines(&self.problem);
        let help = match (self.problem.status, &self.sent) {
            (401, None) => "help: no token was sent. Say one by --token-file, AMENDS_TOKEN_FILE, AMENDS_TOKEN or a context \
                            (`amends context set`); `amends token create` makes one"
                .to_owned(),
            (401, Some(sent)) => format!(
                "help: {sent} was not taken: it may have run out, be revoked, or be of another supervisor. Say another one by \
                 --token-file, AMENDS_TOKEN_FILE, AMENDS_TOKEN or a context"
            ),
            (_, None) => "help: no token was sent. `amends whoami` says what may be done without one; say one by \
                          --token-file, AMENDS_TOKEN_FILE, AMENDS_TOKEN or a context"
                .to_owned(),
            (_, Some(sent)) => format!(
                "help: {sent} was taken, and may not do this. `amends whoami` lists what it may do; who has the right \
                 `tokens` makes one that may do more (`amends token create --help`)"
            ),
        };
        if self.problem.code.is_none() {
            lines.push(
                "help: this is no answer of a supervisor; a proxy in front may have given it"
                    .to_owned(),
            );
        }
        lines.push(help);
        lines
    }
}

fn problem_lines(problem: &Problem) -> Vec<String> {
    let title = match problem.title.as_str() {
        "" => format!("the supervisor answered with status {}", problem.status),
        title => title.to_owned(),
    };
    let detail = problem.detail.as_deref().map_or(String::new(), |d| format!(": {d}"));
    let code = problem.code.as_deref().map_or(String::new(), |c| format!(" [{c}]"));
    // What others wrote in several lines can't be taken for lines of ours.
    let mut lines = vec![format!("error: {title}{detail}{code}").replace('\n', "\n    ")];
    lines.extend(problem.errors.iter().map(|e| format!("  - {}", e.replace('\n', "\n    "))));
    if problem.retryable == Some(true) {
        lines.push("help: the same command may succeed later".to_owned());
    }
    lines
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self::Local(error)
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            Self::BrokenPipe
        } else {
            Self::Local(error.into())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_is_shown_with_title_detail_and_code() {
        let mut problem = Problem::new(ProblemCode::Conflict, "step `s-1` has ended");
        problem.errors.push("one".to_owned());
        let failure = Failure::Problem(Box::new(problem));
        assert_eq!(failure.exit(), Exit::Refused);
        assert_eq!(
            failure.lines(),
            [
                "error: The current state does not allow this: step `s-1` has ended [conflict]",
                "  - one"
            ]
        );
    }

    #[test]
    fn who_is_not_let_in_hears_which_token_it_was_and_what_to_do() {
        let denied = |status: u16, sent: Option<&str>| {
            let mut problem = Problem::new(ProblemCode::Conflict, "no");
            problem.status = status;
            let failure =
                Failure::Denied(Box::new(Denied { problem, sent: sent.map(str::to_owned) }));
            assert_eq!(failure.exit(), Exit::Denied);
            failure.lines().join("\n")
        };
        assert!(denied(401, None).contains("no token was sent"));
        let sent = Some("the token `amends_7f_…` of context `prod`");
        for status in [401, 403] {
            assert!(denied(status, sent).contains("`amends_7f_…` of context `prod`"));
        }
        assert!(denied(403, sent).contains("amends whoami"));
    }

    #[test]
    fn what_is_not_found_and_a_reader_that_left_have_their_own_codes() {
        let gone = Failure::Problem(Box::new(Problem::new(ProblemCode::NotFound, "no case `c-9`")));
        assert_eq!(gone.exit(), Exit::NotFound);
        let pipe = Failure::from(io::Error::from(io::ErrorKind::BrokenPipe));
        assert_eq!((pipe.exit(), pipe.lines().len()), (Exit::Ok, 0));
    }
}
