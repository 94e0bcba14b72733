//! A process that waits for a lock beside the database.

use super::super::{Rule, RuleFacts, RuleInput, evidence, no_remedy};
use crate::snapshot::{Finding, FindingKind, LockBeside, LockParty, Severity};

/// A process waits for a lock on another file of the folder, in two samples. What a user takes for a locked database may be
/// the program's own lock.
pub struct LockBesideDatabase;

impl Rule for LockBesideDatabase {
    fn facts(&self) -> RuleFacts {
        RuleFacts::new(FindingKind::LockBeside, &[Severity::Info])
    }

    fn check(&self, input: &RuleInput<'_>) -> Vec<Finding> {
        let before = input.previous.map_or(&[][..], |previous| &previous.locks_beside);
        input.database.locks_beside.iter().filter_map(|lock| self.finding(lock, before, input)).collect()
    }
}

impl LockBesideDatabase {
    fn finding(&self, lock: &LockBeside, before: &[LockBeside], input: &RuleInput<'_>) -> Option<Finding> {
        let same = before.iter().find(|it| (&it.file, &it.holder) == (&lock.file, &lock.holder))?;
        let waiting: Vec<&LockParty> = lock.waiters.iter().filter(|it| same.waiters.contains(it)).collect();
        if waiting.is_empty() {
            return None;
        }
        let names: Vec<String> = waiting.iter().map(ToString::to_string).collect();
        let verb = if waiting.len() == 1 { "waits" } else { "wait" };
        Some(Finding {
            kind: self.kind(),
            severity: Severity::Info,
            label: None,
            pid: lock.holder.as_ref().map(|holder| holder.pid),
            message: format!(
                "{} has locked {}, a file beside {}, and {} {verb} for it: this is a lock of the program, and none of \
                 SQLite's",
                lock.who(),
                lock.file,
                input.database.name(),
                names.join(", ")
            ),
            evidence: evidence([
                ("file", lock.file.clone().into()),
                ("waiting", waiting.iter().map(|waiter| waiter.pid).collect::<Vec<_>>().into()),
                ("write_lock_free", input.database.locks.writer.is_none().into()),
            ]),
            // Only the program knows what the lock protects.
            remedy: no_remedy(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::super::fixture::{WRITER, findings_after, findings_of, live, outline},
        *,
    };
    use crate::snapshot::{Database, FileLockKind};

    fn party(pid: i32) -> LockParty {
        LockParty { pid, label: Some("dnf".to_owned()) }
    }

    fn locked(waiters: &[i32]) -> Database {
        let mut database = live();
        database.locks_beside = vec![LockBeside {
            file: ".rpm.lock".to_owned(),
            kind: FileLockKind::Posix,
            is_exclusive: true,
            holder: Some(party(WRITER)),
            waiters: waiters.iter().copied().map(party).collect(),
        }];
        database
    }

    #[test]
    fn a_process_that_waits_in_two_samples_is_info_about_the_holder() {
        let waits = locked(&[77, 78]);
        assert_eq!(findings_of(&waits), []);
        assert_eq!(findings_after(Some(&locked(&[79])), &waits), [], "another one");
        let found = findings_after(Some(&locked(&[77])), &waits);
        assert_eq!(outline(&found), [(FindingKind::LockBeside, Severity::Info, Some(WRITER))]);
        assert_eq!(found[0].evidence["waiting"], serde_json::json!([77]));
    }

    #[test]
    fn a_lock_that_no_process_waits_for_is_only_a_fact() {
        assert_eq!(findings_after(Some(&locked(&[])), &locked(&[])), []);
    }
}
