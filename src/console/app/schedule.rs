//! The checkpoints that a profile schedules: which of them are due.

use log::Level;

use crate::{
    act::{ConfirmedAction, Effect, schedule::DueCheckpoint},
    diagnose::schedule::{self, CheckpointPlan},
    snapshot::Snapshot,
    text,
};

use super::App;

impl App {
    /// The effects for the checkpoints that are due in a sample; none while waltop may change nothing, and for
    /// databases that the user did not name.
    #[must_use]
    pub(super) fn due_checkpoints(&mut self, snapshot: &Snapshot) -> Vec<Effect> {
        let mut effects = Vec::new();
        if self.is_discovered() {
            return effects;
        }
        for (database, state) in snapshot.databases.iter().zip(self.states.iter_mut()) {
            let Some(known) = &database.schedule else { continue };
            if !self.switch.is_armed() || known.due_at > snapshot.taken_at {
                continue;
            }
            let plan = schedule::plan(database, known.mode);
            if let CheckpointPlan::Wait(why) = &plan {
                // Once per waiting checkpoint, however long it waits.
                if state.awaited.replace(known.due_at) != Some(known.due_at) {
                    let name = text::clean(&database.name());
                    let text = format!("{name}: the scheduled checkpoint waits: {why}");
                    effects.push(Effect::Note(Level::Info, text));
                }
                continue;
            }
            let act = ConfirmedAction::Scheduled(DueCheckpoint {
                database: database.path.clone(),
                mode: known.mode,
                plan,
                seen: known.last.as_ref().map(|last| last.at),
            });
            effects.extend(self.switch.confirm(act).map(Effect::Act));
        }
        effects
    }
}
