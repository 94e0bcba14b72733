//! A line of the kernel's trace of lock requests.
//!
//! The printed form is the same from Linux 5.10 to 7.3 (`tests/kernels`), while fields were renamed and reordered. A
//! program may give itself any name, so a line is read from the right.

use std::time::Duration;

use crate::observe::proc::mounts::DeviceNumber;

/// A request for a lock, or the release of all locks of a process on a file that it closes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockRequest {
    /// Time since boot, with the time of sleep.
    pub at: Duration,
    pub thread: i32,
    /// The process, as the kernel's first PID namespace numbers it.
    pub pid: i32,
    pub device: DeviceNumber,
    pub inode: u64,
    /// Whom the lock belongs to: a process, or an open file. The kernel prints a hashed pointer.
    pub owner: u64,
    pub kind: RequestKind,
    pub first: u64,
    pub last: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RequestKind {
    /// A shared lock was taken.
    Shared,
    /// An exclusive lock was taken.
    Exclusive,
    /// Another process holds the lock; whether an exclusive one was asked for.
    Refused {
        is_exclusive: bool,
    },
    /// The same, and the thread sleeps until the lock is free (`F_SETLKW`). It asks again then, which is another
    /// request; what interrupts it shows in none.
    Deferred {
        is_exclusive: bool,
    },
    Released,
}

impl RequestKind {
    /// Whether nothing was taken or released.
    pub fn is_in_vain(self) -> bool {
        matches!(self, Self::Refused { .. } | Self::Deferred { .. })
    }
}

/// The names of the events, as they precede their fields.
const REQUEST: &str = "posix_lock_inode:";
const CLOSE: &str = "locks_remove_posix:";
/// The kernel's `EAGAIN`.
const AGAIN: i32 = -11;
/// The kernel's `FILE_LOCK_DEFERRED`.
const DEFERRED: i32 = 1;

/// The fields of a line, as text.
#[derive(Debug, Default)]
struct Fields<'a> {
    result: &'a str,
    kind: &'a str,
    device: &'a str,
    inode: &'a str,
    owner: &'a str,
    pid: &'a str,
    first: &'a str,
    last: &'a str,
}

impl<'a> Fields<'a> {
    /// Those before the end of `line`, whether it is a close, and what precedes the name of the event.
    fn of(line: &'a str) -> Option<(&'a str, bool, Self)> {
        let (mut fields, mut rest) = (Self::default(), line.trim_ascii_end());
        loop {
            let (before, word) = rest.rsplit_once(' ')?;
            rest = before;
            if word == REQUEST || word == CLOSE {
                return Some((rest, word == CLOSE, fields));
            }
            let Some((name, value)) = word.split_once('=') else { continue };
            match name {
                "ret" => fields.result = value,
                "fl_type" => fields.kind = value,
                "dev" => fields.device = value,
                "ino" => fields.inode = value,
                "fl_owner" => fields.owner = value,
                "fl_pid" => fields.pid = value,
                "fl_start" => fields.first = value,
                "fl_end" => fields.last = value,
                _ => {}
            }
        }
    }
}

/// The request in `line`; `None` for a failed request, for one that only asks, and for a line of another form.
pub fn parse(line: &str) -> Option<LockRequest> {
    let (head, is_close, fields) = Fields::of(line)?;
    let kind = match (fields.kind, fields.result.parse().ok()?) {
        ("F_UNLCK", 0) => RequestKind::Released,
        ("F_RDLCK", 0) => RequestKind::Shared,
        ("F_WRLCK", 0) => RequestKind::Exclusive,
        ("F_RDLCK", AGAIN) => RequestKind::Refused { is_exclusive: false },
        ("F_WRLCK", AGAIN) => RequestKind::Refused { is_exclusive: true },
        ("F_RDLCK", DEFERRED) => RequestKind::Deferred { is_exclusive: false },
        ("F_WRLCK", DEFERRED) => RequestKind::Deferred { is_exclusive: true },
        _ => return None,
    };
    if is_close && kind != RequestKind::Released {
        return None;
    }
    let (major, minor) = fields.device.split_once(':')?;
    // A lock to the end of the file prints the largest offset.
    let offset = |text: &str| text.parse::<i64>().ok().and_then(|it| u64::try_from(it).ok());
    let (at, thread) = head_of(head)?;
    Some(LockRequest {
        at,
        thread,
        pid: fields.pid.parse().ok()?,
        device: (hex(major)?.try_into().ok()?, hex(minor)?.try_into().ok()?),
        inode: hex(fields.inode)?,
        owner: hex(fields.owner)?,
        kind,
        first: offset(fields.first)?,
        last: offset(fields.last)?,
    })
}

/// Whether `line` is a request that [`parse`] should understand: one that was granted, refused or deferred.
pub fn is_request(line: &str) -> bool {
    line.contains(REQUEST) && [" ret=0", " ret=-11", " ret=1"].iter().any(|result| line.ends_with(result))
}

/// Whether `line` says that a buffer has lost events (`print_trace_line` of the kernel).
pub fn is_loss(line: &str) -> bool {
    line.starts_with("CPU:") && line.ends_with(" EVENTS]")
}

// `          python3-24032   [001] ...1.  1191.338662:`
fn head_of(head: &str) -> Option<(Duration, i32)> {
    let time = head.rsplit(' ').next()?.strip_suffix(':')?;
    let (seconds, fraction) = time.split_once('.')?;
    let micros: u64 = fraction.parse().ok().filter(|_| fraction.len() == 6)?;
    let at = Duration::from_secs(seconds.parse().ok()?) + Duration::from_micros(micros);
    // The name and the thread precede the processor in brackets; a name may contain spaces and brackets.
    let processor = head.rfind(" [")?;
    let (_, thread) = head[..processor].trim_end().rsplit_once('-')?;
    // With the option record-tgid the process follows the thread, in round brackets.
    let thread = thread.split_ascii_whitespace().next()?;
    Some((at, thread.parse().ok()?))
}

fn hex(text: &str) -> Option<u64> {
    u64::from_str_radix(text.strip_prefix("0x").unwrap_or(text), 16).ok()
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::fuzz::for_a_while;

    pub const REFUSED: &str = "         python3-24032   [001] ...1.  1191.338662: posix_lock_inode: fl=00000000a1b2c3d4 \
         dev=0xfe:0x0 ino=0x98e920 fl_blocker=0000000000000000 fl_owner=00000000cafe0001 fl_pid=24031 \
         fl_flags=FL_POSIX fl_type=F_WRLCK fl_start=120 fl_end=120 ret=-11";

    #[test]
    fn a_refused_request_names_thread_process_and_bytes() {
        let request = parse(REFUSED).expect("a request");
        assert_eq!(request.at, Duration::from_micros(1_191_338_662));
        assert_eq!((request.thread, request.pid, request.owner), (24032, 24031, 0xcafe_0001));
        assert_eq!((request.device, request.inode), ((0xfe, 0), 0x98_e920));
        assert_eq!((request.first, request.last), (120, 120));
        assert_eq!(request.kind, RequestKind::Refused { is_exclusive: true });
    }

    #[test]
    fn a_name_may_look_like_a_part_of_the_line() {
        for name in ["a b", "x [001] -7", "a: posix_lock_inode: b", "ret=0", "-"] {
            let line = REFUSED.replace("python3", name);
            let request = parse(&line).unwrap_or_else(|| panic!("{name}"));
            assert_eq!((request.thread, request.pid), (24032, 24031), "{name}");
        }
    }

    #[test]
    fn the_kinds_of_requests_are_told_apart() {
        let kind = |fl_type: &str, ret: &str| {
            let line = REFUSED.replace("F_WRLCK", fl_type).replace("ret=-11", &format!("ret={ret}"));
            parse(&line).map(|request| request.kind)
        };
        assert_eq!(kind("F_UNLCK", "0"), Some(RequestKind::Released));
        assert_eq!(kind("F_RDLCK", "0"), Some(RequestKind::Shared));
        assert_eq!(kind("F_WRLCK", "0"), Some(RequestKind::Exclusive));
        assert_eq!(kind("F_RDLCK", "-11"), Some(RequestKind::Refused { is_exclusive: false }));
        assert_eq!(kind("F_RDLCK", "1"), Some(RequestKind::Deferred { is_exclusive: false }));
        assert_eq!(kind("F_WRLCK", "1"), Some(RequestKind::Deferred { is_exclusive: true }));
        assert_eq!(kind("F_UNLCK", "1"), None, "no release waits");
        assert_eq!(kind("F_WRLCK", "-9"), None, "another failure holds nothing");
    }

    #[test]
    fn a_close_releases_and_the_end_of_the_file_is_a_large_number() {
        let line = "  head-7 [000] ..... 5.000001: locks_remove_posix: fl=0 dev=0x0:0x1f ino=0x5 fl_blocker=0 \
                    fl_owner=1 fl_pid=7 fl_flags=FL_POSIX|FL_CLOSE fl_type=F_UNLCK fl_start=0 \
                    fl_end=9223372036854775807 ret=0";
        let request = parse(line).expect("a request");
        assert_eq!((request.kind, request.last), (RequestKind::Released, i64::MAX.unsigned_abs()));
        assert_eq!(request.device, (0, 31));
    }

    #[test]
    fn a_line_of_another_clock_or_with_the_process_is_recognised() {
        let line = "           <...>-412   [000] d..1   312.5: posix_lock_inode: fl=0 ret=0";
        assert_eq!(parse(line), None, "a time without microseconds is of another clock");
        let with_process = REFUSED.replace("24032 ", "24032 (24031) ");
        assert_eq!(parse(&with_process).map(|request| request.thread), Some(24032));
    }

    #[test]
    fn a_line_that_is_no_request_is_not_missed() {
        assert!(is_request(REFUSED) && is_request(&REFUSED.replace("fl_start", "start")));
        assert!(is_request(&REFUSED.replace("-11", "1")) && !is_request(&REFUSED.replace("-11", "-1")));
        assert!(!is_request("CPU:1 [LOST 37 EVENTS]") && !is_request(&REFUSED.replace("-11", "-9")));
    }

    #[test]
    fn a_buffer_says_that_it_has_lost_events() {
        // Without a number where the kernel does not know how many.
        assert!(is_loss("CPU:1 [LOST 37 EVENTS]") && is_loss("CPU:12 [LOST EVENTS]"));
        assert!(!is_loss(REFUSED) && !is_loss(&REFUSED.replace("python3", "CPU:1 [LOST 3 EVENTS]")));
    }

    #[test]
    fn fuzz_lock_trace() {
        for_a_while("lock_trace", |runner| {
            let inputs = "[a-z \\-\\[\\]:]{0,12}-?[0-9]{0,7} \\[[0-9]{0,3}\\] [.d1]{0,5} [0-9]{0,5}\\.[0-9]{0,7}: \
                          (posix_lock_inode|locks_remove_posix|x): ((dev|ino|fl_owner|fl_pid|fl_type|fl_start|fl_end|ret)=\
                          (0x[0-9a-f]{0,18}(:0x[0-9a-f]{0,9})?|F_(UN|RD|WR)LCK|-?[0-9]{0,21}) ){0,9}";
            runner.run(&inputs, |line| {
                if let Some(request) = parse(&line) {
                    prop_assert!(request.first <= i64::MAX.unsigned_abs());
                }
                is_request(&line);
                Ok(())
            })
        });
    }
}
