//! A holder of a lock that waits for its disk.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How much the disk makes a holder wait. It is read only while a hold lasts long and samples of the holder name the disk.
#[derive(Debug, Clone, PartialEq, JsonSchema, Serialize, Deserialize)]
pub struct DiskWait {
    /// The holder.
    pub pid: i32,
    /// The pressure of the machine; `None` if the kernel does not measure it.
    pub machine: Option<DiskPressure>,
    /// The pressure of the control group of the holder; `None` if it is in none, or the group is not visible.
    pub group: Option<DiskPressure>,
    /// How many processes are such holders in the databases of this sample, this one included.
    pub processes: u32,
}

/// Shares of the last 10 s, 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq, JsonSchema, Serialize, Deserialize)]
pub struct DiskPressure {
    /// In which at least one task waited for a disk; the holder is one of them.
    pub some: f64,
    /// In which all tasks that had work waited for a disk; `None` if the kernel does not say.
    pub full: Option<f64>,
}
