//! Processes that were sent a signal, and what is known of each so far.

use std::path::PathBuf;

use jiff::Timestamp;
use ratatui::text::Line;

use super::DialogPage;
use crate::{
    act::signal::{SignalTarget, StopSignal},
    text,
};

/// How many of those that are waited for are named.
const NAMED: usize = 5;

/// Processes that were sent a signal together.
#[derive(Debug, Clone)]
pub struct PendingStop {
    /// The database on whose account they are stopped.
    pub database: PathBuf,
    pub signal: StopSignal,
    /// When the grace is over.
    pub until: Timestamp,
    /// When the last of what is known was so.
    pub known_at: Timestamp,
    /// Those of which nothing is known yet.
    pub waiting: Vec<StoppedProcess>,
    /// Those whose exit was seen, by this signal or one before it.
    pub gone: Vec<StoppedProcess>,
    /// Those that are still there after the grace.
    pub stays: Vec<StoppedProcess>,
    /// How many got no signal.
    pub refused: usize,
}

/// A process that was sent a signal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoppedProcess {
    pub target: SignalTarget,
    pub name: String,
}

impl PendingStop {
    /// How many there are in all.
    pub fn count(&self) -> usize {
        self.waiting.len() + self.gone.len() + self.stays.len() + self.refused
    }

    /// Whether `pid` is one of them.
    pub fn is_about(&self, pid: i32) -> bool {
        let mut all = self.waiting.iter().chain(&self.gone).chain(&self.stays);
        all.any(|it| it.target.pid == pid)
    }

    /// The same processes again, those that stayed behind now waited for after `signal`.
    pub(in crate::console) fn again(self, signal: StopSignal, until: Timestamp) -> Self {
        Self { signal, until, waiting: self.stays, stays: Vec::new(), ..self }
    }
}

impl std::fmt::Display for StoppedProcess {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({})", self.target.pid, self.name)
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
