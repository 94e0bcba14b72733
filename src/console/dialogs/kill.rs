//! Asks whether to send SIGKILL to the processes that did not exit.

use log::Level;
use ratatui::text::Line;

use super::{DialogContent, DialogPage, DialogScene, PendingStop};
use crate::act::{ConfirmedAction, signal::StopSignal};

#[derive(Debug, Clone)]
pub struct KillDialog(pub PendingStop);

impl DialogContent for KillDialog {
    fn title(&self) -> String {
        "KILL what did not go?".to_owned()
    }

    fn pins(&self) -> bool {
        true
    }

    fn confirm(&self) -> Option<Result<ConfirmedAction, String>> {
        let targets = self.0.stays.iter().map(|it| it.target).collect();
        Some(Ok(ConfirmedAction::Signal { targets, signal: StopSignal::Kill }))
    }

    /// The processes that did not exit, and what SIGKILL costs.
    fn body(&self, _scene: DialogScene<'_>, page: DialogPage<'_>) -> Vec<Line<'static>> {
        let PendingStop { gone, stays, signal, .. } = &self.0;
        let text = format!("{} gone, {} still there after {signal}:", gone.len(), stays.len());
        let mut lines = page.sentence(Level::Warn, &text);
        lines.extend(page.names(stays));
        let cost = "▲ KILL ends at once, without a chance to tidy up. An open write transaction rolls back; what is \
                    committed stays.";
        lines.extend(page.sentence(Level::Warn, cost));
        lines
    }
}
