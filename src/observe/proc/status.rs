//! `/proc/PID/status`: users, PID namespaces and ignored signals (`proc_pid_status(5)`).

use std::{io, path::Path};

use super::ProcessFolder;
use crate::bounded;

/// The maximum size of `status`: a process may be in 65,536 groups, each of which has up to 11 bytes there.
const STATUS: usize = 1 << 20;

impl ProcessFolder {
    fn status(&self) -> io::Result<String> {
        bounded::read_text(&self.0.join("status"), STATUS)
    }
}

/// Whether the PIDs of the `/proc` at `proc` are those of this process's system calls. After unshare(1) without
/// `--mount-proc`, and in the `/proc` of a container, they are not: there this process has another PID, or one in each
/// of several namespaces, or none (`NSpid`).
pub fn is_own_proc(proc: &Path) -> bool {
    let Ok(status) = ProcessFolder::own(proc).status() else { return false };
    // A kernel without such namespaces does not report it.
    let Some(pids) = field(&status, "NSpid:").or_else(|| field(&status, "Pid:")) else { return false };
    pids.split_ascii_whitespace().eq([std::process::id().to_string().as_str()])
}

/// The user of process `pid`, by its effective user ID. A setuid program changes it, so that a process shown as another
/// user's is also another user's for a signal. `None` if `pid` is gone.
pub fn process_owner(proc: &Path, pid: i32) -> Option<u32> {
    owner(&ProcessFolder::of(proc, pid).status().ok()?)
}

/// The PID of `pid` in its innermost PID namespace, if that is not the one of `proc`.
pub fn inner_pid(proc: &Path, pid: i32) -> Option<i32> {
    innermost_pid(&ProcessFolder::of(proc, pid).status().ok()?)
}

/// Whether `pid` is the number of a process. A thread has a folder of its number as well, which no listing shows.
pub fn is_process(proc: &Path, pid: i32) -> bool {
    ProcessFolder::of(proc, pid).status().is_ok_and(|status| process_of(&status) == Some(pid))
}

/// Whether this process ignores the signal with that number; `false` if that is unknown.
pub fn ignores_signal(proc: &Path, number: i32) -> bool {
    is_ignored(&ProcessFolder::own(proc).status().unwrap_or_default(), number)
}

/// The effective capabilities of this process, a bit for each.
pub fn capabilities(proc: &Path) -> Option<u64> {
    u64::from_str_radix(field(&ProcessFolder::own(proc).status().ok()?, "CapEff:")?.trim(), 16).ok()
}

fn field<'a>(status: &'a str, key: &str) -> Option<&'a str> {
    status.lines().find_map(|line| line.strip_prefix(key))
}

fn process_of(status: &str) -> Option<i32> {
    field(status, "Tgid:")?.trim().parse().ok()
}

fn owner(status: &str) -> Option<u32> {
    // Real, effective, saved, and that of the file system.
    field(status, "Uid:")?.split_ascii_whitespace().nth(1)?.parse().ok()
}

fn innermost_pid(status: &str) -> Option<i32> {
    let mut pids = field(status, "NSpid:")?.split_ascii_whitespace();
    pids.next()?;
    pids.last()?.parse().ok()
}

fn is_ignored(status: &str, number: i32) -> bool {
    let mask = field(status, "SigIgn:").and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.unwrap_or_default() >> (number - 1) & 1 == 1
}

#[cfg(test)]
mod tests {
    use std::fs;

    use proptest::prelude::*;

    use super::*;
    use crate::fuzz::for_a_while;

    #[test]
    fn what_is_ignored_is_read_from_the_mask() {
        let status = "Name:\twaltop\nSigBlk:\tffffffffffffffff\nSigIgn:\t0000000000001001\nSigCgt:\t0\n";
        let [hangup, pipe, terminate] = [1, 13, 15];
        assert!(is_ignored(status, hangup) && is_ignored(status, pipe));
        assert!(!is_ignored(status, terminate) && !is_ignored("", hangup));
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
    fn fuzz_inner_pids() {
        for_a_while("NSpid", |runner| {
            runner.run(&"((NSpid|Pid):(\t| |-?[0-9]{0,12}|.){0,8}\n){0,4}", |text| {
                let pid = innermost_pid(&text);
                prop_assert!(pid.is_none_or(|pid| text.contains(&pid.abs().to_string())));
                Ok(())
            })
        });
    }

    #[test]
    fn a_signal_is_ignored_if_its_bit_is_set() {
        let proc = crate::observe::proc::fake::FakeProc::new();
        assert!(!ignores_signal(proc.path(), 13), "it is not known");
        proc.write("self/status", "Name:\twaltop\nSigIgn:\t0000000000001001\n");
        let ignored: Vec<i32> = (1..=64).filter(|number| ignores_signal(proc.path(), *number)).collect();
        assert_eq!(ignored, [1, 13]);
    }

    #[test]
    fn the_effective_capabilities_are_a_mask() {
        let proc = crate::observe::proc::fake::FakeProc::new();
        assert_eq!(capabilities(proc.path()), None);
        proc.write("self/status", "CapPrm:\t000001ffffffffff\nCapEff:\t0000000000080004\n");
        assert_eq!(capabilities(proc.path()), Some(1 << 19 | 1 << 2));
        proc.write("self/status", "CapEff:\tnone\n");
        assert_eq!(capabilities(proc.path()), None);
    }

    #[test]
    fn a_thread_is_no_process() {
        let proc = crate::observe::proc::fake::FakeProc::new();
        proc.process(70).write("71/status", "Name:\tworker\nTgid:\t70\nPid:\t71\n");
        assert_eq!([70, 71, 72].map(|pid| is_process(proc.path(), pid)), [true, false, false]);
    }
}
