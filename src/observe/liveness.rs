//! Whether a process that left its name behind is still there.

use std::path::Path;

use super::{process_start, processes};

/// What names the running boot of the system; `None` where nothing does.
pub fn boot(proc: &Path) -> Option<String> {
    Some(processes::boot(proc)).filter(|boot| !boot.is_empty())
}

/// Whether the process `pid` that began `since`, at the boot that is named `then`, is there.
pub fn is_there(proc: &Path, pid: i32, since: Option<u64>, then: Option<&str>) -> bool {
    let Some(now) = process_start(proc, pid) else { return false };
    since.is_none_or(|since| since == now)
        && then.is_none_or(|then| boot(proc).is_none_or(|boot| boot == then))
}
