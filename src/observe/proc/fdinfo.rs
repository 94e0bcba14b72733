//! `/proc/PID/fdinfo`: how a descriptor was opened, and the locks that were taken through it (`proc_pid_fdinfo(5)`).

use std::{fs::File, io, path::Path, time::Duration};

use rustix::fs::OFlags;

use crate::{
    bounded::{self, ReadLimits},
    observe::lock_table::{self, LockRow},
};

// A process may have a row for each byte of a file.
const BOUNDS: ReadLimits = ReadLimits { bytes: 256 << 10, time: Duration::from_millis(50) };

/// The properties of a descriptor.
#[derive(Debug, Default)]
pub struct DescriptorInfo {
    /// The inode of its file; `None` before Linux 5.14.
    pub inode: Option<u64>,
    pub is_read_only: bool,
    /// Read-only and non-blocking, as waltop opens a file for a short read, and SQLite never does.
    pub is_glance: bool,
    /// Whether its position is past the beginning, as after a read(2). SQLite names an offset with each read, which does not
    /// change the position.
    pub has_moved: bool,
    /// The locks on bytes that SQLite locks: those of the process on this file, and those of the open file description.
    pub locks: Vec<LockRow>,
}

impl DescriptorInfo {
    /// The descriptor that the file at `path` describes; `None` if it is gone.
    pub fn read(path: &Path) -> Option<Self> {
        let mut info = Self::default();
        let source = match File::open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
            Err(_) => return Some(info),
            Ok(source) => source,
        };
        // The flags come first. Unreadable or too many locks count as those of an unknown process.
        let _ = bounded::each_line(source, BOUNDS, |line| {
            info.take(line);
            true
        });
        Some(info)
    }

    // Flags are octal, and their two lowest bits are the access mode.
    fn take(&mut self, line: &[u8]) {
        if let Some(flags) = line.strip_prefix(b"flags:") {
            let flags = std::str::from_utf8(flags).ok();
            let flags = flags.and_then(|flags| u32::from_str_radix(flags.trim(), 8).ok());
            self.is_read_only = flags.is_some_and(|flags| flags % 4 == 0);
            self.is_glance =
                self.is_read_only && flags.is_some_and(|flags| flags & OFlags::NONBLOCK.bits() != 0);
        } else if let Some(position) = line.strip_prefix(b"pos:") {
            self.has_moved = position.trim_ascii() != b"0";
        } else if let Some(inode) = line.strip_prefix(b"ino:") {
            self.inode = std::str::from_utf8(inode).ok().and_then(|inode| inode.trim().parse().ok());
        } else if line.starts_with(b"lock:") {
            self.locks.extend(lock_table::row_of_sqlite(line));
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::fuzz::for_a_while;

    fn info(text: &str) -> DescriptorInfo {
        let mut info = DescriptorInfo::default();
        text.lines().for_each(|line| info.take(line.as_bytes()));
        info
    }

    #[test]
    fn flags_and_locks_are_read() {
        let read = info(
            "pos:\t0\nflags:\t02104000\nmnt_id:\t29\nino:\t5\n\
                         lock:\t1: OFDLCK ADVISORY  READ -1 fe:00:5 128 128\n\
                         lock:\t2: POSIX  ADVISORY  READ 7 fe:00:5 124 124\n\
                         lock:\t3: POSIX  ADVISORY  READ 7 fe:00:5 4 4\n",
        );
        assert!(read.is_read_only && read.is_glance && read.inode == Some(5));
        assert!(!read.has_moved && info("pos:\t4096\n").has_moved);
        assert_eq!(
            read.locks.iter().map(|row| (row.is_ofd, row.pid)).collect::<Vec<_>>(),
            [(true, None), (false, Some(7))]
        );
        assert!(!info("flags:\t02100002\n").is_read_only);
        assert!(!info("flags:\tnonsense\n").is_read_only && info("").inode.is_none());
    }

    #[test]
    fn a_descriptor_that_is_no_more_has_none() {
        assert!(DescriptorInfo::read("/proc/self/fdinfo/nonsense".as_ref()).is_none());
    }

    #[test]
    fn fuzz_fdinfo() {
        for_a_while("fdinfo", |runner| {
            let inputs = "((pos|flags|lock|mnt_id|tfd):?[\t ]?([0-9a-z:\u{0}-\u{ff}]{0,12}|1: POSIX ADVISORY READ 7 fe:0:5 \
                          [0-9]{0,21} ([0-9]{0,21}|EOF))\n){0,8}";
            runner.run(&inputs, |text| {
                let info = info(&text);
                prop_assert!(info.is_read_only || !info.is_glance);
                prop_assert!(info.locks.len() <= text.lines().count());
                Ok(())
            })
        });
    }
}
