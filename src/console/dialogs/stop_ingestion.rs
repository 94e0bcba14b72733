//! Asks whether to end an ingestion after its batch; its process stays pinned while the dialog is open.

use std::path::PathBuf;

use ratatui::text::Line;

use super::{DialogContent, DialogPage, DialogScene};
use crate::act::{
    ConfirmedAction,
    signal::{SignalTarget, StopSignal},
};

#[derive(Debug, Clone)]
pub struct StopIngestionDialog {
    pub folders: Vec<String>,
    pub target: SignalTarget,
    pub database: PathBuf,
}

impl DialogContent for StopIngestionDialog {
    fn title(&self) -> String {
        "Stop the ingestion".to_owned()
    }

    fn pins(&self) -> bool {
        true
    }

    fn confirm(&self) -> Option<Result<ConfirmedAction, String>> {
        Some(Ok(ConfirmedAction::Signal { targets: vec![self.target], signal: StopSignal::Term }))
    }

    fn body(&self, scene: DialogScene<'_>, page: DialogPage<'_>) -> Vec<Line<'static>> {
        let mut lines = page.plain(&format!(
            "The ingestion of {} (process {}) ends after its current batch. What is committed stays; the next \
             run resumes.",
            self.folders.join(" "),
            self.target.pid
        ));
        let watchers = scene.database.map(|it| it.watchers.as_slice()).unwrap_or_default();
        if watchers.iter().any(|watcher| watcher.pid == self.target.pid) {
            lines.extend(page.plain("It is that of a watch, which ends with it."));
        }
        lines
    }
}
