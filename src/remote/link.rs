//! The link to one host: a named thread runs ssh, reads the lines of `waltop stream` there, and connects again after an
//! end, with growing pauses.

use std::{ffi::OsString, time::Duration};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, select};
use jiff::Timestamp;

use super::{
    failure,
    ssh::SshHost,
    ssh_process::{SshProcess, StreamStart},
};
use crate::{
    hosts::{FoundTime, LinkFailure},
    recording::{RecordingHeader, RecordingLine, parse_line},
    replay::{MissedTime, RecordedTime},
};

/// A host that sends nothing for this long has no link: it sends a sample every few seconds.
const SILENCE: Duration = Duration::from_secs(20);
/// How long a first line may take: ssh connects, and a shell and waltop start there.
const FIRST_LINE: Duration = Duration::from_secs(30);
/// The first pause before another connection; each one is twice as long as the one before.
const PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_mins(1);

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
    /// What a recorder there has recorded of a time without a link.
    Recorded(Box<RecordedTime>),
    /// Nothing more is known of a time without a link.
    StaysMissed(MissedTime, FoundTime),
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
pub struct Ending;

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
        let mut start = StreamStart::default();
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
            match start.header(&self.host, &line) {
                Ok(Some(header)) => {
                    *has_begun = true;
                    self.send(LinkEvent::Begun(header))?;
                }
                Ok(None) => {}
                Err(why) => return Ok(why),
            }
        }
        let (status, complaint) = ssh.end();
        Ok(failure::of_end(&self.host, status, &complaint, *has_begun))
    }
}
