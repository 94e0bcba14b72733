//! Asks which folder to ingest, and with which batch size. What the folder holds is shown while it is typed.

use std::path::{Path, PathBuf};

use log::Level;
use ratatui::text::Line;
use tui_input::Input;

use super::{DialogContent, DialogField, DialogFocus, DialogPage, DialogScene};
use crate::{
    act::{
        ConfirmedAction,
        preview::{COUNTING, FolderPreview},
    },
    ingest::BatchSetting,
    snapshot::{Database, FindingKind, IngestWatcher, Ingestion},
    text, units,
};

/// How many names that complete the path are shown.
const NAMES: usize = 8;

#[derive(Debug, Clone)]
pub struct IngestDialog {
    database: PathBuf,
    folder: Input,
    batch: Input,
    /// A warning about the database.
    warning: Option<String>,
    /// The runs that were active when the dialog was opened.
    running: Vec<String>,
    /// The folders of the run before, if there were several: the field has the first.
    previous: Vec<String>,
    /// The text whose preview was requested last.
    asked: Option<String>,
    /// The preview of the text in the field; `None` until it comes.
    preview: Option<Box<FolderPreview>>,
    /// Whether the names that complete the path are shown.
    lists_names: bool,
    /// Whether the path is to be completed once its preview comes.
    is_to_complete: bool,
}

impl IngestDialog {
    /// `previous` are the folders of the database's last ingestion. Without one, the field proposes `folder` for a new
    /// database, and nothing for one that has content: it may be another program's.
    pub fn new(database: &Database, previous: &[String], folder: &Path) -> Self {
        let pinned = database.findings.iter().find(|finding| finding.kind == FindingKind::PinnedWal);
        let of_new = (!has_content(database)).then(|| folder.display().to_string());
        Self {
            database: database.path.clone(),
            folder: previous.first().cloned().or(of_new).unwrap_or_default().into(),
            batch: "auto".into(),
            warning: pinned.map(|finding| format!("{}, so the log will grow", finding.message)),
            running: running(database).map(|run| run.run.clone()).collect(),
            previous: if previous.len() > 1 { previous.to_vec() } else { Vec::new() },
            asked: None,
            preview: None,
            lists_names: false,
            is_to_complete: false,
        }
    }

    /// The text in the field and the database, if the text has changed since the last request.
    pub(in crate::console) fn due_preview(&mut self) -> Option<(String, PathBuf)> {
        let typed = self.folder.value();
        if typed.is_empty() || self.asked.as_deref() == Some(typed) {
            return None;
        }
        let typed = typed.to_owned();
        self.asked = Some(typed.clone());
        (self.preview, self.lists_names, self.is_to_complete) = (None, false, false);
        Some((typed, self.database.clone()))
    }

    /// Shows `preview`, unless the text has changed since.
    pub(in crate::console) fn previewed(&mut self, preview: FolderPreview) {
        if preview.typed == self.folder.value() {
            self.preview = Some(Box::new(preview));
            if std::mem::take(&mut self.is_to_complete) {
                self.complete(0);
            }
        }
    }

    /// The active ingestion into the database that has begun since the dialog was opened.
    pub(in crate::console) fn begun<'a>(&self, databases: &'a [Database]) -> Option<&'a Ingestion> {
        let database = databases.iter().find(|it| it.path == self.database)?;
        running(database).find(|run| !self.running.contains(&run.run))
    }

    /// The watch of the typed folder, or of one above it.
    fn watcher<'a>(&self, databases: &'a [Database]) -> Option<&'a IngestWatcher> {
        let folder = &self.known()?.folder;
        let database = databases.iter().find(|it| it.path == self.database)?;
        database.watchers.iter().find(|it| it.folders.iter().any(|watched| folder.starts_with(watched)))
    }

    fn known(&self) -> Option<&FolderPreview> {
        self.preview.as_deref().filter(|preview| preview.typed == self.folder.value())
    }

    fn contents(&self, page: DialogPage<'_>) -> Vec<Line<'static>> {
        if self.folder.value().is_empty() {
            return page
                .muted("Type the folder to ingest. No earlier ingestion into this database is known.");
        }
        match self.known().map(|preview| &preview.documents) {
            None => page.muted("counting the documents…"),
            // The refusal of this folder gives the reason.
            Some(Err(_)) if page.complaint.is_some_and(|it| it.contains(self.folder.value())) => Vec::new(),
            Some(Err(why)) => page.sentence(Level::Warn, &format!("▲ {why}")),
            Some(Ok(count)) if count.files == 0 && count.is_complete => page.sentence(
                Level::Warn,
                "▲ No documents: it needs .md, .markdown, .mdx or .txt files that are not ignored.",
            ),
            Some(Ok(count)) => {
                let files = units::plural(count.files as u64, "file");
                let text = format!("{files}, {}", units::bytes(count.bytes));
                if count.is_complete {
                    page.plain(&text)
                } else {
                    let seconds = COUNTING.as_secs();
                    page.plain(&format!("{text} or more: counting stopped after {seconds} s"))
                }
            }
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

    /// Adds what all names that complete the path have in common; if that is nothing, shows the names once. If they are
    /// not known yet, it waits for them; asked a second time, it does not.
    fn complete(&mut self, field: usize) -> bool {
        if field == 0 && self.known().is_none() && !self.folder.value().is_empty() {
            self.is_to_complete = !self.is_to_complete;
            return self.is_to_complete;
        }
        let Some(preview) = self.known().filter(|_| field == 0) else { return false };
        let typed = self.folder.value();
        let begun = typed.rsplit('/').next().unwrap_or_default();
        let common = common_start(&preview.names);
        if common.len() > begun.len() {
            let slash = if preview.names.len() == 1 { "/" } else { "" };
            let parent = &typed[..typed.len() - begun.len()];
            self.folder = format!("{parent}{common}{slash}").into();
            return true;
        }
        if preview.names.len() > 1 && !self.lists_names {
            self.lists_names = true;
            return true;
        }
        false
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

    fn body(&self, scene: DialogScene<'_>, page: DialogPage<'_>) -> Vec<Line<'static>> {
        let mut lines = page.plain(&format!(
            "Takes the Markdown and text files of a folder into {}, into tables of its own: nodes, edges and others.",
            self.database.display()
        ));
        lines.extend(page.plain("It runs in its own process and continues when this console quits."));
        if let [_, rest @ ..] = self.previous.as_slice() {
            lines.extend(page.muted(&format!("The last ingestion also took {}.", rest.join(", "))));
        }
        if let Some(run) = self.begun(scene.databases) {
            let folders = text::clean(&run.folders.join(" "));
            let text = format!(
                "▲ An ingestion of {folders} has begun meanwhile (process {}). Esc leaves; the same key then stops it.",
                run.pid
            );
            lines.extend(page.sentence(Level::Warn, &text));
        }
        if let Some(watcher) = self.watcher(scene.databases) {
            let text =
                format!("▲ Process {} watches this folder and takes each change in it already.", watcher.pid);
            lines.extend(page.sentence(Level::Warn, &text));
        }
        if let Some(warning) = &self.warning {
            lines.extend(page.sentence(Level::Warn, &format!("▲ {warning}")));
        }
        lines.extend(self.contents(page));
        if let Some(preview) = self.known().filter(|_| self.lists_names) {
            let mut names: Vec<String> =
                preview.names.iter().take(NAMES).map(|name| format!("{name}/")).collect();
            if preview.names.len() > NAMES {
                names.push(format!("and {} more", preview.names.len() - NAMES));
            }
            lines.extend(page.muted(&names.join(" ")));
        }
        lines
    }
}

fn has_content(database: &Database) -> bool {
    [&database.files.db, &database.files.wal].into_iter().flatten().any(|file| file.bytes > 0)
}

fn running(database: &Database) -> impl Iterator<Item = &Ingestion> {
    database.ingestions.iter().filter(|run| run.is_running())
}

fn common_start(names: &[String]) -> &str {
    let Some((first, rest)) = names.split_first() else { return "" };
    let is_common = |end: usize| rest.iter().all(|name| name.starts_with(&first[..end]));
    let ends = first.char_indices().map(|(at, character)| at + character.len_utf8());
    &first[..ends.take_while(|&end| is_common(end)).last().unwrap_or(0)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        config::Palette, console::widgets::theme::Theme, diagnose::fixture::live, snapshot::DatabaseFiles,
    };

    #[test]
    fn a_folder_that_was_refused_has_its_reason_once() {
        let mut dialog = IngestDialog::new(&live(), &["/none".to_owned()], Path::new("/here"));
        let why = "there is no folder /none; check the path".to_owned();
        let refusal = "cannot read /none: No such file or directory";
        let typed = "/none".to_owned();
        dialog.previewed(FolderPreview {
            folder: typed.clone().into(),
            typed,
            documents: Err(why),
            names: vec![],
        });
        let theme = Theme::of(Palette::None);
        let lines =
            |complaint| dialog.contents(DialogPage { theme: &theme, room: 60, height: 20, complaint }).len();
        assert_eq!((lines(None), lines(Some(refusal)), lines(Some("no room"))), (1, 0, 1));
    }

    #[test]
    fn it_proposes_the_folder_of_the_last_ingestion_and_names_the_others() {
        let folder = |previous: &[&str]| {
            let previous: Vec<String> = previous.iter().map(|it| (*it).to_owned()).collect();
            let dialog = IngestDialog::new(&live(), &previous, Path::new("/here"));
            (dialog.folder.value().to_owned(), dialog.previous.len())
        };
        assert_eq!(folder(&["/srv/notes"]), ("/srv/notes".to_owned(), 0));
        assert_eq!(folder(&["/srv/notes", "/srv/mail"]), ("/srv/notes".to_owned(), 2));
    }

    #[test]
    fn without_an_ingestion_it_proposes_a_folder_for_a_new_database_only() {
        let dialog = |database: &Database| IngestDialog::new(database, &[], Path::new("/here"));
        let foreign = dialog(&live());
        assert_eq!(foreign.folder.value(), "");
        assert!(matches!(foreign.confirm(), Some(Err(_))), "Enter starts nothing");
        let new = Database { files: DatabaseFiles::default(), ..live() };
        assert_eq!(dialog(&new).folder.value(), "/here");
    }

    #[test]
    fn the_common_start_ends_between_characters() {
        let common = |names: &[&str]| {
            let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
            common_start(&names).to_owned()
        };
        assert_eq!(common(&["notes", "notes-old"]), "notes");
        assert_eq!(common(&["né", "nè"]), "n");
        assert_eq!(common(&["one"]), "one");
        assert_eq!(common(&["one", "two"]), "");
        assert_eq!(common(&[]), "");
    }
}
