//! Asks which folder to ingest, and with which batch size.

use std::path::{Path, PathBuf};

use log::Level;
use ratatui::text::Line;
use tui_input::Input;

use super::{DialogContent, DialogField, DialogFocus, DialogPage, DialogScene};
use crate::{
    act::ConfirmedAction,
    ingest::BatchSetting,
    snapshot::{Database, FindingKind},
};

#[derive(Debug, Clone)]
pub struct IngestDialog {
    database: PathBuf,
    folder: Input,
    batch: Input,
    /// A warning about the database.
    warning: Option<String>,
}

impl IngestDialog {
    pub fn new(database: &Database, folder: &Path) -> Self {
        let pinned = database.findings.iter().find(|finding| finding.kind == FindingKind::PinnedWal);
        Self {
            database: database.path.clone(),
            folder: folder.display().to_string().into(),
            batch: "auto".into(),
            warning: pinned.map(|finding| format!("{}, so the log will grow", finding.message)),
        }
    }
}

impl DialogContent for IngestDialog {
    fn title(&self) -> String {
        "Start an ingestion".to_owned()
    }

    fn first_focus(&self) -> DialogFocus {
        DialogFocus::Field(0)
    }

    fn fields(&self) -> Vec<DialogField> {
        vec![
            DialogField::Text { label: "folder", input: self.folder.clone() },
            DialogField::Text { label: "batch", input: self.batch.clone() },
        ]
    }

    fn text_mut(&mut self, field: usize) -> Option<&mut Input> {
        match field {
            0 => Some(&mut self.folder),
            1 => Some(&mut self.batch),
            _ => None,
        }
    }

    fn confirm(&self) -> Option<Result<ConfirmedAction, String>> {
        if self.folder.value().trim().is_empty() {
            return Some(Err("name a folder".to_owned()));
        }
        let batch = self.batch.value().trim();
        Some(match batch.parse::<BatchSetting>() {
            Err(error) => Err(error.to_string()),
            Ok(_) => Ok(ConfirmedAction::Ingest {
                database: self.database.clone(),
                folder: PathBuf::from(self.folder.value()),
                batch: batch.to_owned(),
            }),
        })
    }

    fn body(&self, _scene: DialogScene<'_>, page: DialogPage<'_>) -> Vec<Line<'static>> {
        let mut lines = page.plain(&format!(
            "Takes the Markdown and text files of a folder into {}.",
            self.database.display()
        ));
        lines.extend(page.plain("It runs in its own process and continues when this console quits."));
        if let Some(warning) = &self.warning {
            lines.extend(page.sentence(Level::Warn, &format!("▲ {warning}")));
        }
        lines
    }
}
