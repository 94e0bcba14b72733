//! Why the log does not restart from its beginning.

use super::{
    super::{
        Rule, RuleFacts, RuleInput,
        checkpoint::{is_settled, obstacle},
        evidence, explain, no_remedy,
        space::{self, proposed_checkpoint},
        who,
    },
    LogPin, frames_pinned_by, only_writer,
};
use crate::{
    file_format,
    snapshot::{
        Finding, FindingKind, LockHolder, LogProgress, LogReader, LogReading, Remedy, RemedyAction, Severity,
        WalState,
    },
    units,
};

/// The fewest samples of the readers that say something about the time between them.
const FEWEST_SAMPLES: u32 = 10;
/// The share of the samples, in percent, that show a reader of a log that finds no gap to restart in.
const MOSTLY_READ: u64 = 90;

/// A deep log grows and does not restart.
///
/// It is a warning only after a window of some length, and info before that. If it is info and `large-wal` reports the
/// log, that finding has the reason; a warning has the place of `large-wal`.
pub struct WalStarved;

impl Rule for WalStarved {
    fn facts(&self) -> RuleFacts {
        RuleFacts::new(FindingKind::WalStarved, &[Severity::Info, Severity::Warning])
            .with_actions(&[RemedyAction::Checkpoint])
    }

    fn check(&self, look: &RuleInput<'_>) -> Vec<Finding> {
        let Some(starvation) = Starvation::of(look) else { return Vec::new() };
        let is_reported =
            starvation.is_pinned(look) || starvation.severity == Severity::Info && space::is_large(look);
        if is_reported { Vec::new() } else { vec![starvation.finding(look)] }
    }
}

/// A deep log that grows and does not restart, and why.
#[derive(Debug, Clone, Copy)]
pub struct Starvation<'a> {
    pub severity: Severity,
    cause: StarvationCause<'a>,
    wal: &'a WalState,
    progress: &'a LogProgress,
}

#[derive(Debug, Clone, Copy)]
enum StarvationCause<'a> {
    /// The frames that are not committed belong to the transaction of this process.
    OpenTransaction(&'a LockHolder, u32),
    /// The only process that writes reads an old state of the database.
    SelfPin(&'a LogReader),
    /// Readers relieve each other.
    Readers(&'a LogReading),
    /// No process moves frames, and none is in the way.
    NoCheckpoint,
}

impl<'a> Starvation<'a> {
    /// That of the log in the sample; `None` if the log is not deep, does not grow, restarts, or the reason is unknown.
    pub fn of(look: &RuleInput<'a>) -> Option<Self> {
        let database = look.database;
        let wal = database.wal.as_ref()?;
        let progress = wal.progress.as_ref()?;
        let thresholds = &look.config.thresholds;
        let limit = look.profile.autocheckpoint_frames();
        let frames = wal.frames?.saturating_add(wal.uncommitted_frames.unwrap_or_default());
        let is_deep = frames > limit.saturating_mul(thresholds.deep_wal)
            || bytes_of(frames, look).is_some_and(|bytes| bytes > thresholds.large_wal);
        let grows = progress.grown_bytes > 0 || progress.grown_frames.is_some_and(|frames| frames > 0);
        let does_not_restart = grows && progress.restarts == 0;
        let open = StarvationCause::open_transaction(look, wal);
        let other = || StarvationCause::of(look, wal, progress).filter(|_| does_not_restart);
        let cause = open.or_else(other)?;
        // That a process pins its own log is certain, and only becomes worse.
        let is_certain = matches!(cause, StarvationCause::SelfPin(_)) && wal.pending > Some(limit);
        if !is_deep && !is_certain {
            return None;
        }
        let is_long = progress.window_ms >= units::milliseconds(thresholds.wal_starved);
        // It ends with the transaction, as the import of much data does.
        let severity = if is_long && is_deep && open.is_none() { Severity::Warning } else { Severity::Info };
        Some(Self { severity, cause, wal, progress })
    }

    /// Whether `pinned-wal` reports the reader.
    fn is_pinned(&self, look: &RuleInput<'_>) -> bool {
        matches!(self.cause, StarvationCause::SelfPin(reader) if LogPin::of(reader, self.wal, look).is_some())
    }

    /// A clause with the reason.
    pub fn why(&self, look: &RuleInput<'_>) -> String {
        let database = look.database;
        let pending = units::plural(self.wal.pending.unwrap_or_default().into(), "frame");
        match self.cause {
            StarvationCause::OpenTransaction(writer, frames) => format!(
                "{} of it belong to the open transaction of {}, and it cannot restart before that ends",
                size_of(frames, look),
                who(database, writer.pid)
            ),
            StarvationCause::SelfPin(reader) => format!(
                "{}, the only process that writes, keeps {pending} from being moved: {}",
                who(database, reader.pid),
                left_open(reader, look)
            ),
            StarvationCause::Readers(reading) => {
                let moved = share(self.wal.backfilled, self.wal.frames);
                format!(
                    "{}, so that it never restarts, although {moved} of it is moved",
                    always_read(reading, look)
                )
            }
            StarvationCause::NoCheckpoint => match obstacle(database) {
                Some(obstacle) => {
                    format!("no process moves any of the {pending} that wait: {}", obstacle.why(database))
                }
                None => format!(
                    "no process moves any of the {pending} that wait, and no reader is in the way: wal_autocheckpoint is \
                     probably off or large in the programs that write"
                ),
            },
        }
    }

    fn message(&self, look: &RuleInput<'_>) -> String {
        let (database, progress) = (look.database, self.progress);
        let bytes = database.files.wal.as_ref().map(|wal| wal.bytes);
        let size = bytes.map(|bytes| format!(" of {}", units::bytes(bytes))).unwrap_or_default();
        let (log, window) = (format!("{}-wal{size}", database.name()), units::duration(progress.window_ms));
        let grown = units::bytes(progress.grown_bytes);
        match self.cause {
            StarvationCause::OpenTransaction(writer, frames) => format!(
                "{} keeps {log} from restarting: {} of it belong to its open transaction",
                who(database, writer.pid),
                size_of(frames, look)
            ),
            StarvationCause::SelfPin(reader) => format!(
                "{}, the only process that writes, keeps {log} from restarting: {}",
                who(database, reader.pid),
                left_open(reader, look)
            ),
            _ if progress.grown_bytes == 0 => {
                format!("{log} did not restart in {window}: {}", self.why(look))
            }
            _ => format!("{log} has grown by {grown} in {window}: {}", self.why(look)),
        }
    }

    fn pid(&self) -> Option<i32> {
        match self.cause {
            StarvationCause::OpenTransaction(LockHolder { pid, .. }, _)
            | StarvationCause::SelfPin(LogReader { pid, .. }) => *pid,
            StarvationCause::Readers(_) | StarvationCause::NoCheckpoint => None,
        }
    }

    fn finding(&self, look: &RuleInput<'_>) -> Finding {
        let progress = self.progress;
        Finding {
            kind: FindingKind::WalStarved,
            severity: self.severity,
            label: None,
            pid: self.pid(),
            message: self.message(look),
            evidence: evidence([
                ("cause", self.cause.name().into()),
                ("window_ms", progress.window_ms.into()),
                ("restarts", progress.restarts.into()),
                ("grown_bytes", progress.grown_bytes.into()),
                ("grown_frames", progress.grown_frames.into()),
                ("frames", self.wal.frames.into()),
                ("pending_frames", self.wal.pending.into()),
                ("uncommitted_frames", self.wal.uncommitted_frames.into()),
                ("reading", serde_json::to_value(&progress.reading).unwrap_or_default()),
            ]),
            remedy: self.remedy(look),
        }
    }

    /// What helps against it.
    pub fn remedy(&self, look: &RuleInput<'_>) -> Remedy {
        let has_obstacle = obstacle(look.database).is_some();
        match self.cause {
            StarvationCause::OpenTransaction(..) => no_remedy(),
            // Which statement it left open is for its program to know.
            StarvationCause::SelfPin(_) => explain(FindingKind::WalStarved),
            _ if has_obstacle => no_remedy(),
            // It waits for those who read now, while no other can begin to.
            StarvationCause::Readers(_) => proposed_checkpoint(look.database, " --mode truncate"),
            StarvationCause::NoCheckpoint => proposed_checkpoint(look.database, ""),
        }
    }
}

impl<'a> StarvationCause<'a> {
    fn of(look: &RuleInput<'a>, wal: &WalState, progress: &'a LogProgress) -> Option<Self> {
        let locks = &look.database.locks;
        let limit = look.profile.autocheckpoint_frames();
        let pending = wal.pending?;
        let held = |reader: &&LogReader| reader.held_ms.unwrap_or_default();
        let keeps = |reader: &&LogReader| {
            is_settled(reader.held_ms) && frames_pinned_by(reader, wal).is_none_or(|it| it > 0)
        };
        let oldest =
            locks.readers.iter().filter(keeps).max_by(|one, other| held(one).total_cmp(&held(other)));
        if let Some(reader) = oldest {
            let is_own = reader.pid.is_some() && reader.pid == only_writer(look);
            // Another process is reported once it has stayed for long.
            return is_own.then_some(Self::SelfPin(reader));
        }
        let is_waiting = pending > limit.saturating_mul(look.config.thresholds.deep_wal);
        let is_in_the_way =
            |reader: &LogReader| frames_pinned_by(reader, wal).is_none_or(|kept| kept > limit);
        let is_free = locks.checkpointer.is_none() && !locks.readers.iter().any(is_in_the_way);
        if is_waiting && progress.moved_frames == Some(0) && is_free {
            return Some(Self::NoCheckpoint);
        }
        let reading = &progress.reading;
        let is_read = reading.samples >= FEWEST_SAMPLES
            && u64::from(reading.read) * 100 >= u64::from(reading.samples) * MOSTLY_READ
            && are_there(&log_readers(reading, look), look);
        is_read.then_some(Self::Readers(reading))
    }

    // Whether most of the log is that of a transaction, which may have begun with a restart.
    fn open_transaction(look: &RuleInput<'a>, wal: &WalState) -> Option<Self> {
        let writer = look.database.locks.writer.as_ref();
        // A shorter hold may have written none of them: they are left of one that was rolled back.
        let writer = writer.filter(|writer| is_settled(writer.held_ms))?;
        let (limit, pending) = (look.profile.autocheckpoint_frames(), wal.pending?);
        let frames = wal.uncommitted_frames.filter(|frames| *frames > limit && *frames > pending)?;
        Some(Self::OpenTransaction(writer, frames))
    }

    const fn name(self) -> &'static str {
        match self {
            Self::OpenTransaction(..) => "open-transaction",
            Self::SelfPin(_) => "self-pin",
            Self::Readers(_) => "readers",
            Self::NoCheckpoint => "no-checkpoint",
        }
    }
}

fn left_open(reader: &LogReader, look: &RuleInput<'_>) -> String {
    let held_ms = reader.held_ms.unwrap_or_default();
    let held = units::duration(held_ms);
    // A query of some seconds is no statement that was forgotten.
    if held_ms < units::milliseconds(look.config.thresholds.pinned_wal.0) {
        return format!("it has read in it for {held}");
    }
    format!("a statement or a transaction has been left open in it for {held}; restart it")
}

/// The processes that read the log without writing; all that read it, if there are none.
fn log_readers(reading: &LogReading, look: &RuleInput<'_>) -> Vec<i32> {
    // A process that writes reads for a moment before and after.
    let holds = look.database.locks.write_holds.as_ref();
    let writes = |pid: i32| holds.is_some_and(|holds| holds.by_process.iter().any(|it| it.pid == Some(pid)));
    let only_read: Vec<i32> = reading.pids.iter().copied().filter(|pid| !writes(*pid)).collect();
    if only_read.is_empty() { reading.pids.clone() } else { only_read }
}

/// Whether one of `pids` still has the database open. What they did before their end says nothing about what comes.
fn are_there(pids: &[i32], look: &RuleInput<'_>) -> bool {
    pids.is_empty() || pids.iter().any(|pid| look.database.process(*pid).is_some())
}

fn always_read(reading: &LogReading, look: &RuleInput<'_>) -> String {
    let pids = log_readers(reading, look);
    let reader = match pids[..] {
        [] => format!("{} is always in it", who(look.database, None)),
        [pid] => format!("{} is always in it", who(look.database, Some(pid))),
        _ => format!("one of {} readers is always in it", pids.len()),
    };
    let gap = if reading.read == reading.samples {
        "no gap was seen".to_owned()
    } else {
        format!("the longest gap was {}", units::duration(reading.longest_gap_ms))
    };
    let samples = units::plural(reading.samples.into(), "sample");
    format!("{reader} ({} of {samples}; {gap})", units::count(reading.read.into()))
}

fn size_of(frames: u32, look: &RuleInput<'_>) -> String {
    bytes_of(frames, look).map_or_else(|| units::plural(frames.into(), "frame"), units::bytes)
}

fn bytes_of(frames: u32, look: &RuleInput<'_>) -> Option<u64> {
    let page_size = look.database.header.as_ref()?.page_size;
    Some(u64::from(frames) * (u64::from(page_size) + file_format::FRAME_HEADER as u64))
}

fn share(part: Option<u32>, whole: Option<u32>) -> String {
    match part.zip(whole).filter(|(_, whole)| *whole > 0) {
        Some((part, whole)) => format!("{} %", u64::from(part) * 100 / u64::from(whole)),
        None => "an unknown share".to_owned(),
    }
}

#[cfg(test)]
mod tests;
