//! Many small commits.

use super::super::{Rule, RuleFacts, RuleInput, evidence, no_remedy, who};
use crate::{
    snapshot::{CommitRate, CommittedFrames, Database, Finding, FindingKind, Severity},
    units,
};

/// Commits of few pages each come so often that most of what is written is the cost of a commit.
///
/// It needs the frames of the log, which say how many pages a commit has written.
pub struct CommitStorm;

/// From this share of the commits on, the sampled holds stand for all of them.
const COUNTED: f64 = 0.5;

/// From this share of what is written on, a process is named alone.
const MOST: f64 = 0.8;

impl Rule for CommitStorm {
    fn facts(&self) -> RuleFacts {
        RuleFacts::new(FindingKind::CommitStorm, &[Severity::Info])
    }

    fn check(&self, look: &RuleInput<'_>) -> Vec<Finding> {
        let rate = look.database.commits.as_ref();
        let Some((rate, frames)) = rate.and_then(|rate| Some((rate, rate.newest_frames?))) else {
            return Vec::new();
        };
        let thresholds = &look.config.thresholds;
        let is_storm = rate.per_second >= thresholds.commit_storm.into()
            && frames.pages_per_commit() <= thresholds.small_commit.into();
        is_storm.then(|| self.finding(rate, frames, look.database)).into_iter().collect()
    }
}

impl CommitStorm {
    fn finding(&self, rate: &CommitRate, frames: CommittedFrames, database: &Database) -> Finding {
        let pid = most_of_it(rate, database);
        let subject = match pid {
            Some(pid) => format!("{} commits", who(database, Some(pid))),
            None => format!("{} gets commits", database.name()),
        };
        let write_rate = write_rate(database, pid);
        let bytes =
            write_rate.map(|rate| format!(" ({} to all files)", units::byte_rate(rate))).unwrap_or_default();
        let saving = if frames.pages < frames.frames {
            format!(
                "one transaction would have written {} instead of the last {}",
                units::plural(frames.pages.into(), "page"),
                units::count(frames.frames.into())
            )
        } else {
            format!(
                "one transaction would have made 1 commit of the last {}",
                units::count(frames.commits.into())
            )
        };
        Finding {
            kind: self.kind(),
            severity: Severity::Info,
            label: None,
            pid,
            message: format!(
                "{subject} {} times a second, {:.1} pages each{bytes}: {saving}",
                units::per_second(rate.per_second),
                frames.pages_per_commit()
            ),
            evidence: evidence([
                ("commits_per_second", rate.per_second.into()),
                ("window_ms", rate.window_ms.into()),
                ("pages_per_commit", frames.pages_per_commit().into()),
                ("frames", frames.frames.into()),
                ("commits", frames.commits.into()),
                ("pages", frames.pages.into()),
                ("restarts_per_second", rate.restarts_per_second.into()),
                ("write_bytes_per_second", write_rate.into()),
            ]),
            // The fix belongs where the program begins its transactions.
            remedy: no_remedy(),
        }
    }
}

/// The process that makes most of the commits, by how often it has held the write lock, or by what it writes. For how
/// long it has held the lock says nothing of its commits. Samples miss short holds, so that few of them count no commits.
fn most_of_it(rate: &CommitRate, database: &Database) -> Option<i32> {
    let of_all = |shares: Vec<(Option<i32>, f64)>| {
        let sum: f64 = shares.iter().map(|(_, share)| share).sum();
        let (pid, most) = shares.into_iter().max_by(|one, other| one.1.total_cmp(&other.1))?;
        pid.filter(|_| sum > 0.0 && most >= MOST * sum)
    };
    let commits = rate.per_second * database.locks.window_ms.unwrap_or(0.0) / 1e3;
    let holds = database.locks.write_holds.as_ref().filter(|holds| times(holds.count) >= COUNTED * commits);
    let by_process = holds.into_iter().flat_map(|holds| &holds.by_process);
    let held = by_process.map(|holds| (holds.pid, times(holds.count))).collect();
    let rates = database.processes.iter().filter_map(|it| Some((Some(it.pid), it.write_rate?))).collect();
    of_all(held).or_else(|| of_all(rates)).filter(|pid| database.process(*pid).is_some())
}

#[expect(clippy::cast_precision_loss, reason = "a count of holds")]
fn times(count: u64) -> f64 {
    count as f64
}

// A sum over several would lack those that this user may not read.
fn write_rate(database: &Database, pid: Option<i32>) -> Option<f64> {
    database.process(pid?)?.write_rate
}

#[cfg(test)]
mod tests {
    use super::{
        super::super::fixture::{READER, WRITER, config, findings_of, findings_with, holds, live, outline},
        *,
    };

    fn storm(per_second: f64, frames: u32, commits: u32) -> Database {
        let mut database = live();
        database.commits = Some(CommitRate {
            window_ms: 10_000.0,
            commits: 4_580,
            per_second,
            restarts_per_second: Some(45.8),
            newest_frames: Some(CommittedFrames { frames, commits, pages: 1 }),
        });
        database
    }

    #[test]
    fn small_commits_many_times_a_second_are_info() {
        let mut database = storm(458.0, 64, 64);
        assert_eq!(outline(&findings_of(&database)), [(FindingKind::CommitStorm, Severity::Info, None)]);
        database.processes[0].write_rate = Some(9_000_000.0);
        database.processes[1].write_rate = Some(1_000_000.0);
        let found = findings_of(&database);
        assert_eq!(found[0].pid, Some(WRITER));
        assert_eq!(found[0].evidence["write_bytes_per_second"], 9_000_000.0);
        database.processes[1].write_rate = Some(9_000_000.0);
        let found = findings_of(&database);
        let rate = &found[0].evidence["write_bytes_per_second"];
        assert_eq!((found[0].pid, rate.is_null()), (None, true), "a sum may lack some of them");
    }

    #[test]
    fn the_process_that_holds_the_lock_most_often_counts_before_the_one_that_writes_elsewhere() {
        let named = |of_writer: u64, of_reader: u64| {
            let mut database = storm(458.0, 64, 64);
            database.processes[1].write_rate = Some(9_000_000.0);
            database.locks.window_ms = Some(2000.0);
            // One hold of the reader is long: that is one commit all the same.
            let by_process =
                vec![holds(WRITER, of_writer, 2.0, 500.0), holds(READER, of_reader, 3000.0, 30_000.0)];
            let count = of_writer + of_reader;
            let (p50_ms, p99_ms, max_ms, held_ratio) = (Some(1.0), Some(2.0), 2.0, 0.31);
            database.locks.write_holds =
                Some(crate::snapshot::WriteHolds { count, p50_ms, p99_ms, max_ms, held_ratio, by_process });
            findings_of(&database).iter().find(|it| it.kind == FindingKind::CommitStorm).map(|it| it.pid)
        };
        assert_eq!(named(900, 9), Some(Some(WRITER)));
        assert_eq!(named(450, 450), Some(Some(READER)), "neither holds it most often, and one writes most");
        assert_eq!(named(40, 0), Some(Some(READER)), "most holds were too short to be seen");
    }

    #[test]
    fn large_or_rare_commits_and_those_of_unknown_size_are_none() {
        assert_eq!(findings_of(&storm(458.0, 64, 31)), [], "a bulk import");
        assert_eq!(findings_of(&storm(49.0, 64, 64)), []);
        let mut unknown = storm(458.0, 64, 64);
        unknown.commits.as_mut().expect("a rate").newest_frames = None;
        assert_eq!(findings_of(&unknown), []);
    }

    #[test]
    fn both_figures_are_thresholds() {
        let mut config = config();
        (config.thresholds.commit_storm, config.thresholds.small_commit) = (20, 4);
        let count = |per_second, commits| findings_with(&config, None, &storm(per_second, 64, commits)).len();
        assert_eq!([count(20.0, 16), count(19.0, 16), count(20.0, 15)], [1, 0, 0]);
    }
}
