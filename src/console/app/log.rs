//! The newest log lines. A pause freezes them together with the sample.

use std::collections::VecDeque;

use jiff::Timestamp;
use log::Level;

use super::{App, FilterTarget};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLine {
    pub at: Timestamp,
    pub level: Level,
    pub text: String,
}

/// How many lines are kept.
pub const KEPT_LINES: usize = 1000;

#[derive(Debug, Default)]
pub(super) struct LogHistory {
    shown: VecDeque<LogLine>,
    /// Logged during a pause; shown after it.
    later: VecDeque<LogLine>,
    /// How many lines below the panel are newer than its last one.
    back: usize,
}

impl LogHistory {
    fn append(&mut self, lines: impl IntoIterator<Item = LogLine>, is_paused: bool) {
        let kept = if is_paused { &mut self.later } else { &mut self.shown };
        kept.extend(lines);
        kept.drain(..kept.len().saturating_sub(KEPT_LINES));
    }

    /// Shows exactly these lines.
    pub(super) fn replace(&mut self, lines: impl IntoIterator<Item = LogLine>) {
        self.shown = lines.into_iter().collect();
    }

    pub(super) fn resume(&mut self) {
        let later = std::mem::take(&mut self.later);
        self.append(later, false);
    }
}

impl App {
    pub(super) fn logged(&mut self, lines: Vec<LogLine>) {
        // The log of a replay is that of the recording.
        if self.is_replay() {
            return;
        }
        // What the user scrolled to stays where it is.
        if self.log.back > 0 && !self.is_paused() {
            let passing = lines.iter().filter(|line| self.passes(FilterTarget::Log, || &line.text));
            self.log.back += passing.count();
        }
        self.log.append(lines, self.is_paused());
    }

    /// How many of the [`App::log_lines`] are newer than the last one to draw.
    pub fn log_back(&self) -> usize {
        self.log.back
    }

    /// Moves the log by this many lines, to newer ones if it is positive.
    pub(super) fn scroll_log(&mut self, by: isize) {
        self.log.back = self.log.back.saturating_add_signed(-by);
    }

    /// The last frame could not show older lines than those before the newest `farthest`.
    pub(super) fn limit_log(&mut self, farthest: usize) {
        self.log.back = self.log.back.min(farthest);
    }

    /// The lines that match the filter, newest first.
    pub fn log_lines(&self) -> impl Iterator<Item = &LogLine> {
        self.log.shown.iter().rev().filter(|line| self.passes(FilterTarget::Log, || &line.text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(numbers: std::ops::Range<usize>) -> impl Iterator<Item = LogLine> {
        numbers.map(|number| LogLine {
            at: Timestamp::UNIX_EPOCH,
            level: Level::Info,
            text: number.to_string(),
        })
    }

    fn ends(log: &LogHistory) -> (&str, &str) {
        (&log.shown[0].text, &log.shown[log.shown.len() - 1].text)
    }

    #[test]
    fn the_oldest_lines_are_dropped_before_during_and_after_a_pause() {
        let mut log = LogHistory::default();
        log.append(lines(0..KEPT_LINES + 5), false);
        assert_eq!((log.shown.len(), ends(&log)), (KEPT_LINES, ("5", "1004")));
        log.append(lines(2000..2000 + 2 * KEPT_LINES), true);
        assert_eq!((log.later.len(), ends(&log)), (KEPT_LINES, ("5", "1004")));
        log.resume();
        assert_eq!((log.later.len(), log.shown.len(), ends(&log)), (0, KEPT_LINES, ("3000", "3999")));
    }
}
