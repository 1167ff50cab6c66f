//! Turns a panic of the host's code into a value, where the code runs. Hides none: the panic hook has told of it.

use crate::config::KitError;
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::task::Poll;

/// Runs a future of the host to its end or its panic.
pub(crate) async fn guarded<F: Future>(work: F) -> Result<F::Output, KitError> {
    let mut work = pin!(work);
    std::future::poll_fn(move |context| {
        // What panicked is never polled again: the error ends the wait for it.
        let step = catch_unwind(AssertUnwindSafe(|| work.as_mut().poll(context)));
        match step {
            Ok(poll) => poll.map(Ok),
            Err(panic) => Poll::Ready(Err(panicked(&*panic))),
        }
    })
    .await
}

/// Runs a closure of the host to its end or its panic.
#[cfg(feature = "sqlite")]
pub(crate) fn guarded_call<T>(work: impl FnOnce() -> T) -> Result<T, KitError> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|panic| panicked(&*panic))
}

fn panicked(panic: &(dyn Any + Send)) -> KitError {
    let text = panic
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned());
    KitError::Panicked(text.unwrap_or_else(|| "no message".to_owned()))
}
