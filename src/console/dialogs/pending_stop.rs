//! Processes that were sent a signal, and the state of each so far.

use std::path::PathBuf;

use jiff::Timestamp;
use ratatui::text::Line;

use super::DialogPage;
use crate::{
    act::signal::{SignalTarget, StopSignal},
    text,
};

/// How many of the processes that waltop waits for are named.
const NAMED: usize = 5;

/// Processes that were sent a signal together.
#[derive(Debug, Clone)]
pub struct PendingStop {
    /// The database that is the reason for the signal.
    pub database: PathBuf,
    pub signal: StopSignal,
    /// The end of the grace period.
    pub until: Timestamp,
    /// The time of the newest information.
    pub known_at: Timestamp,
    /// Processes without a result yet.
    pub waiting: Vec<StoppedProcess>,
    /// Processes whose exit was seen, after this signal or an earlier one.
    pub gone: Vec<StoppedProcess>,
    /// Processes that remain after the grace period.
    pub stays: Vec<StoppedProcess>,
    /// How many got no signal.
    pub refused: usize,
    /// The processes that kept frames of the log from being checkpointed when the signal was confirmed.
    pub were_in_the_way: Vec<SignalTarget>,
}

/// A process that was sent a signal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoppedProcess {
    pub target: SignalTarget,
    pub label: String,
}

impl PendingStop {
    /// The number of all processes.
    pub fn count(&self) -> usize {
        self.waiting.len() + self.gone.len() + self.stays.len() + self.refused
    }

    /// Whether `pid` is one of the processes.
    pub fn is_about(&self, pid: i32) -> bool {
        let mut all = self.waiting.iter().chain(&self.gone).chain(&self.stays);
        all.any(|it| it.target.pid == pid)
    }

    /// The same processes for `signal`: those that remained are waiting again.
    pub(in crate::console) fn again(self, signal: StopSignal, until: Timestamp) -> Self {
        Self { signal, until, waiting: self.stays, stays: Vec::new(), ..self }
    }
}

impl std::fmt::Display for StoppedProcess {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({})", self.target.pid, self.label)
    }
}

impl DialogPage<'_> {
    /// The first of `processes`, and how many more there are.
    pub(super) fn names(self, processes: &[StoppedProcess]) -> Vec<Line<'static>> {
        let mut lines: Vec<Line> = processes
            .iter()
            .take(NAMED)
            .map(|it| Line::raw(text::fit(&format!("  {it}"), self.room)))
            .collect();
        if processes.len() > NAMED {
            lines.push(Line::raw(format!("  and {} more", processes.len() - NAMED)));
        }
        lines
    }
}
