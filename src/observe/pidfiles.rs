//! The pidfiles of daemons, and the processes that have these PIDs now.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use rustix::{
    io::Errno,
    process::{Pid, test_kill_process},
};

use crate::{
    bounded,
    observe::{files, proc},
    snapshot::{Pidfile, Unseen},
};

// A PID has at most this many digits; the remaining content does not matter.
const LARGEST: usize = 64;

/// Time between two searches for processes that have a PID in another namespace.
const SEARCH: Duration = Duration::from_secs(10);

#[derive(Debug, Default)]
pub struct PidfileReader {
    paths: Vec<PathBuf>,
    inside: PidfileContent,
}

// The command lines of processes in other PID namespaces, by their PIDs there, and the PIDs and time of the last
// search.
#[derive(Debug, Default)]
struct PidfileContent {
    found: BTreeMap<i32, Vec<String>>,
    asked: Option<(Instant, BTreeSet<i32>)>,
}

impl PidfileReader {
    /// Sets the paths to read.
    pub fn set(&mut self, paths: Vec<PathBuf>) {
        self.paths = paths;
    }

    /// Reads every file. A missing file is not reported: its daemon does not run.
    pub fn read(&mut self, proc: &Path, now: Instant, unseen: &mut Vec<Unseen>) -> Vec<Pidfile> {
        let mut found = Vec::new();
        for path in &self.paths {
            match pid_in(path) {
                Ok(pid) => found.push(pidfile(proc, path, pid)),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => unseen
                    .push(Unseen { what: format!("the pidfile {}", path.display()), why: error.to_string() }),
            }
        }
        self.inside.search(proc, found.iter().filter_map(|pidfile| pidfile.pid).collect(), now);
        for pidfile in &mut found {
            let inside = pidfile.pid.and_then(|pid| self.inside.found.get(&pid));
            pidfile.inside = inside.cloned().unwrap_or_default();
        }
        found
    }
}

impl PidfileContent {
    fn search(&mut self, proc: &Path, pids: BTreeSet<i32>, now: Instant) {
        let is_recent = |(at, asked): &(Instant, BTreeSet<i32>)| {
            now.saturating_duration_since(*at) < SEARCH && *asked == pids
        };
        if self.asked.as_ref().is_some_and(is_recent) {
            return;
        }
        self.found.clear();
        let processes = if pids.is_empty() { None } else { proc::pids(proc).ok() };
        for here in processes.into_iter().flatten() {
            let there = proc::inner_pid(proc, here).filter(|pid| pids.contains(pid));
            if let Some((pid, command)) = there.and_then(|pid| Some((pid, command_line(proc, here)?))) {
                self.found.entry(pid).or_default().push(command);
            }
        }
        self.asked = Some((now, pids));
    }
}

fn pidfile(proc: &Path, path: &Path, pid: Option<i32>) -> Pidfile {
    let lives = pid.and_then(|pid| is_alive(proc, pid));
    let command = pid.filter(|_| lives == Some(true)).and_then(|pid| command_line(proc, pid));
    Pidfile { path: path.to_owned(), pid, lives, command, inside: Vec::new() }
}

fn pid_in(path: &Path) -> io::Result<Option<i32>> {
    let file = files::open(path)?;
    let text = bounded::read_from(file, LARGEST)?.bytes;
    let text = String::from_utf8_lossy(&text);
    let first = text.split_whitespace().next().and_then(|word| word.parse().ok());
    Ok(first.filter(|pid| *pid > 0))
}

// `/proc` may hide the processes of other users (`hidepid`); the kernel still reports that they exist.
fn is_alive(proc: &Path, pid: i32) -> Option<bool> {
    if let Some(stat) = proc::stat(proc, pid) {
        return Some(!stat.is_dead());
    }
    if proc != Path::new("/proc") {
        return Some(false);
    }
    match Pid::from_raw(pid).map(test_kill_process) {
        Some(Err(Errno::SRCH)) => Some(false),
        _ => None,
    }
}

// In the format of `Process::command_line`.
fn command_line(proc: &Path, pid: i32) -> Option<String> {
    let command = proc::command(proc, pid)?;
    let name = || Some(format!("[{}]", proc::stat(proc, pid)?.name));
    if command.is_empty() { name() } else { Some(command.join(" ")) }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use proptest::prelude::*;
    use tempfile::TempDir;

    use super::*;
    use crate::{fuzz::for_a_while, fuzz_edits::edited};

    fn read(proc: &Path, paths: &[PathBuf], unseen: &mut Vec<Unseen>) -> Vec<Pidfile> {
        let mut pidfiles = PidfileReader::default();
        pidfiles.set(paths.to_vec());
        pidfiles.read(proc, Instant::now(), unseen)
    }

    fn read_one(text: &str) -> Pidfile {
        let folder = TempDir::new().expect("a folder");
        let proc = folder.path().join("7");
        fs::create_dir(&proc).expect("a folder");
        fs::write(proc.join("stat"), format!("7 (bun) S 1 {}42 9\n", "0 ".repeat(17))).expect("a file");
        fs::write(proc.join("cmdline"), "bun\0watch\0").expect("a file");
        let path = folder.path().join("daemon.pid");
        fs::write(&path, text).expect("a file");
        let mut unseen = Vec::new();
        let found = read(folder.path(), &[path], &mut unseen);
        assert_eq!(unseen, []);
        found.into_iter().next().expect("it is there")
    }

    #[test]
    fn the_process_of_a_pidfile_is_reported() {
        for text in ["7", "7\n", " 7 started by hand\n"] {
            let found = read_one(text);
            assert_eq!((found.pid, found.lives), (Some(7), Some(true)), "{text:?}");
            assert_eq!(found.command.as_deref(), Some("bun watch"));
        }
        let gone = read_one("8\n");
        assert_eq!((gone.pid, gone.lives, gone.command), (Some(8), Some(false), None));
    }

    #[test]
    fn who_has_that_pid_in_a_container_is_reported() {
        let folder = TempDir::new().expect("a folder");
        for (pid, pids, command) in
            [("71", "71\t1", "bun\0watch\0"), ("72", "72\t5\t1", "node\0"), ("73", "73", "vim\0")]
        {
            let proc = folder.path().join(pid);
            fs::create_dir(&proc).expect("a folder");
            fs::write(proc.join("status"), format!("Name:\tx\nNSpid:\t{pids}\n")).expect("a file");
            fs::write(proc.join("cmdline"), command).expect("a file");
        }
        let path = folder.path().join("daemon.pid");
        let mut pidfiles = PidfileReader::default();
        pidfiles.set(vec![path.clone()]);
        for (pid, expected) in [("1", &["bun watch", "node"][..]), ("73", &[])] {
            fs::write(&path, pid).expect("a file");
            let mut found = pidfiles.read(folder.path(), Instant::now(), &mut Vec::new()).remove(0);
            found.inside.sort();
            assert_eq!(found.inside, expected, "{pid}");
        }
    }

    #[test]
    fn rubbish_names_no_process() {
        for text in ["", "\n", "0", "-7", "seven", "99999999999999999999"] {
            let found = read_one(text);
            assert_eq!((found.pid, found.lives, found.command), (None, None, None), "{text:?}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_reported_and_what_is_not_there_is_not() {
        let folder = TempDir::new().expect("a folder");
        let mut unseen = Vec::new();
        let paths = [folder.path().to_owned(), folder.path().join("none.pid")];
        assert_eq!(read(Path::new("/proc"), &paths, &mut unseen), []);
        assert_eq!(unseen.len(), 1, "{unseen:?}");
        assert!(unseen[0].what.contains(&folder.path().display().to_string()));
    }

    #[test]
    fn fuzz_pidfile() {
        let dir = TempDir::new().expect("a folder");
        let path = dir.path().join("pidfile");
        for_a_while("pidfile", |runner| {
            runner.run(&edited(&["71168\n", " 1 2\n", "-7\n", "99999999999\n"]), |bytes| {
                fs::write(&path, &bytes).expect("written");
                let mut pidfiles = PidfileReader::default();
                pidfiles.set(vec![path.clone()]);
                let mut unseen = Vec::new();
                let read = pidfiles.read(Path::new("/nowhere"), Instant::now(), &mut unseen);
                prop_assert!(unseen.is_empty() && read.len() == 1);
                let text = String::from_utf8_lossy(&bytes);
                prop_assert!(read[0].pid.is_none_or(|pid| pid > 0 && text.contains(&pid.to_string())));
                Ok(())
            })
        });
    }

    #[test]
    fn processes_in_containers_are_searched_every_ten_seconds_and_at_once_for_another_pid() {
        let folder = TempDir::new().expect("a folder");
        let path = folder.path().join("daemon.pid");
        let add = |pid: &str, inside: &str| {
            let proc = folder.path().join(pid);
            fs::create_dir(&proc).expect("a folder");
            fs::write(proc.join("status"), format!("Name:\tx\nNSpid:\t{pid}\t{inside}\n")).expect("a file");
            fs::write(proc.join("cmdline"), format!("{pid}\0")).expect("a file");
        };
        let mut pidfiles = PidfileReader::default();
        pidfiles.set(vec![path.clone()]);
        let start = Instant::now();
        let mut inside_after = |pid: &str, ms: u64| {
            fs::write(&path, pid).expect("a file");
            let now = start + Duration::from_millis(ms);
            let mut found = pidfiles.read(folder.path(), now, &mut Vec::new()).remove(0).inside;
            found.sort();
            found
        };
        add("71", "1");
        assert_eq!(inside_after("1", 0), ["71"]);
        add("72", "1");
        assert_eq!(inside_after("1", 9_999), ["71"], "a search reads every process");
        assert_eq!(inside_after("1", 10_000), ["71", "72"]);
        add("73", "5");
        assert_eq!(inside_after("5", 10_001), ["73"], "another PID is asked for");
    }
}
