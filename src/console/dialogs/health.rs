//! Asks for the extent of a health check.

use std::path::PathBuf;

use ratatui::text::Line;

use super::{DialogContent, DialogField, DialogPage, DialogScene, choice, neighbour};
use crate::{act::ConfirmedAction, diagnose::health::HealthDepth, snapshot::Database};

#[derive(Debug, Clone)]
pub struct HealthDialog {
    pub database: PathBuf,
    pub depth: HealthDepth,
}

impl HealthDialog {
    pub fn new(database: &Database) -> Self {
        Self { database: database.path.clone(), depth: HealthDepth::default() }
    }
}

impl DialogContent for HealthDialog {
    fn title(&self) -> String {
        "Health check".to_owned()
    }

    fn fields(&self) -> Vec<DialogField> {
        vec![choice("check", &HealthDepth::ALL, self.depth)]
    }

    fn choose(&mut self, by: isize) {
        self.depth = neighbour(&HealthDepth::ALL, self.depth, by);
    }

    fn confirm(&self) -> Option<Result<ConfirmedAction, String>> {
        Some(Ok(ConfirmedAction::Health { database: self.database.clone(), depth: self.depth }))
    }

    fn body(&self, _scene: DialogScene<'_>, page: DialogPage<'_>) -> Vec<Line<'static>> {
        let mut lines = page.plain(&format!("Proves that {} can be written to.", self.database.display()));
        lines.extend(page.plain(
            "It waits for the write lock, writes, and rolls that back: nothing in the file changes. What a crash has \
             left beside it is recovered. quick_check reads every page; the log grows meanwhile if others write.",
        ));
        lines
    }
}
