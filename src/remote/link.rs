//! The link to one host: a named thread runs ssh, reads the lines of `waltop stream` there, and connects again after an
//! end, with growing pauses.

use std::{
    ffi::OsString,
    io::{self, BufRead, BufReader, Read},
    process::{Child, ExitStatus, Stdio},
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, select};
use jiff::Timestamp;
use rustix::process::{Pid, Signal, kill_process};

use super::{failure, ssh::SshHost};
use crate::{
    hosts::LinkFailure,
    recording::{FormatVersion, RecordingEvent, RecordingHeader, RecordingLine, parse_line},
    threads,
};

/// A host that sends nothing for this long has no link: it sends a sample every few seconds.
const SILENCE: Duration = Duration::from_secs(20);
/// How long a first line may take: ssh connects, and a shell and waltop start there.
const FIRST_LINE: Duration = Duration::from_secs(30);
/// The first pause before another connection; each one is twice as long as the one before.
const PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_mins(1);
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

/// What a link reports.
#[derive(Debug)]
pub enum LinkEvent {
    /// A connection is being made.
    Connects,
    Begun(RecordingHeader),
    /// A line, and when it came.
    Line(Box<RecordingLine>, Timestamp),
    Lost {
        why: LinkFailure,
        retry_at: Timestamp,
    },
}

/// One link, until its thread ends.
#[derive(Debug)]
pub struct HostLink {
    pub host: SshHost,
    /// The words of the command of waltop there.
    pub words: Vec<OsString>,
    /// Takes the events, with the number of the host.
    pub outbox: Sender<(usize, LinkEvent)>,
    pub number: usize,
    /// Closes when the console ends.
    pub ending: Receiver<()>,
}

/// The console ends, or its thread that takes the events has.
struct Ending;

impl HostLink {
    /// Connects until the console ends.
    pub fn run(&self) {
        let mut pause = PAUSE;
        loop {
            if self.send(LinkEvent::Connects).is_err() {
                return;
            }
            let mut has_begun = false;
            let Ok(why) = self.follow(&mut has_begun) else { return };
            if has_begun {
                pause = PAUSE;
            }
            let retry_at = Timestamp::now().checked_add(pause).unwrap_or(Timestamp::MAX);
            if self.send(LinkEvent::Lost { why, retry_at }).is_err()
                || self.ending.recv_timeout(pause) != Err(RecvTimeoutError::Timeout)
            {
                return;
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    fn send(&self, event: LinkEvent) -> Result<(), Ending> {
        select! {
            send(self.outbox, (self.number, event)) -> sent => sent.map_err(|_| Ending),
            recv(self.ending) -> _ => Err(Ending),
        }
    }

    // Runs ssh until it ends or the host falls silent.
    fn follow(&self, has_begun: &mut bool) -> Result<LinkFailure, Ending> {
        let ssh = match SshProcess::start(&self.host, &self.words) {
            Ok(ssh) => ssh,
            Err(error) => return Ok(failure::of_start(&self.host, &error)),
        };
        let mut noise = 0;
        loop {
            let patience = if *has_begun { SILENCE } else { FIRST_LINE };
            let line = select! {
                recv(ssh.lines) -> line => line,
                recv(self.ending) -> _ => return Err(Ending),
                default(patience) => return Ok(LinkFailure::Silent(patience, self.host.name().to_owned())),
            };
            let Ok(line) = line else { break };
            if *has_begun {
                // A line of a later minor version may say something that this one does not understand.
                if let Some(line) = parse_line(&line) {
                    self.send(LinkEvent::Line(Box::new(line), Timestamp::now()))?;
                }
                continue;
            }
            match first_line(&line) {
                Some(header) if header.format.major == FormatVersion::CURRENT.major => {
                    *has_begun = true;
                    self.send(LinkEvent::Begun(header))?;
                }
                Some(header) => return Ok(failure::of_version(&self.host, &header)),
                None if noise < MOST_NOISE => noise += 1,
                None => return Ok(failure::no_stream(&self.host)),
            }
        }
        let (status, complaint) = ssh.end();
        Ok(failure::of_end(&self.host, status, &complaint, *has_begun))
    }
}

fn first_line(line: &[u8]) -> Option<RecordingHeader> {
    match parse_line(line)?.event {
        RecordingEvent::Header(header) => Some(header),
        _ => None,
    }
}

/// A running ssh. It is ended when this is dropped.
struct SshProcess {
    child: Child,
    lines: Receiver<Vec<u8>>,
    complaint: Arc<Mutex<Vec<u8>>>,
    /// Closes at the end of stderr.
    complained: Receiver<()>,
}

impl SshProcess {
    fn start(host: &SshHost, words: &[OsString]) -> io::Result<Self> {
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
    fn end(mut self) -> (Option<ExitStatus>, String) {
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
