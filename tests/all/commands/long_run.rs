//! A command that runs until a signal ends it, and the lines that it writes to stderr.

use std::{
    io::{BufRead, BufReader},
    process::{Child, ChildStderr, Command, Stdio},
};

use rustix::process::{Pid, Signal, kill_process};

pub struct LongRun {
    child: Child,
    notices: BufReader<ChildStderr>,
}

impl LongRun {
    pub fn start(mut command: Command) -> Self {
        let mut child = command.stderr(Stdio::piped()).spawn().expect("it starts");
        let notices = BufReader::new(child.stderr.take().expect("a pipe"));
        Self { child, notices }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The next line; empty at the end.
    pub fn notice(&mut self) -> String {
        let mut line = String::new();
        self.notices.read_line(&mut line).expect("a line");
        line
    }

    /// The next line that has `words`.
    pub fn notice_with(&mut self, words: &str) -> String {
        loop {
            let line = self.notice();
            assert!(!line.is_empty(), "it has ended before: {words}");
            if line.contains(words) {
                return line;
            }
        }
    }

    pub fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(self.child.id().cast_signed()).expect("a PID");
        kill_process(pid, signal).expect("it is there");
    }

    pub fn end_by(mut self, signal: Signal) -> Option<i32> {
        self.signal(signal);
        self.child.wait().expect("it ends").code()
    }
}

impl Drop for LongRun {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
