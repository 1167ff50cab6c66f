//! How many files and connections this process may have open at once. The soft limit is often 1,024 for the sake of
//! programs of the last century; ours is raised to the hard one.

/// Where nobody says: the least that systems commonly give.
#[cfg(not(unix))]
const UNKNOWN: usize = 1_024;

/// Raises the limit as far as it goes. Failing to is no reason to fail: connections are bounded anyway.
pub(crate) fn raise_open_files() {
    #[cfg(unix)]
    {
        use rustix::process::{Resource, getrlimit, setrlimit};
        let mut limit = getrlimit(Resource::Nofile);
        if limit.current != limit.maximum {
            limit.current = limit.maximum;
            if let Err(error) = setrlimit(Resource::Nofile, limit) {
                tracing::debug!(%error, "the limit of open files stays as it is");
            }
        }
    }
}

/// The limit as it is now.
pub(crate) fn open_files() -> usize {
    #[cfg(unix)]
    {
        use rustix::process::{Resource, getrlimit};
        getrlimit(Resource::Nofile)
            .current
            .map_or(usize::MAX, |most| usize::try_from(most).unwrap_or(usize::MAX))
    }
    #[cfg(not(unix))]
    UNKNOWN
}
