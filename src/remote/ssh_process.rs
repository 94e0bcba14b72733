//! A running ssh, and the beginning of what waltop writes at its other end.

use std::{
    ffi::OsString,
    io::{self, BufRead, BufReader, Read},
    process::{Child, ExitStatus, Stdio},
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

use crossbeam_channel::{Receiver, Sender};
use rustix::process::{Pid, Signal, kill_process};

use super::{failure, ssh::SshHost};
use crate::{
    hosts::LinkFailure,
    recording::{FormatVersion, RecordingEvent, RecordingHeader, parse_line},
    threads,
};

/// How long ssh may take to end once its input is closed.
const PATIENCE: Duration = Duration::from_millis(300);
/// The longest line: a sample of very many processes has some MiB.
const MOST_LINE: u64 = 64 << 20;
/// Lines of a shell's start-up files that may come before the first one of waltop.
const MOST_NOISE: usize = 200;
/// What is kept of stderr.
const MOST_COMPLAINT: usize = 16 << 10;
/// Lines that wait to be taken. A full channel fills the pipe, and the host drops samples.
const AHEAD: usize = 64;

/// The lines up to the first one of waltop.
#[derive(Debug, Default)]
pub struct StreamStart {
    noise: usize,
}

impl StreamStart {
    /// The header that `line` is; `None` if it is a line of a shell.
    ///
    /// # Errors
    ///
    /// Its format is another one, or too many lines have come that are none of waltop.
    pub fn header(&mut self, host: &SshHost, line: &[u8]) -> Result<Option<RecordingHeader>, LinkFailure> {
        match parse_line(line).map(|line| line.event) {
            Some(RecordingEvent::Header(header)) if header.format.major == FormatVersion::CURRENT.major => {
                Ok(Some(header))
            }
            Some(RecordingEvent::Header(header)) => Err(failure::of_version(host, &header)),
            _ if self.noise < MOST_NOISE => {
                self.noise += 1;
                Ok(None)
            }
            _ => Err(failure::no_stream(host)),
        }
    }
}

/// A running ssh. It is ended when this is dropped.
pub struct SshProcess {
    child: Child,
    /// The lines of its output.
    pub lines: Receiver<Vec<u8>>,
    complaint: Arc<Mutex<Vec<u8>>>,
    /// Closes at the end of stderr.
    complained: Receiver<()>,
}

impl SshProcess {
    /// Runs `waltop WORDS…` on `host`.
    ///
    /// # Errors
    ///
    /// ssh cannot be started, or the system refuses a thread.
    pub fn start(host: &SshHost, words: &[OsString]) -> io::Result<Self> {
        let mut command = host.command(words);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn()?;
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        let (outbox, lines) = crossbeam_channel::bounded(AHEAD);
        let complaint = Arc::<Mutex<Vec<u8>>>::default();
        let kept = Arc::clone(&complaint);
        // If the system refuses a thread, dropping `ssh` ends the child.
        let mut ssh = Self { child, lines, complaint, complained: crossbeam_channel::never() };
        threads::start("waltop-ssh-lines", move || stdout.map(|stdout| read_lines(stdout, &outbox)))?;
        ssh.complained = threads::start_watched("waltop-ssh-errors", move || {
            if let Some(stderr) = stderr {
                keep_start(stderr, &kept);
            }
        })?;
        Ok(ssh)
    }

    /// Waits for its end; returns what it has written to stderr as well.
    pub fn end(mut self) -> (Option<ExitStatus>, String) {
        let status = self.wait();
        // A connection that ssh shares with later ones keeps stderr open.
        let _ = self.complained.recv_timeout(PATIENCE);
        let complaint = String::from_utf8_lossy(&threads::lock(&self.complaint)).into_owned();
        (status, complaint)
    }

    // First it may end by itself, so that a connection which others share is left in order.
    fn wait(&mut self) -> Option<ExitStatus> {
        drop(self.child.stdin.take());
        if let Some(status) = self.ended_within(PATIENCE) {
            return Some(status);
        }
        if let Some(pid) = Pid::from_raw(self.child.id().cast_signed()) {
            // It has not been waited for, so its PID is still its own.
            let _ = kill_process(pid, Signal::TERM);
        }
        if self.ended_within(PATIENCE).is_none() {
            let _ = self.child.kill();
        }
        self.child.wait().ok()
    }

    fn ended_within(&mut self, time: Duration) -> Option<ExitStatus> {
        let until = Instant::now() + time;
        loop {
            match self.child.try_wait() {
                Ok(None) if Instant::now() < until => thread::sleep(Duration::from_millis(5)),
                Ok(status) => return status,
                Err(_) => return None,
            }
        }
    }
}

impl Drop for SshProcess {
    fn drop(&mut self) {
        self.wait();
    }
}

fn read_lines(stdout: impl Read, outbox: &Sender<Vec<u8>>) {
    let mut stdout = BufReader::with_capacity(64 << 10, stdout);
    loop {
        let mut line = Vec::new();
        match (&mut stdout).take(MOST_LINE).read_until(b'\n', &mut line) {
            Ok(1..) if line.ends_with(b"\n") => {
                line.pop();
                if outbox.send(line).is_err() {
                    return;
                }
            }
            // The end, in the middle of a line or not, or a line without end.
            _ => return,
        }
    }
}

fn keep_start(mut stderr: impl Read, kept: &Mutex<Vec<u8>>) {
    let mut bytes = [0; 1024];
    while let Ok(count @ 1..) = stderr.read(&mut bytes) {
        let mut kept = threads::lock(kept);
        let room = MOST_COMPLAINT.saturating_sub(kept.len());
        kept.extend(&bytes[..count.min(room)]);
    }
}
