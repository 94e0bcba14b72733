//! Causes that count only against an idle process.

use std::time::Duration;

use crate::{
    diagnose::{
        stale::{ProcessVerdict, StaleInput},
        wal::frames_pinned_by,
    },
    snapshot::{
        LockHold, LogReader, NotIdle, PastMaxAge, Process, ProcessIdleness, ProcessManager, ProcessOrigin,
        StaleCause,
    },
    units::milliseconds,
};

/// The maximum difference between two clocks that measure the same period of samples.
const SLACK_MS: f64 = 50.0;

// An unknown origin does not make a process an orphan.
pub fn orphan(scene: &StaleInput<'_>, process: &Process) -> Option<StaleCause> {
    let ProcessOrigin { has_terminal, manager, has_lost_parent, lost_input, .. } = &process.origin;
    // Where the init names no units, the manager is unknown. A service manager gives a service an input that stays.
    let is_unmanaged = match manager {
        Some(ProcessManager::Nobody) => true,
        None => lost_input.is_some(),
        Some(_) => false,
    };
    let is_orphan = *has_lost_parent == Some(true) && *has_terminal == Some(false) && is_unmanaged;
    let limit = scene.config.thresholds.idle.max(scene.config.thresholds.least_idle);
    let idle_ms = process.idleness.idle_ms.filter(|idle| is_orphan && *idle >= milliseconds(limit))?;
    Some(StaleCause::Orphan { adopted_by: process.parent, lost_input: *lost_input, idle_ms })
}

pub fn max_age(scene: &StaleInput<'_>, process: &Process) -> Option<StaleCause> {
    let (rule, age_ms, limit_ms) = outlived(scene, process)?;
    let cap = scene.config.thresholds.idle;
    let idle_ms = over_window(scene, process.idleness.idle_ms?, &process.idleness, cap)?;
    // Between two runs of waltop nobody saw whether it held a lock, and a short transaction takes less than a tick: only
    // the time that this one has watched counts.
    let idle_ms = idle_ms.min(process.idleness.watched_ms.unwrap_or(idle_ms));
    if idle_ms + SLACK_MS < milliseconds(scene.config.thresholds.least_idle) {
        return None;
    }
    Some(StaleCause::MaxAge { rule, age_ms, limit_ms, idle_ms })
}

/// Why a process that has outlived the `max_age` of its rule is not stale for that.
pub fn past_max_age(scene: &StaleInput<'_>, subject: &ProcessVerdict<'_>) -> Option<PastMaxAge> {
    let (_, process) = subject.rows.first()?;
    let (rule, age_ms, limit_ms) = outlived(scene, process)?;
    let least_ms = milliseconds(scene.config.thresholds.least_idle);
    let watched_ms = process.idleness.watched_ms.unwrap_or(0.0);
    let locks = subject.rows.iter().flat_map(|(_, process)| &process.holds);
    let not_idle = if process.is_stopped() {
        NotIdle::Stopped
    } else if let Some(&lock) = locks.into_iter().find(|lock| **lock != LockHold::Shared) {
        NotIdle::Lock { lock }
    } else if watched_ms + SLACK_MS < least_ms {
        NotIdle::BriefWatch { watched_ms, least_ms }
    } else {
        process.idleness.idle_ms.map_or(NotIdle::Unknown, |idle_ms| NotIdle::Work { idle_ms })
    };
    Some(PastMaxAge { rule, age_ms, limit_ms, not_idle })
}

// The rule whose `max_age` it has outlived, with its age and that limit.
fn outlived(scene: &StaleInput<'_>, process: &Process) -> Option<(String, f64, f64)> {
    let rule = scene.rule(process)?;
    let limit_ms = milliseconds(rule.max_age?);
    let age_ms = scene.snapshot.taken_at.duration_since(process.started_at?).as_millis_f64();
    (age_ms >= limit_ms).then(|| (rule.name.clone(), age_ms, limit_ms))
}

// The pin itself does not count as activity here.
pub fn pinned_wal(scene: &StaleInput<'_>, subject: &ProcessVerdict<'_>) -> Option<StaleCause> {
    let limit = scene.config.thresholds.pinned_wal.1;
    let limit_ms = milliseconds(limit);
    let (_, process) = subject.rows.first()?;
    let idle_ms = over_window(scene, process.idleness.cpu_idle_ms?, &process.idleness, limit)?;
    subject.rows.iter().find_map(|(database, process)| {
        let wal = database.wal.as_ref()?;
        let readers = database.locks.readers.iter().filter(|reader| reader.pid == Some(process.pid));
        let pin = |reader: &LogReader| {
            let kept = frames_pinned_by(reader, wal).filter(|kept| *kept > 0)?;
            Some((kept, reader.held_ms.filter(|held| *held >= limit_ms)?))
        };
        let (frames, held_ms) = readers.filter_map(pin).max_by(|one, other| one.1.total_cmp(&other.1))?;
        Some(StaleCause::PinnedWal { database: database.name(), frames, held_ms, idle_ms })
    })
}

// Whether the process was idle over the whole sampled period, or over `cap`, whichever is shorter, but never over less
// than the minimum that is meaningful.
fn over_window(
    scene: &StaleInput<'_>,
    idle_ms: f64,
    idleness: &ProcessIdleness,
    cap: Duration,
) -> Option<f64> {
    let window_ms = idleness.watched_ms.unwrap_or(f64::INFINITY).min(milliseconds(cap));
    let least_ms = milliseconds(scene.config.thresholds.least_idle);
    (idle_ms >= least_ms && idle_ms + SLACK_MS >= window_ms).then_some(idle_ms)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::tests::{NONE, against, idle, judged, names, rule, ruled, verdict, with};
    use crate::{
        diagnose::fixture::{READER, WRITER, config, pinned},
        snapshot::{
            Database, LockHold, LostInput, NotIdle, ProcessIdleness, ProcessManager, ProcessOrigin,
            ProcessState, StaleCause,
        },
    };

    fn old(idleness: ProcessIdleness) -> Database {
        // The snapshots of these tests are taken at the epoch.
        let started_at = "1969-12-30T00:00:00Z".parse().expect("a time");
        with(|process| {
            process.started_at = Some(started_at);
            process.idleness = idleness;
        })
    }

    fn orphan() -> ProcessOrigin {
        ProcessOrigin {
            has_terminal: Some(false),
            manager: Some(ProcessManager::Nobody),
            has_lost_parent: Some(true),
            ..ProcessOrigin::default()
        }
    }

    #[test]
    fn age_counts_only_with_a_rule_and_idleness() {
        let day = ruled(vec![rule("bun", |rule| rule.max_age = Some(Duration::from_hours(24)))]);
        let week = ruled(vec![rule("bun", |rule| rule.max_age = Some(Duration::from_hours(168)))]);
        let other = ruled(vec![rule("node", |rule| rule.max_age = Some(Duration::from_hours(24)))]);
        let idling = old(idle(30_000.0, 30_000.0));
        assert_eq!(against(&idling, &day), ["max-age"]);
        for config in [&week, &other, &config(), &ruled(vec![rule("bun", |_| {})])] {
            assert_eq!(against(&idling, config), NONE);
        }
        let now = judged(vec![idling], None, &day);
        let age_ms = 172_801_000.0;
        assert_eq!(
            verdict(&now.databases[0], WRITER).causes,
            [StaleCause::MaxAge {
                rule: "bun".to_owned(),
                age_ms,
                limit_ms: 86_400_000.0,
                idle_ms: 30_000.0
            }]
        );
    }

    #[test]
    fn a_process_of_exactly_the_allowed_age_is_too_old() {
        let idling = old(idle(30_000.0, 30_000.0));
        let age = Duration::from_secs(172_801);
        for (max_age, expected) in [(age, &["max-age"][..]), (age + Duration::from_millis(1), &[])] {
            let rules = ruled(vec![rule("bun", |rule| rule.max_age = Some(max_age))]);
            assert_eq!(against(&idling, &rules), expected, "{max_age:?}");
        }
    }

    #[test]
    fn idleness_is_that_of_the_whole_window() {
        let day = ruled(vec![rule("bun", |rule| rule.max_age = Some(Duration::from_hours(24)))]);
        let unknown = ProcessIdleness { idle_ms: None, ..idle(30_000.0, 30_000.0) };
        let half_hour = 1_800_000.0;
        for (idleness, expected) in [
            (idle(30_000.0, 60_000.0), &[][..]),
            (idle(half_hour, 10.0 * half_hour), &["max-age"]),
            // An earlier waltop has seen it idle, and this one has not watched it for long enough.
            (idle(60_000.0, 0.0), &[]),
            (idle(60_000.0, 20_000.0), &[]),
            (idle(60_000.0, 30_000.0), &["max-age"]),
            // A second after the start everybody who happened not to tick is idle.
            (idle(1000.0, 1000.0), &[]),
            (idle(29_999.0, 29_999.0), &[]),
            (idle(29_999.0, 0.0), &[]),
            (unknown, &[]),
            (ProcessIdleness::default(), &[]),
        ] {
            assert_eq!(against(&old(idleness), &day), expected, "{idleness:?}");
        }
    }

    #[test]
    fn a_process_past_its_age_that_is_not_stale_says_why() {
        let day = ruled(vec![rule("bun", |rule| rule.max_age = Some(Duration::from_hours(24)))]);
        let said = |database: &Database, config| {
            let now = judged(vec![database.clone()], Some(vec![database.clone()]), config);
            verdict(&now.databases[0], WRITER).past_max_age.clone().map(|it| it.not_idle)
        };
        let mut reader = old(idle(30_000.0, 60_000.0));
        reader.processes[0].holds = vec![LockHold::Shared];
        assert_eq!(said(&reader, &day), Some(NotIdle::Work { idle_ms: 30_000.0 }));
        reader.processes[0].holds.push(LockHold::Read(1));
        assert_eq!(said(&reader, &day), Some(NotIdle::Lock { lock: LockHold::Read(1) }));
        let unruled = config();
        assert_eq!(said(&reader, &unruled), None, "there is no rule");
        reader.processes[0].state = ProcessState::Stopped;
        assert_eq!(said(&reader, &day), Some(NotIdle::Stopped));
        let mut unknown = old(ProcessIdleness { idle_ms: None, ..idle(30_000.0, 60_000.0) });
        unknown.processes[0].holds.clear();
        assert_eq!(said(&unknown, &day), Some(NotIdle::Unknown));
        let mut brief = old(idle(60_000.0, 200.0));
        brief.processes[0].holds.clear();
        let watch = NotIdle::BriefWatch { watched_ms: 200.0, least_ms: 30_000.0 };
        assert_eq!(said(&brief, &day), Some(watch));
        let mut stale = old(idle(30_000.0, 30_000.0));
        stale.processes[0].holds.clear();
        assert_eq!(said(&stale, &day), None, "a cause says it");
    }

    #[test]
    fn who_is_stopped_is_not_idle_of_its_own_accord() {
        let day = ruled(vec![rule("bun", |rule| rule.max_age = Some(Duration::from_hours(24)))]);
        let mut idling = old(idle(30_000.0, 30_000.0));
        assert_eq!(against(&idling, &day), ["max-age"]);
        idling.processes[0].state = ProcessState::Stopped;
        assert_eq!(against(&idling, &day), NONE);
    }

    #[test]
    fn an_orphan_is_one_in_every_respect() {
        let forgotten = |origin: ProcessOrigin, idle_ms: f64| {
            with(|process| {
                process.origin = origin;
                process.idleness = idle(idle_ms, 30_000.0);
            })
        };
        let half_hour = 1_800_000.0;
        assert_eq!(against(&forgotten(orphan(), half_hour), &config()), ["orphan"]);
        assert_eq!(against(&forgotten(orphan(), half_hour - 1.0), &config()), NONE);
        let unlike: [fn(&mut ProcessOrigin); 7] = [
            |it| it.has_lost_parent = Some(false),
            |it| it.has_lost_parent = None,
            |it| it.has_terminal = Some(true),
            |it| it.has_terminal = None,
            |it| it.manager = Some(ProcessManager::Service("foo.service".to_owned())),
            |it| it.manager = Some(ProcessManager::Container("docker-1.scope".to_owned())),
            |it| it.manager = None,
        ];
        for (index, adapt) in unlike.into_iter().enumerate() {
            let mut origin = orphan();
            adapt(&mut origin);
            assert_eq!(against(&forgotten(origin.clone(), half_hour), &config()), NONE, "{index}");
            // Nor does an input that is gone make it one, unless it is the manager alone that is not known.
            origin.lost_input = Some(LostInput::Pipe);
            let expected = if index == 6 { &["orphan"][..] } else { &[] };
            assert_eq!(against(&forgotten(origin.clone(), half_hour), &config()), expected, "{index}");
            assert_eq!(against(&forgotten(origin, half_hour - 1.0), &config()), NONE, "{index}");
        }
    }

    #[test]
    fn the_pin_itself_is_no_activity_but_cpu_time_is() {
        let pinning = |idleness: ProcessIdleness, held_ms: f64| {
            let mut database = pinned();
            database.processes[1].idleness = idleness;
            database.locks.readers[0].held_ms = Some(held_ms);
            let now = judged(vec![database], None, &config());
            names(verdict(&now.databases[0], READER))
        };
        let ten_minutes = 600_000.0;
        let holding = ProcessIdleness { idle_ms: Some(0.0), ..idle(30_000.0, 30_000.0) };
        assert_eq!(pinning(holding, ten_minutes), ["pinned-wal"]);
        assert_eq!(pinning(holding, ten_minutes - 1.0), NONE);
        assert_eq!(pinning(ProcessIdleness { cpu_idle_ms: Some(1000.0), ..holding }, ten_minutes), NONE);
        let for_a_second = ProcessIdleness { idle_ms: Some(0.0), ..idle(1000.0, 1000.0) };
        assert_eq!(pinning(for_a_second, ten_minutes), NONE, "watched for too short a time");
        assert_eq!(pinning(ProcessIdleness { cpu_idle_ms: None, ..holding }, ten_minutes), NONE);
        let mut caught_up = pinned();
        caught_up.processes[1].idleness = holding;
        caught_up.locks.readers[0].frame = Some(19_031);
        let now = judged(vec![caught_up], None, &config());
        assert_eq!(names(verdict(&now.databases[0], READER)), NONE, "it keeps nothing from being moved");
    }
}
