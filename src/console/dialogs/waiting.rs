//! Shows how long waltop waits for the processes that were sent a signal; asks nothing.

use jiff::Timestamp;
use log::Level;
use ratatui::text::Line;

use super::{DialogContent, DialogPage, DialogScene, PendingStop};
use crate::act::{ConfirmedAction, signal::StopSignal};

#[derive(Debug, Clone)]
pub struct WaitingDialog(pub PendingStop);

impl DialogContent for WaitingDialog {
    fn title(&self) -> String {
        format!("{} was sent", self.0.signal)
    }

    fn pins(&self) -> bool {
        true
    }

    fn hint(&self) -> Option<&'static str> {
        Some("Esc leaves it to end by itself")
    }

    fn confirm(&self) -> Option<Result<ConfirmedAction, String>> {
        None
    }

    fn body(&self, scene: DialogScene<'_>, page: DialogPage<'_>) -> Vec<Line<'static>> {
        let ending = &self.0;
        let all = match ending.count() {
            1 => "1 process".to_owned(),
            count => format!("{count} processes"),
        };
        let mut lines = page.plain(&format!("{} was sent to {all}.", ending.signal));
        let left = seconds(scene.now, ending.until);
        let then = match ending.signal {
            StopSignal::Kill => "",
            _ => ", then waltop asks about KILL",
        };
        let text =
            format!("{} gone, {} still there: {left} s left{then}.", ending.gone.len(), ending.waiting.len());
        lines.extend(page.sentence(Level::Warn, &text));
        lines.extend(page.names(&ending.waiting));
        lines
    }
}

// Whole seconds, rounded up.
fn seconds(now: Timestamp, until: Timestamp) -> u64 {
    let left = until.duration_since(now).as_millis().max(0);
    u64::try_from(left).unwrap_or(0).div_ceil(1000)
}
