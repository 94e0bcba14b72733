//! `/proc/PID/stat`: what tells one process from another that had the same PID (`proc_pid_stat(5)`).

use std::{
    collections::HashMap,
    fs, io,
    path::{Path, PathBuf},
};

use crate::bounded;

/// Bytes of `stat`, of which the kernel prints some hundred.
const STAT: usize = 4 << 10;
/// Bytes of `status`: a process may be in 65,536 groups, each of which has up to 11 bytes there.
const STATUS: usize = 1 << 20;
/// Bytes of a command line. A process may make its own as long as its memory (`PR_SET_MM_MAP` of `prctl(2)`).
const COMMAND: usize = 4 << 10;
/// The last element of a command line that is cut.
pub const CUT: &str = "…";
/// Threads of a process that are looked at for one that lives.
const MOST_THREADS: usize = 1000;

/// The fields that are used here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProcessStat {
    /// Its name, which may hold anything, blanks and brackets too.
    pub name: String,
    /// What it does: a letter. Of a process it is that of its first thread, which may end before the others do.
    pub state: char,
    /// Whether its first thread has ended, and others have not.
    pub is_headless: bool,
    pub parent: Option<i32>,
    /// Its session: the process that leads it, or 0 where that is not visible.
    pub session: Option<i32>,
    /// CPU time that it has used, in clock ticks.
    pub cpu_ticks: Option<u64>,
    /// CPU time of those below it that ended and were waited for, in clock ticks.
    pub waited_ticks: Option<u64>,
    /// Its start in clock ticks since boot; `None` where it is dead and not yet collected.
    pub start_ticks: Option<u64>,
}

/// When process `pid` started, in clock ticks since boot, as the `/proc` at `proc` has it; `None` where it is gone,
/// or dead and not yet collected.
pub fn process_start(proc: &Path, pid: i32) -> Option<u64> {
    read(proc, pid)?.start_ticks
}

/// Who started `pid`, and who started that, up to the system's first process.
pub fn process_ancestors(proc: &Path, pid: i32) -> Vec<i32> {
    let mut ancestors = Vec::new();
    let mut next = process_parent(proc, pid);
    // What was read at different moments could go in a circle.
    while let Some(parent) = next.filter(|parent| *parent > 0 && !ancestors.contains(parent)) {
        ancestors.push(parent);
        next = process_parent(proc, parent);
    }
    ancestors
}

/// The parent of process `pid`; `None` where `pid` is gone.
fn process_parent(proc: &Path, pid: i32) -> Option<i32> {
    read(proc, pid)?.parent
}

/// Whether the PIDs of the `/proc` at `proc` are those that a system call of this process means. After unshare(1)
/// without `--mount-proc`, and in the `/proc` of a container, they are not: there this process has another PID, or one
/// in each of several namespaces, or none (`NSpid` of `proc_pid_status(5)`).
pub fn is_own_proc(proc: &Path) -> bool {
    let Ok(status) = status(&proc.join("self")) else { return false };
    let pids = |key| status.lines().find_map(|line| line.strip_prefix(key));
    // A kernel without such namespaces does not tell.
    let Some(pids) = pids("NSpid:").or_else(|| pids("Pid:")) else { return false };
    pids.split_ascii_whitespace().eq([std::process::id().to_string().as_str()])
}

/// The user as whom process `pid` runs, by its effective user id: one that a setuid program lends counts, so that
/// whoever is shown as another's is another's for a signal too. `None` where `pid` is gone.
pub fn process_owner(proc: &Path, pid: i32) -> Option<u32> {
    owner(&status(&proc.join(pid.to_string())).ok()?)
}

fn owner(status: &str) -> Option<u32> {
    let ids = status.lines().find_map(|line| line.strip_prefix("Uid:"))?;
    // Real, effective, saved, and that of the file system (`proc_pid_status(5)`).
    ids.split_ascii_whitespace().nth(1)?.parse().ok()
}

/// The CPU time that all below each process have used, those that ended and were waited for included, in clock ticks. One
/// pass over every process of the `/proc` at `proc`.
pub fn ticks_below(proc: &Path) -> HashMap<i32, u64> {
    let entries = fs::read_dir(proc).into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    let all: HashMap<i32, ProcessStat> = pids.filter_map(|pid| Some((pid, read(proc, pid)?))).collect();
    let ended = |stat: &ProcessStat| stat.waited_ticks.unwrap_or(0);
    let mut below: HashMap<i32, u64> = all.iter().map(|(&pid, stat)| (pid, ended(stat))).collect();
    for stat in all.values() {
        let ticks = stat.cpu_ticks.unwrap_or(0) + ended(stat);
        let parent = |stat: &ProcessStat| stat.parent.filter(|parent| all.contains_key(parent));
        // No deeper than there are processes, should what was read at different moments go in a circle.
        let ancestors = std::iter::successors(parent(stat), |pid| parent(&all[pid])).take(all.len());
        for ancestor in ancestors {
            *below.entry(ancestor).or_default() += ticks;
        }
    }
    below
}

/// The executable and arguments of process `pid`: none where it has none, as a kernel thread; `None` where they cannot
/// be read. The arguments end with a zero each, and need not be UTF-8. A long command line is cut, and [`CUT`] is then
/// its last element.
pub fn command(proc: &Path, pid: i32) -> Option<Vec<String>> {
    let line = |process: &Path| bounded::read(&process.join("cmdline"), COMMAND).ok();
    let own = line(&proc.join(pid.to_string()))?;
    let of_thread = || line(&living_thread(proc, pid)?);
    let line = if own.bytes.is_empty() { of_thread().unwrap_or(own) } else { own };
    Some(words(&line.bytes, line.is_cut))
}

fn words(line: &[u8], is_cut: bool) -> Vec<String> {
    // A program that overwrites its arguments leaves zeros behind them, which say nothing where the end is not known.
    let end = line.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
    let line = if is_cut { &line[..end] } else { line.strip_suffix(b"\0").unwrap_or(line) };
    let words = line.split(|&byte| byte == 0).map(|word| String::from_utf8_lossy(word).into_owned());
    let words = if line.is_empty() { None } else { Some(words) };
    words.into_iter().flatten().chain(is_cut.then(|| CUT.to_owned())).collect()
}

/// The `status` of the process or thread whose folder is `process`.
///
/// # Errors
///
/// Where it cannot be read.
pub fn status(process: &Path) -> io::Result<String> {
    bounded::read_text(&process.join("status"), STATUS)
}

/// The folder of a thread of `pid` that lives, where the first thread of `pid` has ended: the kernel then shows neither
/// files nor memory in the folder of the process itself.
pub fn living_thread(proc: &Path, pid: i32) -> Option<PathBuf> {
    if !read(proc, pid)?.is_headless {
        return None;
    }
    let tasks = fs::read_dir(proc.join(pid.to_string()).join("task")).ok()?;
    let mut threads = tasks.flatten().map(|task| task.path()).take(MOST_THREADS);
    threads.find(|thread| stat(thread).is_some_and(|stat| !has_ended(stat.state)))
}

/// What the `/proc` at `proc` says of `pid`; `None` where it is gone.
pub fn read(proc: &Path, pid: i32) -> Option<ProcessStat> {
    stat(&proc.join(pid.to_string()))
}

/// What the process or thread whose folder is `process` does: the letter of its state.
#[cfg(target_os = "linux")]
pub fn state(process: &Path) -> Option<char> {
    Some(stat(process)?.state)
}

fn stat(process: &Path) -> Option<ProcessStat> {
    parse(&bounded::read_text(&process.join("stat"), STAT).ok()?)
}

fn parse(stat: &str) -> Option<ProcessStat> {
    let (before, after) = stat.rsplit_once(')')?;
    // The fields behind the name: 3 is the state, 4 the parent, 6 the session, 14 to 17 are times, 20 counts threads and
    // 22 is the start.
    let fields: Vec<&str> = after.split_ascii_whitespace().collect();
    let state = fields.first()?.chars().next()?;
    let threads = fields.get(17).and_then(|threads| threads.parse::<u64>().ok()).unwrap_or(0);
    let is_headless = has_ended(state) && threads > 1;
    let is_dead = has_ended(state) && !is_headless;
    let sum = |first: usize| -> Option<u64> {
        let ticks = |at: usize| fields.get(at)?.parse::<u64>().ok();
        ticks(first)?.checked_add(ticks(first + 1)?)
    };
    Some(ProcessStat {
        state,
        is_headless,
        cpu_ticks: sum(11),
        waited_ticks: sum(13),
        name: before.split_once('(')?.1.to_owned(),
        parent: fields.get(1)?.parse().ok(),
        session: fields.get(3).and_then(|session| session.parse().ok()),
        start_ticks: if is_dead { None } else { fields.get(19)?.parse().ok() },
    })
}

fn has_ended(state: char) -> bool {
    matches!(state, 'Z' | 'X' | 'x')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::fuzz::for_a_while;

    fn made_up(text: &str) -> Option<ProcessStat> {
        let proc = tempfile::TempDir::new().expect("a folder");
        fs::create_dir(proc.path().join("7")).expect("a folder");
        fs::write(proc.path().join("7/stat"), text).expect("a file");
        read(proc.path(), 7)
    }

    #[test]
    fn a_name_may_look_like_fields() {
        let zeros = "0 ".repeat(17);
        let stat = made_up(&format!("7 (a (b) S 1) R 42 {zeros}4200 9 9\n"));
        let expected = ProcessStat {
            name: "a (b) S 1".to_owned(),
            state: 'R',
            is_headless: false,
            parent: Some(42),
            session: Some(0),
            cpu_ticks: Some(0),
            waited_ticks: Some(0),
            start_ticks: Some(4200),
        };
        assert_eq!(stat, Some(expected));
    }

    #[test]
    fn those_below_count_for_every_ancestor() {
        let proc = tempfile::TempDir::new().expect("a folder");
        let own_and_waited = [(1, 0, 1, 0), (7, 1, 2, 10), (8, 7, 40, 100), (9, 8, 1000, 0)];
        for (pid, parent, own, waited) in own_and_waited {
            let folder = proc.path().join(pid.to_string());
            fs::create_dir(&folder).expect("a folder");
            let fields = format!("{}{own} 0 {waited} 0 {}", "0 ".repeat(9), "0 ".repeat(5));
            fs::write(folder.join("stat"), format!("{pid} (a) S {parent} {fields}\n")).expect("a file");
        }
        let below = ticks_below(proc.path());
        let of = |pid: i32| below.get(&pid).copied();
        assert_eq!((of(9), of(8)), (Some(0), Some(100 + 1000)));
        assert_eq!((of(7), of(1)), (Some(10 + 140 + 1000), Some(12 + 140 + 1000)));
    }

    #[test]
    fn the_dead_have_no_start() {
        let zeros = "0 ".repeat(17);
        for state in ["Z", "X", "x"] {
            let stat = made_up(&format!("7 (a) {state} 42 {zeros}4200 9 9\n")).expect("it is there");
            assert_eq!((stat.start_ticks, stat.parent), (None, Some(42)), "{state}");
        }
    }

    #[test]
    fn a_process_whose_first_thread_has_ended_lives_while_another_thread_does() {
        let proc = tempfile::TempDir::new().expect("a folder");
        let stat = |state: &str| format!("7 (a) {state} 42 {}2 0 4200 9 9\n", "0 ".repeat(15));
        let write = |process: &str, state: &str, command: &str| {
            fs::create_dir_all(proc.path().join(process)).expect("a folder");
            fs::write(proc.path().join(process).join("stat"), stat(state)).expect("a file");
            fs::write(proc.path().join(process).join("cmdline"), command).expect("a file");
        };
        write("7", "Z", "");
        write("7/task/7", "Z", "");
        assert_eq!(living_thread(proc.path(), 7), None, "there is no other");
        write("7/task/8", "S", "bun\0watch\0");
        assert_eq!(process_start(proc.path(), 7), Some(4200));
        assert_eq!(living_thread(proc.path(), 7), Some(proc.path().join("7/task/8")));
        assert_eq!(command(proc.path(), 7).expect("it has one"), ["bun", "watch"]);
        write("7", "S", "");
        assert_eq!(living_thread(proc.path(), 7), None, "its first thread lives");
    }

    #[test]
    fn a_long_command_line_is_cut_and_marked() {
        let zeros = vec![0; 64 << 10];
        for (line, expected) in [
            (b"bun\0run\0".to_vec(), vec!["bun", "run"]),
            (b"bun\0\0".to_vec(), vec!["bun", ""]),
            (Vec::new(), vec![]),
            ([b"x", zeros.as_slice()].concat(), vec!["x", CUT]),
            (zeros.clone(), vec![CUT]),
        ] {
            let cut = bounded::read_from(&line[..], COMMAND).expect("it can be read");
            assert_eq!(words(&cut.bytes, cut.is_cut), expected);
        }
        let long = bounded::read_from(std::io::repeat(b'x'), COMMAND).expect("it can be read");
        assert_eq!(words(&long.bytes, long.is_cut), ["x".repeat(COMMAND).as_str(), CUT]);
    }

    #[test]
    fn fuzz_stat() {
        for_a_while("stat", |runner| {
            runner.run(
                &"[0-9]{0,3} ?\\([a-z() \u{0}-\u{ff}]{0,20}\\)? ?[A-Za-z]? ([0-9-]{0,21} ){0,24}",
                |text| {
                    if let Some(stat) = parse(&text) {
                        prop_assert!(!stat.is_headless || has_ended(stat.state));
                        prop_assert!(text.contains(&stat.name));
                    }
                    Ok(())
                },
            )
        });
    }

    #[test]
    fn fuzz_status() {
        for_a_while("status", |runner| {
            runner.run(&"((Uid|NSpid|Pid|Name):[\t ]?([0-9\u{0}-\u{ff}]{0,12}[\t ]){0,5}\n){0,6}", |text| {
                let in_front = text.lines().find_map(|line| line.strip_prefix("Uid:"));
                prop_assert!(owner(&text).is_none() || in_front.is_some());
                Ok(())
            })
        });
    }

    #[test]
    fn fuzz_cmdline() {
        for_a_while("cmdline", |runner| {
            let run = (prop_oneof![any::<u8>(), Just(0)], 1..900_usize);
            let inputs = proptest::collection::vec(run, 0..12);
            runner.run(&inputs, |runs| {
                let line: Vec<u8> = runs.into_iter().flat_map(|(byte, count)| vec![byte; count]).collect();
                let read = bounded::read_from(&line[..], COMMAND).expect("it can be read");
                let words = words(&read.bytes, read.is_cut);
                prop_assert_eq!(read.is_cut, line.len() > COMMAND);
                prop_assert!(!read.is_cut || words.last().is_some_and(|word| word == CUT));
                // A byte that is not UTF-8 becomes three.
                prop_assert!(words.iter().map(String::len).sum::<usize>() <= 3 * COMMAND + CUT.len());
                Ok(())
            })
        });
    }

    #[test]
    fn rubbish_is_no_process() {
        for text in ["", "7", "7 (a", "7 (a)", "7 (a) S", "7 (a) S 1 2"] {
            assert_eq!(made_up(text), None, "{text:?}");
        }
    }

    #[test]
    fn a_proc_is_ours_where_it_calls_us_as_we_do_and_nothing_else() {
        let proc = tempfile::TempDir::new().expect("a folder");
        assert!(!is_own_proc(proc.path()), "it does not know us");
        fs::create_dir(proc.path().join("self")).expect("a folder");
        let own = std::process::id();
        for (said, is_ours) in [
            (format!("Pid:\t{own}\nPPid:\t1\nNSpid:\t{own}\n"), true),
            (format!("Pid:\t{own}\nPPid:\t1\n"), true),
            (format!("Pid:\t{}\nNSpid:\t{0}\t{own}\n", own + 1), false),
            // By chance the same number in both.
            (format!("Pid:\t{own}\nNSpid:\t{own}\t{own}\n"), false),
            (format!("Pid:\t{}\nNSpid:\t{0}\n", own + 1), false),
            (String::new(), false),
        ] {
            fs::write(proc.path().join("self/status"), &said).expect("a file");
            assert_eq!(is_own_proc(proc.path()), is_ours, "{said:?}");
        }
    }

    #[test]
    fn a_setuid_program_runs_as_the_owner_of_its_file() {
        let proc = tempfile::TempDir::new().expect("a folder");
        fs::create_dir(proc.path().join("7")).expect("a folder");
        let status = proc.path().join("7/status");
        for (ids, owner) in [("1000\t0\t0\t0", Some(0)), ("0\t1000\t1000\t1000", Some(1000)), ("1000", None)]
        {
            fs::write(&status, format!("Name:\tpasswd\nUid:\t{ids}\nGid:\t5\t5\t5\t5\n")).expect("a file");
            assert_eq!(process_owner(proc.path(), 7), owner, "{ids:?}");
        }
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn this_process_has_a_start_and_a_parent() {
        let pid = i32::try_from(std::process::id()).expect("a PID fits");
        assert!(process_start(Path::new("/proc"), pid).is_some_and(|ticks| ticks > 0));
        assert_eq!(process_owner(Path::new("/proc"), pid), Some(rustix::process::geteuid().as_raw()));
        let parent = i32::try_from(std::os::unix::process::parent_id()).ok();
        assert_eq!(process_parent(Path::new("/proc"), pid), parent);
    }
}
