//! Writing a run's journal, line by line as things happen.

use std::{
    fs::{File, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

use jiff::Timestamp;

use super::lock;
use crate::journal::{EXTENSION, Event, Line};

/// The journal of a run.
#[derive(Debug)]
pub struct Journal {
    run: String,
    file: File,
}

impl Journal {
    /// A new journal in `runs`, with its first line, which `started` makes of the run's name.
    ///
    /// The name is the time and the PID, so that names sort by time; a number is added where it is taken.
    ///
    /// # Errors
    ///
    /// Where it cannot be written.
    pub fn create(runs: &Path, started: impl FnOnce(String) -> Event) -> io::Result<Self> {
        lock::make_private(runs)?;
        let name = format!("{}-{}", Timestamp::now().strftime("%Y%m%dT%H%M%S.%3fZ"), std::process::id());
        let mut run = name.clone();
        for number in 2.. {
            let path = runs.join(format!("{run}.{EXTENSION}"));
            match OpenOptions::new().append(true).create_new(true).mode(0o600).open(&path) {
                Ok(file) => {
                    let mut journal = Self { run: run.clone(), file };
                    journal.tell(started(run))?;
                    return Ok(journal);
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                    run = format!("{name}-{number}");
                }
                Err(error) => return Err(error),
            }
        }
        unreachable!("the numbers have no end")
    }

    /// Name of the run.
    #[must_use]
    pub fn run(&self) -> &str {
        &self.run
    }

    /// Writes one line, in one piece: a reader sees all of it or none.
    ///
    /// # Errors
    ///
    /// Where it cannot be written.
    pub fn tell(&mut self, event: Event) -> io::Result<()> {
        let mut line = serde_json::to_vec(&Line { at: Timestamp::now(), event })?;
        line.push(b'\n');
        self.file.write_all(&line)
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt};

    use tempfile::TempDir;

    use super::*;
    use crate::journal::Outcome;

    #[test]
    fn journals_are_private_and_never_share_a_name() {
        let dir = TempDir::new().expect("a folder");
        let runs = dir.path().join("runs");
        let finished = || Event::Finished { outcome: Outcome::Completed, error: None };
        let names: Vec<_> = (0..20)
            .map(|_| {
                let mut journal = Journal::create(&runs, |_| finished()).expect("a journal");
                journal.tell(finished()).expect("a line");
                let path = runs.join(format!("{}.jsonl", journal.run()));
                let mode = fs::metadata(&path).expect("the journal").permissions().mode();
                assert_eq!(mode & 0o777, 0o600);
                assert_eq!(fs::read_to_string(&path).expect("text").lines().count(), 2);
                journal.run().to_owned()
            })
            .collect();
        let distinct: std::collections::BTreeSet<_> = names.iter().collect();
        assert_eq!(distinct.len(), names.len());
    }
}
