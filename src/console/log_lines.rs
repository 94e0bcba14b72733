//! What is logged, kept for panel 6.

use log::{Level, Log, Metadata, Record};
use tui_logger::Drain;

/// Takes log lines in. tui-logger's own logger would do, but it wakes a hundred times a second to look for some.
struct LogCollector;

impl Log for LogCollector {
    fn enabled(&self, metadata: &Metadata) -> bool {
        metadata.level() <= Level::Info
    }

    fn log(&self, record: &Record) {
        if self.enabled(record.metadata()) {
            Drain::new().log(record);
        }
    }

    fn flush(&self) {}
}

/// Starts to collect log lines.
pub fn collect() {
    // Only the first console of a process can; a second one would find its lines in the same place.
    if log::set_logger(&LogCollector).is_ok() {
        log::set_max_level(Level::Info.to_level_filter());
        tui_logger::set_default_level(Level::Info.to_level_filter());
    }
}

/// Makes what was collected since the last time show.
pub fn show() {
    tui_logger::move_events();
}
