//! What an error says about its causes. The outermost error of an HTTP client alone says only `client error`.

use std::error::Error;

/// The error that began it.
#[must_use]
pub fn innermost<'e>(error: &'e (dyn Error + 'static)) -> &'e (dyn Error + 'static) {
    let mut cause = error;
    while let Some(beneath) = cause.source() {
        cause = beneath;
    }
    cause
}

/// An error and all that caused it, in one line.
#[must_use]
pub fn in_one_line(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(beneath) = cause {
        text.push_str(": ");
        text.push_str(&beneath.to_string());
        cause = beneath.source();
    }
    text
}
