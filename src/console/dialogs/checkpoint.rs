//! Asks for the mode of a checkpoint.

use std::path::PathBuf;

use log::Level;
use ratatui::text::Line;

use super::{DialogContent, DialogField, DialogFocus, DialogPage, DialogScene, choice, neighbour};
use crate::{
    act::ConfirmedAction,
    console::screen_map::DialogButton,
    diagnose::checkpoint::{self, CheckpointBlocker},
    snapshot::{CheckpointMode, Database},
};

#[derive(Debug, Clone)]
pub struct CheckpointDialog {
    database: PathBuf,
    mode: CheckpointMode,
    /// The processes that would block each mode, in the order of [`CheckpointMode::ALL`].
    blockers: Vec<Vec<CheckpointBlocker>>,
    /// Why the main file cannot take the frames.
    no_room: Option<String>,
}

impl CheckpointDialog {
    pub fn new(database: &Database) -> Self {
        let blockers = CheckpointMode::ALL.iter().map(|&mode| checkpoint::blockers(database, mode)).collect();
        let no_room = checkpoint::no_room(database).map(|it| it.why(database));
        Self { database: database.path.clone(), mode: CheckpointMode::Passive, blockers, no_room }
    }
}

impl DialogContent for CheckpointDialog {
    fn title(&self) -> String {
        "Checkpoint".to_owned()
    }

    fn first_focus(&self) -> DialogFocus {
        DialogFocus::Button(DialogButton::Yes)
    }

    fn fields(&self) -> Vec<DialogField> {
        vec![choice("mode", &CheckpointMode::ALL, self.mode)]
    }

    fn choose(&mut self, by: isize) {
        self.mode = neighbour(&CheckpointMode::ALL, self.mode, by);
    }

    fn confirm(&self) -> Option<Result<ConfirmedAction, String>> {
        Some(Ok(ConfirmedAction::Checkpoint { database: self.database.clone(), mode: self.mode }))
    }

    fn body(&self, _scene: DialogScene<'_>, page: DialogPage<'_>) -> Vec<Line<'static>> {
        let mut lines = page.plain(&format!("Moves frames of the log into {}.", self.database.display()));
        lines.extend(page.plain(self.mode.about()));
        let chosen = CheckpointMode::ALL.iter().position(|it| *it == self.mode).unwrap_or(0);
        let blockers = self.blockers.get(chosen).map_or(&[][..], Vec::as_slice);
        if let Some(why) = &self.no_room {
            lines.extend(page.sentence(Level::Warn, &format!("▲ {why}")));
        }
        if blockers.is_empty() {
            lines.extend(page.plain("No process blocks it at the moment."));
        }
        for blocker in blockers {
            lines.extend(page.sentence(Level::Warn, &format!("▲ {}", blocker.why)));
        }
        lines
    }
}
