//! Reports the progress of a run: a bar on a terminal, occasional lines elsewhere.

use std::{
    io::{self, IsTerminal, Write},
    path::Path,
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressStyle};

use super::RunSummary;
use crate::{
    snapshot::{CarriesOn, FailedFile},
    text,
    units::{count, duration, milliseconds},
};

/// Time between two lines of [`LineProgress`], except failures.
const LINE_EVERY: Duration = Duration::from_secs(2);

/// Takes the reason of a wait.
pub type WaitNote = Box<dyn Fn(&str)>;

/// Receives the events of a run as they happen.
pub trait RunProgress {
    /// The previous run crashed, and this one resumes it.
    fn resumed(&mut self, _before: &CarriesOn) {}
    /// The run waits; the reason.
    fn waits(&mut self, _why: &str) {}
    /// The same as [`RunProgress::waits`], for the time in which the database has the run's only thread.
    fn wait_note(&self) -> WaitNote {
        Box::new(|_| ())
    }
    /// The tables of documents were added to a database of another program.
    fn tables_added(&mut self, _database: &Path) {}
    /// The walk is done: number of files, and how many of them have the same size and time as in the database.
    fn discovered(&mut self, files: u64, unchanged: u64);
    fn batch(&mut self, batch: &CommittedBatch);
    /// A file was left out.
    fn failed(&mut self, file: &FailedFile);
    /// A part of a file was left out.
    fn warned(&mut self, file: &FailedFile);
    /// Number of documents embedded so far, of those that had no vector.
    fn embedded(&mut self, _done: u64, _wanted: u64) {}
    /// Embedding ended early; the documents are in.
    fn embedding_ended(&mut self, _reason: &str) {}
    /// The run finished without an error.
    fn finished(&mut self, summary: &RunSummary);
}

/// A transaction that was committed.
#[derive(Debug, Clone, Copy)]
pub struct CommittedBatch {
    pub files: u64,
    /// Files of the run that are done so far: ingested, unchanged or failed.
    pub done: u64,
    pub total: u64,
    /// How long it held the write lock.
    pub hold: Duration,
    /// How long it waited for the write lock.
    pub wait: Duration,
}

/// What fits stderr: a [`BarProgress`] on a terminal with cursor movement, else [`LineProgress`].
pub fn on_stderr() -> Box<dyn RunProgress> {
    if io::stderr().is_terminal() && !text::is_dumb_terminal() {
        Box::new(BarProgress::new())
    } else {
        Box::new(LineProgress::new(io::stderr()))
    }
}

#[derive(Debug, Default)]
pub struct SilentProgress;

impl RunProgress for SilentProgress {
    fn discovered(&mut self, _files: u64, _unchanged: u64) {}
    fn batch(&mut self, _batch: &CommittedBatch) {}
    fn failed(&mut self, _file: &FailedFile) {}
    fn warned(&mut self, _file: &FailedFile) {}
    fn finished(&mut self, _summary: &RunSummary) {}
}

/// A line for each failure, and at most one other line every two seconds.
#[derive(Debug)]
pub struct LineProgress<W> {
    out: W,
    last: Instant,
}

impl<W: Write> LineProgress<W> {
    pub fn new(out: W) -> Self {
        Self { out, last: Instant::now() }
    }

    fn print_line(&mut self, line: &str) {
        // The reader has closed the pipe: no reason to end the run.
        let _ = writeln!(self.out, "{}", text::clean(line));
    }
}

impl<W: Write> RunProgress for LineProgress<W> {
    fn resumed(&mut self, before: &CarriesOn) {
        self.print_line(&format!("resumes {before}"));
    }

    fn waits(&mut self, why: &str) {
        self.print_line(&waiting(why));
    }

    fn wait_note(&self) -> WaitNote {
        Box::new(|why| print_on_stderr(&waiting(why)))
    }

    fn tables_added(&mut self, database: &Path) {
        self.print_line(&added(database));
    }

    fn discovered(&mut self, files: u64, unchanged: u64) {
        self.print_line(&found(files, unchanged));
    }

    fn batch(&mut self, batch: &CommittedBatch) {
        if self.last.elapsed() >= LINE_EVERY {
            self.last = Instant::now();
            self.print_line(&format!("{} of {}, {}", count(batch.done), count(batch.total), cost(batch)));
        }
    }

    fn failed(&mut self, file: &FailedFile) {
        self.print_line(&format!("failed: {}: {}", file.path, file.reason));
    }

    fn warned(&mut self, file: &FailedFile) {
        self.print_line(&format!("in part: {}: {}", file.path, file.reason));
    }

    fn embedded(&mut self, done: u64, wanted: u64) {
        if self.last.elapsed() >= LINE_EVERY {
            self.last = Instant::now();
            self.print_line(&format!("{} of {} embedded", count(done), count(wanted)));
        }
    }

    fn embedding_ended(&mut self, reason: &str) {
        self.print_line(&not_all(reason));
    }

    fn finished(&mut self, _summary: &RunSummary) {}
}

/// A bar on stderr, with failures above it.
#[derive(Debug)]
pub struct BarProgress(ProgressBar);

impl BarProgress {
    /// A bar that appears once the folders are walked.
    pub fn new() -> Self {
        let bar = ProgressBar::hidden();
        if let Ok(style) =
            ProgressStyle::with_template("{bar:30} {human_pos} of {human_len}  {msg}  ETA {eta}")
        {
            bar.set_style(style);
        }
        Self(bar)
    }

    fn print_line(&self, line: &str) {
        self.0.println(text::clean(line));
    }
}

impl Default for BarProgress {
    fn default() -> Self {
        Self::new()
    }
}

impl RunProgress for BarProgress {
    fn resumed(&mut self, before: &CarriesOn) {
        // No bar exists yet that could make room for the line.
        print_on_stderr(&format!("resumes {before}"));
    }

    fn waits(&mut self, why: &str) {
        self.print_line(&waiting(why));
    }

    fn wait_note(&self) -> WaitNote {
        let bar = self.0.clone();
        Box::new(move |why| bar.suspend(|| print_on_stderr(&waiting(why))))
    }

    fn tables_added(&mut self, database: &Path) {
        // As above.
        print_on_stderr(&added(database));
    }

    fn discovered(&mut self, files: u64, unchanged: u64) {
        self.0.set_length(files);
        self.0.set_position(unchanged);
        // Unchanged files took no time, so they do not help to estimate the remaining time.
        self.0.reset_eta();
        self.0.set_draw_target(indicatif::ProgressDrawTarget::stderr());
        self.print_line(&found(files, unchanged));
    }

    fn batch(&mut self, batch: &CommittedBatch) {
        self.0.set_message(cost(batch));
        self.0.set_position(batch.done.min(batch.total));
    }

    fn failed(&mut self, file: &FailedFile) {
        self.print_line(&format!("failed: {}: {}", file.path, file.reason));
    }

    fn warned(&mut self, file: &FailedFile) {
        self.print_line(&format!("in part: {}: {}", file.path, file.reason));
    }

    fn embedded(&mut self, done: u64, wanted: u64) {
        if done == 0 {
            self.0.set_length(wanted);
            self.0.reset_eta();
        }
        self.0.set_message("embedded");
        self.0.set_position(done.min(wanted));
    }

    fn embedding_ended(&mut self, reason: &str) {
        self.print_line(&not_all(reason));
    }

    fn finished(&mut self, _summary: &RunSummary) {
        self.0.finish_and_clear();
    }
}

impl Drop for BarProgress {
    fn drop(&mut self) {
        // After an error too, the bar makes room for the message.
        self.0.finish_and_clear();
    }
}

fn print_on_stderr(line: &str) {
    // The reader has closed the pipe: no reason to end the run.
    let _ = writeln!(io::stderr(), "{}", text::clean(line));
}

fn added(database: &Path) -> String {
    format!("{} has tables of another program: added nodes, edges and others beside them", database.display())
}

fn waiting(why: &str) -> String {
    format!("waiting: {why}")
}

fn found(files: u64, unchanged: u64) -> String {
    format!("{} found, {} of them unchanged", crate::units::plural(files, "file"), count(unchanged))
}

fn not_all(reason: &str) -> String {
    format!("not all embedded: {reason}; the documents are in, run this again to resume")
}

fn cost(batch: &CommittedBatch) -> String {
    let [hold, wait] = [batch.hold, batch.wait].map(|time| duration(milliseconds(time)));
    format!("batch of {}: held {hold}, waited {wait}", batch.files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_few_and_clean() {
        let mut out = Vec::new();
        let mut lines = LineProgress::new(&mut out);
        lines.discovered(1000, 1);
        let batch = CommittedBatch {
            files: 1,
            done: 1,
            total: 1000,
            hold: Duration::from_millis(25),
            wait: Duration::from_micros(400),
        };
        for _ in 0..1000 {
            lines.batch(&batch);
        }
        lines.last -= LINE_EVERY;
        lines.batch(&batch);
        lines.failed(&FailedFile { path: "a\x1b[31m.md".to_owned(), reason: "it is\nbad".to_owned() });
        let said = String::from_utf8(out).expect("text");
        let expected = "1,000 files found, 1 of them unchanged\n\
                        1 of 1,000, batch of 1: held 25 ms, waited 0.4 ms\n\
                        failed: a [31m.md: it is bad\n";
        assert_eq!(said, expected);
    }
}
