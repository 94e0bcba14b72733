//! How free the write lock was, for a wait that may have another cause.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::units;

/// How free the write lock was while it was sampled or traced for long enough to say so.
#[derive(Debug, Clone, PartialEq, JsonSchema, Serialize, Deserialize)]
pub struct LockAvailability {
    /// For how long it was sampled or traced, in ms: at most the last minute.
    pub window_ms: f64,
    /// Share of that time in which no process held it, 0 to 1.
    pub free_ratio: f64,
    /// The longest hold in ms.
    pub longest_hold_ms: f64,
    /// Waits for it; `None` if requests were not traced.
    pub refused: Option<u64>,
    /// Whether a wait of a program in that time had another cause than this lock, as far as can be seen.
    pub is_free: bool,
    /// What could not be seen.
    pub not_visible: Vec<String>,
}

impl fmt::Display for LockAvailability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "free {} of {}, longest hold {}",
            free_share(self.free_ratio),
            units::duration(self.window_ms),
            units::duration(self.longest_hold_ms)
        )?;
        if let Some(refused) = self.refused {
            write!(f, ", {} refused", units::count(refused))?;
        }
        if self.is_free {
            f.write_str(": a program that waited then waited for something else")?;
        }
        if !self.not_visible.is_empty() {
            write!(f, " (not visible: {})", self.not_visible.join(", "))?;
        }
        Ok(())
    }
}

// Rounded down: a lock that was held for a moment was not free all the time.
fn free_share(ratio: f64) -> String {
    format!("{:.1} %", (ratio * 1000.0).floor() / 10.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_that_was_held_is_not_free_all_the_time() {
        for (ratio, text) in [(1.0, "100.0 %"), (0.999_99, "99.9 %"), (0.99, "99.0 %"), (0.0, "0.0 %")] {
            assert_eq!(free_share(ratio), text);
        }
    }
}
