//! `h`: a health check, and what it came to.

use crate::{
    act::{Effect, Outcome},
    diagnose::health::Depth,
};

use super::{App, Dialog, Kind};

impl App {
    pub(super) fn ask_health(&mut self) -> Vec<Effect> {
        let Some(database) = self.database() else { return Vec::new() };
        let kind = Kind::Health { database: database.path.clone(), depth: Depth::default() };
        self.dialog = Some(Dialog::new(kind));
        Vec::new()
    }

    /// Shows the check that was confirmed until it ends, or until it is ended.
    pub(super) fn checking(&mut self, database: std::path::PathBuf, depth: Depth) {
        self.dialog = Some(Dialog::new(Kind::Checking { database, depth, since: self.now }));
    }

    pub(super) fn health_checked(&mut self, outcome: Outcome) -> Vec<Effect> {
        if self.dialog.as_ref().is_some_and(|dialog| matches!(dialog.kind, Kind::Checking { .. })) {
            self.dialog = None;
        }
        self.told(outcome)
    }
}
