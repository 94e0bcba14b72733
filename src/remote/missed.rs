//! Asks waltop on a host what a recorder there has recorded of a time without a link: a named thread for each host, whose
//! command ends with the answer.

use std::{
    ffi::OsString,
    time::{Duration, Instant},
};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, select};
use jiff::SignedDuration;

use super::{
    failure,
    link::{Ending, LinkEvent},
    ssh::SshHost,
    ssh_process::{SshProcess, StreamStart},
};
use crate::{
    hosts::{FoundTime, LinkFailure},
    recording::{LONGEST_INTERVAL, LONGEST_SILENCE},
    replay::{MissedTime, RecordedTimeReader},
};

/// A recorder writes a line at least this often, so that after it the lines reach past the first sample of a link.
const WRITTEN: Duration = LONGEST_INTERVAL.saturating_add(Duration::from_secs(1));
/// How often a host is asked, and the pause after a failure of the connection.
const ATTEMPTS: u32 = 3;
const AGAIN: Duration = Duration::from_secs(20);
/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// The most bytes of an answer. What comes behind them stays missed.
const MOST: usize = 32 << 20;
/// How far the past of a host reaches back.
const REACH: SignedDuration = SignedDuration::from_hours(1);
/// The exit code of waltop there if nothing was recorded.
const NOTHING: i32 = 1;

/// The reader of one host, until its thread ends.
#[derive(Debug)]
pub struct MissedTimeReader {
    pub host: SshHost,
    pub requests: Receiver<MissedTime>,
    /// Takes the events, with the number of the host.
    pub outbox: Sender<(usize, LinkEvent)>,
    pub number: usize,
    /// Closes when the console ends.
    pub ending: Receiver<()>,
}

impl MissedTimeReader {
    /// Answers until the console ends.
    pub fn run(&self) {
        loop {
            let missed = select! {
                recv(self.requests) -> missed => missed,
                recv(self.ending) -> _ => return,
            };
            let Ok(missed) = missed else { return };
            let Ok(answer) = self.answer(&missed) else { return };
            let sent = select! {
                send(self.outbox, (self.number, answer)) -> sent => sent.is_ok(),
                recv(self.ending) -> _ => false,
            };
            if !sent {
                return;
            }
        }
    }

    fn answer(&self, missed: &MissedTime) -> Result<LinkEvent, Ending> {
        let mut answer = self.attempt(missed, WRITTEN)?;
        for _ in 1..ATTEMPTS {
            if !answer.as_ref().is_err_and(LinkFailure::is_of_connection) {
                break;
            }
            answer = self.attempt(missed, AGAIN)?;
        }
        Ok(event_of(missed, answer))
    }

    fn attempt(
        &self,
        missed: &MissedTime,
        pause: Duration,
    ) -> Result<Result<LinkEvent, LinkFailure>, Ending> {
        match self.ending.recv_timeout(pause) {
            Err(RecvTimeoutError::Timeout) => self.ask(missed),
            _ => Err(Ending),
        }
    }

    // Runs ssh until all has come.
    fn ask(&self, missed: &MissedTime) -> Result<Result<LinkEvent, LinkFailure>, Ending> {
        let ssh = match SshProcess::start(&self.host, &words(missed)) {
            Ok(ssh) => ssh,
            Err(error) => return Ok(Err(failure::of_start(&self.host, &error))),
        };
        let (deadline, mut left) = (Instant::now() + PATIENCE, MOST);
        let (mut start, mut has_begun) = (StreamStart::default(), false);
        let mut reader = RecordedTimeReader::new(missed.clone());
        loop {
            let line = select! {
                recv(ssh.lines) -> line => line.ok(),
                recv(self.ending) -> _ => return Err(Ending),
                default(deadline.saturating_duration_since(Instant::now())) => {
                    if has_begun {
                        // What has come by then is used.
                        break;
                    }
                    return Ok(Err(LinkFailure::Silent(PATIENCE, self.host.name().to_owned())));
                }
            };
            let Some(line) = line.filter(|line| line.len() <= left) else { break };
            left -= line.len();
            if !has_begun {
                match start.header(&self.host, &line) {
                    Ok(header) => has_begun = header.is_some(),
                    Err(why) => return Ok(Err(why)),
                }
            }
            if has_begun {
                reader.add(&line);
            }
        }
        if has_begun {
            return Ok(Ok(LinkEvent::Recorded(Box::new(reader.finish()))));
        }
        let (status, complaint) = ssh.end();
        Ok(match status {
            Some(status) if status.code() == Some(NOTHING) => {
                Ok(LinkEvent::StaysMissed(missed.clone(), FoundTime::Nothing))
            }
            Some(status) => Err(failure::of_command(&self.host, status, &complaint)),
            None => Err(LinkFailure::Ended { host: self.host.name().to_owned() }),
        })
    }
}

fn event_of(missed: &MissedTime, answer: Result<LinkEvent, LinkFailure>) -> LinkEvent {
    answer.unwrap_or_else(|why| LinkEvent::StaysMissed(missed.clone(), FoundTime::Unknown(why)))
}

// The command that writes what was recorded, with a line before the missed time and one behind it.
fn words(missed: &MissedTime) -> Vec<OsString> {
    let MissedTime { from, to, databases } = missed;
    let earliest = to.checked_sub(REACH).unwrap_or(*to);
    let since = (*from).max(earliest);
    let since = since.checked_sub(LONGEST_SILENCE).unwrap_or(since);
    let until = to.checked_add(WRITTEN).unwrap_or(*to);
    let mut words: Vec<OsString> = ["stream", "--json"].map(Into::into).into();
    words.extend([format!("--since={since}").into(), format!("--until={until}").into(), "--".into()]);
    words.extend(databases.iter().map(Into::into));
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_asks_for_an_hour_at_most() {
        let missed = |from: &str| MissedTime {
            from: from.parse().expect("a time"),
            to: "2026-11-30T03:12:00Z".parse().expect("a time"),
            databases: vec!["/srv/it's.db".to_owned()],
        };
        let since = |from| words(&missed(from))[2].clone();
        assert_eq!(since("2026-11-30T03:11:30.5Z"), "--since=2026-11-30T03:11:15.5Z");
        assert_eq!(since("2026-11-29T03:11:30Z"), "--since=2026-11-30T02:11:45Z");
        let words = words(&missed("2026-11-30T03:11:30Z"));
        assert_eq!(words[3..], ["--until=2026-11-30T03:12:06Z", "--", "/srv/it's.db"]);
    }
}
