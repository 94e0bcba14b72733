//! `/proc/PID/limits` and the number of descriptors: how much room a process has left.

use std::fs;

use super::{FIGURES, MOST_DESCRIPTORS, ProcessFolder};
use crate::{
    bounded,
    snapshot::{ProcessLimit, ProcessLimits},
};

impl ProcessFolder {
    /// Its limits (`getrlimit(2)`) and the descriptors that it has; `None` if they cannot be read.
    pub fn limits(&self) -> Option<ProcessLimits> {
        let text = bounded::read_text(&self.0.join("limits"), FIGURES).ok()?;
        Some(ProcessLimits {
            descriptors: self.descriptor_count(),
            open_files: limit(&text, "Max open files")?,
            file_bytes: limit(&text, "Max file size")?,
        })
    }

    /// How many descriptors it has. Since Linux 6.2 the kernel states it as the size of the folder (`proc_pid_fd(5)`).
    fn descriptor_count(&self) -> Option<u64> {
        let folder = self.0.join("fd");
        let stated = fs::metadata(&folder).ok()?.len();
        if stated > 0 {
            return Some(stated);
        }
        Some(fs::read_dir(folder).ok()?.take(MOST_DESCRIPTORS).count() as u64)
    }
}

// A line is the name in columns of 26, the soft limit, the hard limit and the unit.
fn limit(text: &str, name: &str) -> Option<ProcessLimit> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    let mut fields = line.split_whitespace().map(|field| match field {
        "unlimited" => Some(None),
        figure => figure.parse().ok().map(Some),
    });
    Some(ProcessLimit { soft: fields.next()??, hard: fields.next()?? })
}

#[cfg(test)]
mod tests {
    use super::{super::fake::FakeProc, *};

    #[test]
    fn limits_are_figures_or_unlimited() {
        let proc = FakeProc::new();
        proc.process(70);
        let limits = |text: &str| {
            proc.write("70/limits", text);
            ProcessFolder::of(proc.path(), 70).limits()
        };
        let found = limits(
            "Limit                     Soft Limit           Hard Limit           Units     \n\
             Max file size             unlimited            unlimited            bytes     \n\
             Max open files            1024                 524288               files     \n",
        )
        .expect("they are there");
        assert_eq!(found.open_files, ProcessLimit { soft: Some(1024), hard: Some(524_288) });
        assert_eq!(found.file_bytes, ProcessLimit { soft: None, hard: None });
        for text in ["", "Max open files many more files\nMax file size 1 1 bytes\n"] {
            assert_eq!(limits(text), None, "{text:?}");
        }
    }

    #[test]
    fn descriptors_are_counted() {
        let own = ProcessFolder::own("/proc".as_ref());
        let before = own.descriptor_count().expect("they are ours");
        let files: Vec<_> = (0..40).map(|_| fs::File::open("/dev/null").expect("opened")).collect();
        // Other tests open and close files at the same time.
        assert!(own.descriptor_count().expect("they are ours") + 20 >= before + files.len() as u64);
    }
}
