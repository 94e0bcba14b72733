//! What makes a process stale, and what was seen of it.

use super::{Scene, Subject, key, twins};
use crate::{
    diagnose::wal::frames_kept_by,
    snapshot::{Activity, Cause, Database, Executable, ExecutableState, Manager, Origin, Process, Reader},
    units,
};

/// Idleness over less than this means nothing: CPU time is counted in ticks of 10 ms or so.
const LEAST_MS: f64 = 500.0;
/// What may lie between two clocks that measure the same stretch of looks.
const SLACK_MS: f64 = 50.0;

/// Every cause that holds.
pub fn causes(scene: &Scene<'_>, subject: &Subject<'_>) -> Vec<Cause> {
    let Some((_, process)) = subject.rows.first() else { return Vec::new() };
    let found = [
        ("split-wal", split_wal(scene, subject)),
        ("executable", executable(process)),
        ("duplicate", duplicate(scene, process)),
        ("max-age", max_age(scene, process)),
        ("orphan", orphan(scene, process)),
        ("pinned-wal", pinned_wal(scene, subject)),
    ];
    let cause = |(name, evidence): (&str, Option<String>)| {
        Some(Cause { cause: name.to_owned(), evidence: evidence? })
    };
    found.into_iter().filter_map(cause).collect()
}

// Two looks have to see it: whoever closes a database last deletes its log a moment before its own descriptor.
fn split_wal(scene: &Scene<'_>, subject: &Subject<'_>) -> Option<String> {
    let mut replaced: Vec<&str> = Vec::new();
    for (database, process) in &subject.rows {
        let before = before(scene, database, process)?;
        let stays = |path: &&String| before.replaced.contains(path);
        replaced.extend(process.replaced.iter().filter(stays).map(String::as_str));
    }
    let files = replaced.join(", ");
    (!replaced.is_empty()).then(|| format!("it has {files} open, which was deleted or replaced"))
}

fn before<'a>(scene: &Scene<'a>, database: &Database, process: &Process) -> Option<&'a Process> {
    let previous = scene.previous?.databases.iter().find(|it| it.path == database.path)?;
    previous.process(process.pid).filter(|before| key(before) == key(process))
}

fn executable(process: &Process) -> Option<String> {
    let Executable { path, state } = process.origin.executable.as_ref()?;
    match state {
        Some(ExecutableState::Deleted) => Some(format!("its program {path} was deleted after it started")),
        Some(ExecutableState::Replaced) => Some(format!(
            "its program {path} was replaced after it started, as an upgrade does: it runs the old one"
        )),
        Some(ExecutableState::Current) | None => None,
    }
}

// What is not known makes no orphan.
fn orphan(scene: &Scene<'_>, process: &Process) -> Option<String> {
    let Origin { has_terminal, manager, has_lost_parent, .. } = &process.origin;
    let is_orphan =
        *has_lost_parent == Some(true) && *has_terminal == Some(false) && *manager == Some(Manager::Nobody);
    let limit_ms = scene.config.thresholds.idle.as_secs_f64() * 1000.0;
    let idle_ms = process.activity.idle_ms.filter(|idle| is_orphan && *idle >= limit_ms.max(LEAST_MS))?;
    let heir = process.parent.map(|parent| format!(" ({parent} took it in)")).unwrap_or_default();
    Some(format!(
        "its parent has died{heir}, it has no terminal and no service manager, and it is idle: no tick of CPU time \
         and no lock of a transaction was seen in {}",
        units::duration(idle_ms)
    ))
}

fn duplicate(scene: &Scene<'_>, process: &Process) -> Option<String> {
    let rule = scene.rule(process).filter(|rule| rule.singleton)?;
    let newer = twins::newer(scene, process)?;
    Some(format!(
        "{} ({}) is newer, and there should be only one {} (a singleton rule)",
        newer.pid, newer.name, rule.name
    ))
}

fn max_age(scene: &Scene<'_>, process: &Process) -> Option<String> {
    let rule = scene.rule(process)?;
    let limit_ms = rule.max_age?.as_secs_f64() * 1000.0;
    let age_ms = scene.snapshot.taken_at.duration_since(process.started_at?).as_millis_f64();
    if age_ms < limit_ms {
        return None;
    }
    let cap_ms = scene.config.thresholds.idle.as_secs_f64() * 1000.0;
    let idle_ms = over_window(process.activity.idle_ms?, &process.activity, cap_ms)?;
    Some(format!(
        "it is {} old, past the {} of the rule {}, and idle: no tick of CPU time and no lock of a transaction was \
         seen in {}",
        units::duration(age_ms),
        units::duration(limit_ms),
        rule.name,
        units::duration(idle_ms)
    ))
}

// Here the pin itself is no activity.
fn pinned_wal(scene: &Scene<'_>, subject: &Subject<'_>) -> Option<String> {
    let limit_ms = scene.config.thresholds.pinned_wal.1.as_secs_f64() * 1000.0;
    let (_, process) = subject.rows.first()?;
    let idle_ms = over_window(process.activity.cpu_idle_ms?, &process.activity, limit_ms)?;
    subject.rows.iter().find_map(|(database, process)| {
        let wal = database.wal.as_ref()?;
        let readers = database.locks.readers.iter().filter(|reader| reader.pid == Some(process.pid));
        let pin = |reader: &Reader| {
            let kept = frames_kept_by(reader, wal).filter(|kept| *kept > 0)?;
            Some((kept, reader.held_ms.filter(|held| *held >= limit_ms)?))
        };
        let (kept, held_ms) = readers.filter_map(pin).max_by(|one, other| one.1.total_cmp(&other.1))?;
        Some(format!(
            "it has pinned {} of {} for {}, and no tick of CPU time was seen in {}",
            units::plural(kept.into(), "frame"),
            database.name(),
            units::duration(held_ms),
            units::duration(idle_ms)
        ))
    })
}

// Whether that is idleness over all that the looks have covered, or over `cap_ms`, whichever is shorter.
fn over_window(idle_ms: f64, activity: &Activity, cap_ms: f64) -> Option<f64> {
    let window_ms = activity.watched_ms.unwrap_or(f64::INFINITY).min(cap_ms);
    (idle_ms >= LEAST_MS && idle_ms + SLACK_MS >= window_ms).then_some(idle_ms)
}
