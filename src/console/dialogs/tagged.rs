//! Asks which signal to send to the tagged processes: one row each, those that may not be stopped with the reason.

use crossterm::event::KeyEvent;
use log::Level;
use ratatui::text::Line;

use super::{
    DialogContent, DialogField, DialogPage, DialogRows, DialogScene, ReapList, neighbour,
    reap::BESIDE,
    stop::{StopAdvice, signal_field, signal_of, verb},
};
use crate::act::{ConfirmedAction, signal::StopSignal};

/// The tagged processes of a database, each pinned while the dialog is open.
#[derive(Debug, Clone)]
pub struct TaggedDialog {
    pub list: ReapList,
    /// The available signals, the default first.
    pub signals: &'static [StopSignal; 4],
    pub signal: StopSignal,
    /// The tagged processes that the filter hides, which get no signal.
    pub hidden: Vec<String>,
    pub advice: Option<StopAdvice>,
}

impl DialogContent for TaggedDialog {
    fn title(&self) -> String {
        let verb = verb(self.signal);
        match self.list.rows.len() {
            1 => format!("{verb} 1 tagged process"),
            count => format!("{verb} {count} tagged processes"),
        }
    }

    fn width(&self) -> u16 {
        self.list.width()
    }

    fn pins(&self) -> bool {
        true
    }

    fn fields(&self) -> Vec<DialogField> {
        vec![signal_field(*self.signals, self.signal, "t c i K choose")]
    }

    fn choose(&mut self, by: isize) {
        self.signal = neighbour(self.signals, self.signal, by);
    }

    /// `k` moves up, as in every list; only the capital letter chooses KILL.
    fn list_key(&mut self, key: KeyEvent) -> bool {
        if self.list.move_cursor(key) {
            return true;
        }
        let chosen = signal_of(key);
        self.signal = chosen.unwrap_or(self.signal);
        chosen.is_some()
    }

    fn confirm(&self) -> Option<Result<ConfirmedAction, String>> {
        let targets: Vec<_> = self.list.ticked().map(|(target, _)| target).collect();
        Some(if targets.is_empty() {
            Err("nothing is ticked: Space ticks a row that can be stopped".to_owned())
        } else {
            Ok(ConfirmedAction::Signal { targets, signal: self.signal })
        })
    }

    fn body(&self, scene: DialogScene<'_>, page: DialogPage<'_>) -> Vec<Line<'static>> {
        let mut lines = self.head(page);
        // The signal, and what stands above the rows here and not in the list of stale processes.
        let beside = BESIDE + lines.len();
        lines.extend(self.list.list(scene, page, beside));
        lines
    }

    fn rows(&self, page: DialogPage<'_>) -> Option<DialogRows> {
        let above = self.head(page).len();
        Some(self.list.rows_at(above, page, BESIDE + above))
    }

    fn point(&mut self, at: usize) {
        self.list.point(at);
    }
}

impl TaggedDialog {
    /// What stands above the rows.
    fn head(&self, page: DialogPage<'_>) -> Vec<Line<'static>> {
        let mut lines = Vec::new();
        if let Some(advice) = &self.advice {
            lines.extend(advice.lines(page));
        }
        if !self.hidden.is_empty() {
            let text = format!("▲ The filter hides {}: no signal goes there.", self.hidden.join(", "));
            lines.extend(page.sentence(Level::Warn, &text));
        }
        let head = format!(
            "{}: y sends them {}, Space ticks or unticks a row, j k move.",
            self.list.counts(),
            self.signal
        );
        lines.extend(page.plain(&head));
        let cost = match self.signal {
            StopSignal::Cont => "CONT continues those that are stopped.",
            StopSignal::Kill => {
                "▲ KILL ends them at once. An open write transaction rolls back; what is committed stays."
            }
            StopSignal::Term | StopSignal::Int => {
                "They are asked to exit. An open write transaction rolls back unless it finishes first."
            }
        };
        lines.extend(page.sentence(Level::Warn, cost));
        lines
    }
}
