//! The subject of a key: the selected row of the focused panel.

use crate::{
    act::{Effect, signal::SignalTarget},
    history::LockOwner,
    keymap::Panel,
    snapshot::{Finding, Ingestion, PragmaRow, Process, Severity},
    text,
};

use super::{
    App, FindingRow, IngestionRow, Notice, Overlay, TableRow, findings::FindingId, selection::target,
};

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DetailsSubject {
    Process(SignalTarget),
    Finding(FindingId),
    Files,
    /// A pragma by its name, followed by all others.
    Pragma(String),
    /// An ingestion, by its run.
    Ingestion(String),
}

impl App {
    /// The subject that Enter shows: the selected row of the focused panel.
    pub(super) fn subject(&self) -> Option<DetailsSubject> {
        let database = self.database()?;
        if self.timeline().is_some() {
            if let Some(Overlay::Details(open)) = &self.overlay {
                return Some(open.clone());
            }
            return self.hold_process().and_then(target).map(DetailsSubject::Process);
        }
        let is_empty = self.rows(self.focus) == 0 && !matches!(self.focus, Panel::Files | Panel::Log);
        if is_empty && self.shows(Panel::Findings) {
            return self.selected_finding_id().map(DetailsSubject::Finding);
        }
        match self.focus {
            Panel::Processes => self.selected_process().and_then(target).map(DetailsSubject::Process),
            Panel::Findings => self.selected_finding_row().map(FindingRow::key).map(DetailsSubject::Finding),
            Panel::Files => database.files.db.as_ref().map(|_| DetailsSubject::Files),
            Panel::Pragmas => self.selected_pragma().map(|line| DetailsSubject::Pragma(line.name.to_owned())),
            Panel::Ingestion => self.selected_run().map(|run| DetailsSubject::Ingestion(run.run.clone())),
            Panel::Log => None,
        }
    }

    /// The process that the selected row of the focused panel names; `None` if the row names none or the panel has no
    /// cursor.
    pub(super) fn stop_subject(&self) -> Option<&Process> {
        if let Some(Overlay::Details(open)) = &self.overlay {
            return self.process_of(open);
        }
        if self.timeline().is_some() {
            return self.hold_process();
        }
        if self.overview().is_some() {
            let database = self.database()?;
            return database.process(database.worst()?.pid?);
        }
        let pid = match self.focus {
            Panel::Processes => return self.selected_process(),
            Panel::Findings => self.selected_finding()?.pid?,
            Panel::Pragmas => self.selected_pragma()?.pid()?,
            Panel::Ingestion => self.selected_ingestion_row()?.pid()?,
            Panel::Files | Panel::Log => return None,
        };
        self.database()?.process(pid)
    }

    // The process that open details are about, wherever the selection has moved to behind them.
    fn process_of(&self, details: &DetailsSubject) -> Option<&Process> {
        let database = self.database()?;
        let pid = match details {
            DetailsSubject::Process(wanted) => {
                return database.processes.iter().find(|process| target(process) == Some(*wanted));
            }
            DetailsSubject::Finding(key) => self.finding_row(key)?.finding().pid?,
            DetailsSubject::Pragma(name) => {
                self.pragma_lines().iter().find(|line| line.name == name)?.pid()?
            }
            DetailsSubject::Files | DetailsSubject::Ingestion(_) => return None,
        };
        database.process(pid)
    }

    /// The process of the worst error, if there is one.
    pub(super) fn worst_error(&self) -> Option<(&Finding, &Process)> {
        let database = self.database()?;
        let worst = database.findings.first().filter(|finding| finding.severity == Severity::Error)?;
        Some((worst, database.process(worst.pid?)?))
    }

    /// The running ingestion that `i` stops: the selected one, while the ingestions have the focus.
    pub(super) fn ingestion_to_stop(&self) -> Option<&Ingestion> {
        let is_chosen = self.focus == Panel::Ingestion;
        let meant = if is_chosen { self.selected_run() } else { self.running_ingestion() };
        meant.filter(|ingestion| ingestion.is_running())
    }

    /// Whether `panel` is on the screen; a zoomed panel hides the others.
    pub(super) fn shows(&self, panel: Panel) -> bool {
        !self.zoomed || self.focus == panel
    }

    pub(super) fn selected_text(&self) -> Option<String> {
        let details = if let Some(Overlay::Details(open)) = &self.overlay { Some(open) } else { None };
        if self.overview().is_some() {
            let database = self.database()?;
            let worst = database.worst().map(|finding| format!(": {}: {}", finding.kind, finding.message));
            return Some(format!("{}{}", database.path.display(), worst.unwrap_or_default()));
        }
        if self.timeline().is_some() && details.is_some() {
            let process = self.stop_subject()?;
            return Some(format!("{} {}", process.pid, process.command_line()));
        }
        if self.timeline().is_some() {
            let LockOwner { pid, name, .. } = self.lock_owner()?;
            let pid = pid.map_or_else(|| "not visible".to_owned(), |pid| pid.to_string());
            let command = self.hold_process().map_or_else(|| name.clone(), Process::command_line);
            return Some(format!("{pid} {command}"));
        }
        Some(match self.focus {
            Panel::Findings => {
                let row = match details {
                    Some(DetailsSubject::Finding(key)) => self.finding_row(key)?,
                    _ => self.selected_finding_row()?,
                };
                let Finding { kind, severity, message, .. } = row.finding();
                let state = match row {
                    FindingRow::Now(_) => severity.to_string(),
                    FindingRow::Gone(_) => "gone".to_owned(),
                };
                format!("{state} {kind}: {message}")
            }
            Panel::Pragmas => {
                let line = self.selected_pragma()?;
                let value = |row: &&PragmaRow| {
                    format!("{} ({})", row.actual.as_deref().unwrap_or("unknown"), row.source_label())
                };
                let values: Vec<String> = line.rows.iter().map(value).collect();
                format!("{} {}", line.name, values.join(", "))
            }
            Panel::Files => self.database()?.path.display().to_string(),
            Panel::Ingestion => match self.selected_ingestion_row()? {
                IngestionRow::Watch(watcher) => format!("{} {}", watcher.pid, watcher.folders.join(" ")),
                IngestionRow::Run(run) => run.run.clone(),
            },
            Panel::Processes => {
                if let (None, TableRow::Holder(holder)) = (details, self.selected_table_row()?) {
                    let pid = holder.pid.map_or_else(|| "not visible".to_owned(), |pid| pid.to_string());
                    return Some(format!("{pid} {}", holder.hold(&self.database()?.locks)));
                }
                let process = self.stop_subject()?;
                format!("{} {}", process.pid, process.command_line())
            }
            Panel::Log => return None,
        })
    }

    #[must_use]
    pub(super) fn copy(&mut self) -> Vec<Effect> {
        match self.selected_text() {
            Some(text) => {
                let text = text::clean(&text);
                let note = self.notify(Notice::Copied(text.clone()));
                vec![Effect::Copy(text), note]
            }
            None => vec![self.notify(Notice::NothingSelected)],
        }
    }

    /// The PID that the selected row of the focused panel names.
    pub(super) fn subject_pid(&self) -> Option<i32> {
        let watch = self.watch_to_stop().map(|watcher| watcher.pid);
        watch.or_else(|| self.stop_subject().map(|process| process.pid))
    }

    #[must_use]
    pub(super) fn copy_pid(&mut self) -> Vec<Effect> {
        match self.subject_pid() {
            Some(pid) => {
                let note = self.notify(Notice::Copied(pid.to_string()));
                vec![Effect::Copy(pid.to_string()), note]
            }
            None => vec![self.notify(self.no_process_selected())],
        }
    }
}
