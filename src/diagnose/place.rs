//! The location of a database: its file system, and the owners of the files and their folder.

use super::{Rule, RuleFacts, RuleInput, evidence, no_remedy, quoted};
use crate::snapshot::{Database, FileFacts, Filesystem, Finding, FindingKind, Remedy, Severity, Unseen};

pub const RULES: &[&dyn Rule] = &[&UnsafeFilesystem, &ForeignOwner];

/// The database is on a file system where the locks or the shared memory of WAL fail.
///
/// An overlay counts only if, in two samples, the kernel names a holder of the files that the lock table does not list.
/// A single sample could miss a lock taken after the table was read.
pub struct UnsafeFilesystem;

impl UnsafeFilesystem {
    fn finding(&self, look: &RuleInput<'_>, severity: Severity, what: &str, kind: &Filesystem) -> Finding {
        Finding {
            kind: self.kind(),
            severity,
            label: None,
            pid: None,
            message: format!("{} is on {what}", look.database.name()),
            evidence: evidence([
                ("filesystem", kind.kind.clone().into()),
                ("mounted_at", kind.mounted_at.to_string_lossy().into_owned().into()),
                ("locks_match", kind.locks_match.into()),
            ]),
            // Move the database to another disk while no process uses it.
            remedy: no_remedy(),
        }
    }
}

impl Rule for UnsafeFilesystem {
    fn facts(&self) -> RuleFacts {
        RuleFacts::new(FindingKind::UnsafeFilesystem, &[Severity::Warning, Severity::Error])
    }

    fn check(&self, look: &RuleInput<'_>) -> Vec<Finding> {
        let Some(filesystem) = &look.database.filesystem else {
            return Vec::new();
        };
        let before = look.previous.and_then(|it| it.filesystem.as_ref());
        let kind = &filesystem.kind;
        let at = format!("{kind} (mounted at {})", filesystem.mounted_at.display());
        let told = match hazard(kind) {
            Some(FilesystemHazard::Network) => Some((
                Severity::Error,
                format!("{at}: two machines do not see each other's locks, and can corrupt it"),
            )),
            Some(FilesystemHazard::Shared) => Some((
                Severity::Warning,
                format!(
                    "{at}: this machine and its host do not see each other's locks, and can corrupt it together"
                ),
            )),
            Some(FilesystemHazard::Program) => Some((
                Severity::Warning,
                format!("{at}: whether locks and shared memory work there depends on the program behind it"),
            )),
            None if kind == "overlay" && [Some(filesystem), before].iter().all(|it| lacks_locks(*it)) => {
                Some((
                    Severity::Warning,
                    format!(
                        "{at}, where its locks show under another device: which process holds what is unknown"
                    ),
                ))
            }
            None => None,
        };
        told.map(|(severity, what)| self.finding(look, severity, &what, filesystem)).into_iter().collect()
    }
}

/// Why locks and shared memory may fail on a kind of file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FilesystemHazard {
    /// Several machines mount it.
    Network,
    /// A virtual machine has it from its host.
    Shared,
    /// A program serves it (FUSE).
    Program,
}

/// That processes elsewhere may have `database` open, if it is on a file system that others may use.
pub(super) fn unseen_elsewhere(database: &Database) -> Option<Unseen> {
    let kind = &database.filesystem.as_ref()?.kind;
    hazard(kind)?;
    let why = format!("{} is on {kind}, which other machines may use", database.name());
    Some(Unseen { what: "processes on other machines".to_owned(), why })
}

/// Types as the kernel names them: of Linux itself, and of the guest drivers of virtual machines.
pub(super) fn hazard(kind: &str) -> Option<FilesystemHazard> {
    match kind {
        "nfs" | "nfs4" | "cifs" | "smb3" | "smbfs" | "9p" | "v9fs" | "ceph" | "lustre" | "afs" | "ncpfs"
        | "coda" | "beegfs" | "orangefs" => Some(FilesystemHazard::Network),
        "virtiofs" | "vboxsf" | "prl_fs" | "drvfs" | "wslfs" => Some(FilesystemHazard::Shared),
        "fuse" | "fuseblk" => Some(FilesystemHazard::Program),
        _ if kind.starts_with("fuse.") => Some(FilesystemHazard::Program),
        _ => None,
    }
}

fn lacks_locks(filesystem: Option<&Filesystem>) -> bool {
    filesystem.is_some_and(|it| it.locks_match == Some(false))
}

/// `-wal` or `-shm` has another owner than the database, or the database's owner cannot create files in its folder.
///
/// Files are shared on purpose if a common group, or every user, may write them as they may write the database. The
/// folder counts in WAL mode only: with a rollback journal, read-only use may be intended.
pub struct ForeignOwner;

impl Rule for ForeignOwner {
    fn facts(&self) -> RuleFacts {
        RuleFacts::new(FindingKind::ForeignOwner, &[Severity::Warning])
    }

    fn check(&self, look: &RuleInput<'_>) -> Vec<Finding> {
        let database = look.database;
        let Some(db) = &database.files.db else { return Vec::new() };
        // The folder is reported only if there are no such files.
        self.sidecars(database, db).or_else(|| self.folder(database, db)).into_iter().collect()
    }
}

impl ForeignOwner {
    fn sidecars(&self, database: &Database, db: &FileFacts) -> Option<Finding> {
        let files = [("-wal", &database.files.wal), ("-shm", &database.files.shm)];
        let foreign: Vec<(String, &FileFacts)> = files
            .into_iter()
            .filter_map(|(suffix, file)| Some((suffix, file.as_ref()?)))
            .filter(|(_, file)| file.uid != db.uid && !is_shared(file, db))
            .map(|(suffix, file)| (format!("{}{suffix}", database.name()), file))
            .collect();
        if foreign.is_empty() {
            return None;
        }
        let belong: Vec<String> =
            foreign.iter().map(|(name, file)| format!("{name} belongs to user {}", file.uid)).collect();
        let suffixed = |suffix: &str| {
            let mut path = database.path.clone().into_os_string();
            path.push(suffix);
            quoted(path.as_ref())
        };
        let paths: Vec<String> =
            foreign.iter().map(|(name, _)| suffixed(&name[database.name().len()..])).collect();
        Some(Finding {
            kind: self.kind(),
            severity: Severity::Warning,
            label: None,
            pid: None,
            message: format!(
                "{} and {} to user {}: who may write one may not write the other, and commits fail",
                belong.join(", "),
                database.name(),
                db.uid,
            ),
            evidence: evidence([
                ("database_uid", db.uid.into()),
                ("wal_uid", database.files.wal.as_ref().map(|it| it.uid).into()),
                ("shm_uid", database.files.shm.as_ref().map(|it| it.uid).into()),
            ]),
            remedy: Remedy {
                action: None,
                command: Some(format!("chown --reference={} {}", quoted(&database.path), paths.join(" "))),
            },
        })
    }

    fn folder(&self, database: &Database, db: &FileFacts) -> Option<Finding> {
        let folder = database.folder.as_ref()?;
        if folder.owner_may_write != Some(false) || database.is_wal() != Some(true) {
            return None;
        }
        Some(Finding {
            kind: self.kind(),
            severity: Severity::Warning,
            label: None,
            pid: None,
            message: format!(
                "{} belongs to user {}, who cannot write its folder (user {}, mode {:o}): \
                 -wal and -shm cannot be made there when they are missing",
                database.name(),
                db.uid,
                folder.uid,
                folder.mode,
            ),
            evidence: evidence([
                ("database_uid", db.uid.into()),
                ("folder_uid", folder.uid.into()),
                ("folder_mode", format!("{:o}", folder.mode).into()),
            ]),
            // The owner of the folder decides who gets access.
            remedy: no_remedy(),
        })
    }
}

/// Whether every user who may write the database through its group, or as any user, may write `file` in the same way.
pub(super) fn is_shared(file: &FileFacts, db: &FileFacts) -> bool {
    let by_group = file.gid.is_some() && file.gid == db.gid && file.mode & db.mode & 0o020 != 0;
    by_group || file.mode & db.mode & 0o002 != 0
}

#[cfg(test)]
mod tests {
    use super::super::fixture::*;
    use crate::snapshot::{Database, Severity::*};

    fn on(kind: &str, locks_match: Option<bool>) -> Database {
        let mut database = live();
        let filesystem = database.filesystem.as_mut().expect("it is known");
        filesystem.kind = kind.to_owned();
        filesystem.locks_match = locks_match;
        database
    }

    #[test]
    fn a_network_is_an_error_and_a_program_or_a_host_a_warning() {
        for kind in ["nfs", "nfs4", "cifs", "smb3", "9p", "ceph", "lustre", "afs"] {
            let found = findings_of(&on(kind, None));
            assert_eq!(outline(&found), [(FindingKind::UnsafeFilesystem, Error, None)], "{kind}");
        }
        for kind in ["fuse", "fuseblk", "fuse.sshfs", "virtiofs", "vboxsf", "prl_fs", "drvfs", "wslfs"] {
            let found = findings_of(&on(kind, None));
            assert_eq!(outline(&found), [(FindingKind::UnsafeFilesystem, Warning, None)], "{kind}");
        }
        for kind in ["ext4", "xfs", "btrfs", "tmpfs", "zfs", "nfsd", "fusectl", "overlay"] {
            assert_eq!(findings_of(&on(kind, None)), [], "{kind}");
        }
        let found = findings_of(&on("nfs4", None));
        assert_eq!(
            (&found[0].evidence["filesystem"], &found[0].evidence["mounted_at"]),
            (&"nfs4".into(), &"/srv".into())
        );
        let mut database = live();
        database.filesystem = None;
        assert_eq!(findings_of(&database), []);
    }

    #[test]
    fn an_overlay_is_unsafe_where_two_samples_miss_locks() {
        let (good, bad) = (on("overlay", Some(true)), on("overlay", Some(false)));
        assert_eq!(findings_of(&bad), []);
        assert_eq!(findings_after(Some(&good), &bad), []);
        assert_eq!(findings_after(Some(&bad), &good), []);
        let found = findings_after(Some(&bad), &bad);
        assert_eq!(outline(&found), [(FindingKind::UnsafeFilesystem, Warning, None)]);
        let elsewhere = on("ext4", Some(false));
        assert_eq!(findings_after(Some(&elsewhere), &elsewhere), []);
    }

    #[test]
    fn a_sidecar_of_another_user_is_foreign() {
        let mut database = live();
        database.path = "/srv/my notes.db".into();
        database.files.wal.as_mut().expect("a log").uid = 0;
        let found = findings_of(&database);
        assert_eq!(outline(&found), [(FindingKind::ForeignOwner, Warning, None)]);
        assert_eq!(
            (&found[0].evidence["database_uid"], &found[0].evidence["wal_uid"]),
            (&1000.into(), &0.into())
        );
        assert_eq!(
            found[0].remedy.command.as_deref(),
            Some("chown --reference='/srv/my notes.db' '/srv/my notes.db-wal'")
        );
        database.files.shm.as_mut().expect("an index").uid = 0;
        let found = findings_of(&database);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].evidence["shm_uid"], 0);
        let command = found[0].remedy.command.as_deref();
        assert!(
            command.is_some_and(|it| it.ends_with(" '/srv/my notes.db-wal' '/srv/my notes.db-shm'")),
            "{command:?}"
        );
        database.files.db = None;
        database.processes.clear();
        assert_eq!(findings_of(&database), [], "whose it is, is not known");
    }

    #[test]
    fn what_a_group_may_write_is_shared_on_purpose() {
        let mut database = live();
        database.files.wal.as_mut().expect("a log").uid = 1001;
        for (mode, gid, count) in [
            (0o664, Some(1000), 0),
            (0o664, Some(1001), 1),
            (0o664, None, 1),
            (0o644, Some(1000), 1),
            (0o666, None, 0),
        ] {
            for file in [&mut database.files.db, &mut database.files.wal] {
                file.as_mut().expect("there").mode = mode;
            }
            database.files.wal.as_mut().expect("a log").gid = gid;
            assert_eq!(findings_of(&database).len(), count, "{mode:o} {gid:?}");
        }
    }

    #[test]
    fn a_folder_that_the_owner_cannot_write_is_reported() {
        let mut database = live();
        let folder = database.folder.as_mut().expect("it is known");
        (folder.uid, folder.owner_may_write) = (0, Some(false));
        let found = findings_of(&database);
        assert_eq!(outline(&found), [(FindingKind::ForeignOwner, Warning, None)]);
        assert_eq!(
            (&found[0].evidence["folder_uid"], &found[0].evidence["folder_mode"]),
            (&0.into(), &"755".into())
        );
        database.folder.as_mut().expect("it is known").owner_may_write = None;
        assert_eq!(findings_of(&database), []);
        let mut database = rollback();
        database.processes.pop();
        database.folder.as_mut().expect("it is known").owner_may_write = Some(false);
        assert_eq!(findings_of(&database), []);
    }
}
