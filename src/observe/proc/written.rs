//! `/proc/PID/io`: what a process has written (`proc_pid_io(5)`).

use super::{FIGURES, ProcessFolder};
use crate::bounded;

impl ProcessFolder {
    /// Bytes that it has caused to be written to a disk, its threads included; `None` if this user may not know.
    pub fn written_bytes(&self) -> Option<u64> {
        self.figure("write_bytes:")
    }

    /// Bytes that it has read since its start, from whatever file and from the page cache, too.
    pub fn read_bytes(&self) -> Option<u64> {
        self.figure("rchar:")
    }

    fn figure(&self, name: &str) -> Option<u64> {
        let text = bounded::read_text(&self.0.join("io"), FIGURES).ok()?;
        text.lines().find_map(|line| line.strip_prefix(name))?.trim().parse().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::{super::fake::FakeProc, *};

    #[test]
    fn bytes_to_the_disk_are_not_those_of_all_writes() {
        let proc = FakeProc::new();
        proc.process(70);
        let written = |text: &str| {
            proc.write("70/io", text);
            ProcessFolder::of(proc.path(), 70).written_bytes()
        };
        assert_eq!(written("wchar: 9\nwrite_bytes: 8192\ncancelled_write_bytes: 4096\n"), Some(8192));
        assert_eq!(ProcessFolder::of(proc.path(), 70).read_bytes(), None);
        assert_eq!(written("rchar: 4096\nwchar: 9\n"), None);
        assert_eq!(ProcessFolder::of(proc.path(), 70).read_bytes(), Some(4096));
        assert_eq!(ProcessFolder::of(proc.path(), 71).written_bytes(), None);
    }
}
