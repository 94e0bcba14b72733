//! `h`: a health check, and what it came to.

use crate::{
    act::{ActionOutcome, Effect},
    diagnose::health::HealthDepth,
};

use super::{App, Dialog, DialogKind};

impl App {
    pub(super) fn ask_health(&mut self) -> Vec<Effect> {
        let Some(database) = self.database() else { return Vec::new() };
        let kind = DialogKind::Health { database: database.path.clone(), depth: HealthDepth::default() };
        self.dialog = Some(Dialog::new(kind));
        Vec::new()
    }

    /// Shows the check that was confirmed until it ends, or until it is ended.
    pub(super) fn checking(&mut self, database: std::path::PathBuf, depth: HealthDepth) {
        self.dialog = Some(Dialog::new(DialogKind::Checking { database, depth, since: self.now }));
    }

    pub(super) fn health_checked(&mut self, outcome: ActionOutcome) -> Vec<Effect> {
        if self.dialog.as_ref().is_some_and(|dialog| matches!(dialog.kind, DialogKind::Checking { .. })) {
            self.dialog = None;
        }
        self.told(outcome)
    }
}
