//! Files of `/proc` about the whole system.

use std::path::Path;

use crate::bounded;

/// Bytes of a file with some figures.
const FIGURES: usize = 4 << 10;
/// Bytes of `/proc/stat`, which has a line for each processor and a figure for each interrupt.
const STAT: usize = 4 << 20;

/// What names the running boot of the system; empty where nothing does.
pub fn boot_id(proc: &Path) -> String {
    bounded::read_text(&proc.join("sys/kernel/random/boot_id"), FIGURES).unwrap_or_default().trim().to_owned()
}

/// The second of the boot, `btime` in `/proc/stat`: the kernel counts start times in ticks from it.
pub fn boot_second(proc: &Path) -> Option<i64> {
    let text = bounded::read_text(&proc.join("stat"), STAT).ok()?;
    text.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()
}

/// The PID, of a process or a thread, that was given last (`proc_loadavg(5)`).
pub fn newest_pid(proc: &Path) -> Option<String> {
    let text = bounded::read_text(&proc.join("loadavg"), FIGURES).ok()?;
    Some(text.split_whitespace().nth(4)?.to_owned())
}

/// The clock ticks of `stat` in a second.
pub fn ticks_per_second() -> u64 {
    rustix::param::clock_ticks_per_second().max(1)
}
