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

/// How long after the end of a run was drawn its key starts no other. People need that long to react to a screen, so the
/// key was meant to stop the run.
const REACTION: Duration = Duration::from_millis(400);

/// A run that was shown as running and has ended.
#[derive(Debug, Clone)]
pub(super) struct EndedRun {
    run: String,
    /// When a frame first showed its end.
    drawn_at: Option<Timestamp>,
}

/// A run that the console started and that no sample has shown yet.
#[derive(Debug, Clone)]
pub(super) struct StartingRun {
    pub(super) database: PathBuf,
    folder: PathBuf,
    /// Its process, once it has one.
    pid: Option<u32>,
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

    /// Records that a confirmed ingestion of `folder` into `database` starts.
    pub(super) fn ingestion_starts(&mut self, database: PathBuf, folder: PathBuf) {
        self.starting_runs.push(StartingRun { database, folder, pid: None });
    }

    pub(super) fn ingestion_started(&mut self, database: &Path, pid: u32) {
        let mut starting = self.starting_runs.iter_mut();
        if let Some(it) = starting.find(|it| it.database == database && it.pid.is_none()) {
            it.pid = Some(pid);
        }
    }

    /// Forgets the started runs that the newest sample shows.
    pub(super) fn drop_shown_runs(&mut self) {
        let databases = self.newest.as_ref().map_or(&[][..], |look| &look.snapshot.databases);
        let is_shown = |starting: &StartingRun| {
            let database = databases.iter().find(|it| it.path == starting.database);
            database.is_some_and(|it| it.ingestions.iter().any(|run| Some(run.pid) == starting.pid()))
        };
        self.starting_runs.retain(|starting| !is_shown(starting));
    }

    /// Reports that the key can act on the run that is starting only once a sample shows it; `None` if none is starting.
    #[must_use]
    pub(super) fn just_started(&mut self) -> Option<Vec<Effect>> {
        let database = &self.database()?.path;
        let starting = self.starting_runs.iter().find(|it| it.database == *database)?;
        let folder = starting.folder.display().to_string();
        let key = self.key_of(Action::Ingest).to_owned();
        Some(vec![self.notify(Notice::IngestionStarts { folder, key }), Effect::Refresh])
    }

    /// Records that the run `before`, active in the last sample, has ended in this one. If the user has stopped it, the
    /// key can only mean to start one.
    pub(super) fn note_ended_run(&mut self, before: Option<(String, i32)>) {
        let Some((run, pid)) = before else { return };
        if self.running_ingestion().is_none() && !self.is_being_stopped(pid) {
            self.ended_run = Some(EndedRun { run, drawn_at: None });
        }
    }

    /// Records that a frame has shown the end of the run.
    pub(super) fn end_was_drawn(&mut self) {
        if let Some(ended) = &mut self.ended_run {
            ended.drawn_at.get_or_insert(self.clock);
        }
    }

    /// Reports that the run has ended that the key may have been meant for; `None` if none has just ended. It reports
    /// once: the next key starts an ingestion.
    #[must_use]
    pub(super) fn just_ended(&mut self) -> Option<Vec<Effect>> {
        let EndedRun { run, drawn_at } = self.ended_run.take()?;
        if drawn_at.is_some_and(|at| self.clock.duration_since(at).unsigned_abs() > REACTION) {
            return None;
        }
        let figures =
            self.database()?.ingestions.iter().find(|it| it.run == run).map_or_else(String::new, figures);
        let key = self.key_of(Action::Ingest).to_owned();
        Some(vec![self.notify(Notice::IngestionJustEnded { figures, key })])
    }

    /// What the newest run of `pid` did, as the middle of a sentence; empty if no sample lists it.
    pub(super) fn figures_of(&self, pid: i32) -> String {
        let databases = self.newest.as_ref().map_or(&[][..], |look| &look.snapshot.databases);
        let mut runs = databases.iter().flat_map(|database| &database.ingestions);
        runs.find(|run| run.pid == pid).map_or_else(String::new, figures)
    }

    /// The ingestion that has begun since the open dialog to start one was opened.
    pub(super) fn begun_meanwhile(&self) -> Option<&Ingestion> {
        let Some(DialogKind::Ingest(dialog)) = self.dialog() else { return None };
        dialog.begun(&self.newest.as_ref()?.snapshot.databases)
    }
}

impl StartingRun {
    fn pid(&self) -> Option<i32> {
        self.pid.map(u32::cast_signed)
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
