//! Values that are never shown: what the configuration holds, found in whatever goes out, however it is written there.
//!
//! A service may echo a key in an error, a report may carry it, a library may put an address into a message. So what
//! goes out (answers, log lines, spans, alerts, what is stored of answers to requests) is looked through for the values
//! themselves. What is found is written over with as many bytes, so that no length and no frame changes.
//!
//! A value that can't be looked for is refused before it is used: nothing here gives up and shows a text as it is.

mod body;
mod shapes;
mod values;

pub(crate) use body::of_answer;
pub(crate) use shapes::without_credentials;
pub use values::{NotWithheld, Withheld};
