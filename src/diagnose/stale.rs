//! Stale processes: those with at least one cause, each with its evidence, and without protection.
//!
//! Age alone is no cause: a live server was once stopped for its age. Idleness is measured over samples and never
//! assumed: one sample proves nothing. A verdict is about the process, so it appears in each database that the process
//! has open.

use std::collections::BTreeMap;

use crate::{
    config::{Config, DaemonRule},
    snapshot::{Database, Process, Snapshot, StaleCause, StaleVerdict},
};

mod causes;
mod doubles;
mod findings;
mod outlived;
mod pidfile;
mod protection;
mod twins;

pub use findings::RULES;

use causes::{causes, past_max_age};
use protection::protection;
use twins::DaemonFamily;

/// Fills in the verdict on every process of every database.
pub fn judge_processes(snapshot: &mut Snapshot, config: &Config) {
    let verdicts: BTreeMap<ProcessKey, StaleVerdict> = {
        let snapshot = &*snapshot;
        let family = DaemonFamily::of(&snapshot.databases, &config.daemons);
        let scene = StaleInput { snapshot, config, family };
        let mut subjects: BTreeMap<ProcessKey, ProcessVerdict<'_>> = BTreeMap::new();
        for database in &scene.snapshot.databases {
            for process in &database.processes {
                let subject = subjects.entry(key(process)).or_default();
                subject.rows.push((database, process));
            }
        }
        subjects.into_iter().map(|(key, subject)| (key, scene.verdict(&subject))).collect()
    };
    let verdicts = without_lone_duplicates(verdicts);
    for process in snapshot.databases.iter_mut().flat_map(|database| &mut database.processes) {
        process.stale = verdicts.get(&key(process)).cloned();
    }
}

// A process is no duplicate of one that is stale itself: if both were stopped, none would be left.
fn without_lone_duplicates(
    verdicts: BTreeMap<ProcessKey, StaleVerdict>,
) -> BTreeMap<ProcessKey, StaleVerdict> {
    let stale: Vec<i32> = verdicts.iter().filter(|(_, it)| it.is_stale).map(|((pid, _), _)| *pid).collect();
    let kept =
        |cause: &StaleCause| !matches!(cause, StaleCause::Duplicate { newer, .. } if stale.contains(newer));
    let judged = verdicts.into_iter().map(|(key, mut verdict)| {
        verdict.causes.retain(kept);
        verdict.is_stale &= !verdict.causes.is_empty();
        (key, verdict)
    });
    judged.collect()
}

// The inputs of a verdict.
struct StaleInput<'a> {
    snapshot: &'a Snapshot,
    config: &'a Config,
    family: DaemonFamily<'a>,
}

// A process with its row in each database that it has open.
#[derive(Default)]
struct ProcessVerdict<'a> {
    rows: Vec<(&'a Database, &'a Process)>,
}

type ProcessKey = (i32, Option<u64>);

fn key(process: &Process) -> ProcessKey {
    (process.pid, process.start_ticks)
}

impl<'a> StaleInput<'a> {
    fn verdict(&self, subject: &ProcessVerdict<'_>) -> StaleVerdict {
        let causes = causes(self, subject);
        let protected = protection(self, subject);
        let is_stale = !causes.is_empty() && protected.is_none();
        let is_ruled_out = causes.is_empty() && protected.is_none();
        let past_max_age = is_ruled_out.then(|| past_max_age(self, subject)).flatten();
        StaleVerdict { is_stale, causes, protected, past_max_age }
    }

    fn rule(&self, process: &Process) -> Option<&'a DaemonRule> {
        self.family.rule(process)
    }
}
