//! waltop's logger: it hands each line to tui-logger, and keeps it until the console takes it.

use std::{
    collections::VecDeque,
    sync::{Mutex, PoisonError},
};

use jiff::Timestamp;
use log::{Level, Log, Metadata, Record};
use tui_logger::Drain;

use super::app::{KEPT_LINES, LogLine};

/// tui-logger has a logger of its own, but its thread wakes a hundred times a second.
struct LogCollector {
    /// What the console has not taken yet, at most [`KEPT_LINES`].
    lines: Mutex<VecDeque<LogLine>>,
}

static COLLECTOR: LogCollector = LogCollector { lines: Mutex::new(VecDeque::new()) };

impl Log for LogCollector {
    fn enabled(&self, metadata: &Metadata) -> bool {
        metadata.level() <= Level::Info
    }

    fn log(&self, record: &Record) {
        if !self.enabled(record.metadata()) {
            return;
        }
        Drain::new().log(record);
        let line = LogLine { at: Timestamp::now(), level: record.level(), text: record.args().to_string() };
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.len() == KEPT_LINES {
            lines.pop_front();
        }
        lines.push_back(line);
    }

    fn flush(&self) {
        tui_logger::move_events();
    }
}

/// Starts to collect log lines.
pub fn collect() {
    // Only the first console of a process can; a second one finds its lines in the same place.
    if log::set_logger(&COLLECTOR).is_ok() {
        log::set_max_level(Level::Info.to_level_filter());
        tui_logger::set_default_level(Level::Info.to_level_filter());
    }
}

/// The lines since the last time, the oldest first.
pub fn take() -> Vec<LogLine> {
    COLLECTOR.flush();
    COLLECTOR.lines.lock().unwrap_or_else(PoisonError::into_inner).drain(..).collect()
}
