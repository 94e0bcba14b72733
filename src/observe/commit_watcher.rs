//! Watches logs for writes with `inotify(7)`. A transaction writes its frames when it commits, and releases the write
//! lock right after that. The end of a long hold is therefore known exactly without frequent samples.
//!
//! The watch takes no lock and delays no writer. It exists on Linux only.

#[cfg(target_os = "linux")]
mod hearing {
    use std::{mem::MaybeUninit, os::fd::OwnedFd, path::Path, time::Duration};

    use rustix::{
        event::{PollFd, PollFlags, Timespec, poll},
        fs::inotify::{self, CreateFlags, ReadFlags, Reader, WatchFlags},
    };

    use super::WatchedLog;

    /// Reports the next write to each watched log.
    #[derive(Debug)]
    pub struct CommitWatcher {
        events: OwnedFd,
    }

    impl CommitWatcher {
        /// `None` if the kernel gives no such descriptor: their number per user is limited.
        pub fn open() -> Option<Self> {
            let events = inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC).ok()?;
            Some(Self { events })
        }

        /// Watches for the next write to `log`, and for no further one.
        pub fn listen(&self, log: &Path) -> Option<WatchedLog> {
            // The queue is not drained here: it may have an event of another log, which is reported only once.
            inotify::add_watch(&self.events, log, WatchFlags::MODIFY | WatchFlags::ONESHOT).ok()
        }

        pub fn forget(&self, watch: WatchedLog) {
            // The event may have arrived, which ends the watch.
            let _ = inotify::remove_watch(&self.events, watch);
        }

        /// Waits for an event, or for `at_most`; returns the logs that were written to.
        pub fn wait(&self, at_most: Duration) -> Vec<WatchedLog> {
            let mut fds = [PollFd::new(&self.events, PollFlags::IN)];
            let timeout = Timespec::try_from(at_most).ok();
            // A signal ends the wait early, which does no harm.
            let _ = poll(&mut fds, timeout.as_ref());
            self.written_logs()
        }

        fn written_logs(&self) -> Vec<WatchedLog> {
            let mut buffer = [MaybeUninit::uninit(); 512];
            let mut events = Reader::new(&self.events, &mut buffer);
            let mut heard = Vec::new();
            while let Ok(event) = events.next() {
                if event.events().contains(ReadFlags::MODIFY) {
                    heard.push(event.wd());
                }
            }
            heard
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod hearing {
    use std::{path::Path, time::Duration};

    use super::WatchedLog;

    #[derive(Debug)]
    pub struct CommitWatcher;

    #[expect(clippy::unused_self, reason = "the same calls as on Linux")]
    impl CommitWatcher {
        pub fn open() -> Option<Self> {
            None
        }

        /// A log is not watchable here.
        pub fn listen(&self, _log: &Path) -> Option<WatchedLog> {
            None
        }

        /// There is no watch to remove.
        pub fn forget(&self, _watch: WatchedLog) {}

        pub fn wait(&self, at_most: Duration) -> Vec<WatchedLog> {
            std::thread::sleep(at_most);
            Vec::new()
        }
    }
}

pub use hearing::CommitWatcher;

/// A watched log.
pub type WatchedLog = i32;

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::{fs, time::Duration};

    use super::*;

    #[test]
    fn one_write_to_one_log_is_noticed_once() {
        let folder = tempfile::TempDir::new().expect("a folder");
        let (one, two) = (folder.path().join("one-wal"), folder.path().join("two-wal"));
        fs::write(&one, "").and_then(|()| fs::write(&two, "")).expect("written");
        let ear = CommitWatcher::open().expect("an ear");
        let watch = ear.listen(&one).expect("it is there");
        assert!(ear.wait(Duration::ZERO).is_empty());
        fs::write(&two, "not listened to").expect("written");
        assert!(ear.wait(Duration::ZERO).is_empty());
        fs::write(&one, "frames").expect("written");
        fs::write(&one, "more frames").expect("written");
        assert_eq!(ear.wait(Duration::from_mins(1)), [watch]);
        assert!(ear.wait(Duration::ZERO).is_empty());
        let again = ear.listen(&one).expect("it is there");
        ear.forget(again);
        fs::write(&one, "unheard").expect("written");
        assert!(ear.wait(Duration::ZERO).is_empty());
        assert_eq!(ear.listen(&folder.path().join("none-wal")), None);
        let first = ear.listen(&one).expect("it is there");
        fs::write(&one, "frames").expect("written");
        let second = ear.listen(&two).expect("it is there");
        assert_eq!(ear.wait(Duration::ZERO), [first], "who listens to another log takes nothing away");
        fs::write(&two, "frames").expect("written");
        assert_eq!(ear.wait(Duration::from_mins(1)), [second]);
    }
}
