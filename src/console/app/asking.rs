//! The dialogs that keys open before anything changes, and why one does not open.

use std::path::PathBuf;

use crate::{
    act::{Effect, gate::NotArmed, reap::StopRequest, signal::SignalTarget},
    console::dialogs::{CheckpointDialog, DialogKind, FixDialog, IngestDialog, StopIngestionDialog},
    diagnose::{fix, guard},
    keymap::Action,
};

use super::{App, Notice};

impl App {
    /// Opens the dialog of an action that changes something. Under `--readonly`, or while not armed, none opens.
    #[must_use]
    pub(super) fn ask(&mut self, action: Action) -> Vec<Effect> {
        if let Err(why) = self.switch.permit() {
            let notice = self.not_armed(why);
            return vec![self.notify(notice)];
        }
        if self.database().is_none() {
            return vec![self.notify(Notice::NothingSeen)];
        }
        if let Some(why) = self.hazard_of(action) {
            return vec![self.notify(Notice::Hazard(why))];
        }
        if let Some(path) = self.absent_for(action) {
            return vec![self.notify(Notice::NoDatabase(path))];
        }
        if action == Action::Stop {
            // Open details are closed after they have said which process is meant.
            let effects = self.ask_stop();
            self.close_overlay();
            return effects;
        }
        self.close_overlay();
        match action {
            Action::Reap => self.ask_reap(),
            Action::Checkpoint => self.ask_checkpoint(),
            Action::Fix => self.ask_fix(),
            Action::Health => self.ask_health(),
            _ => self.ask_ingest(),
        }
    }

    /// Why maintenance itself would lose data now. The worker refuses it too, but only after the dialog.
    fn hazard_of(&self, action: Action) -> Option<guard::GuardRefusal> {
        let ends_a_run = action == Action::Ingest && self.ingestion_to_stop().is_some();
        if matches!(action, Action::Stop | Action::Reap) || ends_a_run {
            return None;
        }
        let is_root = self.sample()?.snapshot.looker.as_ref().is_some_and(|looker| looker.uid == 0);
        guard::confirmed_hazard(self.database()?, is_root)
    }

    /// The path where `action` needs a database and there is none. Stopping processes and creating a database need none.
    fn absent_for(&self, action: Action) -> Option<PathBuf> {
        let needs_one = matches!(action, Action::Checkpoint | Action::Fix | Action::Health);
        let database = self.database().filter(|database| needs_one && database.files.db.is_none())?;
        Some(database.path.clone())
    }

    #[must_use]
    fn ask_checkpoint(&mut self) -> Vec<Effect> {
        let Some(database) = self.database() else { return Vec::new() };
        if database.is_wal() != Some(true) {
            return vec![self.notify(Notice::NotWal)];
        }
        let kind = DialogKind::Checkpoint(CheckpointDialog::new(database));
        self.open_dialog(kind);
        Vec::new()
    }

    /// The fixes that apply to the database on the screen.
    pub(super) fn fixes(&self) -> Vec<fix::FixStep> {
        let both = self.database().zip(self.profile());
        both.map_or_else(Vec::new, |(database, profile)| {
            fix::plan(database, profile, fix::FixExtent::InPlace)
        })
    }

    #[must_use]
    fn ask_fix(&mut self) -> Vec<Effect> {
        let Some(database) = self.database() else { return Vec::new() };
        let steps = self.fixes();
        if steps.is_empty() {
            return vec![self.notify(Notice::NothingToFix)];
        }
        let kind = DialogKind::Fix(FixDialog::new(database, steps));
        self.open_dialog(kind);
        Vec::new()
    }

    /// Stops the selected run if the ingestion panel has the focus and the run is active; otherwise starts a new one.
    #[must_use]
    fn ask_ingest(&mut self) -> Vec<Effect> {
        if let Some(running) = self.ingestion_to_stop() {
            let Some(start_ticks) = running.start_ticks else {
                let pid = running.pid;
                return vec![self.notify(Notice::UnknownStart { pid })];
            };
            let target = SignalTarget { pid: running.pid, start_ticks };
            let folders = running.folders.clone();
            let Some(database) = self.database().map(|it| it.path.clone()) else { return Vec::new() };
            // It exits after its batch and the user names it, so rules about idle daemons do not apply.
            let kind = DialogKind::StopIngestion(StopIngestionDialog { folders, target, database });
            return self.pin(kind, vec![StopRequest::ingestion(target)]);
        }
        if let Some(effects) = self.just_started().or_else(|| self.just_ended()) {
            return effects;
        }
        let Some(database) = self.database() else { return Vec::new() };
        if database.is_gone() {
            return vec![self.notify(Notice::DatabaseGone)];
        }
        // The newest run comes first.
        let folders = database.ingestions.first().map_or(&[][..], |ingestion| &ingestion.folders);
        let kind = DialogKind::Ingest(IngestDialog::new(database, folders, &self.setup.folder));
        self.open_dialog(kind);
        Vec::new()
    }

    /// Why nothing is done, and which key changes that.
    pub(super) fn not_armed(&self, why: NotArmed) -> Notice {
        Notice::NotArmed { why, key: self.key_of(Action::Arm).to_owned() }
    }

    #[must_use]
    pub(super) fn arm(&mut self) -> Vec<Effect> {
        if let Err(why) = self.switch.take_turn() {
            let notice = self.not_armed(why.into());
            return vec![self.notify(notice)];
        }
        let notice = if self.switch.is_armed() {
            Notice::Armed
        } else {
            Notice::Disarmed { key: self.key_of(Action::Arm).to_owned() }
        };
        vec![self.notify(notice)]
    }
}
