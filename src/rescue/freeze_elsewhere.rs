//! Where there is no pidfd, no process is stopped.

use std::path::Path;

use super::RescueError;

/// A stopped process: never here.
#[derive(Debug)]
pub struct FrozenProcess;

impl FrozenProcess {
    pub fn stop(_proc: &Path, pid: i32, _start_ticks: u64) -> Result<Self, RescueError> {
        Err(RescueError::NotFrozen { pid, why: "this system has no pidfd".to_owned() })
    }
}
