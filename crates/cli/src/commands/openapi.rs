//! `amends openapi` (hidden): the API's description as JSON, from which `docs/reference/openapi.json` is made.

use crate::failure::Outcome;
use crate::output;

pub(super) fn run() -> Outcome {
    output::line(amends_server::openapi_json().trim_end())
}
