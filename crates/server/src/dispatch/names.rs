//! Looks up the names of hosts, each on a thread of its own: a name whose server is slow or away holds up nobody but the
//! services that bear it. All who want one name share one look-up.

use rustc_hash::FxHashMap;
use std::fmt;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::watch;

/// Names that are looked up at once, each on a thread: far more than any business has services whose name servers are
/// away.
const MOST_AT_ONCE: usize = 256;
/// Enough for the system's resolver; the address space of many threads is not free everywhere.
const STACK: usize = 256 << 10;

type Found = Result<Vec<SocketAddr>, NameError>;
/// Those under way, by name.
type LookUps = FxHashMap<Box<str>, watch::Receiver<Option<Found>>>;
type LookUp = dyn Fn(&str) -> io::Result<Vec<SocketAddr>> + Send + Sync;

/// The resolver of one client; clones share its look-ups.
#[derive(Clone)]
pub(crate) struct Names {
    under_way: Arc<Mutex<LookUps>>,
    limit: Duration,
    look_up: Arc<LookUp>,
}

/// Why a name has no address. Nothing was sent then.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NameError {
    /// It takes too long.
    #[error("no address for the name within {0} ms; its name server is slow or away")]
    Slow(u128),
    /// There is none.
    #[error("{0}")]
    Unknown(String),
    /// Too many others take too long.
    #[error("{MOST_AT_ONCE} other names are being looked up; their name servers are slow or away")]
    TooMany,
}

impl fmt::Debug for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Names").field("limit", &self.limit).finish_non_exhaustive()
    }
}

impl Names {
    /// Asks the system; nobody waits longer than `limit` for one name.
    pub(crate) fn new(limit: Duration) -> Self {
        // The port is the address's affair; 0 stands for none.
        Self::by(limit, Arc::new(|name| Ok((name, 0).to_socket_addrs()?.collect())))
    }

    /// Asks whom a test wants.
    pub(super) fn by(limit: Duration, look_up: Arc<LookUp>) -> Self {
        Self { under_way: Arc::default(), limit, look_up }
    }

    /// The addresses of a name, without a port.
    pub(super) async fn addresses(self, name: Box<str>) -> Found {
        let mut found = self.begin(name)?;
        match tokio::time::timeout(self.limit, found.wait_for(Option::is_some)).await {
            Ok(Ok(found)) => found.clone().unwrap_or(Err(NameError::TooMany)),
            Ok(Err(_)) => Err(NameError::Unknown("the look-up of the name failed".to_owned())),
            Err(_) => Err(NameError::Slow(self.limit.as_millis())),
        }
    }

    /// Joins the look-up of this name, or begins it.
    fn begin(&self, name: Box<str>) -> Result<watch::Receiver<Option<Found>>, NameError> {
        let mut under_way = self.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = under_way.get(&name) {
            return Ok(found.clone());
        }
        if under_way.len() >= MOST_AT_ONCE {
            return Err(NameError::TooMany);
        }
        let (tell, found) = watch::channel(None);
        let (all, look_up) = (Arc::clone(&self.under_way), Arc::clone(&self.look_up));
        let asked = name.clone();
        let work = move || {
            let ended = Ended { all, name: asked };
            let found = look_up(&ended.name).map_err(|e| NameError::Unknown(e.to_string()));
            drop(ended); // whoever asks from now on wants to know how it is now
            tell.send_replace(Some(found));
        };
        std::thread::Builder::new()
            .name("look-up".to_owned())
            .stack_size(STACK)
            .spawn(work)
            .map_err(|e| NameError::Unknown(format!("no thread to look up the name: {e}")))?;
        under_way.insert(name, found.clone());
        Ok(found)
    }
}

/// Takes a look-up off the list, also when it ends by a fault.
struct Ended {
    all: Arc<Mutex<LookUps>>,
    name: Box<str>,
}

impl Drop for Ended {
    fn drop(&mut self) {
        self.all.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc;

    /// A resolver that answers `fast` at once and everything else when `go` is dropped, and counts.
    fn slow_but(
        fast: &'static str,
        limit: Duration,
    ) -> (Names, mpsc::Sender<()>, Arc<AtomicUsize>) {
        let (go, wait) = mpsc::channel::<()>();
        let (wait, asked) = (Mutex::new(wait), Arc::new(AtomicUsize::new(0)));
        let counted = Arc::clone(&asked);
        let look_up = move |name: &str| {
            counted.fetch_add(1, Ordering::Relaxed);
            if name != fast {
                let _ = wait.lock().expect("not poisoned").recv();
            }
            Ok(vec![([127, 0, 0, 1], 0).into()])
        };
        (Names::by(limit, Arc::new(look_up)), go, asked)
    }

    #[tokio::test]
    async fn a_slow_name_holds_up_nobody_else_and_is_asked_for_once() {
        let (names, go, asked) = slow_but("fast", Duration::from_secs(60));
        let mut waiting = tokio::task::JoinSet::new();
        for _ in 0..100 {
            waiting.spawn(names.clone().addresses("slow".into()));
        }
        assert!(names.clone().addresses("fast".into()).await.is_ok());
        drop(go);
        let found = waiting.join_all().await;
        assert!(found.iter().all(Result::is_ok), "{found:?}");
        // The first of them ended after all had joined, or a late one asked again; never a hundred times.
        assert!(asked.load(Ordering::Relaxed) < 50, "{asked:?}");
    }

    #[tokio::test]
    async fn nobody_waits_longer_than_the_limit() {
        let (names, go, asked) = slow_but("fast", Duration::from_millis(20));
        for _ in 0..3 {
            let found = names.clone().addresses("slow".into()).await;
            assert_eq!(found, Err(NameError::Slow(20)));
        }
        assert_eq!(asked.load(Ordering::Relaxed), 1, "they share one thread");
        drop(go);
    }

    #[tokio::test]
    async fn so_many_names_at_most_are_looked_up_at_once() {
        let (names, go, _) = slow_but("fast", Duration::from_millis(1));
        for n in 0..MOST_AT_ONCE {
            let found = names.clone().addresses(format!("slow-{n}").into()).await;
            assert_eq!(found, Err(NameError::Slow(1)));
        }
        let one_more = names.clone().addresses("fast".into()).await;
        assert_eq!(one_more, Err(NameError::TooMany));
        drop(go);
    }
}
