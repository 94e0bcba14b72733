//! Writing a run's journal, line by line as things happen.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use jiff::Timestamp;

use super::lock;
use crate::{
    journal::{EXTENSION, Event, Line},
    observe::journals,
};

/// How many journals are kept: those that are looked at, and older ones whose run goes on.
const KEPT: usize = journals::FOLLOWED;

/// The journal of a run.
#[derive(Debug)]
pub struct Journal {
    run: String,
    file: File,
    /// Bytes of whole lines.
    length: u64,
}

impl Journal {
    /// A new journal in `runs`, with its first line, which `started` makes of the run's name.
    ///
    /// The name is the time and the PID, so that names sort by time; a number is added where it is taken. The
    /// oldest journals beyond 500 are removed, but for those whose run goes on by what `proc` shows.
    ///
    /// # Errors
    ///
    /// Where it cannot be written.
    pub fn create(runs: &Path, proc: &Path, started: impl FnOnce(String) -> Event) -> io::Result<Self> {
        lock::make_private(runs)?;
        let name = format!("{}-{}", Timestamp::now().strftime("%Y%m%dT%H%M%S.%3fZ"), std::process::id());
        let mut run = name.clone();
        for number in 2.. {
            let path = runs.join(format!("{run}.{EXTENSION}"));
            match OpenOptions::new().append(true).create_new(true).mode(0o600).open(&path) {
                Ok(file) => {
                    let mut journal = Self { run: run.clone(), file, length: 0 };
                    journal.tell(started(run)).inspect_err(|_| {
                        // Empty as it is it would say nothing but that something is wrong.
                        let _ = fs::remove_file(&path);
                    })?;
                    // What stays now goes with the next run.
                    let _ = prune(runs, proc, KEPT);
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

    /// Writes one line, in one piece: a reader sees all of it or none. On a disk that is full a part of it may be
    /// written, which is taken back, so that a later line is one again.
    ///
    /// # Errors
    ///
    /// Where it cannot be written.
    pub fn tell(&mut self, event: Event) -> io::Result<()> {
        let mut line = serde_json::to_vec(&Line { at: Timestamp::now(), event })?;
        line.push(b'\n');
        self.file.write_all(&line).inspect_err(|_| {
            let _ = self.file.set_len(self.length);
        })?;
        self.length += line.len() as u64;
        Ok(())
    }
}

/// Removes the oldest journals in `runs` beyond `kept`, but for those whose run goes on.
fn prune(runs: &Path, proc: &Path, kept: usize) -> io::Result<()> {
    let mut paths: Vec<PathBuf> = Vec::new();
    for entry in fs::read_dir(runs)? {
        let entry = entry?;
        let path = entry.path();
        if path.extension().is_some_and(|it| it == EXTENSION) && entry.file_type()?.is_file() {
            paths.push(path);
        }
    }
    paths.sort_unstable();
    let beyond = paths.len().saturating_sub(kept);
    for path in &paths[..beyond] {
        if is_over(path, proc)? {
            fs::remove_file(path)?;
        }
    }
    Ok(())
}

/// Whether the run of the journal at `path` has told its end, or cannot tell it any more. One that makes no sense
/// may be a newer version's, and is left to it.
fn is_over(path: &Path, proc: &Path) -> io::Result<bool> {
    let text = fs::read(path)?;
    let mut lines =
        text.split(|&byte| byte == b'\n').filter_map(|line| serde_json::from_slice::<Line>(line).ok());
    let Some(Line { event: started @ Event::Started { .. }, .. }) = lines.next() else { return Ok(false) };
    let has_end = matches!(lines.next_back(), Some(Line { event: Event::Finished { .. }, .. }));
    Ok(has_end || !journals::lives(proc, &started))
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
                let mut journal =
                    Journal::create(&runs, Path::new("/proc"), |_| finished()).expect("a journal");
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

    #[test]
    fn only_the_oldest_journals_go_and_none_of_a_run_that_goes_on() {
        let dir = TempDir::new().expect("a folder");
        let proc = Path::new("/proc");
        let own = i32::try_from(std::process::id()).expect("a PID fits");
        let started = |pid: i32, ticks: u64| Event::Started {
            run: String::new(),
            pid,
            start_ticks: Some(ticks),
            boot: journals::boot(proc),
            database: "/x.db".to_owned(),
            folders: Vec::new(),
            batch: "auto".to_owned(),
            root: None,
            hidden: None,
            carries_on: None,
        };
        let since = crate::observe::process_start(proc, own).expect("it lives");
        let write = |name: &str, events: &[Event]| {
            let line = |event: &Event| {
                let line = Line { at: Timestamp::UNIX_EPOCH, event: event.clone() };
                serde_json::to_string(&line).expect("JSON") + "\n"
            };
            fs::write(dir.path().join(name), events.iter().map(line).collect::<String>()).expect("a journal");
        };
        let end = Event::Finished { outcome: Outcome::Completed, error: None };
        write("1-over.jsonl", &[started(own, since), end.clone()]);
        write("2-lives.jsonl", &[started(own, since)]);
        write("3-crashed.jsonl", &[started(own, since + 1)]);
        write("4-odd.jsonl", &[]);
        write("5-over.jsonl", &[started(own, since), end.clone()]);
        write("6-over.jsonl", &[started(own, since), end]);
        write("0.lock", &[]);
        let left = || {
            let entries = fs::read_dir(dir.path()).expect("the folder");
            let mut names: Vec<_> =
                entries.map(|it| it.expect("an entry").file_name().into_string().expect("text")).collect();
            names.sort();
            names
        };
        prune(dir.path(), proc, 6).expect("a look");
        assert_eq!(left().len(), 7);
        prune(dir.path(), proc, 2).expect("it can be written");
        assert_eq!(left(), ["0.lock", "2-lives.jsonl", "4-odd.jsonl", "5-over.jsonl", "6-over.jsonl"]);
    }

    #[test]
    fn a_new_journal_makes_room_for_itself() {
        let dir = TempDir::new().expect("a folder");
        let finished = || Event::Finished { outcome: Outcome::Completed, error: None };
        let gone = Event::Started {
            run: String::new(),
            pid: 0,
            start_ticks: None,
            boot: None,
            database: "/x.db".to_owned(),
            folders: Vec::new(),
            batch: "auto".to_owned(),
            root: None,
            hidden: None,
            carries_on: None,
        };
        let line = serde_json::to_string(&Line { at: Timestamp::UNIX_EPOCH, event: gone }).expect("JSON");
        for number in 0..KEPT + 2 {
            fs::write(dir.path().join(format!("{number:04}.{EXTENSION}")), &line).expect("a journal");
        }
        Journal::create(dir.path(), Path::new("/proc"), |_| finished()).expect("a journal");
        assert_eq!(fs::read_dir(dir.path()).expect("the folder").count(), KEPT);
    }
}
