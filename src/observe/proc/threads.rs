//! `/proc/PID/task`: the threads of a process.

use std::{fs, os::unix::fs::MetadataExt, path::Path};

use super::{ProcessFolder, stat::has_ended};
use crate::bounded;

/// How many threads of a process are searched for a live one.
const MOST_SEARCHED: usize = 1000;
/// How many threads of one process have their figures read in one sample.
const MOST_COUNTED: usize = 4096;
/// The maximum size of `schedstat`, which has three figures.
const SCHEDSTAT: usize = 4 << 10;

impl ProcessFolder {
    /// The folder of a live thread of `pid`, if the first thread of `pid` has exited: the kernel then shows neither
    /// files nor memory in the folder of the process itself.
    pub fn living_thread(proc: &Path, pid: i32) -> Option<Self> {
        let process = Self::of(proc, pid);
        if process.has_one_thread() || !process.stat()?.is_headless {
            return None;
        }
        let tasks = fs::read_dir(process.0.join("task")).ok()?;
        let mut threads = tasks.flatten().map(|task| Self(task.path())).take(MOST_SEARCHED);
        threads.find(|thread| thread.stat().is_some_and(|stat| !has_ended(stat.state)))
    }

    /// Whether it has its first thread alone, as far as the kernel's count of links says: one for each thread beside the two
    /// of any folder (`proc_task_getattr` in `fs/proc/base.c`). To ask for it is cheaper than to read `stat`, and a machine
    /// has many processes without files.
    fn has_one_thread(&self) -> bool {
        fs::metadata(self.0.join("task")).is_ok_and(|task| task.nlink() == 3)
    }

    /// The folder that shows the files and the memory of `pid`: that of the process, or of a live thread.
    pub fn with_files(proc: &Path, pid: i32) -> Self {
        Self::living_thread(proc, pid).unwrap_or_else(|| Self::of(proc, pid))
    }
}

/// How often the threads of `pid` were scheduled on a processor, all together; `None` if the kernel does not report it,
/// or there are too many of them to read.
///
/// The third figure of `/proc/PID/task/TID/schedstat`, as of `Documentation/scheduler/sched-stats` of the kernel.
pub fn times_scheduled(proc: &Path, pid: i32) -> Option<u64> {
    let mut times = 0;
    for (number, task) in fs::read_dir(ProcessFolder::of(proc, pid).0.join("task")).ok()?.enumerate() {
        if number == MOST_COUNTED {
            return None;
        }
        let figures = bounded::read_record(&task.ok()?.path().join("schedstat"), SCHEDSTAT).ok()?;
        times += figures.split_whitespace().nth(2)?.parse::<u64>().ok()?;
    }
    // An existing process has run, so zeros come from a kernel that does not count.
    (times > 0).then_some(times)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::proc::{command, process_start};

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
        assert_eq!(ProcessFolder::living_thread(proc.path(), 7), None, "there is no other");
        write("7/task/8", "S", "bun\0watch\0");
        assert_eq!(process_start(proc.path(), 7), Some(4200));
        assert_eq!(
            ProcessFolder::living_thread(proc.path(), 7),
            Some(ProcessFolder(proc.path().join("7/task/8")))
        );
        assert_eq!(command(proc.path(), 7).expect("it has one"), ["bun", "watch"]);
        write("7", "S", "");
        assert_eq!(ProcessFolder::living_thread(proc.path(), 7), None, "its first thread lives");
    }

    #[test]
    fn a_process_has_run_as_often_as_its_threads_together() {
        let proc = tempfile::TempDir::new().expect("a folder");
        let write = |thread: &str, figures: &str| {
            let folder = proc.path().join("7/task").join(thread);
            fs::create_dir_all(&folder).expect("a folder");
            fs::write(folder.join("schedstat"), figures).expect("a file");
        };
        assert_eq!(times_scheduled(proc.path(), 7), None, "it is gone");
        write("7", "0 0 0\n");
        assert_eq!(times_scheduled(proc.path(), 7), None, "the kernel does not count");
        write("7", "900 800 40\n");
        write("8", "100 200 3\n");
        assert_eq!(times_scheduled(proc.path(), 7), Some(43));
        write("9", "100 200\n");
        assert_eq!(times_scheduled(proc.path(), 7), None, "what one thread lacks makes the sum too small");
    }
}
