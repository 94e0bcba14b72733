//! `/proc/PID/statm`: how much memory a process has (`proc_pid_statm(5)`).

use super::{FIGURES, ProcessFolder};
use crate::bounded;

impl ProcessFolder {
    /// Its resident memory; `None` if it is gone. Since Linux 6.16 it is exact, and that in `stat` is not.
    pub fn resident_bytes(&self) -> Option<u64> {
        let text = bounded::read_record(&self.0.join("statm"), FIGURES).ok()?;
        let pages: u64 = text.split_ascii_whitespace().nth(1)?.parse().ok()?;
        pages.checked_mul(rustix::param::page_size() as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::{super::fake::FakeProc, *};

    #[test]
    fn the_second_figure_counts_resident_pages() {
        let proc = FakeProc::new();
        let resident = |text: &str| {
            proc.write("70/statm", text);
            ProcessFolder::of(proc.path(), 70).resident_bytes()
        };
        let page = rustix::param::page_size() as u64;
        assert_eq!(resident("4096 2010 900 1 0 1200 0\n"), Some(2010 * page));
        let largest = u64::MAX.to_string();
        for odd in ["", "4096", "4096 x", &format!("1 {largest}"), &format!("1 {largest}0")] {
            assert_eq!(resident(odd), None, "{odd:?}");
        }
        assert_eq!(ProcessFolder::of(proc.path(), 71).resident_bytes(), None, "it is gone");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_process_has_memory() {
        let own = ProcessFolder::own("/proc".as_ref());
        assert!(own.resident_bytes().is_some_and(|bytes| bytes > 1 << 20));
    }
}
