//! Where there is no pidfd, no process is stopped.

use std::path::Path;

use super::Error;

/// A stopped process: never here.
#[derive(Debug)]
pub struct Frozen;

impl Frozen {
    pub fn stop(_proc: &Path, pid: i32, _start_ticks: u64) -> Result<Self, Error> {
        Err(Error::NotFrozen { pid, why: "this system has no pidfd".to_owned() })
    }
}
