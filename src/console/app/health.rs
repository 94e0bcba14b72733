//! `h`: a health check and its result.

use crate::{
    act::{ActionOutcome, Effect},
    console::dialogs::{CheckingDialog, DialogKind, HealthDialog},
};

use super::{App, Notice};

impl App {
    #[must_use]
    pub(super) fn ask_health(&mut self) -> Vec<Effect> {
        let Some(database) = self.database() else { return Vec::new() };
        let dialog = HealthDialog::new(database);
        self.open_dialog(DialogKind::Health(dialog));
        Vec::new()
    }

    /// Shows the confirmed check until it finishes or is cancelled.
    pub(super) fn checking(&mut self, asked: HealthDialog) {
        let HealthDialog { database, depth } = asked;
        let dialog = CheckingDialog { database, depth, since: self.now };
        self.open_dialog(DialogKind::Checking(dialog));
    }

    #[must_use]
    pub(super) fn health_checked(&mut self, outcome: ActionOutcome) -> Vec<Effect> {
        self.take_dialog(|kind| matches!(kind, DialogKind::Checking(_)));
        self.action_finished(Notice::Outcome(outcome))
    }
}
