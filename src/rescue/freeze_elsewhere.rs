//! Without pidfds waltop stops no process.

use std::path::Path;

use super::RescueError;

/// A stopped process: there is never one here.
#[derive(Debug)]
pub struct FrozenProcess;

impl FrozenProcess {
    pub fn stop(_proc: &Path, pid: i32, _start_ticks: u64) -> Result<Self, RescueError> {
        Err(RescueError::NotFrozen { pid, why: "this system has no pidfd".to_owned() })
    }
}
