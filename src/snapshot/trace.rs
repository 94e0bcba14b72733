//! The kernel's trace of lock requests, and how complete it is.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::units;

/// What the trace has shown since its start. Holds are exact while it runs, except in its gaps.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct TraceFacts {
    /// Requests read.
    pub requests: u64,
    /// Lines that could not be read.
    pub unparsed: u64,
    /// Requests that the kernel overwrote before they were read.
    pub overruns: u64,
    /// How often a file of a database was recreated, so that requests in between are missing.
    pub gaps: u64,
}

impl fmt::Display for TraceFacts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} traced by the kernel", units::plural(self.requests, "lock request"))?;
        for (count, what) in [
            (self.unparsed, "unreadable line"),
            (self.overruns, "lost request"),
            (self.gaps, "gap while a file was recreated"),
        ] {
            if count > 0 {
                write!(f, ", {}", units::plural(count, what))?;
            }
        }
        Ok(())
    }
}
