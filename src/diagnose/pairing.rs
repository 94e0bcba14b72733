//! Processes that use other files than every other process at the path: another log, another main file, no locks, or a
//! connection inherited through a fork.

use serde_json::Value;

use super::{Rule, RuleFacts, RuleInput, evidence, no_remedy, who};
use crate::snapshot::{Finding, FindingKind, OverlayMount, Severity, SuspicionKind};

mod lost_locks;
mod other_log;
mod unread_log;

pub(super) use other_log::left_behind;
pub(super) use unread_log::logged_frames;

use lost_locks::{ForkedConnection, LostLocks};
use other_log::OtherLog;
use unread_log::UnreadLog;

pub const RULES: &[&dyn Rule] =
    &[&OtherLog, &LostLocks, &ForkedConnection, &OutdatedReader, &UnreadLog, &OverlayUpper];

/// A process that only reads has a deleted or replaced file open.
pub struct OutdatedReader;

impl Rule for OutdatedReader {
    fn facts(&self) -> RuleFacts {
        RuleFacts::new(FindingKind::OutdatedReader, &[Severity::Info])
    }

    fn check(&self, look: &RuleInput<'_>) -> Vec<Finding> {
        let outdated = look.database.processes.iter().filter_map(|process| {
            let suspicion = look.confirms(SuspicionKind::OutdatedReader, process)?;
            Some(Finding {
                kind: self.kind(),
                severity: Severity::Info,
                label: None,
                pid: Some(process.pid),
                message: format!(
                    "{} reads a file that was replaced ({}): it sees what was in it then, until it opens it again",
                    who(look.database, Some(process.pid)),
                    suspicion.evidence.join(", "),
                ),
                evidence: evidence([("files", suspicion.evidence.clone().into())]),
                remedy: no_remedy(),
            })
        });
        outdated.collect()
    }
}

/// The database is in the upper directory of an overlay mount.
pub struct OverlayUpper;

impl Rule for OverlayUpper {
    fn facts(&self) -> RuleFacts {
        RuleFacts::new(FindingKind::OverlayUpper, &[Severity::Error]).forbids_connection()
    }

    fn check(&self, look: &RuleInput<'_>) -> Vec<Finding> {
        look.database.overlays.iter().map(|overlay| self.finding(overlay, look)).collect()
    }
}

impl OverlayUpper {
    fn finding(&self, overlay: &OverlayMount, look: &RuleInput<'_>) -> Finding {
        let merged = overlay.merged.display().to_string();
        Finding {
            kind: self.kind(),
            severity: Severity::Error,
            label: None,
            pid: None,
            message: format!(
                "{} lies in the upper directory of the overlay mounted at {merged} (as process {} sees it): locks taken \
                 there do not show here",
                look.database.name(),
                overlay.pid,
            ),
            evidence: evidence([("merged", merged.into()), ("namespace_of", Value::from(overlay.pid))]),
            remedy: no_remedy(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::*;
    use crate::snapshot::{OverlayMount, Severity::*};

    #[test]
    fn a_reader_of_files_is_accused_of_nothing() {
        let mut database = live();
        let reader = &mut database.processes[1];
        reader.read_only = Some(true);
        (reader.index_read_only, reader.maps_index, reader.holds_index) = (Some(true), Some(false), false);
        reader.pairing.only_reads_files = Some(true);
        reader.pairing.holds_main = false;
        assert_eq!(twice(&database), []);
        database.processes[1].pairing.outdated = vec!["/srv/notes.db".to_owned()];
        assert_eq!(outline(&twice(&database)), [(FindingKind::OutdatedReader, Info, Some(READER))]);
    }

    #[test]
    fn an_overlay_names_its_merged_mount() {
        let mut database = quiet();
        database.overlays = vec![OverlayMount { merged: "/merged".into(), pid: 77 }];
        let found = findings_of(&database);
        assert_eq!(outline(&found), [(FindingKind::OverlayUpper, Error, None)]);
        assert_eq!(found[0].evidence["merged"], "/merged");
    }
}
