//! What a service's process says to its runner: lines of JSON on its standard output.

use serde_json::Value;
use std::io::Write as _;

/// Tells the runner something. If it is gone, nobody listens, and the end of standard input follows.
pub(crate) fn say(line: &Value) {
    let _ = writeln!(std::io::stdout().lock(), "{line}");
}
