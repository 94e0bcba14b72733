//! Who is stale: a process with at least one cause, each with its evidence, that nothing protects.
//!
//! Age alone is no cause: a live server was once stopped for its age. Idleness is measured over looks, never
//! assumed: one look proves nothing. A verdict is on the process, so that it stands in each database that it has open.

use std::collections::BTreeMap;

use crate::{
    config::{Config, DaemonRule},
    snapshot::{Database, Process, Snapshot, Stale},
};

mod causes;
mod findings;
mod protection;
mod twins;

pub use findings::{DeadPidfile, DuplicateDaemon, StaleDaemon};

use causes::causes;
use protection::protection;
use twins::Family;

/// Fills in the verdict on every process of every database.
pub fn judge(snapshot: &mut Snapshot, config: &Config) {
    let verdicts: BTreeMap<Key, Stale> = {
        let snapshot = &*snapshot;
        let family = Family::of(&snapshot.databases, &config.daemons);
        let scene = Scene { snapshot, config, family };
        let mut subjects: BTreeMap<Key, Subject<'_>> = BTreeMap::new();
        for database in &scene.snapshot.databases {
            for process in &database.processes {
                let subject = subjects.entry(key(process)).or_default();
                subject.rows.push((database, process));
            }
        }
        subjects.into_iter().map(|(key, subject)| (key, scene.verdict(&subject))).collect()
    };
    for process in snapshot.databases.iter_mut().flat_map(|database| &mut database.processes) {
        process.stale = verdicts.get(&key(process)).cloned();
    }
}

// What a verdict may know.
struct Scene<'a> {
    snapshot: &'a Snapshot,
    config: &'a Config,
    family: Family<'a>,
}

// A process, as each database that it has open shows it.
#[derive(Default)]
struct Subject<'a> {
    rows: Vec<(&'a Database, &'a Process)>,
}

type Key = (i32, Option<u64>);

fn key(process: &Process) -> Key {
    (process.pid, process.start_ticks)
}

impl<'a> Scene<'a> {
    fn verdict(&self, subject: &Subject<'_>) -> Stale {
        let causes = causes(self, subject);
        let protected = protection(self, subject);
        Stale { is_stale: !causes.is_empty() && protected.is_none(), causes, protected }
    }

    fn rule(&self, process: &Process) -> Option<&'a DaemonRule> {
        self.family.rule(process)
    }
}
