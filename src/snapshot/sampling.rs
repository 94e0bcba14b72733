//! The cost of sampling.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::units;

/// How often the locks are sampled between snapshots, and the cost of that, measured over about the last second.
#[derive(Debug, Clone, Copy, PartialEq, JsonSchema, Serialize, Deserialize)]
pub struct SamplingFacts {
    /// Samples since the start of the sampling.
    pub samples: u64,
    /// Time between two samples in ms, on average; `None` until there are enough.
    pub interval_ms: Option<f64>,
    /// CPU time of the sampling in percent of one core; `None` until it is known.
    pub cpu_percent: Option<f64>,
    /// The same for the whole waltop process, sampling included.
    pub process_cpu_percent: Option<f64>,
}

impl fmt::Display for SamplingFacts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Some(interval), Some(own), Some(all)) =
            (self.interval_ms, self.cpu_percent, self.process_cpu_percent)
        else {
            return write!(f, "{}, the cost is not known yet", units::plural(self.samples, "sample"));
        };
        write!(f, "every {interval:.1} ms, {own:.1} % of a CPU; waltop as a whole {all:.1} %")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cost_is_reported_once_it_is_known() {
        let mut sampling =
            SamplingFacts { samples: 1, interval_ms: None, cpu_percent: None, process_cpu_percent: None };
        assert_eq!(sampling.to_string(), "1 sample, the cost is not known yet");
        sampling.interval_ms = Some(1.04);
        sampling.cpu_percent = Some(1.26);
        sampling.process_cpu_percent = Some(2.0);
        assert_eq!(sampling.to_string(), "every 1.0 ms, 1.3 % of a CPU; waltop as a whole 2.0 %");
    }
}
