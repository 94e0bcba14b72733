//! One moment of a recording that is played, as a console shows it.

use std::sync::Arc;

use jiff::Timestamp;

use super::{
    line::{GapReason, RecordingEvent, RecordingLine},
    who::{PastHold, PastWait, UnwatchedTime},
};
use crate::{history::SampledLock, snapshot::Severity, units};

/// What a player shows beside the sample of the moment.
#[derive(Debug, Clone, PartialEq)]
pub struct PlayedMoment {
    pub at: Timestamp,
    /// The first and the last time of the recording.
    pub recorded: (Timestamp, Timestamp),
    /// Why nothing is known of the moment; `None` if it was watched.
    pub unwatched: Option<UnwatchedTime>,
    pub is_playing: bool,
    /// Whether it follows the moment that was shown before it, so that what was seen then goes on.
    pub follows: bool,
    /// What the player reports about the last command.
    pub remark: Option<ReplayRemark>,
    /// Recorded seconds in a second.
    pub speed: f64,
    /// What happened before, the newest last.
    pub notes: Arc<[RecordedNote]>,
}

/// What a console reports about a command to a player.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReplayRemark {
    /// The search for a finding has found none.
    NoOtherFinding,
    /// The clock was set back, so that the recording has the time more than once. Going to it again leads to the moment
    /// that was recorded before.
    RepeatedTime,
}

/// An event of a recording as a line of the log.
#[derive(Debug, Clone, PartialEq)]
pub struct RecordedNote {
    pub at: Timestamp,
    pub severity: Severity,
    pub text: String,
}

/// Shorter holds are no notes: the timeline shows them.
const LONG_MS: f64 = 1000.0;

impl RecordedNote {
    /// The note that `line` is worth; `None` if the log leaves it out.
    pub fn of(line: &RecordingLine) -> Option<Self> {
        let (severity, text) = match &line.event {
            RecordingEvent::FindingOn { finding } => (finding.severity, format!("{} began", finding.title())),
            RecordingEvent::FindingOff { kind, pid, lasted_ms } => {
                let pid = pid.map_or_else(String::new, |pid| format!(" {pid}"));
                (Severity::Info, format!("{kind}{pid} ended after {}", units::duration(*lasted_ms)))
            }
            RecordingEvent::HoldEnded { lock, who, began, held_ms } => {
                let is_long = *held_ms >= LONG_MS || *lock == SampledLock::Recover;
                let hold = PastHold {
                    lock: *lock,
                    process: who.clone(),
                    began: *began,
                    ended: Some(line.stamp.at),
                    held_ms: *held_ms,
                    exact: line.exact,
                    activity: None,
                };
                (Severity::Info, is_long.then(|| hold.to_string())?)
            }
            RecordingEvent::Waited { who, began, waited_ms, got } => {
                let (waited_ms, process) = (*waited_ms, who.clone());
                let wait = PastWait { process, began: *began, waited_ms, possible: false, got: Some(*got) };
                let severity = if *got { Severity::Info } else { Severity::Warning };
                (severity, (!*got || waited_ms >= LONG_MS).then(|| wait.to_string())?)
            }
            RecordingEvent::ProcessSeen { process } => {
                (Severity::Info, format!("{} ({}) has it open", process.pid, process.label))
            }
            RecordingEvent::ProcessGone { who } => (Severity::Info, format!("{who} is gone")),
            RecordingEvent::FileReplaced { path } => {
                (Severity::Warning, format!("another file is at {path}"))
            }
            RecordingEvent::Gap { from, to, reason } => {
                let time = UnwatchedTime { from: Some(*from), to: Some(*to), reason: Some(*reason) };
                (Severity::Warning, time.to_string())
            }
            RecordingEvent::Ended => (Severity::Info, "the recorder ended".to_owned()),
            _ => return None,
        };
        Some(Self { at: line.stamp.at, severity, text })
    }
}

impl GapReason {
    /// Whether there was no sample at all in the gap. Otherwise only some events are missing.
    pub fn is_blind(self) -> bool {
        !matches!(self, Self::TraceOverrun | Self::TooManyEvents)
    }
}
