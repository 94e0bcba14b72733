//! Whether the write lock is what a program waits for.

use super::RuleInput;
use crate::{
    config::{Config, profile::Profile},
    snapshot::{DatabaseLocks, LockAvailability, Snapshot},
    units,
};

const DEFAULT_BUDGET_MS: u32 = 5000;

/// Fills in how free the write lock of each database was, where it was sampled for long enough.
pub fn fill_in(snapshot: &mut Snapshot, config: &Config) {
    let interval_ms = snapshot.sampling.and_then(|sampling| sampling.interval_ms);
    let unseen: Vec<String> = snapshot.unseen.iter().map(|unseen| unseen.what.clone()).collect();
    for database in &mut snapshot.databases {
        let is_idle = database.locks.write_holds.as_ref().is_none_or(|holds| holds.count == 0);
        // No program can have waited for it.
        if database.files.db.is_none() || database.processes.is_empty() && is_idle {
            continue;
        }
        let profile = config.profile_of(&database.path);
        let found = availability(&database.locks, profile, config);
        database.locks.availability = found.map(|found| LockAvailability {
            not_visible: not_visible(&database.locks, interval_ms, &unseen),
            ..found
        });
    }
}

fn availability(locks: &DatabaseLocks, profile: &Profile, config: &Config) -> Option<LockAvailability> {
    let thresholds = &config.thresholds;
    let (holds, window_ms) = locks.write_holds.as_ref().zip(locks.window_ms)?;
    if window_ms < units::milliseconds(thresholds.free_lock_window) {
        return None;
    }
    let refused = locks.refusals.as_ref().map(|refusals| {
        let waits = refusals.victims.iter().map(|victim| u64::from(victim.waits));
        waits.sum()
    });
    let is_short = holds.max_ms < long_hold_ms(profile, config);
    let is_wanted = refused.is_some_and(|refused| refused > 0)
        || !locks.possible_waiters.is_empty()
        || !locks.own_waiters.is_empty()
        || locks.exclusive.is_some()
        || locks.recoverer.is_some();
    let free_ratio = 1.0 - holds.held_ratio;
    Some(LockAvailability {
        window_ms,
        free_ratio,
        longest_hold_ms: holds.max_ms,
        refused,
        is_free: free_ratio >= thresholds.free_lock && is_short && !is_wanted,
        not_visible: Vec::new(),
    })
}

fn not_visible(locks: &DatabaseLocks, interval_ms: Option<f64>, unseen: &[String]) -> Vec<String> {
    let mut parts = Vec::new();
    if locks.refusals.is_none() {
        if let Some(interval_ms) = interval_ms {
            parts.push(format!("holds shorter than {}", units::duration(interval_ms)));
        }
        parts.push("refused tries, which only the trace shows".to_owned());
    }
    parts.extend_from_slice(unseen);
    parts
}

// A profile without a budget, or with none, has that of the default profile.
fn long_hold_ms(profile: &Profile, config: &Config) -> f64 {
    let budget_ms = profile.wait_budget_ms().unwrap_or(DEFAULT_BUDGET_MS);
    config.thresholds.long_write_lock.0 * f64::from(budget_ms)
}

impl RuleInput<'_> {
    /// Whether a hold of `held_ms` is long for the clients of the database.
    pub(super) fn is_long_hold(&self, held_ms: f64) -> bool {
        held_ms >= long_hold_ms(self.profile, self.config)
    }
}

#[cfg(test)]
mod tests {
    use super::{super::fixture::*, *};
    use crate::snapshot::{
        Database, OwnWaiters, RefusalReason, RefusedWriter, SamplingFacts, Unseen, WriteHolds, WriterRefusals,
    };

    fn sampled(held_ratio: f64, max_ms: f64, window_ms: f64) -> Database {
        let mut database = quiet();
        database.locks.window_ms = Some(window_ms);
        let (p50_ms, p99_ms, by_process) =
            (Some(max_ms), Some(max_ms), vec![holds(WRITER, 3, max_ms, max_ms)]);
        database.locks.write_holds =
            Some(WriteHolds { count: 3, p50_ms, p99_ms, max_ms, held_ratio, by_process });
        database
    }

    fn of(database: Database) -> Option<LockAvailability> {
        let mut snapshot = snapshot(vec![database]);
        fill_in(&mut snapshot, &config());
        snapshot.databases.remove(0).locks.availability
    }

    fn is_free(database: Database) -> Option<bool> {
        of(database).map(|found| found.is_free)
    }

    #[test]
    fn a_lock_is_free_if_it_was_seldom_held_and_never_for_long_and_nothing_wanted_it() {
        assert_eq!(is_free(sampled(0.01, 12.0, 30_000.0)), Some(true));
        assert_eq!(is_free(sampled(0.01, 12.0, 9_999.0)), None, "too short to say");
        assert_eq!(is_free(sampled(0.06, 12.0, 30_000.0)), Some(false));
        assert_eq!(is_free(sampled(0.01, 2_501.0, 60_000.0)), Some(false), "half of the busy timeout");
        let wanted: [fn(&mut DatabaseLocks); 3] = [
            |it| it.exclusive = Some(held(WRITER, 1.0)),
            |it| {
                it.own_waiters =
                    vec![OwnWaiters { pid: WRITER, threads: 1, asleep: 9, samples: 10, span_ms: 1000.0 }];
            },
            |it| {
                let victim = RefusedWriter {
                    pid: READER,
                    thread: READER,
                    holder: Some(WRITER),
                    reason: RefusalReason::NoTimeout,
                    waits: 1,
                    tries: 1,
                    gave_up: 1,
                    longest_ms: 0.0,
                    total_ms: 0.0,
                    waiting_ms: None,
                };
                it.refusals = Some(WriterRefusals { window_ms: 30_000.0, victims: vec![victim] });
            },
        ];
        for (index, change) in wanted.into_iter().enumerate() {
            let mut database = sampled(0.01, 12.0, 30_000.0);
            change(&mut database.locks);
            assert_eq!(is_free(database), Some(false), "{index}");
        }
        let mut unsampled = sampled(0.0, 0.0, 30_000.0);
        unsampled.locks.write_holds = None;
        assert_eq!(is_free(unsampled), None);
    }

    #[test]
    fn a_database_that_no_program_can_have_waited_for_has_no_statement() {
        let mut missing = sampled(0.0, 0.0, 30_000.0);
        missing.files.db = None;
        assert_eq!(is_free(missing), None);
        let unused = |count| {
            let mut database = sampled(0.0, 0.0, 30_000.0);
            database.processes.clear();
            database.locks.write_holds.as_mut().expect("it was sampled").count = count;
            is_free(database)
        };
        assert_eq!([unused(0), unused(3)], [None, Some(true)], "some wrote and are gone");
    }

    #[test]
    fn the_statement_says_what_was_not_visible() {
        let database = sampled(0.01, 12.0, 30_000.0);
        let mut traced = database.clone();
        traced.locks.refusals = Some(WriterRefusals { window_ms: 30_000.0, victims: Vec::new() });
        let mut snapshot = snapshot(vec![database, traced]);
        snapshot.sampling = Some(SamplingFacts {
            samples: 30_000,
            interval_ms: Some(1.0),
            cpu_percent: None,
            process_cpu_percent: None,
        });
        let (what, why) = ("open files of 3 processes".to_owned(), "denied".to_owned());
        snapshot.unseen.push(Unseen { what, why });
        fill_in(&mut snapshot, &config());
        let said = |index: usize| {
            let found = snapshot.databases[index].locks.availability.as_ref().expect("long enough");
            found.to_string()
        };
        assert_eq!(
            said(0),
            "free 99.0 % of 30 s, longest hold 12 ms: a program that waited then waited for something else (not \
             visible: holds shorter than 1 ms, refused tries, which only the trace shows, open files of 3 processes)"
        );
        assert_eq!(
            said(1),
            "free 99.0 % of 30 s, longest hold 12 ms, 0 refused: a program that waited then waited for something else \
             (not visible: open files of 3 processes)"
        );
    }
}
