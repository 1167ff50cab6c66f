//! CPU time of processes, from Linux' `/proc`.

use anyhow::Context;
use std::path::Path;

/// Microseconds of user and system time that a process has used so far. Resolution is a clock tick (10 ms).
pub fn used_us(pid: u32) -> anyhow::Result<u64> {
    let fields = fields(&Path::new("/proc").join(pid.to_string()))?;
    Ok(us(ticks(&fields, UTIME)? + ticks(&fields, STIME)?))
}

/// The same of a process with its children, also of those that have ended.
pub fn used_by_family_us(pid: u32) -> anyhow::Result<u64> {
    let own = fields(&Path::new("/proc").join(pid.to_string()))?;
    let mut all = 0;
    for place in [UTIME, STIME, UTIME_OF_ENDED, STIME_OF_ENDED] {
        all += ticks(&own, place)?;
    }
    for entry in std::fs::read_dir("/proc").context("reading /proc (Linux only)")?.flatten() {
        // Others end while this looks.
        let Ok(one) = fields(&entry.path()) else { continue };
        if one.get(PARENT).is_some_and(|parent| *parent == pid.to_string()) {
            all += ticks(&one, UTIME)? + ticks(&one, STIME)?;
        }
    }
    Ok(us(all))
}

const PARENT: usize = 1;
const UTIME: usize = 11;
const STIME: usize = 12;
const UTIME_OF_ENDED: usize = 13;
const STIME_OF_ENDED: usize = 14;

/// What stands behind the name of the command, which may hold spaces, in `stat`.
fn fields(process: &Path) -> anyhow::Result<Vec<String>> {
    let stat =
        std::fs::read_to_string(process.join("stat")).context("reading /proc (Linux only)")?;
    let rest = stat.rsplit_once(')').context("stat without a name")?.1;
    Ok(rest.split_whitespace().map(str::to_owned).collect())
}

fn ticks(fields: &[String], place: usize) -> anyhow::Result<u64> {
    Ok(fields.get(place).context("short stat")?.parse()?)
}

fn us(ticks: u64) -> u64 {
    let per_second = 100; // USER_HZ, fixed by the kernel's ABI on all common platforms
    ticks * 1_000_000 / per_second
}
