//! CPU time of a process, from Linux' `/proc`.

use anyhow::Context;

/// Microseconds of user and system time that a process has used so far. Resolution is a clock tick (10 ms).
pub fn used_us(pid: u32) -> anyhow::Result<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))
        .context("reading /proc (Linux only)")?;
    // The command name in parentheses may hold spaces; fields are counted after it.
    let rest = stat.rsplit_once(')').context("stat without a name")?.1;
    let fields: Vec<&str> = rest.split_whitespace().collect();
    let ticks =
        |n: usize| -> anyhow::Result<u64> { Ok(fields.get(n).context("short stat")?.parse()?) };
    let per_second = 100; // USER_HZ, fixed by the kernel's ABI on all common platforms
    Ok((ticks(11)? + ticks(12)?) * 1_000_000 / per_second)
}
