//! Tells when a store is closed. Clones of one may be anywhere, and the last of them closes it: whoever ends in order,
//! and lets somebody else open it then, has to wait for that.

use tokio::sync::watch;

/// The last field of what clones share, so that it is dropped when all else of it is closed.
pub(crate) struct Closing(watch::Sender<()>);

impl Closing {
    pub(crate) fn new() -> Self {
        Self(watch::Sender::new(()))
    }

    /// Ends when this is dropped. Does not keep the store open.
    pub(crate) fn closed(&self) -> impl Future<Output = ()> + Send + use<> {
        let mut open = self.0.subscribe();
        async move { while open.changed().await.is_ok() {} }
    }
}
