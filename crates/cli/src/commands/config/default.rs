//! `amends config default`: the documented defaults, to begin a configuration file with.

use crate::failure::Outcome;
use crate::output;
use amends_server::config::DEFAULT_CONFIG;

pub(super) fn run() -> Outcome {
    output::text(DEFAULT_CONFIG)
}
