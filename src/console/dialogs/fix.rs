//! Asks whether to run the SQL shown.

use std::path::PathBuf;

use log::Level;
use ratatui::text::Line;

use super::{DialogContent, DialogPage, DialogScene};
use crate::{
    act::ConfirmedAction,
    diagnose::fix::FixStep,
    snapshot::{Database, Process},
    text,
};

#[derive(Debug, Clone)]
pub struct FixDialog {
    database: PathBuf,
    /// Each SQL statement and its purpose.
    steps: Vec<(String, String)>,
    /// The processes that have the database open.
    holders: Vec<String>,
}

impl FixDialog {
    pub fn new(database: &Database, steps: Vec<FixStep>) -> Self {
        Self {
            database: database.path.clone(),
            steps: steps.into_iter().map(|step| (step.sql, step.why)).collect(),
            holders: database.processes.iter().map(Process::who).collect(),
        }
    }
}

impl DialogContent for FixDialog {
    fn title(&self) -> String {
        "Fix the settings in the file".to_owned()
    }

    fn confirm(&self) -> Option<Result<ConfirmedAction, String>> {
        Some(Ok(ConfirmedAction::Fix { database: self.database.clone() }))
    }

    fn body(&self, _scene: DialogScene<'_>, page: DialogPage<'_>) -> Vec<Line<'static>> {
        let mut lines = page.plain(&format!("Runs on {}:", self.database.display()));
        for (sql, why) in &self.steps {
            lines.push(Line::styled(text::fit(&format!("  {sql}"), page.room), page.theme.accent));
            lines.extend(page.plain(why));
        }
        if !self.holders.is_empty() {
            let text = format!("▲ {} must not be using it at that moment.", self.holders.join(", "));
            lines.extend(page.sentence(Level::Warn, &text));
        }
        lines
    }
}
