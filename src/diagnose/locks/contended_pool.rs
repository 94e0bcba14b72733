//! A process whose connections keep each other waiting.

use super::super::{Rule, RuleFacts, RuleInput, evidence, is_held_by, no_remedy, who};
use crate::{
    snapshot::{Finding, FindingKind, OwnWaiters, Severity},
    units,
};

/// Threads of a process wait for the write lock while the process itself holds it, so that no other process is to blame.
///
/// It counts only if the process has two connections, each of which has the main file open.
pub struct ContendedPool;

impl Rule for ContendedPool {
    fn facts(&self) -> RuleFacts {
        RuleFacts::new(FindingKind::ContendedPool, &[Severity::Info])
    }

    fn check(&self, look: &RuleInput<'_>) -> Vec<Finding> {
        let waiters = look.database.locks.own_waiters.iter();
        waiters.filter_map(|waiters| self.finding(waiters, look)).collect()
    }
}

impl ContendedPool {
    fn finding(&self, waiters: &OwnWaiters, look: &RuleInput<'_>) -> Option<Finding> {
        let connections = look.database.process(waiters.pid)?.handles.map(|handles| handles.db);
        let least = look.config.thresholds.contended_pool;
        if waiters.threads < least || connections.is_some_and(|connections| connections < 2) {
            return None;
        }
        let threads = match waiters.threads {
            1 => "another of its threads waits".to_owned(),
            threads => format!("{} of its own threads wait", units::count(threads.into())),
        };
        Some(Finding {
            kind: self.kind(),
            severity: Severity::Info,
            label: None,
            pid: Some(waiters.pid),
            message: format!(
                "{} {} the write lock for which {threads}, in {} of {}: its connections keep each other out",
                who(look.database, Some(waiters.pid)),
                if is_held_by(look.database.locks.writer.as_ref(), Some(waiters.pid)) {
                    "holds"
                } else {
                    "held"
                },
                units::count(waiters.asleep.into()),
                units::plural(waiters.samples.into(), "sample")
            ),
            evidence: evidence([
                ("threads", waiters.threads.into()),
                ("connections", connections.into()),
                ("samples", waiters.samples.into()),
                ("asleep", waiters.asleep.into()),
                ("span_ms", waiters.span_ms.into()),
            ]),
            // The fix belongs where the program makes its pool.
            remedy: no_remedy(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::fixture::*;
    use crate::snapshot::{Database, HandleCounts, OwnWaiters, Severity::*};

    fn pool(pid: i32, threads: u32, connections: u32) -> Database {
        let mut database = live();
        database.locks.own_waiters =
            vec![OwnWaiters { pid, threads, samples: 9, asleep: 9, span_ms: 2_000.0 }];
        for process in &mut database.processes {
            process.handles = Some(HandleCounts { db: connections, wal: connections, shm: 1 });
        }
        database
    }

    #[test]
    fn threads_that_wait_for_their_own_process_are_info_about_it() {
        let found = findings_of(&pool(WRITER, 5, 6));
        assert_eq!(outline(&found), [(FindingKind::ContendedPool, Info, Some(WRITER))]);
        assert_eq!(
            (&found[0].evidence["threads"], &found[0].evidence["connections"]),
            (&5.into(), &6.into())
        );
        assert_eq!(found[0].remedy.action, None);
    }

    #[test]
    fn one_connection_alone_has_nothing_to_wait_for() {
        assert_eq!(findings_of(&pool(WRITER, 5, 1)), []);
        assert_eq!(findings_of(&pool(4_242, 5, 6)), [], "it is gone");
        let mut unknown = pool(WRITER, 5, 6);
        unknown.processes[0].handles = None;
        assert_eq!(findings_of(&unknown).len(), 1);
    }

    #[test]
    fn the_number_of_threads_is_a_threshold() {
        let mut config = config();
        config.thresholds.contended_pool = 3;
        let count = |threads| findings_with(&config, None, &pool(WRITER, threads, 6)).len();
        assert_eq!([2, 3].map(count), [0, 1]);
    }
}
