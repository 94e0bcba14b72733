//! A tracing instance of waltop's own (`Documentation/trace/ftrace.rst` of the kernel): a folder with a buffer, which
//! leaves the settings of others alone.

use std::{
    collections::BTreeMap,
    fs::{self, File, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use rustix::fs::OFlags;

use crate::bounded;

/// The start of the name of every instance of waltop's.
const PREFIX: &str = "waltop-";
/// How many names are tried.
const MOST_NAMES: u32 = 16;
/// Kilobytes of the buffer of each processor: 1,410 without this setting. With it there is room for some 4,000 requests,
/// those of 600 write transactions.
const BUFFER_KB: &str = "512";
/// The events that show the lock requests, by their files below `events`.
pub const EVENTS: [&str; 2] = ["filelock/posix_lock_inode", "filelock/locks_remove_posix"];
/// The maximum size of a small file of tracefs.
const SMALL: usize = 64 << 10;
/// How much one round reads from the buffer.
const ROUND: usize = 4 << 20;
/// The kernel gives up to two pages with one reading (`TRACE_SEQ_BUFFER_SIZE`).
const READING: usize = 8 << 10;

/// The instance. It is removed with this value.
#[derive(Debug)]
pub struct TraceInstance {
    folder: PathBuf,
    /// While this is open, the kernel refuses to remove the folder.
    pipe: Option<File>,
    /// The bytes of an unfinished line.
    rest: Vec<u8>,
}

impl TraceInstance {
    /// Makes an instance in the tracefs at `root`, and removes those that nobody uses.
    ///
    /// # Errors
    ///
    /// It cannot be made: without root, or if the kernel is locked down.
    pub fn create(root: &Path) -> io::Result<Self> {
        let instances = root.join("instances");
        remove_unused(&instances);
        let mut refused = None;
        for number in 0..MOST_NAMES {
            let folder = instances.join(format!("{PREFIX}{}-{number}", std::process::id()));
            match fs::create_dir(&folder) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
                Err(error) => return Err(error),
            }
            // Another waltop may remove the folder before it is used.
            match open_pipe(&folder) {
                Ok(pipe) => return Self { folder, pipe: Some(pipe), rest: Vec::new() }.prepared(),
                Err(error) => refused = Some(error),
            }
        }
        Err(refused.unwrap_or_else(|| io::Error::from(io::ErrorKind::AlreadyExists)))
    }

    // The size first: the buffer is allocated with the first event.
    fn prepared(self) -> io::Result<Self> {
        self.set("buffer_size_kb", BUFFER_KB)?;
        self.set("trace_clock", "boot")?;
        Ok(self)
    }

    /// Traces the requests that `filter` describes, and none before the first call.
    ///
    /// # Errors
    ///
    /// The kernel refuses the filter.
    pub fn trace(&self, filter: &str) -> io::Result<()> {
        for event in EVENTS {
            self.set(&format!("events/{event}/filter"), filter)?;
            self.set(&format!("events/{event}/enable"), "1")?;
        }
        Ok(())
    }

    /// Stops tracing, and keeps the instance.
    ///
    /// # Errors
    ///
    /// The instance is gone.
    pub fn pause(&self) -> io::Result<()> {
        EVENTS.iter().try_for_each(|event| self.set(&format!("events/{event}/enable"), "0"))
    }

    /// Calls `take` with each line that has arrived.
    ///
    /// # Errors
    ///
    /// The instance is gone.
    pub fn read(&mut self, mut take: impl FnMut(&str)) -> io::Result<()> {
        let Some(pipe) = &mut self.pipe else { return Ok(()) };
        let (mut buffer, mut total) = ([0; READING], 0);
        while total < ROUND {
            match pipe.read(&mut buffer) {
                Ok(0) => break,
                Ok(count) => {
                    total += count;
                    self.rest.extend_from_slice(&buffer[..count]);
                    let end = self.rest.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
                    self.rest[..end].split(|&byte| byte == b'\n').for_each(|line| {
                        match str::from_utf8(line) {
                            Ok(line) => take(line),
                            Err(_) => take(&String::from_utf8_lossy(line)),
                        }
                    });
                    self.rest.drain(..end);
                    // No line of the kernel is that long.
                    self.rest.truncate(SMALL);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// How many events were overwritten before they could be read, on all processors.
    pub fn overruns(&self) -> u64 {
        let Ok(processors) = fs::read_dir(self.folder.join("per_cpu")) else { return 0 };
        let stats =
            processors.flatten().filter_map(|cpu| bounded::read_text(&cpu.path().join("stats"), SMALL).ok());
        stats.map(|text| overrun_in(&text)).sum()
    }

    fn set(&self, file: &str, value: &str) -> io::Result<()> {
        // Without O_CREAT and O_TRUNC: the files are the kernel's.
        OpenOptions::new().write(true).open(self.folder.join(file))?.write_all(value.as_bytes())
    }
}

impl Drop for TraceInstance {
    fn drop(&mut self) {
        // What fails here is removed by the next start.
        let _ = self.pause();
        self.pipe = None;
        let _ = fs::remove_dir(&self.folder);
    }
}

fn open_pipe(folder: &Path) -> io::Result<File> {
    let flags = i32::try_from((OFlags::NONBLOCK | OFlags::CLOEXEC).bits()).unwrap_or(0);
    OpenOptions::new().read(true).custom_flags(flags).open(folder.join("trace_pipe"))
}

// The kernel refuses to remove an instance that is in use. A PID in the name proves nothing: PIDs are reused, and count
// differently in another namespace.
fn remove_unused(instances: &Path) {
    let Ok(entries) = fs::read_dir(instances) else { return };
    for entry in entries.flatten() {
        if entry.file_name().to_string_lossy().starts_with(PREFIX) {
            let _ = fs::remove_dir(entry.path());
        }
    }
}

fn overrun_in(stats: &str) -> u64 {
    stats.lines().find_map(|line| line.strip_prefix("overrun: ")?.trim().parse().ok()).unwrap_or(0)
}

/// The filter for requests on SQLite's bytes of `files`: the numbers of the device and the inode, and the bytes. Files
/// that share the rest share a term.
pub fn filter(files: &[TracedFile]) -> String {
    let mut terms: BTreeMap<_, Vec<String>> = BTreeMap::new();
    for &TracedFile { device, inode, first, last } in files {
        terms.entry((device, first, last)).or_default().push(format!("i_ino=={inode}"));
    }
    let mut filter = String::new();
    for (((major, minor), first, last), inodes) in terms {
        // The kernel keeps a device in 12 and 20 bits, and `stat` shows it in another form.
        let device = u64::from(major) << 20 | u64::from(minor);
        let (open, close) = if inodes.len() == 1 { ("", "") } else { ("(", ")") };
        let (or, inodes) = (if filter.is_empty() { "" } else { " || " }, inodes.join(" || "));
        filter.push_str(&format!(
            "{or}({open}{inodes}{close} && s_dev=={device} && fl_start<={last} && fl_end>={first})"
        ));
    }
    filter
}

/// A file and the bytes of it whose requests are traced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TracedFile {
    pub device: (u32, u32),
    pub inode: u64,
    pub first: u64,
    pub last: u64,
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// An instance that finds what the kernel would show in the files of `folder`.
    pub fn instance(folder: &Path) -> TraceInstance {
        let pipe = Some(open_pipe(folder).expect("a pipe"));
        TraceInstance { folder: folder.to_owned(), pipe, rest: Vec::new() }
    }

    #[test]
    fn a_filter_names_device_inode_and_bytes() {
        let file = TracedFile { device: (254, 1), inode: 5, first: 120, last: 128 };
        assert_eq!(filter(&[file]), "(i_ino==5 && s_dev==266338305 && fl_start<=128 && fl_end>=120)");
        let other = TracedFile { inode: 6, ..file };
        assert_eq!(
            filter(&[file, other, TracedFile { device: (0, 40), ..file }]),
            "(i_ino==5 && s_dev==40 && fl_start<=128 && fl_end>=120) || \
             ((i_ino==5 || i_ino==6) && s_dev==266338305 && fl_start<=128 && fl_end>=120)"
        );
    }

    #[test]
    fn overruns_are_read_from_the_statistics() {
        assert_eq!(overrun_in("entries: 0\noverrun: 12\ncommit overrun: 3\n"), 12);
        assert_eq!(overrun_in(""), 0);
    }

    #[test]
    fn a_buffer_without_lines_is_not_waited_for_and_no_worker_inherits_it() {
        let folder = tempfile::TempDir::new().expect("a folder");
        fs::write(folder.path().join("trace_pipe"), "").expect("written");
        let pipe = open_pipe(folder.path()).expect("a pipe");
        assert!(rustix::fs::fcntl_getfl(&pipe).expect("flags").contains(OFlags::NONBLOCK));
        assert!(rustix::io::fcntl_getfd(&pipe).expect("flags").contains(rustix::io::FdFlags::CLOEXEC));
    }

    #[test]
    fn an_instance_that_cannot_be_made_is_refused_with_the_reason_of_the_kernel() {
        let root = tempfile::TempDir::new().expect("a folder");
        let kind = || TraceInstance::create(root.path()).map(drop).map_err(|error| error.kind());
        assert_eq!(kind(), Err(io::ErrorKind::NotFound), "there is no folder for instances");
        let instances = root.path().join("instances");
        let name = |number: u32| instances.join(format!("{PREFIX}{}-{number}", std::process::id()));
        // In use: the kernel does not remove it.
        fs::create_dir_all(name(0).join("events")).expect("a folder");
        assert_eq!(kind(), Err(io::ErrorKind::NotFound), "there is no buffer in a folder of the disk");
        assert!(name(1).is_dir(), "the next name was tried");
        (0..MOST_NAMES).for_each(|number| fs::create_dir_all(name(number).join("events")).expect("a folder"));
        assert_eq!(kind(), Err(io::ErrorKind::AlreadyExists), "every name is taken");
    }

    fn read(instance: &mut TraceInstance) -> Vec<String> {
        let mut lines = Vec::new();
        instance.read(|line| lines.push(line.to_owned())).expect("readable");
        lines.retain(|line| !line.is_empty());
        lines
    }

    #[test]
    fn a_line_is_reported_once_it_is_complete_and_an_empty_buffer_is_no_failure() {
        let folder = tempfile::TempDir::new().expect("a folder");
        let path = folder.path().join("trace_pipe");
        let mode = rustix::fs::Mode::from_raw_mode(0o600);
        rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, mode, 0).expect("a pipe");
        let mut instance = instance(folder.path());
        let mut kernel = OpenOptions::new().write(true).open(&path).expect("it is read");
        assert_eq!(read(&mut instance), [""; 0]);
        kernel.write_all(b"one\ntwo\nth").expect("written");
        assert_eq!(read(&mut instance), ["one", "two"]);
        kernel.write_all(b"ree\n").expect("written");
        assert_eq!(read(&mut instance), ["three"]);
        assert_eq!(read(&mut instance), [""; 0]);
    }

    #[test]
    fn more_lines_than_one_reading_takes_stay_for_the_next() {
        let folder = tempfile::TempDir::new().expect("a folder");
        let count = ROUND / 8 + 10_000;
        fs::write(folder.path().join("trace_pipe"), "1234567\n".repeat(count)).expect("written");
        let mut instance = instance(folder.path());
        let first = read(&mut instance).len();
        assert!(first >= ROUND / 8 && first < count, "{first}");
        assert_eq!(first + read(&mut instance).len(), count);
    }

    #[test]
    fn a_line_without_end_takes_no_more_memory_than_a_small_file() {
        let folder = tempfile::TempDir::new().expect("a folder");
        fs::write(folder.path().join("trace_pipe"), vec![b'x'; 3 * SMALL]).expect("written");
        let mut instance = instance(folder.path());
        assert_eq!(read(&mut instance), [""; 0]);
        assert_eq!(instance.rest.len(), SMALL);
    }

    #[test]
    fn both_events_are_filtered_and_traced_until_the_instance_goes() {
        let folder = tempfile::TempDir::new().expect("a folder");
        fs::write(folder.path().join("trace_pipe"), "").expect("written");
        let file = |event: &str, name: &str| folder.path().join("events").join(event).join(name);
        for (event, name) in EVENTS.iter().flat_map(|event| [(event, "filter"), (event, "enable")]) {
            fs::create_dir_all(folder.path().join("events").join(event)).expect("a folder");
            fs::write(file(event, name), "").expect("written");
        }
        let said = |name: &str| EVENTS.map(|event| fs::read_to_string(file(event, name)).expect("there"));
        let instance = instance(folder.path());
        instance.trace("i_ino==5").expect("traced");
        assert_eq!(
            (said("filter"), said("enable")),
            (["i_ino==5"; 2].map(Into::into), ["1"; 2].map(Into::into))
        );
        instance.pause().expect("paused");
        assert_eq!(said("enable"), ["0", "0"]);
        instance.trace("i_ino==6").expect("traced");
        drop(instance);
        assert_eq!(said("enable"), ["0", "0"], "and none is traced for nobody");
    }

    #[test]
    fn a_small_buffer_and_the_clock_of_the_boot_are_set_before_the_first_event() {
        let folder = tempfile::TempDir::new().expect("a folder");
        for file in ["trace_pipe", "buffer_size_kb", "trace_clock"] {
            fs::write(folder.path().join(file), "").expect("written");
        }
        let instance = instance(folder.path()).prepared().expect("prepared");
        let said = |file: &str| fs::read_to_string(folder.path().join(file)).expect("there");
        assert_eq!((said("buffer_size_kb"), said("trace_clock")), (BUFFER_KB.to_owned(), "boot".to_owned()));
        fs::remove_file(folder.path().join("trace_clock")).expect("removed");
        assert!(instance.prepared().is_err(), "a kernel without that clock");
    }

    #[test]
    fn instances_that_another_waltop_left_are_removed_and_those_of_others_are_not() {
        let root = tempfile::TempDir::new().expect("a folder");
        let instances = root.path().join("instances");
        for name in ["waltop-1-0", "waltop-2-3", "perf"] {
            fs::create_dir_all(instances.join(name)).expect("a folder");
        }
        fs::create_dir(instances.join("waltop-1-0/in-use")).expect("a folder");
        remove_unused(&instances);
        let left = ["waltop-1-0", "waltop-2-3", "perf"].map(|name| instances.join(name).exists());
        assert_eq!(left, [true, false, true]);
    }
}
