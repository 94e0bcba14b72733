//! Processes that are near a limit at which SQLite fails in them.

use super::super::{Rule, RuleFacts, RuleInput, evidence, no_remedy, who};
use crate::{
    file_format,
    snapshot::{Database, Finding, FindingKind, Process, ProcessLimit, ProcessLimits, Remedy, Severity},
    units,
};

/// Bytes of a frame's header in the log.
const FRAME_HEADER: u64 = file_format::FRAME_HEADER as u64;
/// Bytes of the header of the log.
const LOG_HEADER: u64 = file_format::LOG_HEADER as u64;

/// A process has almost all descriptors that it may have, or the next page would make a file larger than it may make one.
pub struct NearLimit;

impl Rule for NearLimit {
    fn facts(&self) -> RuleFacts {
        RuleFacts::new(FindingKind::ProcessLimit, &[Severity::Info, Severity::Warning])
    }

    fn check(&self, look: &RuleInput<'_>) -> Vec<Finding> {
        let of_limits = |process: &Process| {
            let limits = process.limits?;
            let descriptors = self.descriptors(process, limits, look);
            Some(descriptors.into_iter().chain(self.file_size(process, limits, look)))
        };
        let each = look.database.processes.iter().flat_map(|process| {
            of_limits(process).into_iter().flatten().chain(self.temporary_folder(process, look))
        });
        each.collect()
    }
}

impl NearLimit {
    fn descriptors(&self, process: &Process, limits: ProcessLimits, look: &RuleInput<'_>) -> Option<Finding> {
        let (used, most) = (limits.descriptors?, limits.open_files.soft?);
        #[expect(clippy::cast_precision_loss, reason = "a share of some thousands")]
        if (used as f64) < look.config.thresholds.process_limit * most as f64 {
            return None;
        }
        Some(Finding {
            message: format!(
                "{} has {} of the {} descriptors that it may have: without one SQLite cannot open the database or its \
                 log",
                who(look.database, Some(process.pid)),
                units::count(used),
                units::count(most)
            ),
            evidence: evidence([("descriptors", used.into()), ("limit", most.into())]),
            remedy: raise(process.pid, "nofile", limits.open_files),
            ..self.warning(process)
        })
    }

    // Whether it keeps its temporary files in memory is not visible, unless it has one open.
    fn temporary_folder(&self, process: &Process, look: &RuleInput<'_>) -> Option<Finding> {
        let folder = process.temp_folder.as_ref().filter(|_| process.is_client())?;
        if folder.free_bytes >= look.config.thresholds.temporary_room {
            return None;
        }
        let used = process.temp_files.filter(|count| *count > 0);
        let now = match (used, process.temp_bytes) {
            (Some(_), Some(bytes)) => {
                format!(", and {} of its own temporary files are open", units::bytes(bytes))
            }
            _ => String::new(),
        };
        Some(Finding {
            severity: if used.is_some() { Severity::Warning } else { Severity::Info },
            message: format!(
                "{} has {} left in {}, the folder of its temporary files{now}: a VACUUM, a large sort or a new index \
                 fails there with `database or disk is full`, whatever is free beside the database",
                who(look.database, Some(process.pid)),
                units::bytes(folder.free_bytes),
                folder.path.display()
            ),
            evidence: evidence([
                ("temporary_folder", folder.path.to_string_lossy().into_owned().into()),
                ("free_bytes", folder.free_bytes.into()),
                ("bytes", folder.bytes.into()),
                ("temporary_bytes", process.temp_bytes.into()),
            ]),
            ..self.warning(process)
        })
    }

    fn file_size(&self, process: &Process, limits: ProcessLimits, look: &RuleInput<'_>) -> Option<Finding> {
        let most = limits.file_bytes.soft?;
        if process.read_only != Some(false) {
            return None;
        }
        let (name, bytes) = grown(look.database).into_iter().find(|(_, bytes)| *bytes > most)?;
        Some(Finding {
            message: format!(
                "{} may not make a file larger than {}, and one more page makes {name} larger: the write fails or ends \
                 it with SIGXFSZ",
                who(look.database, Some(process.pid)),
                units::bytes(most)
            ),
            evidence: evidence([("file", name.into()), ("bytes", bytes.into()), ("limit", most.into())]),
            remedy: raise(process.pid, "fsize", limits.file_bytes),
            ..self.warning(process)
        })
    }

    // What the findings have in common.
    fn warning(&self, process: &Process) -> Finding {
        Finding {
            kind: self.kind(),
            severity: Severity::Warning,
            label: None,
            pid: Some(process.pid),
            message: String::new(),
            evidence: evidence([]),
            remedy: no_remedy(),
        }
    }
}

// The files that a commit or a checkpoint writes to, with the bytes that they have after one more page.
fn grown(database: &Database) -> Vec<(String, u64)> {
    let page = database.header.as_ref().map_or(0, |header| u64::from(header.page_size));
    let main = database.files.db.as_ref().map(|file| (database.name(), file.bytes + page));
    // A log that is moved is used again from its beginning, whatever the size of its file.
    let frames = database.wal.as_ref().filter(|wal| wal.pending != Some(0)).and_then(|wal| wal.frames);
    let log = frames.filter(|_| page > 0).map(|frames| {
        let bytes = LOG_HEADER + (u64::from(frames) + 1) * (FRAME_HEADER + page);
        (format!("{}-wal", database.name()), bytes)
    });
    main.into_iter().chain(log).collect()
}

// prlimit(1) raises a limit of a running process.
fn raise(pid: i32, resource: &str, limit: ProcessLimit) -> Remedy {
    if !limit.can_be_raised() {
        return no_remedy();
    }
    let hard = limit.hard.map_or_else(|| "unlimited".to_owned(), |hard| hard.to_string());
    Remedy { action: None, command: Some(format!("prlimit --pid {pid} --{resource}={hard}:")) }
}

#[cfg(test)]
mod tests {
    use super::{
        super::super::fixture::{WRITER, findings_of, live, outline},
        *,
    };
    use crate::snapshot::{Severity::*, TemporaryFolder};

    const NONE: ProcessLimit = ProcessLimit { soft: None, hard: None };

    fn with(descriptors: Option<u64>, open_files: ProcessLimit, file_bytes: ProcessLimit) -> Database {
        let mut database = live();
        let writer = &mut database.processes[0];
        writer.read_only = Some(false);
        writer.limits = Some(ProcessLimits { descriptors, open_files, file_bytes });
        database
    }

    #[test]
    fn a_process_with_few_descriptors_left_is_a_warning() {
        let limit = |soft, hard| ProcessLimit { soft: Some(soft), hard: Some(hard) };
        assert_eq!(findings_of(&with(Some(972), limit(1024, 4096), NONE)), []);
        let found = findings_of(&with(Some(973), limit(1024, 4096), NONE));
        assert_eq!(outline(&found), [(FindingKind::ProcessLimit, Warning, Some(WRITER))]);
        assert_eq!(
            (&found[0].evidence["descriptors"], &found[0].evidence["limit"]),
            (&973.into(), &1024.into())
        );
        assert_eq!(found[0].remedy.command.as_deref(), Some("prlimit --pid 71201 --nofile=4096:"));
        let at_the_top = findings_of(&with(Some(1024), limit(1024, 1024), NONE));
        assert_eq!(at_the_top[0].remedy.command, None);
        assert_eq!(findings_of(&with(None, limit(1024, 4096), NONE)), []);
        assert_eq!(findings_of(&with(Some(1 << 20), NONE, NONE)), []);
    }

    #[test]
    fn a_temporary_folder_without_room_is_a_warning_where_it_is_used() {
        let with = |free_bytes, files: Option<u32>| {
            let mut database = live();
            let writer = &mut database.processes[0];
            writer.temp_folder = Some(TemporaryFolder { path: "/tmp".into(), bytes: 8 << 20, free_bytes });
            (writer.temp_files, writer.temp_bytes) = (files, files.map(|count| u64::from(count) * 1_000));
            database
        };
        assert_eq!(findings_of(&with(1 << 20, Some(1))), []);
        for (files, severity) in [(None, Info), (Some(0), Info), (Some(1), Warning)] {
            let found = findings_of(&with((1 << 20) - 1, files));
            assert_eq!(outline(&found), [(FindingKind::ProcessLimit, severity, Some(WRITER))]);
        }
        let mut reader = with(0, None);
        reader.processes[0].pairing.only_reads_files = Some(true);
        assert!(findings_of(&reader).iter().all(|it| it.kind != FindingKind::ProcessLimit));
    }

    #[test]
    fn a_file_that_the_next_page_makes_too_large_is_a_warning_about_who_writes() {
        let small = |soft| ProcessLimit { soft: Some(soft), hard: None };
        let bytes = grown(&live()).into_iter().map(|(_, bytes)| bytes).max().expect("files");
        assert_eq!(findings_of(&with(None, NONE, small(bytes))), []);
        let tight = with(None, NONE, small(bytes - 1));
        let found = findings_of(&tight);
        assert_eq!(outline(&found), [(FindingKind::ProcessLimit, Warning, Some(WRITER))]);
        assert_eq!(found[0].remedy.command.as_deref(), Some("prlimit --pid 71201 --fsize=unlimited:"));
        let mut reader = tight;
        reader.processes[0].read_only = Some(true);
        assert!(findings_of(&reader).iter().all(|it| it.kind != FindingKind::ProcessLimit));
    }
}
