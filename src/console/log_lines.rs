//! waltop's logger. It keeps each line until the console takes it, and passes it to tui-logger if there is a log file.

use std::{
    collections::VecDeque,
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

use jiff::Timestamp;
use log::{Level, Log, Metadata, Record};
use tui_logger::{Drain, TuiLoggerFile};

use super::app::{KEPT_LINES, LogLine};

use crate::threads;

/// Lines that tui-logger keeps in memory for widgets. waltop does not use them; the file needs only the newest.
const KEPT_BY_TUI_LOGGER: usize = 16;

/// The logger of tui-logger is not used: its thread wakes a hundred times a second.
struct LogCollector {
    /// Lines that the console has not taken yet, at most [`KEPT_LINES`].
    lines: Mutex<VecDeque<LogLine>>,
    has_file: AtomicBool,
}

static COLLECTOR: LogCollector =
    LogCollector { lines: Mutex::new(VecDeque::new()), has_file: AtomicBool::new(false) };

impl Log for LogCollector {
    fn enabled(&self, metadata: &Metadata) -> bool {
        metadata.level() <= Level::Info
    }

    fn log(&self, record: &Record) {
        if !self.enabled(record.metadata()) {
            return;
        }
        if self.has_file.load(Ordering::Acquire) {
            Drain::new().log(record);
            // Writes the line at once, so that it is in the file even if the console is killed.
            tui_logger::move_events();
        }
        let line = LogLine { at: Timestamp::now(), level: record.level(), text: record.args().to_string() };
        let mut lines = threads::lock(&self.lines);
        if lines.len() == KEPT_LINES {
            lines.pop_front();
        }
        lines.push_back(line);
    }

    fn flush(&self) {}
}

/// Starts collecting log lines and writing them to `file`.
pub fn collect(file: Option<TuiLoggerFile>) {
    if let Some(file) = file {
        tui_logger::set_buffer_depth(KEPT_BY_TUI_LOGGER);
        tui_logger::set_hot_buffer_depth(KEPT_BY_TUI_LOGGER);
        tui_logger::set_log_file(file);
        COLLECTOR.has_file.store(true, Ordering::Release);
    }
    // Only the first console of a process can set the logger; a second one uses the same collector.
    if log::set_logger(&COLLECTOR).is_ok() {
        log::set_max_level(Level::Info.to_level_filter());
    }
}

/// The lines since the last call, oldest first.
pub fn take() -> Vec<LogLine> {
    threads::lock(&COLLECTOR.lines).drain(..).collect()
}
