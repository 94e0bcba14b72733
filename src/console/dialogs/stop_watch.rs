//! Asks which signal to send to a `waltop watch`, which stays pinned while the dialog is open.

use std::path::PathBuf;

use crossterm::event::KeyEvent;
use log::Level;
use ratatui::text::Line;

use super::{
    DialogContent, DialogField, DialogPage, DialogScene, neighbour,
    stop::{signal_field, signal_of, verb},
};
use crate::{
    act::{
        ConfirmedAction,
        signal::{SignalTarget, StopSignal},
    },
    snapshot::IngestWatcher,
    text, units,
};

#[derive(Debug, Clone)]
pub struct StopWatchDialog {
    /// The watch at the time the dialog was requested.
    pub watcher: IngestWatcher,
    pub target: SignalTarget,
    pub database: PathBuf,
    pub signal: StopSignal,
}

impl DialogContent for StopWatchDialog {
    fn title(&self) -> String {
        format!("{} the watch, process {}", verb(self.signal), self.target.pid)
    }

    fn pins(&self) -> bool {
        true
    }

    fn fields(&self) -> Vec<DialogField> {
        vec![signal_field(StopSignal::ALL, self.signal, "t c i k choose")]
    }

    fn choose(&mut self, by: isize) {
        self.signal = neighbour(&StopSignal::ALL, self.signal, by);
    }

    fn list_key(&mut self, key: KeyEvent) -> bool {
        let chosen = signal_of(key);
        self.signal = chosen.unwrap_or(self.signal);
        chosen.is_some()
    }

    fn confirm(&self) -> Option<Result<ConfirmedAction, String>> {
        Some(Ok(ConfirmedAction::Signal { targets: vec![self.target], signal: self.signal }))
    }

    fn body(&self, scene: DialogScene<'_>, page: DialogPage<'_>) -> Vec<Line<'static>> {
        let folders = self.watcher.folders.join(" ");
        let about = format!(
            "It has kept the database in step with {} for {}.",
            text::clean(&folders),
            units::duration(self.watcher.watched_ms(scene.now))
        );
        let mut lines = page.sentence(Level::Info, &about);
        let cost = match self.signal {
            StopSignal::Cont => "CONT continues a stopped process.",
            StopSignal::Kill => {
                "▲ KILL ends it at once. A batch that is open rolls back; what it committed stays."
            }
            StopSignal::Term | StopSignal::Int => {
                "It exits, after its current batch if an ingestion of it runs. What it committed stays."
            }
        };
        lines.extend(page.sentence(Level::Warn, cost));
        if self.signal.ends() {
            let after = "After that no later change in the folders reaches the database.";
            lines.extend(page.sentence(Level::Info, after));
        }
        lines
    }
}
