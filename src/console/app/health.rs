//! `h`: a health check, and what it came to.

use crate::{
    act::{ActionOutcome, Effect},
    console::dialogs::{CheckingDialog, Dialog, DialogKind, HealthDialog},
};

use super::App;

impl App {
    #[must_use]
    pub(super) fn ask_health(&mut self) -> Vec<Effect> {
        let Some(database) = self.database() else { return Vec::new() };
        self.dialog = Some(Dialog::new(DialogKind::Health(HealthDialog::new(database))));
        Vec::new()
    }

    /// Shows the check that was confirmed until it ends, or until it is ended.
    pub(super) fn checking(&mut self, asked: HealthDialog) {
        let HealthDialog { database, depth } = asked;
        let dialog = CheckingDialog { database, depth, since: self.now };
        self.dialog = Some(Dialog::new(DialogKind::Checking(dialog)));
    }

    #[must_use]
    pub(super) fn health_checked(&mut self, outcome: ActionOutcome) -> Vec<Effect> {
        if self.dialog.as_ref().is_some_and(|dialog| matches!(dialog.kind, DialogKind::Checking(_))) {
            self.dialog = None;
        }
        self.told(outcome)
    }
}
