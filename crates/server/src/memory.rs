//! How much memory open cases and queued reports may take, and what they take now. Before the limit is reached new
//! reports are refused, so that whoever sends them keeps them; what is there goes on.

use amends_engine::MemoryUse;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

/// Bytes that the process needs whatever is open: the store's cache, threads, bodies of requests.
const FIXED: usize = 128 << 20;

/// Share of the rest that open cases and queued reports may be counted with: an allocator adds to it.
const SHARE: usize = 2;

/// Share of all that they may be counted with at least.
const LEAST_SHARE: usize = 8;

/// From here on a limit of the first version of control groups says that there is none: whole pages below 2^63 bytes.
const UNLIMITED: usize = 1 << 60;

/// Share of that which cases may take that nothing is done about, unless this is more.
const RESIDENT_SHARE: usize = 4;

/// Most bytes of cases in memory that nothing is done about: some fifteen thousand, more than services can work on at
/// once.
const RESIDENT_MOST: usize = 64 << 20;

/// What is counted against the limit.
#[derive(Debug, Default)]
pub(crate) struct MemoryGauge {
    /// None: there is no limit.
    limit: Option<usize>,
    open: Mutex<MemoryUse>,
    queued: AtomicUsize,
}

/// A report that is counted until this is dropped.
#[must_use]
#[derive(Debug)]
pub(crate) struct Counted<'a> {
    gauge: &'a MemoryGauge,
    bytes: usize,
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.gauge.queued.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

impl MemoryGauge {
    pub(crate) fn new(limit: Option<usize>) -> Self {
        Self { limit, ..Self::default() }
    }

    /// Counts a report until what this gives is dropped.
    ///
    /// # Errors
    /// When there is no room for it; the text is for whoever sends it.
    pub(crate) fn count(&self, bytes: usize) -> Result<Counted<'_>, String> {
        let queued = self.queued.fetch_add(bytes, Ordering::Relaxed).saturating_add(bytes);
        let counted = Counted { gauge: self, bytes };
        let used = self.open().bytes().saturating_add(queued);
        match self.limit {
            Some(limit) if used > limit => Err(format!(
                "open cases and queued reports would take {used} bytes of memory, and {limit} are the most (`limits.memory`); try again later"
            )),
            _ => Ok(counted),
        }
    }

    /// Shows what open cases take now.
    pub(crate) fn show(&self, used: MemoryUse) {
        *self.open.lock().unwrap_or_else(PoisonError::into_inner) = used;
    }

    pub(crate) fn open(&self) -> MemoryUse {
        *self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn queued(&self) -> usize {
        self.queued.load(Ordering::Relaxed)
    }

    pub(crate) fn limit(&self) -> Option<usize> {
        self.limit
    }
}

/// The limit that is not configured, by what the process may have; none if nobody limits that.
pub(crate) fn limit_of_process() -> Option<usize> {
    [resource_limit(), control_group_limit()].into_iter().flatten().min().map(share_of)
}

fn share_of(bytes: usize) -> usize {
    (bytes.saturating_sub(FIXED) / SHARE).max(bytes / LEAST_SHARE)
}

/// Bytes that cases may take that nothing is done about, within a limit of all.
pub(crate) fn resident_bytes(limit: Option<usize>) -> usize {
    limit.map_or(RESIDENT_MOST, |limit| (limit / RESIDENT_SHARE).min(RESIDENT_MOST))
}

/// The least of the limits of data and address space.
fn resource_limit() -> Option<usize> {
    #[cfg(unix)]
    {
        use rustix::process::{Resource, getrlimit};
        let limits = [Resource::Data, Resource::As];
        let limits = limits.into_iter().filter_map(|resource| getrlimit(resource).current);
        limits.min().and_then(|bytes| usize::try_from(bytes).ok())
    }
    #[cfg(not(unix))]
    None
}

/// The memory limit of the control group that the process is in: of a container, or of a systemd service.
fn control_group_limit() -> Option<usize> {
    let number = |path: &str| std::fs::read_to_string(path).ok()?.trim().parse::<usize>().ok();
    let own = std::fs::read_to_string("/proc/self/cgroup").ok()?;
    limit_files(&own)
        .iter()
        .filter_map(|path| number(path))
        .filter(|bytes| *bytes < UNLIMITED)
        .min()
}

/// Where the limits of a process may stand, by what `/proc/self/cgroup` says: its own group and those around it.
fn limit_files(own: &str) -> Vec<String> {
    let mut files = vec!["/sys/fs/cgroup/memory/memory.limit_in_bytes".to_owned()];
    let group = own.lines().find_map(|line| line.strip_prefix("0::")).unwrap_or("/");
    let mut group = group.trim_end_matches('/');
    loop {
        files.push(format!("/sys/fs/cgroup{group}/memory.max"));
        match group.rfind('/') {
            Some(end) => group = &group[..end],
            None => return files,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_counts_until_it_is_taken_and_is_refused_when_there_is_no_room() {
        let gauge = MemoryGauge::new(Some(1_000));
        gauge.show(MemoryUse { spilled_bytes: 300, waiting_bytes: 100, ..MemoryUse::default() });
        let first = gauge.count(500).expect("there is room");
        let refused = gauge.count(200).expect_err("there is none");
        assert!(refused.contains("1100") && refused.contains("1000"), "{refused}");
        assert_eq!(gauge.queued(), 500);
        drop(first);
        assert!(gauge.count(200).is_ok());
        gauge.show(MemoryUse { spilled_bytes: 1_001, ..MemoryUse::default() });
        assert!(gauge.count(0).is_err());
    }

    #[test]
    fn without_a_limit_everything_is_taken() {
        assert!(MemoryGauge::default().count(usize::MAX / 2).is_ok());
    }

    #[test]
    fn what_is_left_beside_the_fixed_part_is_shared() {
        assert_eq!(share_of(1 << 30), 448 << 20);
        assert_eq!(share_of(64 << 20), 8 << 20, "however little there is");
    }

    #[test]
    fn the_limits_of_all_control_groups_around_are_looked_at() {
        let files = limit_files("0::/kubepods/pod-1/container\n");
        assert_eq!(
            files[1..],
            [
                "/sys/fs/cgroup/kubepods/pod-1/container/memory.max",
                "/sys/fs/cgroup/kubepods/pod-1/memory.max",
                "/sys/fs/cgroup/kubepods/memory.max",
                "/sys/fs/cgroup/memory.max"
            ]
        );
        assert_eq!(limit_files("")[1..], ["/sys/fs/cgroup/memory.max"]);
    }
}
