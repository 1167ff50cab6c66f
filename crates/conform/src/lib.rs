//! Tests a participant, in any language, against the protocol: plays its callers, the supervisor and a service that it
//! calls, and says of each promise whether it is kept. Sees the participant from outside only; its code and its database
//! are its own business.
//!
//! A [`Check`] is one promise of `docs/reference/protocol.md`, with the reason why it matters. [`run`] tries every check
//! for which the [`Config`] gives the means and hands back an [`Examination`].

mod check;
mod checks;
mod config;
mod context;
mod expect;
mod fakes;
mod finding;
mod process;
mod run;
mod sentences;
mod shown;
mod step;
mod template;
mod wire;

pub use check::Check;
pub use checks::CHECKS;
pub use config::{Config, KeySource, parse_duration};
pub use fakes::Stands;
pub use finding::{Finding, Lack, Verdict};
pub use process::ProcessError;
pub use run::{CheckResult, Examination, Progress, run};
pub use sentences::{Holds, SENTENCES, Sentence};
pub use shown::junit;
pub use wire::{Exchange, HttpAnswer, NoAnswer, Sent};

use std::io;
use std::net::SocketAddr;

/// Why nothing could be examined.
#[derive(Debug, thiserror::Error)]
pub enum ConformError {
    /// The participant is not there.
    #[error("cannot reach the participant at `{url}`: {why}")]
    Unreachable {
        /// Where it should be.
        url: String,
        /// What happened instead.
        why: String,
    },
    /// It was there, and is not any more.
    #[error("the participant at `{url}` is gone after the check `{after}`: {why}")]
    Gone {
        /// Where it was.
        url: String,
        /// The last check that was tried.
        after: &'static str,
        /// What happens now.
        why: String,
    },
    /// It should be started by the kit, and does not come up.
    #[error(transparent)]
    Process(#[from] ProcessError),
    /// The address of the participant is none.
    #[error("`{url}` is not the address of a participant: {why}")]
    Url {
        /// As it was given.
        url: String,
        /// What is wrong with it.
        why: String,
    },
    /// The kit cannot listen where it should.
    #[error(
        "cannot listen at `{address}`: {source}; end what listens there, or name another address"
    )]
    Listen {
        /// From the configuration.
        address: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
    /// No check has this name.
    #[error("there is no check `{name}`; `--list` shows them all")]
    NoSuchCheck {
        /// As it was given.
        name: String,
    },
}
