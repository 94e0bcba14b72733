//! Writes a run's journal, line by line as events happen.

use std::{
    fs::{self, File},
    io::{self, Write},
    iter,
    path::{Path, PathBuf},
};

use jiff::Timestamp;

use super::reported_failures::ReportedFailures;
use crate::{
    database::identity,
    observe::journals,
    state::{
        folder::{self, StateFolder},
        journal::{EXTENSION, JournalEvent, JournalLine},
    },
};

/// How many journals are kept: those that are shown, and older ones whose run is active.
const KEPT: usize = journals::FOLLOWED;

#[derive(Debug)]
pub struct RunJournal {
    run: String,
    writing: JournalState,
}

#[derive(Debug)]
enum JournalState {
    To {
        file: File,
        length: u64,
    },
    /// Nothing notable happened yet: the lines that are written first once it does.
    Held {
        path: PathBuf,
        proc: PathBuf,
        lines: Vec<u8>,
        news: ReportedFailures,
    },
}

impl RunJournal {
    /// Creates a journal in `runs` with its first line, which `started` makes of the run's name.
    ///
    /// The name is the time and the PID, so that names sort by time; a number is added if the name is taken. The oldest
    /// journals beyond 500 are removed, except those whose run is active according to `proc`.
    ///
    /// # Errors
    ///
    /// It cannot be written.
    pub fn create(
        runs: &Path,
        proc: &Path,
        started: impl FnOnce(String) -> JournalEvent,
    ) -> io::Result<Self> {
        let runs = StateFolder::make(runs)?;
        let runs = runs.path();
        for run in names() {
            let path = runs.join(format!("{run}.{EXTENSION}"));
            match folder::options().append(true).create_new(true).open(&path) {
                Ok(file) => {
                    let mut journal =
                        Self { run: run.clone(), writing: JournalState::To { file, length: 0 } };
                    journal.record(started(run)).inspect_err(|_| {
                        // An empty journal would only suggest that something is wrong.
                        let _ = fs::remove_file(&path);
                    })?;
                    // What stays now is removed by the next run.
                    let _ = prune(runs, proc, KEPT);
                    return Ok(journal);
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
        unreachable!("the numbers have no end")
    }

    /// A journal that is created once an event is new compared with `news`: a run that changes nothing leaves none. It
    /// then starts with the earlier events.
    ///
    /// # Errors
    ///
    /// The journal has no place.
    pub fn held(
        runs: &Path,
        proc: &Path,
        news: ReportedFailures,
        started: impl FnOnce(String) -> JournalEvent,
    ) -> io::Result<Self> {
        let runs = StateFolder::make(runs)?;
        let runs = runs.path();
        let path_of = |run: &str| runs.join(format!("{run}.{EXTENSION}"));
        let Some(run) = names().find(|run| !path_of(run).exists()) else {
            unreachable!("the numbers have no end");
        };
        let lines = line(Timestamp::now(), started(run.clone()))?;
        let writing = JournalState::Held { path: path_of(&run), proc: proc.to_owned(), lines, news };
        Ok(Self { run, writing })
    }

    pub fn run(&self) -> &str {
        &self.run
    }

    /// Writes one line at once, and returns its time: a reader sees all of it or none. On a full disk a part may be
    /// written; waltop truncates it, so that the next line is valid.
    ///
    /// # Errors
    ///
    /// It cannot be written.
    pub fn record(&mut self, event: JournalEvent) -> io::Result<Timestamp> {
        let at = Timestamp::now();
        match &mut self.writing {
            JournalState::To { file, length } => append(file, length, &line(at, event)?)?,
            JournalState::Held { path, proc, lines, news } => {
                let is_news = news.is_new(&event);
                lines.extend(line(at, event)?);
                if is_news {
                    // The folder of journals does not belong to the database's owner, as whom this thread may be
                    // connected.
                    let (file, length) = identity::as_root(|| create(path, proc, lines))?;
                    self.writing = JournalState::To { file, length };
                }
            }
        }
        Ok(at)
    }
}

/// Creates the journal at `path` with `lines`; returns its length too.
fn create(path: &Path, proc: &Path, lines: &[u8]) -> io::Result<(File, u64)> {
    let mut file = folder::options().append(true).create_new(true).open(path)?;
    let mut length = 0;
    append(&mut file, &mut length, lines).inspect_err(|_| {
        // An empty journal would only suggest that something is wrong.
        let _ = fs::remove_file(path);
    })?;
    if let Some(runs) = path.parent() {
        // What stays now is removed by the next run.
        let _ = prune(runs, proc, KEPT);
    }
    Ok((file, length))
}

/// Appends whole `lines` after the `length` bytes in `file`; on failure nothing of them stays.
fn append(file: &mut File, length: &mut u64, lines: &[u8]) -> io::Result<()> {
    file.write_all(lines).inspect_err(|_| {
        let _ = file.set_len(*length);
    })?;
    *length += lines.len() as u64;
    Ok(())
}

fn line(at: Timestamp, event: JournalEvent) -> io::Result<Vec<u8>> {
    let mut line = serde_json::to_vec(&JournalLine { at, event })?;
    line.push(b'\n');
    Ok(line)
}

/// Names for a run that starts now: its time and PID, then the same with a number appended.
fn names() -> impl Iterator<Item = String> {
    let name = format!("{}-{}", Timestamp::now().strftime("%Y%m%dT%H%M%S.%3fZ"), std::process::id());
    let numbered = name.clone();
    iter::once(name).chain((2..).map(move |number: u64| format!("{numbered}-{number}")))
}

/// Removes the oldest journals in `runs` beyond `kept`, except those whose run is active.
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
        if is_over(path, proc) {
            fs::remove_file(path)?;
        }
    }
    Ok(())
}

/// Whether the run of the journal at `path` has recorded its end, or no longer can. An unreadable one may belong to a
/// newer version, and stays.
fn is_over(path: &Path, proc: &Path) -> bool {
    let started = journals::first_line(path).filter(|it| matches!(it, JournalEvent::Started { .. }));
    started.is_some_and(|started| journals::has_end(path) || journals::lives(proc, &started) == Some(false))
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt};

    use tempfile::TempDir;

    use super::*;
    use crate::state::journal::{RecordedCost, RunOutcome};

    #[test]
    fn journals_are_private_and_never_share_a_name() {
        let dir = TempDir::new().expect("a folder");
        let runs = dir.path().join("runs");
        let finished = || JournalEvent::Finished { outcome: RunOutcome::Completed, error: None };
        let names: Vec<_> = (0..20)
            .map(|_| {
                let mut journal =
                    RunJournal::create(&runs, Path::new("/proc"), |_| finished()).expect("a journal");
                journal.record(finished()).expect("a line");
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
        let started = |pid: i32, ticks: u64| JournalEvent::Started {
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
            began_at: None,
        };
        let since = crate::observe::process_start(proc, own).expect("it lives");
        let write = |name: &str, events: &[JournalEvent]| {
            let line = |event: &JournalEvent| {
                let line = JournalLine { at: Timestamp::UNIX_EPOCH, event: event.clone() };
                serde_json::to_string(&line).expect("JSON") + "\n"
            };
            fs::write(dir.path().join(name), events.iter().map(line).collect::<String>()).expect("a journal");
        };
        let end = JournalEvent::Finished { outcome: RunOutcome::Completed, error: None };
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
        // Without /proc, the process of a run that has no end may still exist.
        prune(dir.path(), &dir.path().join("no-proc"), 3).expect("a look");
        assert_eq!(left().len(), 6);
        assert!(
            left().contains(&"2-lives.jsonl".to_owned()) && left().contains(&"3-crashed.jsonl".to_owned())
        );
        prune(dir.path(), proc, 2).expect("it can be written");
        assert_eq!(left(), ["0.lock", "2-lives.jsonl", "4-odd.jsonl", "5-over.jsonl", "6-over.jsonl"]);
    }

    #[test]
    fn a_journal_that_is_held_comes_with_the_first_news_and_all_before_it() {
        let dir = TempDir::new().expect("a folder");
        let proc = Path::new("/proc");
        let discovered = || JournalEvent::Discovered { files: 2, unchanged: 1, ignored_tracked: None };
        let held = || {
            RunJournal::held(dir.path(), proc, ReportedFailures::default(), |_| discovered())
                .expect("a journal")
        };
        let mut journal = held();
        journal.record(JournalEvent::Unchanged { files: 1 }).expect("a line");
        let path = dir.path().join(format!("{}.{EXTENSION}", journal.run()));
        journal
            .record(JournalEvent::Finished { outcome: RunOutcome::Completed, error: None })
            .expect("a line");
        assert!(!path.exists(), "nothing happened");
        let mut journal = held();
        let path = dir.path().join(format!("{}.{EXTENSION}", journal.run()));
        journal.record(JournalEvent::Unchanged { files: 1 }).expect("a line");
        let batch = JournalEvent::Batch { files: 1, bytes: 1, cost: RecordedCost::default(), decided: None };
        journal.record(batch).expect("a line");
        journal.record(discovered()).expect("a line");
        let text = fs::read_to_string(&path).expect("the journal");
        let events: Vec<_> = text
            .lines()
            .map(|line| serde_json::from_str::<JournalLine>(line).expect("a line").event)
            .collect();
        let expected = [discovered(), JournalEvent::Unchanged { files: 1 }];
        assert_eq!(format!("{:?}", &events[..2]), format!("{expected:?}"));
        assert_eq!(events.len(), 4);
        assert_eq!(fs::metadata(&path).expect("the journal").permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_new_journal_makes_room_for_itself() {
        let dir = TempDir::new().expect("a folder");
        let finished = || JournalEvent::Finished { outcome: RunOutcome::Completed, error: None };
        let gone = JournalEvent::Started {
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
            began_at: None,
        };
        let line =
            serde_json::to_string(&JournalLine { at: Timestamp::UNIX_EPOCH, event: gone }).expect("JSON");
        for number in 0..KEPT + 2 {
            fs::write(dir.path().join(format!("{number:04}.{EXTENSION}")), &line).expect("a journal");
        }
        RunJournal::create(dir.path(), Path::new("/proc"), |_| finished()).expect("a journal");
        assert_eq!(fs::read_dir(dir.path()).expect("the folder").count(), KEPT);
    }
}
