//! Whether a database is free, or its log moved: what `waltop wait` waits for.

use std::{fmt, path::PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    checkpoint::{CheckpointBlocker, blockers, obstacle},
    hazard,
    place::unseen_elsewhere,
    who,
};
use crate::{
    snapshot::{CheckpointMode, Database, Process, Unseen, WalSource, lossy_path},
    units,
};

/// A state of a database to wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, JsonSchema, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum WaitGoal {
    /// No process holds the write lock, a checkpoint lock or a recovery lock.
    Free,
    /// Every frame of the log is moved, or there is no log.
    Checkpointed,
}

impl fmt::Display for WaitGoal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Free => "free",
            Self::Checkpointed => "checkpointed",
        })
    }
}

/// What one sample shows of a goal.
#[derive(Debug, Clone, PartialEq)]
pub enum GoalState {
    Reached,
    Blocked {
        /// The processes in the way; none if no process is needed to reach the goal, or none is seen.
        by: Vec<CheckpointBlocker>,
        /// Frames that are not moved; `None` for another goal.
        frames: Option<u32>,
        /// Why no checkpoint would move them.
        futile: Option<String>,
    },
    /// The sample does not show it.
    Unknown(Unseen),
}

impl WaitGoal {
    /// Whether `database` has reached it, as of the sample. `unseen_locks`: what the sample could not see of the lock
    /// table.
    pub fn state(self, database: &Database, unseen_locks: Option<&Unseen>) -> GoalState {
        if let Some(unseen) = unseen_locks {
            return GoalState::Unknown(unseen.clone());
        }
        if !database.is_complete {
            let what = format!("the locks of {}", database.path.display());
            let why = "its files were replaced during the sample".to_owned();
            return GoalState::Unknown(Unseen { what, why });
        }
        if let Some(unseen) = unseen_elsewhere(database).or_else(|| unseen_in_replaced(database)) {
            return GoalState::Unknown(unseen);
        }
        match self {
            Self::Free => free(database),
            Self::Checkpointed => checkpointed(database),
        }
    }
}

/// That the locks and frames of a process that has other files than those at the path are not seen.
fn unseen_in_replaced(database: &Database) -> Option<Unseen> {
    let is_elsewhere =
        |process: &&Process| !process.replaced.is_empty() || !process.pairing.outdated.is_empty();
    let process = database.processes.iter().find(is_elsewhere)?;
    let what = format!("the locks of {}", process.who());
    Some(Unseen { what, why: "it has files open that were deleted or replaced".to_owned() })
}

fn free(database: &Database) -> GoalState {
    let locks = &database.locks;
    let named = [
        (&locks.exclusive, "has the whole file locked"),
        (&locks.recoverer, "recovers the wal-index"),
        (&locks.writer, "holds the write lock"),
        (&locks.checkpointer, "runs a checkpoint"),
    ];
    let mut by: Vec<CheckpointBlocker> = Vec::new();
    for (holder, how) in named {
        let Some(holder) = holder else { continue };
        // The holder of the whole file is the writer, and a checkpoint may hold the write lock.
        if by.iter().all(|named| named.pid != holder.pid) {
            by.push(CheckpointBlocker::new(
                database,
                holder.pid,
                &format!("{how}{}", units::for_at_least(holder.held_ms)),
            ));
        }
    }
    if let (Some(wait), Some(first)) = (&locks.holder_wait, by.first_mut()) {
        let readers: Vec<_> = wait.readers.iter().map(|reader| who(database, reader.pid)).collect();
        first.why += &format!(", and its {} waits for {}", wait.cause, readers.join(", "));
    }
    if by.is_empty() { GoalState::Reached } else { GoalState::Blocked { by, frames: None, futile: None } }
}

fn checkpointed(database: &Database) -> GoalState {
    match frames_waiting(database) {
        Ok(0) => GoalState::Reached,
        Ok(frames) => {
            let by = blockers(database, CheckpointMode::Passive);
            let refused = || hazard(database).map(|finding| finding.message.clone());
            let futile = obstacle(database).map(|it| it.why(database)).or_else(refused);
            GoalState::Blocked { by, frames: Some(frames), futile }
        }
        Err(why) => {
            let what = format!("how many frames of {}-wal are moved", database.path.display());
            GoalState::Unknown(Unseen { what, why: why.to_owned() })
        }
    }
}

/// How many frames of the log are not in the main file, or why that is unknown.
fn frames_waiting(database: &Database) -> Result<u32, &'static str> {
    if database.files.wal.as_ref().is_none_or(|log| log.bytes == 0) {
        return Ok(0);
    }
    let Some(wal) = &database.wal else { return Err("its header is missing, or cannot be read") };
    if let Some(pending) = wal.pending {
        return Ok(pending);
    }
    match (wal.source, wal.frames) {
        (WalSource::Index, _) => Err("the index cannot be read"),
        _ if database.locks.exclusive.is_some() => Err("a process keeps the index in its own memory"),
        // The next connection recovers the index, and then counts every frame as not moved (`walIndexRecover` in
        // SQLite's `wal.c`).
        (WalSource::Log, Some(frames)) => Ok(frames),
        (WalSource::Log, None) => Err("the log is large and not counted to its end yet"),
    }
}

/// The output of `waltop wait`.
#[derive(Debug, Clone, JsonSchema, Serialize, Deserialize)]
pub struct WaitReport {
    #[serde(serialize_with = "lossy_path")]
    #[schemars(with = "String")]
    pub path: PathBuf,
    /// What it waited for.
    pub until: WaitGoal,
    pub outcome: WaitOutcome,
    /// From the first sample to the last, in ms.
    pub waited_ms: f64,
    /// Frames that the last sample shows as not moved; `None` if unknown, or if it waited for something else.
    pub frames_waiting: Option<u32>,
    /// The processes that were in the way in the last sample.
    pub blocked_by: Vec<CheckpointBlocker>,
    /// Why a checkpoint would not move the frames, if the last sample shows that.
    pub futile: Option<String>,
    /// What the last sample could not see, if therefore it is not known whether the state is reached.
    pub unseen: Vec<Unseen>,
}

/// How a wait ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WaitOutcome {
    Reached,
    /// The time was over before.
    Timeout,
    /// The time is over, and the last sample does not show whether it is reached.
    Unknown,
}

impl WaitReport {
    /// The report on a wait for `until` that ended after `waited_ms` with `state`.
    pub fn new(path: PathBuf, until: WaitGoal, waited_ms: f64, state: GoalState) -> Self {
        let mut report = Self {
            path,
            until,
            outcome: WaitOutcome::Reached,
            waited_ms,
            frames_waiting: (until == WaitGoal::Checkpointed).then_some(0),
            blocked_by: Vec::new(),
            futile: None,
            unseen: Vec::new(),
        };
        match state {
            GoalState::Reached => {}
            GoalState::Blocked { by, frames, futile } => {
                report.futile = futile;
                report.outcome = WaitOutcome::Timeout;
                report.blocked_by = by;
                report.frames_waiting = frames;
            }
            GoalState::Unknown(unseen) => {
                report.outcome = WaitOutcome::Unknown;
                report.frames_waiting = None;
                report.unseen = vec![unseen];
            }
        }
        report
    }

    /// The outcome as an exit code.
    pub fn exit(&self) -> u8 {
        match self.outcome {
            WaitOutcome::Reached => 0,
            WaitOutcome::Timeout => 1,
            WaitOutcome::Unknown => 2,
        }
    }
}

impl fmt::Display for WaitReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (path, until, waited) = (self.path.display(), self.until, units::duration(self.waited_ms));
        match self.outcome {
            WaitOutcome::Reached => return write!(f, "{path}: {until} after {waited}"),
            WaitOutcome::Timeout => write!(f, "{path}: not {until} after {waited}")?,
            WaitOutcome::Unknown => write!(f, "{path}: not known to be {until} after {waited}")?,
        }
        if let Some(frames) = self.frames_waiting.filter(|frames| *frames > 0) {
            write!(f, ": {}", units::plural(frames.into(), "frame"))?;
            f.write_str(if frames == 1 { " waits" } else { " wait" })?;
            match &self.futile {
                _ if !self.blocked_by.is_empty() => {}
                Some(why) => write!(f, ", and {why}")?,
                None => f.write_str(", and no process is in the way; waltop checkpoint moves them")?,
            }
        }
        let mut lead = ": ";
        for blocker in &self.blocked_by {
            write!(f, "{lead}{}", blocker.why)?;
            lead = "; ";
        }
        self.unseen.iter().try_for_each(|Unseen { what, why }| write!(f, ": not seen: {what}: {why}"))
    }
}

#[cfg(test)]
mod tests {
    use super::{super::fixture::*, *};
    use crate::snapshot::HolderWait;

    fn state(goal: WaitGoal, database: &Database) -> GoalState {
        goal.state(database, None)
    }

    fn pids(state: &GoalState) -> Vec<Option<i32>> {
        let GoalState::Blocked { by, .. } = state else { panic!("{state:?}") };
        by.iter().map(|it| it.pid).collect()
    }

    #[test]
    fn each_lock_that_keeps_writers_out_is_named_once() {
        assert_eq!(state(WaitGoal::Free, &quiet()), GoalState::Reached);
        for at in 0..4 {
            let mut database = quiet();
            let locks = &mut database.locks;
            let each =
                [&mut locks.writer, &mut locks.checkpointer, &mut locks.recoverer, &mut locks.exclusive];
            for (place, lock) in each.into_iter().enumerate() {
                // The holder of the whole file is the writer, too.
                *lock = (place == at || place == 0 && at == 3).then(|| held(WRITER, 20.0));
            }
            assert_eq!(pids(&state(WaitGoal::Free, &database)), [Some(WRITER)], "{at}");
        }
        let mut two = quiet();
        two.locks.writer = Some(held(WRITER, 20.0));
        two.locks.checkpointer = Some(held(READER, 20.0));
        assert_eq!(pids(&state(WaitGoal::Free, &two)), [Some(WRITER), Some(READER)]);
    }

    #[test]
    fn what_other_machines_or_deleted_files_hide_is_not_known() {
        let is_unknown = |database: &Database| {
            [WaitGoal::Free, WaitGoal::Checkpointed]
                .map(|goal| matches!(state(goal, database), GoalState::Unknown(_)))
        };
        assert_eq!(is_unknown(&quiet()), [false; 2]);
        let mut shared = quiet();
        shared.filesystem.as_mut().expect("it is known").kind = "virtiofs".to_owned();
        assert_eq!(is_unknown(&shared), [true; 2]);
        let mut split = live();
        split.locks.writer = None;
        split.processes[0].replaced = vec!["/srv/notes.db-wal".to_owned()];
        assert_eq!(is_unknown(&split), [true; 2]);
    }

    #[test]
    fn frames_that_no_checkpoint_can_move_have_the_reason() {
        let mut database = quiet();
        let futile = |database: &Database| match state(WaitGoal::Checkpointed, database) {
            GoalState::Blocked { futile, .. } => futile,
            other => panic!("{other:?}"),
        };
        database.filesystem.as_mut().expect("it is known").free_bytes = Some(4_096);
        assert!(futile(&database).is_some_and(|why| why.contains("are not free")));
        database.files.db.as_mut().expect("there").bytes = 1_446 * 4_096;
        assert_eq!(futile(&database), None);
    }

    #[test]
    fn whom_the_holder_waits_for_is_named() {
        let mut database = quiet();
        database.locks.writer = Some(held(WRITER, 20.0));
        database.locks.holder_wait = HolderWait::of_commit(&[reader(READER, 1, 812, 9_000.0)]);
        let GoalState::Blocked { by, .. } = state(WaitGoal::Free, &database) else { panic!() };
        assert!(by[0].why.contains(&READER.to_string()), "{by:?}");
    }

    #[test]
    fn a_log_is_checkpointed_once_no_frame_waits_or_none_is_there() {
        let goal = WaitGoal::Checkpointed;
        let mut database = pinned();
        assert_eq!(pids(&state(goal, &database)), [Some(READER)]);
        database.wal = Some(wal(812, 812));
        assert_eq!(state(goal, &database), GoalState::Reached);
        database.wal = None;
        assert!(matches!(state(goal, &database), GoalState::Unknown(_)), "there are bytes without a header");
        database.files.wal.as_mut().expect("a log").bytes = 0;
        assert_eq!(state(goal, &database), GoalState::Reached);
        assert_eq!(state(goal, &rollback()), GoalState::Reached);
    }

    #[test]
    fn without_an_index_every_frame_waits_unless_a_process_has_it_in_its_memory() {
        let goal = WaitGoal::Checkpointed;
        let mut database = quiet();
        let log = database.wal.as_mut().expect("a log");
        (log.source, log.backfilled, log.pending) = (WalSource::Log, None, None);
        assert_eq!(
            state(goal, &database),
            GoalState::Blocked { by: Vec::new(), frames: Some(19_031), futile: None }
        );
        database.locks.exclusive = Some(held(WRITER, 20.0));
        assert!(matches!(state(goal, &database), GoalState::Unknown(_)));
        database.locks.exclusive = None;
        database.wal.as_mut().expect("a log").frames = None;
        assert!(matches!(state(goal, &database), GoalState::Unknown(_)));
    }

    #[test]
    fn a_partial_sample_proves_nothing() {
        let unseen = Unseen { what: "the lock table".to_owned(), why: "denied".to_owned() };
        let unsteady = Database { is_complete: false, ..quiet() };
        for goal in [WaitGoal::Free, WaitGoal::Checkpointed] {
            assert_eq!(goal.state(&quiet(), Some(&unseen)), GoalState::Unknown(unseen.clone()));
            assert!(matches!(state(goal, &unsteady), GoalState::Unknown(_)));
        }
    }
}
