//! The key that starts or stops an ingestion, around the moment when one ends.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use jiff::Timestamp;

use crate::{
    act::{
        Effect,
        preview::{FolderPreview, FolderQuery},
        worker::IngestEnd,
    },
    console::dialogs::{Dialog, DialogKind},
    keymap::{Action, Panel},
    snapshot::{Ingestion, IngestionState},
    units,
};

use super::{App, Notice, Overlay};

/// How long after the end of a run its key starts no other. The user may have meant to stop the run.
const SETTLING: Duration = Duration::from_secs(3);

/// A run that was shown as running and has ended.
#[derive(Debug, Clone)]
pub(super) struct EndedRun {
    run: String,
    at: Timestamp,
}

impl App {
    /// Opens the dialog of an ingestion that was refused, with the typed values and the reason. If another dialog is
    /// open, the reason is a notice.
    #[must_use]
    pub(super) fn ingest_refused(&mut self, why: String) -> Vec<Effect> {
        let notice = Notice::IngestionRefused(why.clone());
        let note = match self.confirmed_ingest.take() {
            Some(dialog) if self.dialog().is_none() && self.palette.is_none() => {
                let refused = Dialog {
                    complaint: Some(why),
                    is_proposal: false,
                    ..Dialog::new(DialogKind::Ingest(dialog))
                };
                // That it starts is no longer true.
                self.notice = None;
                self.show_dialog(refused);
                Effect::Note(notice.level(), notice.to_string())
            }
            _ => self.notify(notice),
        };
        vec![note]
    }

    /// Reports the end of an ingestion that this console started.
    #[must_use]
    pub(super) fn ingested(&mut self, name: String, pid: u32, end: IngestEnd) -> Vec<Effect> {
        let [panel, details] =
            [Action::Zoom(Panel::Ingestion), Action::Details].map(|it| self.key_of(it).to_owned());
        self.action_finished(Notice::Ingested { name, pid, end, panel, details })
    }

    /// Requests a preview of the folder in the open dialog, if it has changed.
    pub(super) fn due_preview(&mut self) -> Option<Effect> {
        let home = self.setup.home.clone();
        let Some(Overlay::Dialog(dialog)) = &mut self.overlay else { return None };
        let DialogKind::Ingest(ingest) = &mut dialog.kind else { return None };
        let (typed, database) = ingest.due_preview()?;
        let folder = at_home(PathBuf::from(&typed), home.as_deref());
        Some(Effect::Preview(FolderQuery { typed, folder, database }))
    }

    pub(super) fn previewed(&mut self, preview: FolderPreview) {
        if let Some(Overlay::Dialog(dialog)) = &mut self.overlay
            && let DialogKind::Ingest(ingest) = &mut dialog.kind
        {
            ingest.previewed(preview);
        }
    }

    /// Records that the run `before`, active in the last sample, has ended in this one.
    pub(super) fn note_ended_run(&mut self, before: Option<String>) {
        let Some(run) = before else { return };
        if self.running_ingestion().is_none() {
            self.ended_run = Some(EndedRun { run, at: self.now });
        }
    }

    /// Reports that the run has ended that the key may have been meant for; `None` if none has just ended. It reports
    /// once: the next key starts an ingestion.
    #[must_use]
    pub(super) fn just_ended(&mut self) -> Option<Vec<Effect>> {
        let EndedRun { run, at } = self.ended_run.take()?;
        if self.now.duration_since(at).unsigned_abs() > SETTLING {
            return None;
        }
        let figures =
            self.database()?.ingestions.iter().find(|it| it.run == run).map_or_else(String::new, figures);
        let key = self.key_of(Action::Ingest).to_owned();
        Some(vec![self.notify(Notice::IngestionJustEnded { figures, key })])
    }
}

/// `folder` with a leading `~` replaced.
pub(super) fn at_home(folder: PathBuf, home: Option<&Path>) -> PathBuf {
    match (folder.strip_prefix("~"), home) {
        // As typed, a slash at the end included.
        (Ok(rest), Some(home)) if rest.as_os_str().is_empty() => home.join(""),
        (Ok(_), Some(home)) => {
            let typed = folder.to_string_lossy();
            PathBuf::from(format!("{}{}", home.display(), typed.trim_start_matches('~')))
        }
        _ => folder,
    }
}

// `, 300 of 301 files, 1 failed`.
fn figures(ingestion: &Ingestion) -> String {
    let total =
        ingestion.files_total.map_or_else(String::new, |total| format!(" of {}", units::count(total)));
    let failed = match ingestion.files_failed {
        0 => String::new(),
        failed => format!(", {} failed", units::count(failed)),
    };
    let crashed = if ingestion.state == IngestionState::Crashed { ", crashed" } else { "" };
    format!(", {}{total} files{failed}{crashed}", units::count(ingestion.files_done))
}
