//! The files in which daemons keep their PIDs, and who has that PID now.

use std::{
    io::{self, Read},
    path::{Path, PathBuf},
};

use rustix::{
    io::Errno,
    process::{Pid, test_kill_process},
};

use crate::{
    observe::{files, process_stat},
    snapshot::{Pidfile, Unseen},
};

// A PID has no more digits than this; whatever follows does not matter.
const LARGEST: u64 = 64;

/// Reads every file of `paths`. One that does not exist is no news: its daemon does not run.
pub fn read(proc: &Path, paths: &[PathBuf], unseen: &mut Vec<Unseen>) -> Vec<Pidfile> {
    let mut found = Vec::new();
    for path in paths {
        match pid_in(path) {
            Ok(pid) => found.push(pidfile(proc, path, pid)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => unseen
                .push(Unseen { what: format!("the pidfile {}", path.display()), why: error.to_string() }),
        }
    }
    found
}

fn pidfile(proc: &Path, path: &Path, pid: Option<i32>) -> Pidfile {
    let lives = pid.and_then(|pid| lives(proc, pid));
    let command = pid.filter(|_| lives == Some(true)).and_then(|pid| command_line(proc, pid));
    Pidfile { path: path.to_owned(), pid, lives, command }
}

fn pid_in(path: &Path) -> io::Result<Option<i32>> {
    let file = files::open(path)?;
    let mut text = Vec::new();
    file.take(LARGEST).read_to_end(&mut text)?;
    let text = String::from_utf8_lossy(&text);
    let first = text.split_whitespace().next().and_then(|word| word.parse().ok());
    Ok(first.filter(|pid| *pid > 0))
}

// `/proc` may hide the processes of others (`hidepid`), of which the kernel says all the same that they exist.
fn lives(proc: &Path, pid: i32) -> Option<bool> {
    if let Some(stat) = process_stat::read(proc, pid) {
        return Some(stat.start_ticks.is_some());
    }
    if proc != Path::new("/proc") {
        return Some(false);
    }
    match Pid::from_raw(pid).map(test_kill_process) {
        Some(Err(Errno::SRCH)) => Some(false),
        _ => None,
    }
}

// As `Process::command_line` has it.
fn command_line(proc: &Path, pid: i32) -> Option<String> {
    let command = process_stat::command(proc, pid)?;
    let name = || Some(format!("[{}]", process_stat::read(proc, pid)?.name));
    if command.is_empty() { name() } else { Some(command.join(" ")) }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use tempfile::TempDir;

    use super::*;

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
    fn the_process_of_a_pidfile_is_told() {
        for text in ["7", "7\n", " 7 started by hand\n"] {
            let found = read_one(text);
            assert_eq!((found.pid, found.lives), (Some(7), Some(true)), "{text:?}");
            assert_eq!(found.command.as_deref(), Some("bun watch"));
        }
        let gone = read_one("8\n");
        assert_eq!((gone.pid, gone.lives, gone.command), (Some(8), Some(false), None));
    }

    #[test]
    fn rubbish_names_nobody() {
        for text in ["", "\n", "0", "-7", "seven", "99999999999999999999"] {
            let found = read_one(text);
            assert_eq!((found.pid, found.lives, found.command), (None, None, None), "{text:?}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_told_and_what_is_not_there_is_not() {
        let folder = TempDir::new().expect("a folder");
        let mut unseen = Vec::new();
        let paths = [folder.path().to_owned(), folder.path().join("none.pid")];
        assert_eq!(read(Path::new("/proc"), &paths, &mut unseen), []);
        assert_eq!(unseen.len(), 1, "{unseen:?}");
        assert!(unseen[0].what.contains(&folder.path().display().to_string()));
    }
}
