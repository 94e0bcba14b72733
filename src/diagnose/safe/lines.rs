//! The report of `waltop safe` as lines: the verdict, then who and what, then what to do.

use std::fmt;

use super::{
    LeftFile, LeftKind, SafeCopy, SafeProcess, SafePurpose, SafeReport, SafeVerdict, WatchedCommand,
};
use crate::{
    snapshot::{ProcessManager, Unseen},
    text, units,
};

impl fmt::Display for SafeReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Names of processes and files come from outside, and none may look like a line.
        write!(f, "{}", text::clean(&self.verdict_line()))?;
        let processes = self.processes.iter().map(ToString::to_string);
        let left = self.left.iter().map(ToString::to_string);
        let unseen = self.unseen.iter().map(|Unseen { what, why }| format!("not seen: {what}: {why}"));
        let done =
            self.copied.iter().map(ToString::to_string).chain(self.ran.iter().map(ToString::to_string));
        let advice = if self.copied.is_some() { Vec::new() } else { self.advice() };
        let mut lines = processes.chain(left).chain(unseen).chain(advice).chain(done);
        lines.try_for_each(|line| write!(f, "\n  {}", text::clean(&line)))
    }
}

impl SafeReport {
    fn verdict_line(&self) -> String {
        let (path, purpose) = (self.path.display(), self.purpose);
        match (self.verdict, self.processes.len()) {
            (SafeVerdict::Safe, _) => format!("{path}: safe to {purpose}: no process has it open"),
            (SafeVerdict::InUse, 1) => format!("{path}: not safe to {purpose}: 1 process has it open"),
            (SafeVerdict::InUse, count) => {
                format!("{path}: not safe to {purpose}: {count} processes have it open")
            }
            (SafeVerdict::LeftFiles, _) => format!(
                "{path}: not safe to {purpose}: no process has it open, and a connection may destroy it"
            ),
            (SafeVerdict::Unknown, _) => format!(
                "{path}: not known to be safe to {purpose}: no process is seen to have it open, but not all can be seen"
            ),
        }
    }

    fn advice(&self) -> Vec<String> {
        let main = text::shell_word(&self.path.to_string_lossy());
        let copies = self.copies_of_deleted(&main);
        match (self.purpose, self.verdict) {
            (SafePurpose::Restore, _) => self.restore(copies, &main),
            (_, SafeVerdict::Safe) => Vec::new(),
            (SafePurpose::Copy, _) if copies.is_empty() && self.has_replaced() => {
                vec!["a copy by its path lacks what they commit; see: waltop explain split-wal".to_owned()]
            }
            (SafePurpose::Copy, _) if copies.is_empty() => {
                vec![format!("to copy it while it is open: waltop safe {main} --for copy --to copy.db")]
            }
            (SafePurpose::Copy, _) => copies,
            _ => copies.into_iter().chain(self.first_step().map(str::to_owned)).collect(),
        }
    }

    fn first_step(&self) -> Option<&'static str> {
        match self.verdict {
            SafeVerdict::Safe => None,
            SafeVerdict::InUse => Some("stop them, then run waltop safe again"),
            SafeVerdict::LeftFiles => Some("copy all its files before anything opens it"),
            SafeVerdict::Unknown => Some("run waltop safe again, as root and on the host"),
        }
    }

    fn has_replaced(&self) -> bool {
        self.processes.iter().any(|process| !process.replaced.is_empty())
    }

    /// How to save the data that is lost when a process ends.
    fn copies_of_deleted(&self, main: &str) -> Vec<String> {
        let keepers =
            self.processes.iter().filter(|process| !process.deleted.is_empty() && !process.has_left);
        let copy = |pid| {
            format!("copy what is lost when {pid} ends: waltop rescue {main} --pid {pid} --to copy-{pid}.db")
        };
        keepers.filter_map(|process| process.pid).map(copy).collect()
    }

    /// The steps of a restore. Until the copy is in its place there are the old files, with the log and journal that
    /// belong to them, or no main file.
    fn restore(&self, copies: Vec<String>, main: &str) -> Vec<String> {
        let files: Vec<String> = self.files.iter().map(|path| text::shell_word(path)).collect();
        let moved =
            (!files.is_empty()).then(|| format!("move away together, in this order: {}", files.join(" ")));
        let before = copies.into_iter().chain(self.first_step().map(str::to_owned));
        let steps = before.chain(moved).chain([
            format!("put the copy in the place of {main}"),
            format!("check it: waltop health {main} --quick-check"),
        ]);
        steps.zip(1..).map(|(step, number)| format!("{number}. {step}")).collect()
    }
}

impl fmt::Display for SafeCopy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (bytes, took) = (units::bytes(self.bytes), units::duration(self.took_ms));
        write!(f, "copied {bytes} by SQLite, of one snapshot, to {} in {took}", self.to.display())
    }
}

impl fmt::Display for WatchedCommand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let command: Vec<String> = self.command.iter().map(|word| text::shell_word(word)).collect();
        let command = command.join(" ");
        match self.exit_code {
            Some(code) => write!(f, "{command} ended with {code}; ")?,
            None => write!(f, "a signal ended {command}; ")?,
        }
        let samples = units::plural(self.samples, "sample");
        if self.came.is_empty() {
            write!(f, "no other process was seen with the database open in {samples} meanwhile")?;
            return self
                .unseen
                .iter()
                .try_for_each(|Unseen { what, why }| write!(f, "; not seen: {what}: {why}"));
        }
        let came: Vec<String> = self.came.iter().map(ToString::to_string).collect();
        write!(
            f,
            "in {samples} meanwhile others had it open, so check what the command did: {}",
            came.join(" | ")
        )
    }
}

impl fmt::Display for SafeProcess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.pid, &self.label) {
            (Some(pid), Some(label)) => write!(f, "{pid} ({label})")?,
            _ => f.write_str("a process not visible from here")?,
        }
        match (&self.manager, self.parent, &self.parent_label) {
            (Some(manager), ..) if *manager != ProcessManager::Nobody => write!(f, ", run by {manager}")?,
            (_, Some(parent), Some(label)) if !label.is_empty() => {
                write!(f, ", child of {parent} ({label})")?;
            }
            (_, Some(parent), _) if parent > 0 => write!(f, ", child of {parent}")?,
            _ => {}
        }
        if self.only_reads_files {
            f.write_str("; reads the files as a backup does")?;
        }
        if !self.replaced.is_empty() {
            write!(f, "; has replaced or deleted files open: {}", self.replaced.join(", "))?;
        }
        if self.has_left { f.write_str("; has closed it since and may come again") } else { Ok(()) }
    }
}

impl fmt::Display for LeftFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (path, bytes) = (self.path.display(), units::bytes(self.bytes));
        let what = match (self.kind, self.frames) {
            (LeftKind::HotJournal, _) => format!("hot journal of {bytes}"),
            (_, Some(frames)) => format!("log of {}", units::plural(frames.into(), "frame")),
            (_, None) => format!("log of {bytes}"),
        };
        write!(f, "{path} is a left {what}: {}", self.advice)
    }
}
